"""Find and create pull requests by their head branch, and give them labels and people."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import BranchName, PrNumber
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.submission import SubmitOptions, Words
from trunkline.github.client import GitHub
from trunkline.github.decoding import Branch, Connection, Node, Number, Resource
from trunkline.github.pull_request_nodes import ENTRY, PullRequestNode


class OpenedPullRequest(msgspec.Struct, frozen=True):
    """An open pull request: its number, page, base and draft state."""

    number: PrNumber
    url: str
    base: str
    draft: bool


class _Open(Node, frozen=True):
    number: Number
    url: str
    base_ref_name: str
    is_draft: bool
    is_cross_repository: bool


class _Answer(Node, frozen=True):
    repository: dict[str, Connection[_Open]]


class _OfBranch(PullRequestNode, frozen=True, kw_only=True):
    is_cross_repository: bool


class _PullsAnswer(Node, frozen=True):
    repository: dict[str, Connection[_OfBranch]]


class _Created(Resource, frozen=True):
    number: Number
    html_url: str
    base: Branch
    draft: bool

    def of_domain(self) -> OpenedPullRequest:
        """Return it as a value of the domain."""
        return OpenedPullRequest(self.number, self.html_url, self.base.ref, self.draft)


class _Milestone(Resource, frozen=True):
    title: str
    number: int


_MILESTONES = "milestones?state=open&per_page=100"


def open_ones(github: GitHub, branches: Sequence[BranchName]) -> dict[BranchName, OpenedPullRequest]:
    """Return the open pull requests of branches; see `reading_open_ones`."""
    with reading_open_ones(github, branches) as response:
        return response()


@contextlib.contextmanager
def reading_open_ones(
    github: GitHub, branches: Sequence[BranchName]
) -> Iterator[Callable[[], dict[BranchName, OpenedPullRequest]]]:
    """Query the open pull request of each head branch that has one, the oldest of several; one query.

    Pull requests from forks are left out, whatever the name of their branch. The request is sent on entering the
    context; the function that the context yields waits for the response.
    """

    def own_ones(answered: Mapping[BranchName, Sequence[_Open]]) -> dict[BranchName, OpenedPullRequest]:
        found = {}
        for branch, nodes in answered.items():
            own = [node for node in nodes if not node.is_cross_repository]
            if own:
                first = own[0]
                found[branch] = OpenedPullRequest(first.number, first.url, first.base_ref_name, draft=first.is_draft)
        return found

    with _reading_open_by(github, branches, "OpenOfBranches", "headRefName") as response:
        yield lambda: own_ones(response())


def of_branch(github: GitHub, branch: BranchName) -> tuple[PullRequest, ...]:
    """Return the pull requests that a branch of this repository had, whatever their state, the newest first."""
    query = (
        "query PullsOfBranch($owner: String!, $name: String!, $branch: String!)"
        " { repository(owner: $owner, name: $name) { pullRequests(headRefName: $branch, first: 10,"
        " orderBy: { field: CREATED_AT, direction: DESC }) { nodes { ...entry isCrossRepository } } } }" + ENTRY
    )
    variables = {"owner": github.repository.owner, "name": github.repository.name, "branch": str(branch)}

    def read(answer: _PullsAnswer) -> tuple[PullRequest, ...]:
        found = answer.repository["pullRequests"].visible
        return tuple(node.of_domain() for node in found if not node.is_cross_repository)

    return github.graphql(query, variables, _PullsAnswer, read)


def based_on(github: GitHub, branches: Sequence[BranchName]) -> dict[BranchName, tuple[PrNumber, ...]]:
    """Return the open pull requests of all authors that are based on each branch; one query."""
    with _reading_open_by(github, branches, "OpenOnBranches", "baseRefName") as response:
        return {branch: tuple(node.number for node in nodes) for branch, nodes in response().items()}


@contextlib.contextmanager
def _reading_open_by(
    github: GitHub, branches: Sequence[BranchName], operation: str, argument: str
) -> Iterator[Callable[[], Mapping[BranchName, Sequence[_Open]]]]:
    """Query the first thirty open pull requests of each branch, oldest first, with one query.

    Args:
        github: the repository.
        branches: the branches.
        operation: the name of the query.
        argument: the branch's role in a pull request: headRefName or baseRefName.
    """
    if not branches:
        yield dict
        return
    fields = "nodes { number url baseRefName isDraft isCrossRepository }"
    declared = "".join(f", $b{index}: String!" for index in range(len(branches)))
    aliases = "\n".join(
        f"b{index}: pullRequests({argument}: $b{index}, states: [OPEN], first: 30,"
        f" orderBy: {{ field: CREATED_AT, direction: ASC }}) {{ {fields} }}"
        for index in range(len(branches))
    )
    query = (
        f"query {operation}($owner: String!, $name: String!{declared})"
        f" {{ repository(owner: $owner, name: $name) {{ {aliases} }} }}"
    )
    variables = {"owner": github.repository.owner, "name": github.repository.name}
    variables |= {f"b{index}": str(branch) for index, branch in enumerate(branches)}

    def read(answer: _Answer) -> dict[BranchName, Sequence[_Open]]:
        return {branch: answer.repository[f"b{index}"].visible for index, branch in enumerate(branches)}

    with github.begin_graphql(query, variables, _Answer, read) as response:
        yield response


def create(github: GitHub, branch: BranchName, *, base: BranchName, words: Words, draft: bool) -> OpenedPullRequest:
    """Create the pull request of a branch; before a retry, look for the one of the failed request.

    Raises:
        Refused: GitHub rejects it: it has no commits, or the base does not exist.
    """
    fields = {"title": words.title, "body": words.body, "head": str(branch), "base": str(base), "draft": draft}

    def existing() -> _Created | None:
        found = open_ones(github, [branch]).get(branch)
        return None if found is None else _Created(found.number, found.url, Branch(found.base), found.draft)

    try:
        return github.change("POST", "pulls", fields, _Created, existing).of_domain()
    except Refused:
        found = existing()  # somebody else made one at that moment
        if found is None:
            raise
        return found.of_domain()


def decorate(github: GitHub, number: PrNumber, wanted: SubmitOptions) -> None:
    """Add labels, assignees and reviewers to a pull request, and set its milestone; repeating it changes nothing.

    Raises:
        Refused: GitHub rejects a name.
        UsageError: there is no such milestone.
    """

    def add(method: str, path: str, fields: Mapping[str, Any]) -> None:
        github.change(method, path, fields, object, lambda: None)

    if wanted.labels:
        add("POST", f"issues/{number}/labels", {"labels": list(wanted.labels)})
    if wanted.assignees:
        add("POST", f"issues/{number}/assignees", {"assignees": list(wanted.assignees)})
    if wanted.reviewers:
        teams = [each.rpartition("/")[2] for each in wanted.reviewers if "/" in each]
        people = [each for each in wanted.reviewers if "/" not in each]
        add("POST", f"pulls/{number}/requested_reviewers", {"reviewers": people, "team_reviewers": teams})
    if wanted.milestone:
        add("PATCH", f"issues/{number}", {"milestone": _milestone(github, wanted.milestone)})


def _milestone(github: GitHub, title: str) -> int:
    """Return the number of an open milestone.

    Raises:
        UsageError: there is none of that title.
    """
    known = {each.title: each.number for each in github.rest(_MILESTONES, tuple[_Milestone, ...])}
    if title not in known:
        raise UsageError(
            f"{github.repository.slug} has no open milestone {title!r}",
            why=f"it has {', '.join(sorted(known))}" if known else "it has none",
            next_command=f"gh api repos/{github.repository.slug}/milestones --jq '.[].title'",
        )
    return known[title]
