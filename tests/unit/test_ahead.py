"""Questions that are sent ahead: they end with the task, and are as good as new for a moment only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.repo import Repo
from trunkline.config.reading import StackText
from trunkline.context import prefetch
from trunkline.context.prefetch import Ahead, Question
from trunkline.domain.errors import UsageError
from trunkline.domain.names import branch_name, pr_number
from trunkline.domain.snapshot import Snapshot
from trunkline.github.client import GitHub, Repository

DATA = {"trunk": "trunk", "entry": [{"pr": 1}, {"pr": 2}]}
QUESTION = Question(Repository("github.com", "o", "r"), (pr_number(1), pr_number(2)), merging=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what becomes of questions: sent, with what; ended."""
    message: list[str] = []

    @contextlib.contextmanager
    def reading_stack(self: GitHub, numbers: Any, **more: Any) -> Iterator[Callable[[], Snapshot]]:
        message.append(f"{self.repository.slug} {numbers} {more}")
        yield lambda: Snapshot({})
        message.append("ended")

    monkeypatch.setattr(GitHub, "reading_stack", reading_stack)
    return message


def ask(repo: Repo, data: dict[str, Any], ends: contextlib.ExitStack, *, with_trunk: bool = False) -> Ahead | None:
    """Ask ahead."""
    text = StackText(Path("stack.toml"), "", data)
    return prefetch.ask(
        repo.adapter, text, "", merging=True, with_trunk=with_trunk, reporter=lambda _: None, ends=ends
    )


def test_it_ends_with_the_task(repo: Repo, asked: list[str]) -> None:
    """Sent at once, with what stack.toml seems to say; ended with what it was given to end with."""
    repo.git("remote", "add", "origin", "git@github.com:o/r.git")
    with contextlib.ExitStack() as ends:
        sent = ask(repo, DATA, ends)
        assert sent is not None
        assert sent.question == QUESTION
        assert asked == ["o/r (1, 2) {'merging': True, 'trunk': None}"]
        with sent.taken() as answer:
            assert answer() == Snapshot({})
            assert asked[1:] == []
        assert asked[1:] == ["ended"]
    assert asked[1:] == ["ended"]
    with contextlib.ExitStack() as ends:
        trunk = ask(repo, DATA, ends, with_trunk=True)
        assert trunk is not None
        assert trunk.question == replace(QUESTION, trunk=branch_name("trunk"))


@pytest.mark.parametrize("data", [{}, {"entry": []}, {"entry": [{"pr": "x"}]}, {"remote": "nowhere", **DATA}])
def test_what_takes_a_closer_look_is_not_asked(repo: Repo, asked: list[str], data: dict[str, Any]) -> None:
    """No entry, no number, no remote: whoever looks closer says what is wrong."""
    repo.git("remote", "add", "origin", "git@github.com:o/r.git")
    with contextlib.ExitStack() as ends:
        assert ask(repo, data, ends) is None
    assert asked == []


def test_a_gh_that_is_missing_is_told_by_who_needs_it(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking ahead complains of nothing."""
    repo.git("remote", "add", "origin", "git@github.com:o/r.git")
    git = repo.adapter
    git.query("version")

    def missing(*_: Any, **__: Any) -> None:
        raise UsageError("gh is not installed")

    monkeypatch.setattr(GitHub, "_begin", missing)
    with contextlib.ExitStack() as ends:
        assert ask(repo, DATA, ends) is None


def test_it_answers_the_same_question_for_a_moment() -> None:
    """Another question, or the same after a person has thought: it is asked anew."""
    sent = Ahead(QUESTION, lambda: Snapshot({}), time.monotonic(), contextlib.ExitStack())
    assert sent.answers(replace(QUESTION))
    assert not sent.answers(replace(QUESTION, merging=False))
    assert not sent.answers(replace(QUESTION, numbers=QUESTION.numbers[:1]))
    assert not replace(sent, sent=sent.sent - 60).answers(QUESTION)
