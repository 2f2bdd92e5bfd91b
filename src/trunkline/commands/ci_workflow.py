"""Command `ci.workflow`: write the Actions workflow of the gates, or check that it is up to date."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from trunkline import __version__
from trunkline.domain.command import exact_command, task_command
from trunkline.domain.errors import CheckFailed, Refused, UsageError
from trunkline.domain.stack import Stack
from trunkline.gates.actions import WORKFLOW
from trunkline.git.git import Git
from trunkline.report.workflow import attested_workflow, workflow
from trunkline.system.files import write_inside

PATH = f".github/workflows/{WORKFLOW}"
ATTESTED = ".github/workflows/trunkline-attested.yml"
PYTHON = "3.12"
RUNNER = "ubuntu-24.04"
_OURS = "Written by `invoke ci.workflow"
_RUNNER = re.compile(r"[A-Za-z0-9._-]{1,100}")


def text(git: Git, stack: Stack, *, runner: str) -> str:
    """Return the content of the workflow file.

    Raises:
        UsageError: the repository has no noxfile.py, or the runner is not a valid label.
    """
    _require_noxfile(git)
    _require_label(runner)
    return workflow(stack.gates, version=__version__, runner=runner, python=PYTHON)


def attested_text(git: Git, stack: Stack, *, runner: str, merged: bool, fallback: bool) -> str:
    """Return the content of the workflow file that verifies receipts.

    Raises:
        UsageError: no signers are named, the runner is not a valid label, or the repository has no
            noxfile.py for the fallback.
    """
    if fallback:
        _require_noxfile(git)
    _require_label(runner)
    if not stack.gates.signers:
        raise UsageError(
            "stack.toml names no signers, so no receipt attests anything",
            why='[gates] signers names an allowed-signers file in the repository, like ".trunkline/allowed_signers"',
            next_command="${EDITOR:-vi} stack.toml   # [gates] signers",
        )
    return attested_workflow(
        stack.gates, stack.attest, version=__version__, runner=runner, python=PYTHON, merged=merged, fallback=fallback
    )


def _require_noxfile(git: Git) -> None:
    if not (git.cwd / "noxfile.py").is_file():
        raise UsageError(
            "the jobs run nox sessions, and there is no noxfile.py",
            why=f"expected it at {git.cwd}",
            next_command=task_command("init", "--write-tasks"),
        )


def _require_label(runner: str) -> None:
    if not _RUNNER.fullmatch(runner):
        raise UsageError(f"--runner {runner}: that is no label of a runner", next_command=task_command("ci.workflow"))


def write(git: Git, content: str, name: str = PATH) -> tuple[Path, bool]:
    """Write the workflow; return its path and whether it changed.

    Raises:
        Refused: the file was not written by trunkline, or its path contains a symbolic link.
        UsageError: the path is a directory, or a part of it is a file.
    """
    path = git.cwd / name
    current = _held(path)
    if current == content:
        return path, False
    if current is not None and _OURS not in current:
        raise Refused(
            f"{name} is there, and not written by trunkline",
            why="it is never overwritten",
            next_command=f"git mv {name} .github/workflows/own.yml",
        )
    return write_inside(git.cwd, PurePosixPath(name), content.encode()), True


def check(git: Git, content: str, name: str = PATH, flags: Mapping[str, str | bool] | None = None) -> None:
    """Check that the workflow file is up to date.

    Args:
        git: the checkout.
        content: what the file must hold.
        name: the file.
        flags: the flags that write it, without dashes.

    Raises:
        CheckFailed: it is not.
    """
    current = _held(git.cwd / name)
    if current != content:
        raise CheckFailed(
            f"{name} "
            + ("is not there" if current is None else "is not what this trunkline and stack.toml would write"),
            next_command=exact_command("ci.workflow", flags or {}),
        )


def _held(path: Path) -> str | None:
    """Return the text of a file; None if there is none.

    Raises:
        UsageError: it cannot be read: it is a directory, or a part of its path is a file.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"{path.name} cannot be read",
            why=f"{path}: {error.strerror or error}",
            next_command=f"ls -ld {shlex.quote(str(path.parent))}",
        ) from None
