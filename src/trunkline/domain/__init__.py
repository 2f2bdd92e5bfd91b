"""Immutable data and pure functions: no I/O, no clock, no third-party package but msgspec."""
