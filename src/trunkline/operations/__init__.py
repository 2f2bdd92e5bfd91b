"""What several steps do to the world: move a branch, push several, pause on a conflict, revert a change."""
