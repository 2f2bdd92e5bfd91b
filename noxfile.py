"""The six cargo gates as a session matrix, and the project's own checks."""

from __future__ import annotations

import nox

from trunkline.gates.sessions import gates

__all__ = ["gates", "lint", "tests", "types"]

nox.options.sessions = ["lint", "types", "tests"]


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style, imports, layers."""
    session.run("ruff", "check", external=True)
    session.run("ruff", "format", "--check", external=True)
    session.run("lint-imports", external=True)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Strict types, tests too."""
    session.run("mypy", external=True)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Everything: unit, git, sim, e2e; posargs go to pytest."""
    session.run("pytest", *(session.posargs or ["-n", "2"]), external=True)
