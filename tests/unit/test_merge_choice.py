"""The decision to merge a head without a rewrite, and the message of a squash commit."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from trunkline.domain.commits import Commit
from trunkline.domain.merge_choice import MergeFacts, MergeRules, reason_to_rewrite, squash_message
from trunkline.domain.names import Oid, PrNumber

ONE, OTHER = Oid("1" * 40), Oid("2" * 40)
CLEAN = MergeFacts(
    method="squash", trunk="origin/main", published=True, on_trunk=False, foreign=2, conflicts=(),
    merged_tree=ONE, replayed_tree=ONE,
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "rules", "reason"),
    [
        ({}, {}, ""),
        ({"on_trunk": True}, {"up_to_date": True}, ""),
        ({"published": False}, {}, "its branch on GitHub differs from the local one"),
        ({"published": False, "on_trunk": True}, {}, "its branch on GitHub differs from the local one"),
        ({}, {"up_to_date": True}, "the rules of origin/main demand branches that are up to date"),
        ({"method": "merge"}, {}, "merging by merge would bring 2 commits that are not its own along"),
        ({"method": "rebase", "foreign": 1}, {}, "merging by rebase would bring 1 commit that is not its own along"),
        (
            {"method": "rebase", "trunk": "trunk"},
            {"linear": True},
            "merging by rebase would bring 2 commits that are not its own along, and trunk demands linear history",
        ),
        ({"method": "merge", "foreign": 0}, {}, ""),
        ({}, {"linear": True}, ""),
        (
            {"conflicts": ("a.rs", "b.rs")},
            {},
            "merging it as it is would conflict with origin/main in a.rs, b.rs",
        ),
        ({"replayed_tree": None}, {}, "its own commits conflict with origin/main"),
        (
            {"replayed_tree": OTHER},
            {},
            "merging it into origin/main gives another result than a replay of its own commits",
        ),
    ],
)
def test_reasons_to_rewrite(facts: dict[str, Any], rules: dict[str, Any], reason: str) -> None:
    """An entry is merged as it is only if the merge is clean, gives the replay's tree, and the rules allow it."""
    assert reason_to_rewrite(replace(CLEAN, **facts), MergeRules(**rules)) == reason


def commit(message: str, author: str = "Grace <grace@example.com>") -> Commit:
    """Return a commit of one parent."""
    return Commit(ONE, (OTHER,), ONE, f"{author} 1763600000 +0000".encode(), message.encode())


def test_squash_of_one_commit() -> None:
    """The squash commit has GitHub's default words, or the pull request's title by the repository's settings."""
    own = [commit("Fix it\n\nBecause.\n")]
    assert squash_message(PrNumber(7), "Title", own, MergeRules()) == ("Fix it (#7)", "Because.")
    assert squash_message(PrNumber(7), "Title", own, MergeRules(title="PR_TITLE"))[0] == "Title (#7)"
    assert squash_message(PrNumber(7), "Title", [commit("Fix it\n")], MergeRules()) == ("Fix it (#7)", "")


def test_squash_of_several_commits() -> None:
    """The pull request's title, each own commit, and everybody who wrote one; no body where none is composed."""
    own = [commit("One\n\nBody.\n"), commit("Two\n", "Ada <ada@example.com>")]
    title, body = squash_message(PrNumber(7), "Title", own, MergeRules())
    assert title == "Title (#7)"
    people = "Co-authored-by: Grace <grace@example.com>\nCo-authored-by: Ada <ada@example.com>"
    assert body == f"* One\n\nBody.\n\n* Two\n\n{people}"
    assert squash_message(PrNumber(7), "Title", own, MergeRules(message="PR_BODY")) == ("Title (#7)", None)
