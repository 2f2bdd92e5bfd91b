"""Every call of GitHub. `gh.py` is the only module that starts gh."""
