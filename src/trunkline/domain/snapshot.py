"""The observed world at one instant: pull requests, refs, checks. Immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from trunkline.domain.names import BranchName, Oid, PrNumber


class PrState(Enum):
    """A pull request's state, as GitHub's GraphQL has it."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    MERGED = "MERGED"


class MergeMethod(Enum):
    """How a pull request was merged."""

    SQUASH = "squash"
    REBASE = "rebase"
    MERGE = "merge"


class CiState(Enum):
    """What can be said of CI as a whole, apart from any one result."""

    OPERATIONAL = "operational"
    BILLING = "not operational: a billing failure"
    UNKNOWN = "unknown: no check has run"


@dataclass(frozen=True)
class ForcePush:
    """A HeadRefForcePushedEvent: the head before and after; either may be gone from GitHub."""

    before: Oid | None
    after: Oid | None


OUR_CONTEXTS = "trunkline/"
"""How the commit statuses that we publish are called; they are no word of others, and never asked for."""


A_TEAM = "a team"


@dataclass(frozen=True)
class CheckRun:
    """One check of a commit, with what its first annotations say."""

    name: str
    status: str
    conclusion: str
    annotations: tuple[str, ...] = ()


@dataclass(frozen=True)
class PullRequest:
    """A pull request as GitHub describes it now.

    Attributes:
        review: GraphQL's reviewDecision, or "" where no review is asked for.
        opinions: each reviewer's last word: login, and APPROVED, CHANGES_REQUESTED or DISMISSED.
        asked: logins whose review is requested and has not come; `A_TEAM` for a team.
        open_threads: review threads that are not resolved, the first hundred counted.
        mergeable: GraphQL's MergeableState: MERGEABLE, CONFLICTING, or UNKNOWN while GitHub computes it.
        merge_state: GraphQL's MergeStateStatus: CLEAN, UNSTABLE, BLOCKED, BEHIND, DIRTY, DRAFT, HAS_HOOKS, UNKNOWN.
        node_id: GitHub's global id.
        base_oid: the base's commit that GitHub has for it; of a closed one, what the base was at.
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
    commit_count: int = 0
    force_pushes: tuple[ForcePush, ...] = ()
    checks: tuple[CheckRun, ...] = ()
    node_id: str = ""
    base_oid: Oid | None = None
    review: str = ""
    opinions: tuple[tuple[str, str], ...] = ()
    asked: tuple[str, ...] = ()
    open_threads: int = 0
    mergeable: str = "UNKNOWN"
    merge_state: str = "UNKNOWN"

    @property
    def historical_heads(self) -> tuple[Oid, ...]:
        """Every head that the force-push history names, newest first, each once."""
        seen: dict[Oid, None] = {}
        for event in reversed(self.force_pushes):
            for head in (event.after, event.before):
                if head is not None and head != self.head_oid:
                    seen.setdefault(head)
        return tuple(seen)


@dataclass(frozen=True)
class Snapshot:
    """Pull requests of the stack at one instant; None stands for "GitHub has no such pull request".

    Attributes:
        trunk: the trunk's tip, where it was asked for too.
    """

    pull_requests: Mapping[PrNumber, PullRequest | None]
    viewer: str = ""
    repository: str = ""
    trunk: Oid | None = None

    def pr(self, number: PrNumber) -> PullRequest | None:
        """Return the pull request, or None where GitHub has none of that number."""
        return self.pull_requests.get(number)


# The sentences that GitHub writes when Actions does not start for want of money; the annotation is the only sure
# sign, since the run itself reads as an ordinary failure (reference: cli and community threads on billing).
_BILLING = (
    "recent account payments have failed or your spending limit needs to be increased",
    "account is locked due to a billing issue",
)


def ci_state(pull_requests: Mapping[PrNumber, PullRequest | None]) -> tuple[CiState, str]:
    """Say whether CI works at all, with the annotation that shows it does not.

    Only checks of open pull requests count: what a merged one saw is of the past. "Not started" is neither red
    nor green (promises, fault 50).
    """
    checks = [
        check for pr in pull_requests.values() if pr is not None and pr.state is PrState.OPEN for check in pr.checks
    ]
    for check in checks:
        for text in check.annotations:
            if any(sentence in text for sentence in _BILLING):
                return CiState.BILLING, f"{check.name}: {text}"
    return (CiState.OPERATIONAL, "") if checks else (CiState.UNKNOWN, "")


@dataclass(frozen=True)
class LocalState:
    """What the user's repository holds for one entry.

    Attributes:
        branch: the entry's branch.
        local: the local branch's tip, or None where there is no local branch.
        remote: the remote branch's tip, or None where the remote has none.
        checked_out: it is the branch of the user's work tree.
        elsewhere: another work tree has it checked out: its path.
        changes: paths with uncommitted changes to tracked files in the user's work tree.
        rebasing: a `git rebase` of the user's, begun and not ended, will move it: the path of its work tree.
    """

    branch: BranchName
    local: Oid | None
    remote: Oid | None
    checked_out: bool
    elsewhere: str = ""
    changes: tuple[str, ...] = ()
    rebasing: str = ""
