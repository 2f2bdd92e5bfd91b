"""The bottom of the house: processes and files, and nothing that knows git, gh or cargo."""
