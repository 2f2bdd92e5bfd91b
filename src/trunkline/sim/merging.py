"""Merge pull requests: refusals, and the commits of each merge method."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.sim import actions, pushes, rules
from trunkline.sim.bare import Bare, CommitData, Person
from trunkline.sim.model import Deletion, MergeMethod, MergeRequest, PullRequest, PullState, Repository
from trunkline.sim.refused import GitHubRefusal, RefusalKind

if TYPE_CHECKING:
    from trunkline.sim.world import World


def merge(  # noqa: PLR0913 -- the options of a merge
    world: World,
    repository: Repository,
    pull: PullRequest,
    actor: str,
    *,
    method: MergeMethod,
    expected_head: str = "",
    headline: str | None = None,
    body: str | None = None,
    deletion: Deletion = Deletion.KEEP,
    queued: bool = False,
) -> PullRequest:
    """Merge a pull request and return it; `queued`: on behalf of the merge queue.

    Raises:
        GitHubRefusal: 405 (draft, closed, conflict, method not allowed, a rule unmet) or 409
            (another head than expected), with the messages of docs.github.com, "Merge a pull
            request" (409 also in StefanMaron/BusinessCentral.AL.Runner#3391).
    """
    _check(world, repository, pull, method, expected_head)
    _check_rules(world, repository, pull, method, queued=queued)
    base = repository.refs[pull.base]
    commit = _commit(world, repository, pull, actor, method, headline, body)
    if not world.bare(repository).update(f"refs/heads/{pull.base}", commit, old=base):
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "Base branch was modified. Review and try the merge again.")
    done = pushes.merged(world, repository, pull, actor, commit=commit, base_oid=base)
    pushes.process_moves(world, repository, [(pull.base, commit)], actor)
    _delete_head(world, repository, done, actor, deletion)
    return repository.pulls[pull.number]


def _check(world: World, repository: Repository, pull: PullRequest, method: MergeMethod, expected_head: str) -> None:
    settings = repository.settings
    allowed = {
        MergeMethod.MERGE: settings.merge_allowed,
        MergeMethod.SQUASH: settings.squash_allowed,
        MergeMethod.REBASE: settings.rebase_allowed,
    }
    named = {
        MergeMethod.MERGE: "Merge commits",
        MergeMethod.SQUASH: "Squash merges",
        MergeMethod.REBASE: "Rebase merges",
    }
    if pull.state is not PullState.OPEN:
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "Pull Request is not mergeable")
    if pull.draft:
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "Pull Request is still a draft")
    if not allowed[method]:
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, f"{named[method]} are not allowed on this repository.")
    if expected_head and expected_head != pull.head_oid:
        raise GitHubRefusal(RefusalKind.CONFLICT, "Head branch was modified. Review and try the merge again.")
    if rules.mergeable(world, repository, pull) is not rules.Mergeable.MERGEABLE:
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "Pull Request is not mergeable")


def _check_rules(
    world: World, repository: Repository, pull: PullRequest, method: MergeMethod, *, queued: bool
) -> None:
    unmet = rules.unmet(repository, pull)
    if rules.is_behind(world, repository, pull):
        unmet = (*unmet, "Head branch is out of date. Update it with the latest changes of the base.")
    if rules.rule_of(repository, pull).linear and method is MergeMethod.MERGE:
        unmet = (*unmet, "This branch must not contain merge commits.")
    if unmet:
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "Repository rule violations found\n\n" + "\n".join(unmet))
    if rules.rule_of(repository, pull).queue and not queued:
        raise GitHubRefusal(
            RefusalKind.NOT_ALLOWED,
            "Repository rule violations found\n\nChanges must be made through the merge queue",
        )


def _commit(
    world: World,
    repository: Repository,
    pull: PullRequest,
    actor: str,
    method: MergeMethod,
    headline: str | None,
    body: str | None,
) -> str:
    bare, base = world.bare(repository), repository.refs[pull.base]
    at = world.now()
    if method is MergeMethod.REBASE:
        return _rebase(bare, base, pull, _person(world, actor, at))
    tree = bare.merged_tree(base, pull.head_oid)
    if method is MergeMethod.MERGE:
        title, text = f"Merge pull request #{pull.number} from {repository.owner}/{pull.head}", pull.title
        parents: tuple[str, ...] = (base, pull.head_oid)
    else:
        title, text = squash_message(pull, bare.between(base, pull.head_oid))
        parents = (base,)
    title, text = title if headline is None else headline, text if body is None else body
    author = _person(world, pull.author if method is MergeMethod.SQUASH else actor, at)
    committer = Person("GitHub", "noreply@github.com", at)
    return bare.write_commit(tree, parents, f"{title}\n\n{text}".rstrip("\n") + "\n", author, committer)


def squash_message(pull: PullRequest, commits: tuple[CommitData, ...]) -> tuple[str, str]:
    """Return GitHub's default title and body of a squash commit.

    docs.github.com, "About merge methods on GitHub", "Merge message for a squash merge": one commit
    gives its own title and message; several give the pull request's title and the list of commits.
    Co-author trailers are not simulated.
    """
    if len(commits) == 1:
        return f"{commits[0].headline} (#{pull.number})", commits[0].body
    listed = "\n\n".join(f"* {commit.headline}" + (f"\n\n{commit.body}" if commit.body else "") for commit in commits)
    return f"{pull.title} (#{pull.number})", listed


def _rebase(bare: Bare, base: str, pull: PullRequest, committer: Person) -> str:
    """Replay the commits on the base; all get new object ids.

    Source: docs.github.com, "About merge methods".
    """
    tip = base
    for commit in bare.between(base, pull.head_oid):
        if len(commit.parents) > 1:
            continue
        tree = bare.picked_tree(tip, commit.oid)
        if not tree:
            raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "This branch can't be rebased")
        tip = bare.write_commit(tree, (tip,), commit.message + "\n", commit.author, committer)
    return tip


def _person(world: World, login: str, at: str) -> Person:
    user = world.add_user(login)
    return Person(user.name, f"{user.id}+{user.login}@users.noreply.github.com", at)


def _delete_head(world: World, repository: Repository, pull: PullRequest, actor: str, deletion: Deletion) -> None:
    if repository.settings.delete_branch_on_merge:
        deletion = Deletion.WEB
    if deletion is Deletion.KEEP or pull.head == repository.default_branch:
        return
    if deletion is Deletion.WEB:
        actions.retarget_children(world, repository, pull.head, pull.base, actor)
    actions.delete_branch(world, repository, actor, pull.head)


def _followed_trunk(world: World, repository: Repository, below: PullRequest, pull: PullRequest) -> PullRequest:
    """Retarget the next pull request of a native stack after a merge, as GitHub does."""
    stored = repository.pulls[pull.number]
    return world.put(repository, replace(stored, base=below.base)) if stored.base == below.head else stored


def run_pending(world: World) -> None:
    """Advance pending merges by one request, and run those that are due.

    "If the PR is pushed in between the merge being requested and being executed, the merge will be
    cancelled" (GitHub's OpenAPI description, merge-async).
    """
    for repository in world.state.repositories.values():
        for request in tuple(repository.merges.values()):
            if request.status in {"pending", "enqueued"}:
                older = replace(request, age=request.age + 1)
                repository.merges[request.uuid] = _performed(world, repository, older) if older.age > 1 else older
                world.touch()


def _performed(world: World, repository: Repository, request: MergeRequest) -> MergeRequest:
    pull = repository.pulls[request.number]
    method = MergeMethod[request.method.upper()]
    queue = rules.rule_of(repository, pull).queue and request.action != "direct_merge"
    if queue and request.status == "pending":
        return replace(
            request,
            status="enqueued",
            age=-repository.queue_requests,
            result_message="Pull request is in the merge queue.",
        )
    try:
        for below in rules.stack_below(repository, pull)[:-1]:
            merge(world, repository, below, request.actor, method=method, queued=queue)
            pull = _followed_trunk(world, repository, below, pull)
        done = merge(
            world, repository, pull, request.actor, method=method, queued=queue, expected_head=request.sha,
            headline=request.title, body=request.message,
        )  # fmt: skip
    except GitHubRefusal as refusal:
        return replace(request, status="failed", result_message=refusal.message)
    for child in repository.open_pulls():
        if any(child.number in members and pull.number in members for members in repository.stacks):
            _followed_trunk(world, repository, done, child)
    return replace(request, status="merged", result_message="Pull request was merged.", sha=done.merge_commit)
