"""One observation of pull requests, refs and checks. Immutable."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from trunkline.domain.names import BranchName, EntryKey, Oid, PrNumber


class PrState(Enum):
    """The state of a pull request in GitHub's GraphQL API."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    MERGED = "MERGED"


class MergeMethod(Enum):
    """The method by which a pull request was merged."""

    SQUASH = "squash"
    REBASE = "rebase"
    MERGE = "merge"


class CiState(Enum):
    """The state of CI as a whole."""

    OPERATIONAL = "operational"
    BILLING = "not operational: a billing failure"
    UNKNOWN = "unknown: no check has run"


class ForcePush(msgspec.Struct, frozen=True):
    """A HeadRefForcePushedEvent with the heads before and after, which GitHub may have deleted."""

    before: Oid | None
    after: Oid | None


OUR_CONTEXTS = "trunkline/"
"""The prefix of the commit statuses that we publish; they are not read as checks of others."""


A_TEAM = "a team"


class CheckRun(msgspec.Struct, frozen=True):
    """A check of a commit, with its first annotations."""

    name: str
    status: str
    conclusion: str
    annotations: tuple[str, ...] = ()


class PullRequest(msgspec.Struct, frozen=True):
    """A pull request as GitHub shows it.

    Attributes:
        review: GraphQL's reviewDecision, or "" if no review is required.
        opinions: each reviewer's latest review: login, and APPROVED, CHANGES_REQUESTED or
            DISMISSED.
        requested_reviewers: logins with a pending review request; `A_TEAM` for a team.
        open_threads: unresolved review threads among the first hundred.
        mergeable: GraphQL's MergeableState: MERGEABLE, CONFLICTING, or UNKNOWN while GitHub
            computes it.
        merge_state: GraphQL's MergeStateStatus: CLEAN, UNSTABLE, BLOCKED, BEHIND, DIRTY, DRAFT,
            HAS_HOOKS, UNKNOWN.
        node_id: GitHub's global id.
        base_oid: GitHub's commit of the base; for a closed pull request, its last one.
        earlier_bases: the branches that it targeted before, oldest first.
    """

    number: PrNumber
    title: str
    url: str
    state: PrState
    draft: bool
    body: str
    base: str
    head: str
    head_oid: Oid
    head_repository: str
    merged_at: str = ""
    merge_commit: Oid | None = None
    merge_parents: tuple[Oid, ...] = ()
    force_pushes: tuple[ForcePush, ...] = ()
    earlier_bases: tuple[str, ...] = ()
    checks: tuple[CheckRun, ...] = ()
    node_id: str = ""
    base_oid: Oid | None = None
    review: str = ""
    opinions: tuple[tuple[str, str], ...] = ()
    requested_reviewers: tuple[str, ...] = ()
    open_threads: int = 0
    mergeable: str = "UNKNOWN"
    merge_state: str = "UNKNOWN"

    @property
    def historical_heads(self) -> tuple[Oid, ...]:
        """Every head in the force-push history, newest first, without duplicates."""
        seen: dict[Oid, None] = {}
        for event in reversed(self.force_pushes):
            for head in (event.after, event.before):
                if head is not None and head != self.head_oid:
                    seen.setdefault(head)
        return tuple(seen)


def fork_of(pr: PullRequest | None, repository: str) -> str:
    """Return a sentence about a pull request whose head is in another repository, else "".

    Args:
        pr: the pull request; None if there is none.
        repository: `owner/name` of its base; GitHub ignores case.
    """
    if pr is None or pr.head_repository.lower() == repository.lower():
        return ""
    home = pr.head_repository or "a deleted repository"
    return f"its branch is in {home}, and only those of {repository} can be pushed"


class Snapshot(msgspec.Struct, frozen=True):
    """Pull requests of the stack at one instant; None if GitHub has no such pull request.

    Attributes:
        repository: `owner/name` as GitHub has it now; the remote's URL may have another case or an
            earlier name, which GitHub redirects. "" if unknown.
        trunk: trunk's tip, if it was requested.
    """

    pull_requests: Mapping[PrNumber, PullRequest | None]
    viewer: str = ""
    repository: str = ""
    trunk: Oid | None = None

    def pr(self, key: EntryKey) -> PullRequest | None:
        """Return the pull request of an entry; None if GitHub has none of that number, or it has no number."""
        return None if isinstance(key, str) else self.pull_requests.get(key)


# GitHub's messages when Actions does not start because of billing. Only the annotation shows it:
# the run itself looks like an ordinary failure.
_BILLING = (
    "recent account payments have failed or your spending limit needs to be increased",
    "account is locked due to a billing issue",
)


def ci_state(pull_requests: Mapping[PrNumber, PullRequest | None]) -> tuple[CiState, str]:
    """Return whether CI works at all, with the annotation that shows that it does not.

    Only checks of open pull requests are used, because those of merged ones are outdated. A check
    that did not start is neither a pass nor a failure of the code.
    """
    checks = [
        check for pr in pull_requests.values() if pr is not None and pr.state is PrState.OPEN for check in pr.checks
    ]
    for check in checks:
        for text in check.annotations:
            if any(sentence in text for sentence in _BILLING):
                return CiState.BILLING, f"{check.name}: {text}"
    return (CiState.OPERATIONAL, "") if checks else (CiState.UNKNOWN, "")


class LocalState(msgspec.Struct, frozen=True):
    """The local repository's state for one entry.

    Attributes:
        branch: the entry's branch.
        local: the local branch's tip, or None.
        remote: the remote branch's tip, or None.
        checked_out: it is the branch of the user's work tree.
        elsewhere: the path of another work tree that has it checked out.
        changes: paths with uncommitted changes to tracked files in the user's work tree.
        rebasing: a `git rebase` of the user's, begun and not ended, will move it: the path of its work tree.
        unfinished: the git command that the user began in its checkout and has not finished, such as `cherry-pick`.
    """

    branch: BranchName
    local: Oid | None
    remote: Oid | None
    checked_out: bool
    elsewhere: str = ""
    changes: tuple[str, ...] = ()
    rebasing: str = ""
    unfinished: str = ""

    @property
    def use(self) -> str:
        """Reason for which the branch cannot be deleted, as a sentence; "" if no work tree uses it."""
        if self.rebasing:
            return f"it is being rebased in {self.rebasing}"
        if self.elsewhere:
            return f"it is checked out in {self.elsewhere}"
        return "it is checked out" if self.checked_out else ""
