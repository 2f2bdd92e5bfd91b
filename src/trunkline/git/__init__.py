"""Everything that calls git. `git.py` is the only module that starts it."""
