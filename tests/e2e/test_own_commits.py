"""Own commits of an entry, decided by the tasks: cases without a question, and the answer to every question."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from support.killing import Yard, YardLanding
from support.landing import Landing, Ran
from support.stacking import OWN, assert_stacked

pytestmark = pytest.mark.gh
ONE, TWO, THREE = ((number, OWN[number][1]) for number in (518, 519, 520))


@pytest.fixture
def stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack of three open entries, and a trunk that moved on."""
    with grounds.prepared("open", Landing.move_trunk) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def typed_again(landing: Landing, ran: Ran, number: int = 0) -> Ran:
    """Type one of the commands that a question offers, as it stands."""
    commands = [line.removeprefix("next: ").partition("   #")[0] for line in ran.err.splitlines() if "next: " in line]
    return landing.invoke(*shlex.split(commands[number])[1:])


def amend_one(landing: Landing, message: str) -> None:
    """Amend #518 in content and message, and force-push it, as its author."""
    author = landing.author
    author.git("switch", "--quiet", "feat/one")
    (author.path / "src/arena.rs").write_text("//! Arena, reviewed.\n")
    author.git("commit", "--quiet", "--all", "--amend", f"--message={message}")
    landing.push_as_author("feat/one", force=True)


def test_a_parent_amended_in_content_and_message_needs_no_answer(stack: YardLanding) -> None:
    """The two above follow the new version; the old one is not replayed."""
    amend_one(stack, "entirely other words")
    ran = stack.invoke("restack")
    assert ran.code == 0, ran.err
    subjects = stack.clone.subjects("origin/main..origin/feat/three")
    assert subjects.count("entirely other words") == 1
    assert subjects[-len(TWO[1] + THREE[1]) :] == TWO[1] + THREE[1]


def test_a_childs_commit_taken_back_from_the_parents_branch_is_a_question(stack: YardLanding) -> None:
    """Pushed to #518 by mistake and removed by force-push: restack prompts, and both printed answers work."""
    author = stack.author
    author.git("switch", "--quiet", "feat/one")
    before = author.head()
    author.git("merge", "--quiet", "--ff-only", "feat/two~1")
    stack.push_as_author("feat/one")
    author.git("reset", "--quiet", "--hard", before)
    stack.push_as_author("feat/one", force=True)
    world = stack.world()
    ran = stack.invoke("restack")
    assert ran.code == 3, ran.out + ran.err
    assert TWO[1][0] in ran.err
    assert stack.world() == world
    again = typed_again(stack, ran)
    assert again.code == 0, again.err
    assert_stacked(stack, ONE, TWO, THREE)


def test_a_commit_that_trunk_dropped_is_a_question(stack: YardLanding) -> None:
    """Trunk is force-pushed without the commit that the bottom entry was rebased onto."""
    assert stack.invoke("restack").code == 0
    author = stack.author
    author.git("switch", "--quiet", "main")
    author.git("reset", "--quiet", "--hard", "HEAD~1")
    author.commit("instead of it", {"instead.txt": "1\n"})
    stack.push_as_author("main", force=True)
    ran = stack.invoke("restack")
    assert ran.code == 3, ran.out + ran.err
    assert "main held it once and was force-pushed without it" in ran.err
    again = typed_again(stack, ran, -1)
    assert again.code == 0, again.err
    assert_stacked(stack, ONE, TWO, THREE)


def test_trunk_has_one_of_the_commits_and_a_later_one_changes_the_line_again(stack: YardLanding) -> None:
    """A replay of each commit succeeds, as with `git rebase`; one merge of all would conflict."""
    author = stack.author
    author.git("switch", "--quiet", "feat/one")
    author.commit("line, first", {"line.txt": "first\n"})
    first = author.head()
    author.commit("line, second", {"line.txt": "second\n"})
    stack.push_as_author("feat/one")
    author.git("switch", "--quiet", "main")
    author.git("cherry-pick", first)
    stack.push_as_author("main")
    dry = stack.invoke("restack", "--dry-run")
    ran = stack.invoke("restack", "--skip", "note")
    assert (dry.code, ran.code) == (0, 0), dry.err + ran.err
    assert stack.clone.git("show", "origin/feat/three:line.txt") == "second"


def test_every_task_gives_one_answer(stack: YardLanding) -> None:
    """Status, plan and restack agree after an amend of the parent, and while trunk has moved on without a fetch."""
    amend_one(stack, "other words")
    entries = stack.invoke("status", "--json").json["stack"]["entries"]
    planned = stack.invoke("restack", "--dry-run", "--json").json
    ran = stack.invoke("restack", "--json", "--no-push").json
    steps = [step for step in ran["steps"] if step["step"] == "onto"]
    assert [len(step["data"]["own"]) for step in steps] == [3, 2, 1]
    assert [entry["own_commits"] for entry in entries] == [None, 2, 1]  # #518's new head is not fetched yet
    assert planned["plan"]["task"] == "restack"


@pytest.mark.parametrize("answer", ["519=HEAD", "nonsense", "HEAD"])
def test_an_answer_that_does_not_fit_changes_nothing(stack: YardLanding, answer: str) -> None:
    """The answer names no commit of the branch, no commit at all, or no entry."""
    before = stack.world()
    ran = stack.invoke("restack", "--fork-point", answer)
    assert ran.code in {2, 5}, ran.out + ran.err
    assert "next:" in ran.err
    assert stack.world() == before
