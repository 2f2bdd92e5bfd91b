"""Every call of git. `git.py` is the only module that starts the process."""
