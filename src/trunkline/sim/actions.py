"""Change pull requests, except by merging: open, edit, close, reopen, draft, ready."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.sim import heads, pushes, rules
from trunkline.sim.model import EventKind, PullRequest, PullState, Repository, Status
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError, RefusalKind

if TYPE_CHECKING:
    from trunkline.sim.world import World

_LONGEST_TITLE = 256
_LONGEST_BODY = 65_536  # GitHub's error for more: "body is too long (maximum is 65536 characters)"


def open_pull(  # noqa: PLR0913 -- a pull request has that many parts
    world: World,
    repository: Repository,
    actor: str,
    *,
    head: str,
    base: str,
    title: str,
    body: str = "",
    draft: bool = False,
    number: int = 0,
) -> PullRequest:
    """Open a pull request, with the next number or a given one; the head of a fork is `owner:branch`.

    Raises:
        GitHubRefusal: 422 with GitHub's messages (docs.github.com, "Create a pull request";
            tgymnich/fork-sync#112, iterative/cml#619).
    """
    _refuse_long(title)
    chosen = number or repository.next_number
    if chosen in repository.pulls:
        raise GitHubRefusal(RefusalKind.INVALID, f"pull request {chosen} exists already", field="number")
    owner, _, branch = head.rpartition(":")
    at, fork = world.now(), _fork_of(world, repository, owner)
    pull = PullRequest(chosen, title, body, actor, base, branch, "", at, at, draft=draft, fork=fork)
    pull = replace(pull, head_oid=heads.tip(world, repository, pull))
    _check_branches(world, repository, pull)
    repository.next_number = max(repository.next_number, chosen + 1)
    heads.update(world, repository, pull, pull.head_oid)
    return world.put(repository, pull)


def _fork_of(world: World, repository: Repository, owner: str) -> str:
    """Return the fork of an owner; "" for the repository itself."""
    if owner in {"", repository.owner}:
        return ""
    for slug, fork in world.state.repositories.items():
        if fork.owner == owner and fork.parent == repository.slug:
            return slug
    raise GitHubRefusal(RefusalKind.INVALID, "", field="head")


def _check_branches(world: World, repository: Repository, pull: PullRequest) -> None:
    """Check the branches of a new pull request, and get its commits."""
    if pull.base not in repository.refs:
        raise GitHubRefusal(RefusalKind.INVALID, "", field="base")
    if not pull.head_oid:
        raise GitHubRefusal(RefusalKind.INVALID, "", field="head")
    if any(heads.same(pull, other) for other in repository.open_pulls()):
        label = heads.label(repository, pull)
        raise GitHubRefusal(RefusalKind.INVALID, f"A pull request already exists for {label}.", code="custom")
    heads.fetch(world, repository, pull, pull.head_oid)
    if world.bare(repository).contains(repository.refs[pull.base], pull.head_oid):
        message = f"No commits between {pull.base} and {heads.label(repository, pull) if pull.fork else pull.head}"
        raise GitHubRefusal(RefusalKind.INVALID, message, code="custom")


def edit(
    world: World,
    repository: Repository,
    pull: PullRequest,
    actor: str,
    *,
    title: str | None = None,
    body: str | None = None,
    base: str | None = None,
) -> PullRequest:
    """Change a pull request's title, body or base; if the base is refused, change nothing.

    Raises:
        GitHubRefusal: the base of a closed pull request, a missing base, or one that leaves no
            commits; a title or a body that is too long.
    """
    if body is not None and len(body) > _LONGEST_BODY:
        message = f"body is too long (maximum is {_LONGEST_BODY} characters)"
        raise GitHubRefusal(RefusalKind.INVALID, message, field="body")
    _refuse_long(title or "")
    if title == "":
        raise GitHubRefusal(RefusalKind.INVALID, "title can't be blank", field="title", code="missing_field")
    if base is not None:
        pull = _rebased(world, repository, pull, base, actor)
    changed = replace(pull, title=pull.title if title is None else title, body=pull.body if body is None else body)
    return world.put(repository, changed)


def _refuse_long(title: str) -> None:
    """Refuse a title that GitHub refuses ("title is too long (maximum is 256 characters)").

    Raises:
        GitHubRefusal: it is too long.
    """
    if len(title) > _LONGEST_TITLE:
        message = f"title is too long (maximum is {_LONGEST_TITLE} characters)"
        raise GitHubRefusal(RefusalKind.INVALID, message, field="title")


def _rebased(world: World, repository: Repository, pull: PullRequest, base: str, actor: str) -> PullRequest:
    """Return the pull request with another base.

    Even its current base is refused for a closed pull request, also together with reopening it
    (google/go-github#3456, MithrilJS/mithril.js#2862).
    """
    if pull.state is not PullState.OPEN:
        message = "Cannot change the base branch of a closed pull request."
        raise GitHubRefusal(RefusalKind.INVALID, message, field="base")
    if base == pull.base:
        return pull
    if base not in repository.refs:
        raise GitHubRefusal(RefusalKind.INVALID, f"Proposed base branch '{base}' was not found", field="base")
    if any(heads.same(other, replace(pull, base=base)) for other in repository.open_pulls()):
        message = f"A pull request already exists for base branch '{base}' and head branch '{pull.head}'"
        raise GitHubRefusal(RefusalKind.INVALID, message, field="base")
    if world.bare(repository).contains(repository.refs[base], pull.head_oid):
        message = f"There are no new commits between base branch '{base}' and head branch '{pull.head}'"
        raise GitHubRefusal(RefusalKind.INVALID, message, field="base")
    noted = world.record(pull, EventKind.BASE_REF_CHANGED, actor, pull.base, base)
    return rules.base_changed(repository, replace(noted, base=base))


def retarget_children(world: World, repository: Repository, branch: str, onto: str, actor: str) -> None:
    """Retarget the open pull requests based on `branch`, as GitHub does before it deletes a branch.

    docs.github.com, "Managing branches": only the web button and delete_branch_on_merge retarget.
    """
    for pull in repository.open_pulls():
        if pull.base == branch:
            retarget(world, repository, pull, onto, actor)


def retarget(world: World, repository: Repository, pull: PullRequest, onto: str, actor: str) -> None:
    """Retarget a pull request as GitHub itself does."""
    noted = world.record(pull, EventKind.AUTOMATIC_BASE_CHANGE_SUCCEEDED, actor, pull.base, onto)
    world.put(repository, rules.base_changed(repository, replace(noted, base=onto)))


def set_draft(world: World, repository: Repository, pull: PullRequest, actor: str, *, draft: bool) -> PullRequest:
    """Convert to draft, or mark ready for review; repeating it changes nothing.

    Raises:
        GitHubRefusal: it is closed.
    """
    if pull.state is not PullState.OPEN:
        raise GitHubRefusal(RefusalKind.INVALID, "Pull request is closed")
    if pull.draft == draft:
        return pull
    kind = EventKind.CONVERT_TO_DRAFT if draft else EventKind.READY_FOR_REVIEW
    return world.put(repository, replace(world.record(pull, kind, actor), draft=draft))


def close(world: World, repository: Repository, pull: PullRequest, actor: str) -> PullRequest:
    """Close a pull request; a closed one stays as it is.

    Raises:
        GitHubRefusal: it is merged.
    """
    if pull.state is PullState.MERGED:
        raise GitHubRefusal(RefusalKind.INVALID, "Pull request is merged", field="state")
    return pull if pull.state is PullState.CLOSED else pushes.close(world, repository, pull, actor)


def reopen(world: World, repository: Repository, pull: PullRequest, actor: str) -> PullRequest:
    """Reopen a closed pull request.

    "We're blocking the pull request reopen if the current head isn't a descendant of the stored
    head sha" (GitHub's support, isaacs/github#361); a deleted branch: pytorch/pytorch#114423.

    Raises:
        GitHubRefusal: merged, a deleted branch, the head rewritten, or no commits left.
    """
    if pull.state is PullState.OPEN:
        return pull
    if reason := _no_reopening(world, repository, pull):
        raise GitHubRefusal(RefusalKind.INVALID, f"state cannot be changed. {reason}", field="state", code="custom")
    noted = world.record(pull, EventKind.REOPENED, actor)
    head = heads.tip(world, repository, pull)
    heads.update(world, repository, pull, head)
    reopened = replace(noted, state=PullState.OPEN, closed_at="", base_oid="", head_oid=head)
    return world.put(repository, reopened)


def _no_reopening(world: World, repository: Repository, pull: PullRequest) -> str:
    head, base = heads.tip(world, repository, pull), repository.refs.get(pull.base)
    bare = world.bare(repository)
    if head:
        heads.fetch(world, repository, pull, head)
    if pull.state is PullState.MERGED:
        reason = "The pull request has been merged."
    elif not head or base is None:
        reason = f"The {pull.base if head else pull.head} branch has been deleted."
    elif not bare.contains(head, pull.head_oid):
        reason = f"The {pull.head} branch was force-pushed or recreated."
    elif bare.contains(base, head):
        reason = f"There are no new commits between base branch '{pull.base}' and head branch '{pull.head}'."
    elif any(heads.same(other, pull) for other in repository.open_pulls()):
        reason = f"A pull request already exists for {heads.label(repository, pull)}."
    else:
        reason = ""
    return reason


def create_branch(world: World, repository: Repository, actor: str, branch: str, oid: str) -> None:
    """Create a branch, as the API does.

    Raises:
        GitHubRefusal: it exists, or the object does not.
    """
    if branch in repository.refs:
        raise GitHubRefusal(RefusalKind.INVALID, "Reference already exists", code="")
    if not world.bare(repository).exists(oid):
        raise GitHubRefusal(RefusalKind.INVALID, "Object does not exist", code="")
    world.bare(repository).update(f"refs/heads/{branch}", oid)
    pushes.process_moves(world, repository, [(branch, oid)], actor)


def delete_branch(world: World, repository: Repository, actor: str, branch: str) -> None:
    """Delete a branch as the API does, which closes pull requests based on it.

    Raises:
        GitHubRefusal: it does not exist.
        NotSimulatedError: it is the default branch.
    """
    if branch not in repository.refs:
        raise GitHubRefusal(RefusalKind.INVALID, "Reference does not exist", code="")
    if branch == repository.default_branch:
        raise NotSimulatedError("deleting the default branch")
    world.bare(repository).delete(f"refs/heads/{branch}")
    pushes.process_moves(world, repository, [(branch, "")], actor)


def add_status(
    world: World, repository: Repository, commit: str, *, context: str, state: str, description: str, target_url: str
) -> Status:
    """Add a commit status, replacing one with the same context."""
    others = tuple(each for each in repository.statuses.get(commit, ()) if each.context != context)
    status = Status(context, commit, state, description, target_url, world.now())
    repository.statuses[commit] = (*others, status)
    return status


def add_labels(world: World, repository: Repository, pull: PullRequest, names: tuple[str, ...]) -> PullRequest:
    """Add labels that the repository has."""
    return world.put(repository, replace(pull, labels=tuple(dict.fromkeys((*pull.labels, *names)))))
