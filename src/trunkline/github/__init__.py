"""Everything that calls `gh`. `client.py` is the only module that starts it."""
