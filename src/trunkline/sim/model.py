"""State of the simulated GitHub: users, repositories, pull requests, checks.

git has the commits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class PullState(Enum):
    """GraphQL's PullRequestState."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    MERGED = "MERGED"


class MergeMethod(Enum):
    """GraphQL's PullRequestMergeMethod; REST uses lower case."""

    MERGE = "MERGE"
    SQUASH = "SQUASH"
    REBASE = "REBASE"


class EventKind(Enum):
    """The simulated values of GraphQL's PullRequestTimelineItemsItemType."""

    AUTOMATIC_BASE_CHANGE_SUCCEEDED = "AUTOMATIC_BASE_CHANGE_SUCCEEDED_EVENT"
    BASE_REF_CHANGED = "BASE_REF_CHANGED_EVENT"
    BASE_REF_DELETED = "BASE_REF_DELETED_EVENT"
    CLOSED = "CLOSED_EVENT"
    CONVERT_TO_DRAFT = "CONVERT_TO_DRAFT_EVENT"
    HEAD_REF_DELETED = "HEAD_REF_DELETED_EVENT"
    HEAD_REF_FORCE_PUSHED = "HEAD_REF_FORCE_PUSHED_EVENT"
    MERGED = "MERGED_EVENT"
    READY_FOR_REVIEW = "READY_FOR_REVIEW_EVENT"
    REOPENED = "REOPENED_EVENT"


class Deletion(Enum):
    """Way in which a branch is deleted, which decides about pull requests based on it.

    Deletion by a push or by REST (`gh pr merge --delete-branch` included) closes them; deletion by
    the repository's delete_branch_on_merge or the web button retargets them (cli/cli#1168,
    cli/cli#14223).
    """

    KEEP = "keep"
    REST = "rest"
    WEB = "web"


@dataclass(frozen=True)
class User:
    """A user. `id` is the database id."""

    login: str
    id: int
    name: str


@dataclass(frozen=True)
class Label:
    """A label of a repository; `color` is six hex digits."""

    name: str
    color: str = "ededed"
    description: str = ""


@dataclass(frozen=True)
class Event:
    """A timeline event; `before` and `after` are object ids or, for a base change, branch names."""

    kind: EventKind
    at: str
    actor: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Comment:
    """A comment in the conversation."""

    id: int
    author: str
    body: str
    at: str


@dataclass(frozen=True)
class Review:
    """A submitted review of one commit; `state` is GraphQL's PullRequestReviewState."""

    id: int
    author: str
    state: str
    body: str
    at: str
    commit: str


@dataclass(frozen=True)
class Thread:
    """A review thread at a line of a file, with its comments, the oldest first."""

    path: str
    line: int
    comments: tuple[Comment, ...]
    resolved: bool = False


@dataclass(frozen=True)
class PullRequest:
    """A pull request. Times are ISO 8601 in UTC, empty if the event has not happened.

    Attributes:
        fork: `owner/name` of the fork that has the head; empty: the head is in the repository itself.
        base_oid: tip of the base when the pull request was closed or merged; empty while it is
            open.
        head_oid: tip of the head; frozen when the pull request is closed or merged.
        assignees: logins.
        milestone: the title of a milestone of the repository; empty for none.
        review_requests: logins of requested reviewers.
        threads: its review threads.
    """

    number: int
    title: str
    body: str
    author: str
    base: str
    head: str
    head_oid: str
    created_at: str
    updated_at: str
    state: PullState = PullState.OPEN
    draft: bool = False
    base_oid: str = ""
    closed_at: str = ""
    merged_at: str = ""
    merged_by: str = ""
    merge_commit: str = ""
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    milestone: str = ""
    comments: tuple[Comment, ...] = ()
    reviews: tuple[Review, ...] = ()
    review_requests: tuple[str, ...] = ()
    threads: tuple[Thread, ...] = ()
    fork: str = ""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Annotation:
    """An annotation of a check run; `level` is REST's annotation_level."""

    message: str
    title: str = ""
    path: str = ".github"
    line: int = 1
    level: str = "failure"


@dataclass(frozen=True)
class CheckRun:
    """A check run of a commit, with GraphQL's enums; conclusion is empty until completed."""

    id: int
    name: str
    commit: str
    status: str
    conclusion: str
    started_at: str
    completed_at: str
    workflow: str = "CI"
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True)
class Status:
    """A commit status; `state` is GraphQL's StatusState."""

    context: str
    commit: str
    state: str
    description: str
    target_url: str
    created_at: str


@dataclass(frozen=True)
class Settings:
    """A repository's settings for merges."""

    delete_branch_on_merge: bool = False
    merge_allowed: bool = True
    squash_allowed: bool = True
    rebase_allowed: bool = True
    squash_title: str = "COMMIT_OR_PR_TITLE"
    squash_message: str = "COMMIT_MESSAGES"


@dataclass(frozen=True)
class Rule:
    """Requirements of a branch; see `sim.rules`."""

    name: str = ""
    approvals: int = 0
    checks: tuple[str, ...] = ()
    queue: bool = False
    dismiss_stale: bool = False
    up_to_date: bool = False
    linear: bool = False
    dismiss_retargeted: bool = False


@dataclass(frozen=True)
class Ci:
    """Checks that start for every new head, and when they complete.

    Attributes:
        requests: complete after this number of requests.
        seconds: complete after this time of the simulated clock instead; 0: by requests.
    """

    names: tuple[str, ...] = ()
    requests: int = 1
    seconds: int = 0
    conclusion: str = "SUCCESS"


@dataclass(frozen=True)
class Job:
    """A job of a workflow run, with REST's values; its check run has the same id."""

    id: int
    name: str
    status: str = "in_progress"
    conclusion: str = ""
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True)
class WorkflowRun:
    """A dispatched workflow run.

    The simulator executes nothing, tests drive it by control functions.

    Attributes:
        file: the workflow's file name.
        commit: the tip of `branch` at the dispatch.
        jobs: the started jobs.
        artifacts: name -> id; the archive is artifacts/ID.zip in the world's directory.
    """

    id: int
    file: str
    title: str
    branch: str
    commit: str
    at: str
    inputs: dict[str, str]
    status: str = "queued"
    conclusion: str = ""
    jobs: tuple[Job, ...] = ()
    artifacts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NativeStack:
    """One of GitHub's native stacks; its number is unique among stacks and pull requests.

    Attributes:
        members: the numbers of its pull requests, bottom first, merged ones included.
        base: the branch that the whole stack targets.
        busy: another request modifies it.
    """

    number: int
    members: tuple[int, ...]
    base: str
    created_at: str
    busy: bool = False


@dataclass(frozen=True)
class MergeRequest:
    """An asynchronous merge, pending until it has a result.

    Attributes:
        method: as sent to REST: merge, squash, rebase or default; action likewise.
        sha: the expected head.
        at: the time of the request.
        age: requests since then; the merge runs at the second, so that polling is needed.
        status: pending, enqueued, merged or failed.
        result_message: the message of the result.
        merge_commit: the commit that it made.
        ejected: the pull request of a stack that left the merge queue, with all above it; 0: none.
    """

    uuid: str
    number: int
    actor: str
    method: str
    action: str
    sha: str
    title: str | None = None
    message: str | None = None
    at: str = ""
    age: int = 0
    status: str = "pending"
    result_message: str = ""
    merge_commit: str = ""
    ejected: int = 0


@dataclass
class Repository:
    """One repository: its pull requests, and the refs as of the pushes processed so far.

    Attributes:
        refs: branch name -> object id, after `received` bytes of the push log.
        milestones: titles of the open milestones; their numbers are 1, 2, ...
        lag: requests before a push is processed; `waited` counts them for the oldest one.
        checks: commit -> its check runs, oldest first; statuses likewise.
        merges: uuid -> asynchronous merge.
        rules: branch -> its requirements.
        mergeability_lag: requests until the mergeability of a new head is known; `unsettled` counts
            them.
        ci: checks that start for every new head; `running`: commit -> requests until they complete.
        workflow_runs: id -> dispatched run.
        queue_requests: requests before the merge queue merges.
        native: the repository has native stacks (a preview).
        stacks: number -> native stack.
        parent: `owner/name` of the repository that this one is a fork of; empty: it is no fork.
    """

    owner: str
    name: str
    id: int
    default_branch: str = "main"
    settings: Settings = field(default_factory=Settings)
    next_number: int = 1
    received: int = 0
    lag: int = 0
    waited: int = 0
    refs: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    milestones: tuple[str, ...] = ()
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    checks: dict[str, tuple[CheckRun, ...]] = field(default_factory=dict)
    statuses: dict[str, tuple[Status, ...]] = field(default_factory=dict)
    merges: dict[str, MergeRequest] = field(default_factory=dict)
    workflow_runs: dict[int, WorkflowRun] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    mergeability_lag: int = 0
    unsettled: dict[int, int] = field(default_factory=dict)
    ci: Ci = field(default_factory=Ci)
    running: dict[str, int] = field(default_factory=dict)
    native: bool = False
    stacks: dict[int, NativeStack] = field(default_factory=dict)
    queue_requests: int = 2
    parent: str = ""

    @property
    def slug(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def open_pulls(self) -> tuple[PullRequest, ...]:
        """Return the open pull requests, lowest number first."""
        return tuple(pull for _, pull in sorted(self.pulls.items()) if pull.state is PullState.OPEN)

    def stack_of(self, number: int) -> NativeStack | None:
        """Return the native stack of a pull request, or None."""
        return next((stack for stack in self.stacks.values() if number in stack.members), None)

    def upto(self, number: int) -> tuple[PullRequest, ...]:
        """Return the open pull requests of a native stack up to and including one, bottom first.

        A pull request in no stack is returned alone.
        """
        stack = self.stack_of(number)
        members = stack.members[: stack.members.index(number) + 1] if stack else (number,)
        return tuple(pull for each in members if (pull := self.pulls[each]).state is PullState.OPEN)

    def queue(self) -> tuple[int, ...]:
        """Return the pull requests in the merge queue in order; a stack enters it together."""
        numbers: list[int] = []
        for request in self.merges.values():
            if request.status == "enqueued":
                members = [pull.number for pull in self.upto(request.number)]
                numbers += members[: members.index(request.ejected)] if request.ejected in members else members
        return tuple(numbers)
