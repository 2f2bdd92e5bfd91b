"""Find the commit of trunk that reverts a merged pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid, PrNumber, short

_PR_OF = re.compile(r"\(#(\d+)\)$")


class Reverted(msgspec.Struct, frozen=True):
    """A merged pull request that trunk reverted.

    Attributes:
        number: the pull request.
        by: the commit that reverts it.
    """

    number: PrNumber
    by: Oid

    def in_words(self, trunk: str) -> str:
        """Return `origin/main reverted #518 in 1234567`."""
        return f"{trunk} reverted #{self.number} in {short(self.by)}"


def reverted_by(commits: Sequence[Commit], slug: str, *, merge: Oid, number: int | None) -> Oid | None:
    """Return the newest commit that reverts a merge and was not reverted itself.

    `git revert` names the commit. GitHub's button names the pull request, and a squash of its pull
    request keeps only that.

    Args:
        commits: commits of trunk since the merge, newest first.
        slug: the repository, `owner/name`.
        merge: the merge commit.
        number: the merged pull request; None: unknown.
    """
    for index, commit in enumerate(commits):
        if _reverts(commit, slug, merge, number):
            pr = _PR_OF.search(commit.subject)
            if reverted_by(commits[:index], slug, merge=commit.oid, number=int(pr[1]) if pr else None) is None:
                return commit.oid
    return None


def _reverts(commit: Commit, slug: str, merge: Oid, number: int | None) -> bool:
    text = commit.message.decode("utf-8", "replace")
    if f"This reverts commit {merge}" in text:
        return True
    return number is not None and re.search(rf"\bReverts {re.escape(slug)}#{number}\b", text) is not None
