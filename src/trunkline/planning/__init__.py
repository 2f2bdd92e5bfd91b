"""Decisions: parents, fork points, replay plans, verification. Nothing here changes a ref or GitHub."""
