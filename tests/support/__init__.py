"""Fixtures and helpers for tests: real git repositories, a simulated GitHub, real tasks."""
