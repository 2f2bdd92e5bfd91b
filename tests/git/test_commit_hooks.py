"""Commit hooks run where a task commits the user's changes, before anything moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.inprocess import desk
from support.typist import Typist, typist
from trunkline.git.config_audit import RUN_HOOKS, hooks, settings
from trunkline.git.git import Git

_SIGNED = 'printf "\\nSigned-off-by: hook\\n" >> "$1"'


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typist]:
    """Yield a user with the middle entry checked out and a staged file."""
    with desk(monkeypatch) as made:
        made.own_stack(monkeypatch)
        made.clone.git("switch", "--quiet", "two")
        _stage(made.clone.path, "two.txt", "two\nmore\n")
        made.clone.git("add", "two.txt")
        yield from typist(made, monkeypatch, capsys, "")


def _stage(top: Path, name: str, text: str) -> None:
    (top / name).write_text(text)


def _hook(person: Typist, name: str, script: str) -> None:
    """Install a hook that notes its name and runs a script."""
    path = person.desk.clone.path / ".git/hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\necho {name} >> "$(git rev-parse --git-dir)/ran"\n{script}\n')
    path.chmod(0o755)


def _ran(person: Typist) -> list[str]:
    path = person.desk.clone.path / ".git/ran"
    found = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def _message(person: Typist, branch: str) -> str:
    return person.desk.clone.git("log", "-1", "--format=%B", branch).strip()


@pytest.mark.parametrize(
    "command", ["invoke add half --message Half", "invoke amend", "invoke amend --message New", "invoke absorb"]
)
def test_a_failing_hook_stops(person: Typist, command: str) -> None:
    """Nothing moves, the hook's output is shown, and the command without hooks works."""
    before = person.desk.tips()
    _hook(person, "pre-commit", "git diff --cached --name-only; exit 3")
    ran = person(command)
    assert ran.code == 1
    assert "the pre-commit hook failed with exit code 3" in ran.err
    assert "two.txt" in ran.err
    assert person.desk.tips() == before
    assert person(f"{command} --dry-run").code == 0
    assert _ran(person) == ["pre-commit"]
    ran = person(ran.next[1])
    assert ran.code == 0, ran.err
    assert person.desk.tips() != before
    assert _ran(person) == []


def test_what_a_hook_leaves_counts(person: Typist) -> None:
    """The message and the staged files are those that the hooks leave."""
    _hook(person, "pre-commit", "echo made > made.txt; git add made.txt")
    _hook(person, "commit-msg", _SIGNED)
    clone = person.desk.clone
    assert person("invoke add half --message Half").code == 0
    assert _ran(person) == ["pre-commit", "commit-msg"]
    assert _message(person, "half") == "Half\n\nSigned-off-by: hook"
    assert clone.git("diff", "--name-only", "two", "half").splitlines() == ["made.txt", "two.txt"]
    _stage(clone.path, "two.txt", "two\nagain\n")
    ran = person("invoke amend --all --message Other")
    assert ran.code == 0, ran.err
    assert _message(person, "half") == "Other\n\nSigned-off-by: hook"
    assert "again" in clone.git("show", "half:two.txt")


def test_new_messages_of_modify(person: Typist) -> None:
    """commit-msg runs on a reworded message, and on no commit that is only replayed."""
    person.desk.clone.git("stash", "--quiet")
    _hook(person, "commit-msg", f'grep -q Bad "$1" && exit 1\n{_SIGNED}')
    name = person.desk.clone.head("one")
    before = person.desk.tips()
    ran = person(f"invoke modify --reword {name} --message Bad --no-push")
    assert (ran.code, person.desk.tips()) == (1, before)
    assert ran.next[1].endswith("--no-verify")
    _ran(person)
    assert person(f"invoke modify --reword {name} --message Good --no-push").code == 0
    assert _message(person, "one") == "Good\n\nSigned-off-by: hook"
    assert _ran(person) == ["commit-msg"]


def test_only_these_hooks_run(person: Typist) -> None:
    """Of all hooks, those of commits and of pushes; `doctor` names the same."""
    git = Git(person.desk.clone.path)
    for name in (
        *RUN_HOOKS, "post-checkout", "post-index-change", "post-commit", "post-merge", "post-rewrite", "pre-rebase",
        "pre-auto-gc", "pre-merge-commit", "applypatch-msg", "fsmonitor-watchman",
    ):  # fmt: skip
        _hook(person, name, "")
    assert hooks(git, settings(git)) == RUN_HOOKS
    assert person("invoke amend").code == 0
    assert _ran(person) == ["pre-commit", "prepare-commit-msg", "commit-msg"]
    assert person("invoke restack").code == 0
    assert set(_ran(person)) == {"pre-push", "reference-transaction"}
    assert person("invoke undo").code == 0
    assert person("invoke modify --drop 2").code == 0
    assert set(_ran(person)) == {"pre-push", "reference-transaction"}
