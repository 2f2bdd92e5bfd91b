"""Task `ci.workflow`: write the Actions workflow of the gates, or check that it is up to date."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from trunkline import __version__
from trunkline.domain.command import task_command
from trunkline.domain.errors import CheckFailed, Refused, UsageError
from trunkline.domain.stack import Stack
from trunkline.gates.actions import WORKFLOW
from trunkline.git.git import Git
from trunkline.report.workflow import workflow
from trunkline.system.files import write_inside

PATH = f".github/workflows/{WORKFLOW}"
PYTHON = "3.12"
RUNNER = "ubuntu-24.04"
_OURS = "Written by `invoke ci.workflow`"
_RUNNER = re.compile(r"[A-Za-z0-9._-]{1,100}")


def text(git: Git, stack: Stack, *, runner: str) -> str:
    """Return the content of the workflow file.

    Raises:
        UsageError: the repository has no noxfile.py, or the runner is not a valid label.
    """
    if not (git.cwd / "noxfile.py").is_file():
        raise UsageError(
            "the jobs run nox sessions, and there is no noxfile.py",
            why=f"expected it at {git.cwd}",
            next_command=task_command("init", "--write-tasks"),
        )
    if not _RUNNER.fullmatch(runner):
        raise UsageError(f"--runner {runner}: that is no label of a runner", next_command=task_command("ci.workflow"))
    return workflow(stack.gates, version=__version__, runner=runner, python=PYTHON)


def write(git: Git, content: str) -> tuple[Path, bool]:
    """Write the workflow; return its path and whether it changed.

    Raises:
        Refused: the file was not written by trunkline, or its path contains a symbolic link.
    """
    path = git.cwd / PATH
    current = _held(path)
    if current == content:
        return path, False
    if current is not None and _OURS not in current:
        raise Refused(
            f"{PATH} is there, and not written by trunkline",
            why="it is never overwritten",
            next_command=f"git mv {PATH} .github/workflows/own.yml",
        )
    return write_inside(git.cwd, PurePosixPath(PATH), content.encode()), True


def check(git: Git, content: str) -> None:
    """Check that the workflow file is up to date.

    Raises:
        CheckFailed: it is not.
    """
    current = _held(git.cwd / PATH)
    if current != content:
        raise CheckFailed(
            f"{PATH} "
            + ("is not there" if current is None else "is not what this trunkline and stack.toml would write"),
            next_command=task_command("ci.workflow"),
        )


def _held(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
