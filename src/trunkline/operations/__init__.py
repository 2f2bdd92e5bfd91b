"""Changes that several steps make: move a branch, push, pause on a conflict, revert a run."""
