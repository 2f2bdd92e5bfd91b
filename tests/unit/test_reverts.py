"""The commit of trunk that reverts a merged pull request: as git, as GitHub's button, and taken back again."""

from __future__ import annotations

import hashlib

import pytest

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid, oid
from trunkline.domain.reverts import reverted_by

MERGE = oid("a" * 40)


def commit(message: str) -> Commit:
    """Return a commit with a message."""
    name = oid(hashlib.sha1(message.encode(), usedforsecurity=False).hexdigest())
    return Commit(
        oid=name, parents=(MERGE,), tree=MERGE, author=b"A <a@example.invalid> 1 +0000", message=message.encode()
    )


def found(*commits: Commit) -> Oid | None:
    """Return the reverting commit of #518 among commits, newest first."""
    return reverted_by(commits, "octo/tiny", merge=MERGE, number=518)


@pytest.mark.parametrize(
    "text",
    [
        f"This reverts commit {MERGE}.",
        f"This reverts commit {MERGE}, reversing\nchanges made to {'b' * 40}.",
        "Reverts octo/tiny#518",
    ],
)
def test_a_revert_is_recognised(text: str) -> None:
    """`git revert` of a squash or merge commit, and the squash of GitHub's revert pull request."""
    revert = commit(f'Revert "Arena (#518)" (#600)\n\n{text}\n')
    assert found(revert) == revert.oid
    again = commit(f'Reapply "Arena (#518)" (#601)\n\nThis reverts commit {revert.oid}.\n')
    button = commit('Revert "Revert "Arena (#518)"" (#601)\n\nReverts octo/tiny#600\n')
    assert found(again, revert) is None
    assert found(button, revert) is None
    third = commit(f"Revert again\n\nThis reverts commit {again.oid}.\n")
    assert found(third, again, revert) == revert.oid


@pytest.mark.parametrize(
    "text", ["Reverts octo/tiny#5180", "Reverts octo/other#518", f"reverts {MERGE}", "Reverts #518"]
)
def test_other_texts_are_no_reverts(text: str) -> None:
    """Another number, another repository, or no phrase that git or GitHub write."""
    assert found(commit(f"words\n\n{text}\n")) is None
