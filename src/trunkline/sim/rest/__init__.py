"""GitHub's REST API over the world, as far as gh and trunkline call it."""
