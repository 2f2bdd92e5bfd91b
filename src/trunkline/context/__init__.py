"""Load the project from the working directory, and observe the world."""
