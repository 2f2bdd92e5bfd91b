"""`diff`: what an entry itself changes, and how it differs from what was reviewed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.inprocess import Desk, desk
from support.typist import typist
from trunkline.commands import diff
from trunkline.context.view import View
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, oid
from trunkline.domain.own_diff import Reviewed
from trunkline.github import last_review
from trunkline.github.decoding import decode


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack of three entries."""
    with desk(monkeypatch) as made:
        yield made


def reviewed(monkeypatch: pytest.MonkeyPatch, head: Oid | None) -> None:
    """Let the newest review be one of this head; None: there is none."""
    found = head and Reviewed("grace", "APPROVED", "2025-11-20T10:00:00Z", head)
    monkeypatch.setattr(diff, "last_review", lambda *_: found)


def of_entry(stack: Desk, pr: int) -> View:
    """Return the view of an entry within the stack."""
    return stack.entry_context(pr).over_the_stack().view()


def test_own_commits_only(stack: Desk) -> None:
    """The diff of an entry has its own files, not those of the entries below."""
    shown = diff.own_diff(of_entry(stack, 2))
    assert [each.path for each in shown.files] == ["two-more.txt", "two.txt"]
    assert [(each.added, each.deleted) for each in shown.files] == [(1, 0), (1, 0)]
    assert [each.subject for each in shown.own] == ["two 1", "two 2"]
    assert shown.arguments[:1] == ("diff",)


def test_entry_below_amended(stack: Desk) -> None:
    """After an amend below, the fork point is the old head of the entry below."""
    old = stack.clone.head("one")
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.git("commit", "--quiet", "--amend", "-m", "one 2, reworded")
    shown = diff.own_diff(of_entry(stack, 2))
    assert shown.fork == old
    assert [each.path for each in shown.files] == ["two-more.txt", "two.txt"]


def test_trunk_merged_into_the_branch(stack: Desk) -> None:
    """A merge of trunk adds nothing to the diff."""
    stack.trunk_commits("trunk moves", {"a.txt": "1\n"})
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.git("fetch", "--quiet", "origin")
    stack.clone.git("merge", "--quiet", "--no-edit", "origin/main")
    shown = diff.own_diff(of_entry(stack, 1))
    assert [each.path for each in shown.files] == ["one-more.txt", "one.txt"]
    assert "which merged main" in shown.notes[0]


def test_since_the_review(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ranges begin at their own fork points."""
    before = oid(stack.clone.head("two"))
    stack.clone.git("switch", "--quiet", "two")
    stack.clone.commit("two 3", {"two-3.txt": "3\n"})
    reviewed(monkeypatch, before)
    view = of_entry(stack, 2)
    shown = diff.since_review(view)
    below = stack.clone.head("one")
    assert shown.arguments == ("range-diff", f"{below}..{before}", f"{below}..{stack.clone.head('two')}", "--")
    lines = view.git.query(*shown.arguments).text.splitlines()
    assert [line.split()[2] for line in lines] == ["=", "=", ">"]


def test_no_review(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a review the error names the pull request and `diff` without the flag."""
    reviewed(monkeypatch, None)
    with pytest.raises(Refused, match=r"#2 two has no review yet") as caught:
        diff.since_review(of_entry(stack, 2))
    assert [str(each) for each in caught.value.next_commands] == ["invoke diff --pr 2"]


def test_reviewed_head_is_not_served(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reviewed head that the remote no longer has is named."""
    reviewed(monkeypatch, oid("f" * 40))
    with pytest.raises(Refused, match=r"fffffff, which grace reviewed, is gone"):
        diff.since_review(of_entry(stack, 2))


def test_newest_review_by_somebody_else() -> None:
    """Pending reviews, the author's own comments, and reviews of deleted commits do not count."""
    head, older = "a" * 40, "b" * 40

    def node(login: str, state: str, at: str, commit: str | None) -> dict[str, Any]:
        return {
            "author": {"login": login},
            "state": state,
            "submittedAt": at,
            "commit": commit and {"oid": commit},
        }

    nodes = [
        node("grace", "COMMENTED", "2025-11-18T10:00:00Z", older),
        node("grace", "CHANGES_REQUESTED", "2025-11-19T10:00:00Z", head),
        node("ada", "COMMENTED", "2025-11-20T10:00:00Z", older),
        node("linus", "PENDING", "2025-11-21T10:00:00Z", older),
        node("linus", "APPROVED", "2025-11-22T10:00:00Z", None),
    ]
    data = {"repository": {"pullRequest": {"author": {"login": "ada"}, "reviews": {"nodes": nodes}}}}
    found = last_review._newest(decode(data, last_review._Answer))
    assert found is not None
    assert (found.author, found.head) == ("grace", head)


def test_printed_form(stack: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal the diff alone is printed; --stat prints the files."""
    for person in typist(stack, monkeypatch, capsys, ""):
        assert person("invoke diff --pr 1").out.startswith("diff --git a/one-more.txt b/one-more.txt\n")
        assert "2 files changed, 2 insertions(+)" in person("invoke diff --pr 1 --stat").out
        ran = person("invoke diff --pr 7")
        assert ran.code == 2
