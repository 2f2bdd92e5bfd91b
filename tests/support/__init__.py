"""What several tests stand on: real git repositories, made in a few lines."""
