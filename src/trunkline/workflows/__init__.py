"""One workflow a module: what a task calls. They look, decide and act; they format nothing."""
