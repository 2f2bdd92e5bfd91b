"""Simulate GitHub: pull requests over bare git repositories, for use with the real gh and git.

Anything that is not simulated raises an error that names it; no field is null by accident. Each
simulated behaviour cites its source where it is implemented, and a contract test with the real gh
verifies it.
"""
