"""Parents that were moved and amended locally before a push: entries above keep exactly their own commits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import ENTRIES, Desk, desk
from trunkline.commands import restack
from trunkline.domain.step import StepName


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned."""
    with desk(monkeypatch) as place:
        yield place


def own(stack: Desk) -> dict[str, list[str]]:
    """Return the subjects that each local branch holds over the one below."""
    below, found = "origin/main", {}
    for branch in ENTRIES.values():
        found[branch] = stack.clone.subjects(f"{below}..{branch}")
        below = branch
    return found


def restack_unpushed(stack: Desk) -> None:
    """Restack without a push."""
    error = restack.run(stack.stack_context(skip=frozenset({StepName.PUSH}))).error
    assert error is None, (error.what, error.why)


def amend(stack: Desk, branch: str, name: str, *, message: str = "") -> None:
    """Amend a branch's tip here."""
    clone = stack.clone
    clone.git("switch", "--quiet", branch)
    (clone.path / name).write_text("amended\n")
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--amend", *(["--message", message] if message else ["--no-edit"]))
    clone.git("switch", "--quiet", "main")


@pytest.mark.parametrize("message", ["", "entirely other words"])
@pytest.mark.parametrize("name", ["more.txt", "one.txt"])
def test_a_parent_restacked_then_amended_before_a_push(stack: Desk, name: str, message: str) -> None:
    """Only the local branch ever held the tip that the child sits on: it is the parent's, not replayed again."""
    before = own(stack)
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    restack_unpushed(stack)
    amend(stack, "one", name, message=message)
    restack_unpushed(stack)
    assert own(stack) == {**before, "one": [*before["one"][:-1], message or before["one"][-1]]}


def test_a_parent_that_grew_here_and_was_amended_before_a_push(stack: Desk) -> None:
    """The child sits on an unpushed commit above the pushed head, and that commit was amended."""
    before = own(stack)
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.commit("one more", {"more.txt": "1\n"})
    stack.clone.git("switch", "--quiet", "main")
    restack_unpushed(stack)
    amend(stack, "one", "more.txt", message="one more, in other words")
    restack_unpushed(stack)
    assert own(stack) == {**before, "one": [*before["one"], "one more, in other words"]}


def test_a_commit_begun_on_the_parents_branch_stays_the_childs(stack: Desk) -> None:
    """Committed on the wrong branch, moved to the right one, taken back: the parent's reflog proves nothing."""
    before = own(stack)
    clone = stack.clone
    clone.git("switch", "--quiet", "two")
    clone.git("reset", "--quiet", "--hard", "one")
    clone.git("switch", "--quiet", "one")
    clone.commit("begun here", {"begun.txt": "1\n"})
    clone.git("branch", "--quiet", "--force", "two", "one")
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.git("switch", "--quiet", "two")
    clone.git("cherry-pick", *clone.git("rev-list", "--reverse", "origin/one..origin/two").split())
    clone.git("switch", "--quiet", "main")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    restack_unpushed(stack)
    assert own(stack) == {**before, "two": ["begun here", *before["two"]]}
