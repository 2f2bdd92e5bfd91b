"""Decisions: parents, fork points, replay plans, verification. Nothing here writes anything."""
