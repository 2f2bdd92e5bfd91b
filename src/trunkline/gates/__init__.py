"""What a gate is, where it runs, its verdict, its receipt."""
