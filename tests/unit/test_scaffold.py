"""trunkline.mk, in a real make: no target of it runs unless it is named, and nothing is published without a yes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.commands import init_files


@pytest.fixture
def written(repo: Repo) -> Path:
    """Return a repository with the files of `init --write-tasks`, whose invoke only writes down its command line."""
    init_files.write(repo.path)
    program = repo.path / "invoke"
    program.write_text('#!/bin/sh\necho "yes=$TRUNKLINE_YES pr=$TRUNKLINE_PR $*" >> called\n')
    program.chmod(0o755)
    return repo.path


def make(top: Path, *arguments: str) -> tuple[str, list[str]]:
    """Run make; return what it printed, and the command lines of invoke."""
    done = subprocess.run(
        ["make", "--no-print-directory", "INVOKE=./invoke", *arguments], cwd=top, capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    called = top / "called"
    return done.stdout, called.read_text().splitlines() if called.exists() else []


def test_a_bare_make_prints_help(written: Path) -> None:
    """With the Makefile that was written: what there is, and no task runs."""
    shown, called = make(written)
    assert "make stack-rebase PR=519" in shown
    assert "YES=1" in shown
    assert called == []


@pytest.mark.parametrize("before", ["", ".DEFAULT_GOAL := all\n", "all: ; @echo mine\n"])
@pytest.mark.parametrize("after", ["all: ; @echo mine\nother: ; @echo wrong\n"])
def test_your_default_goal_stays(written: Path, before: str, after: str) -> None:
    """Included first, included behind the target, with the goal set by name."""
    (written / "Makefile").write_text(f"{before}include trunkline.mk\n{'' if before.startswith('all') else after}")
    assert make(written) == ("mine\n", [])


def test_yes_and_pr_are_settings_of_the_tasks(written: Path) -> None:
    """Without YES=1 the tasks prompt, or refuse without a terminal."""
    make(written, "stack-rebase", "PR=519", "ARGS=--fresh")
    make(written, "stack-steps", "PR=519", "YES=1")
    _, called = make(written, "stack-status")
    assert called == [
        "yes= pr=519 rebase --fresh",
        "yes=1 pr=519 verify-merged switch fetch onto fmt gates checks push ready note checklist next",
        "yes= pr= status",
    ]


def test_beside_tasks_of_your_own_the_targets_call_ours(repo: Repo) -> None:
    """They are `stack.NAME` there, as the advice for tasks.py has them."""
    (repo.path / "tasks.py").write_text("from invoke import task\n")
    init_files.write(repo.path)
    (repo.path / "invoke").write_text('#!/bin/sh\necho "$*" >> called\n')
    (repo.path / "invoke").chmod(0o755)
    make(repo.path, "stack-status", "ARGS=--json")
    _, called = make(repo.path, "stack-steps")
    assert called[0] == "stack.status --json"
    assert called[1].split()[-2:] == ["stack.checklist", "stack.next"]


def test_a_dry_run_writes_nothing(repo: Repo) -> None:
    """The output lists what would be written."""
    found = init_files.write(repo.path, dry_run=True)
    assert [file.name for file in found if file.wrote] == ["tasks.py", "noxfile.py", "trunkline.mk", "Makefile"]
    assert [path.name for path in repo.path.iterdir()] == [".git"]
