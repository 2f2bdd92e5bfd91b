"""trunkline: lands a stack of pull requests of a Rust workspace on its trunk."""

__version__ = "0.1.0"
