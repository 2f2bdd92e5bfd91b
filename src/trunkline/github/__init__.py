"""Every call of GitHub. `client.py` is the only module that starts gh."""
