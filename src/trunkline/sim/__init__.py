"""A GitHub to rehearse on: pull requests over bare git repositories, for the real gh and the real git.

What is not simulated raises and says so; nothing is null by accident. Every imitated behaviour cites its source
where it is implemented, and a contract test with the real gh holds it.
"""
