"""Processes, files, signals, retry: nothing here knows git, GitHub or cargo."""
