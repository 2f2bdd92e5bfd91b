"""Decisions: parents, fork points, replay plans, verification. No module here changes a ref, a file or GitHub."""
