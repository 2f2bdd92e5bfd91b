"""Merge pull requests: refusals, and the commits of each merge method."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.sim import actions, heads, pushes, rules, stacks
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
        return _rebase(bare, base, pull, person(world, actor, at))
    tree = bare.merged_tree(base, pull.head_oid)
    if method is MergeMethod.MERGE:
        source = heads.label(repository, pull).replace(":", "/", 1)
        title, text = f"Merge pull request #{pull.number} from {source}", pull.title
        parents: tuple[str, ...] = (base, pull.head_oid)
    else:
        title, text = squash_message(pull, bare.between(base, pull.head_oid))
        parents = (base,)
    title, text = title if headline is None else headline, text if body is None else body
    author = person(world, pull.author if method is MergeMethod.SQUASH else actor, at)
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


def _rebase(bare: Bare, base: str, pull: PullRequest, committer: Person, *, since: str = "") -> str:
    """Replay the commits after `since`, by default after the base, on the base: new object ids.

    Source: docs.github.com, "About merge methods".
    """
    tip = base
    for commit in bare.between(since or base, pull.head_oid):
        if len(commit.parents) > 1:
            continue
        tree = bare.picked_tree(tip, commit.oid)
        if not tree:
            raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "This branch can't be rebased")
        tip = bare.write_commit(tree, (tip,), commit.message + "\n", commit.author, committer)
    return tip


def person(world: World, login: str, at: str) -> Person:
    """Return a user as an author or committer."""
    user = world.add_user(login)
    return Person(user.name, f"{user.id}+{user.login}@users.noreply.github.com", at)


def _delete_head(world: World, repository: Repository, pull: PullRequest, actor: str, deletion: Deletion) -> None:
    if repository.settings.delete_branch_on_merge:
        deletion = Deletion.WEB
    if deletion is Deletion.KEEP or pull.fork or pull.head == repository.default_branch:
        return
    if deletion is Deletion.WEB:
        actions.retarget_children(world, repository, pull.head, pull.base, actor)
    actions.delete_branch(world, repository, actor, pull.head)


def refuse_stacked(repository: Repository, pull: PullRequest) -> None:
    """Check that a pull request that is merged synchronously is in no native stack.

    Raises:
        GitHubRefusal: 403, it is in one (observed on github.com).
    """
    if repository.stack_of(pull.number) is not None:
        raise GitHubRefusal(RefusalKind.FORBIDDEN, "Stacked pull requests must be merged asynchronously.")


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


def eject(repository: Repository, number: int, reason: str) -> None:
    """Take a pull request out of the merge queue, with those above it in its native stack."""
    for uuid, request in tuple(repository.merges.items()):
        members = [pull.number for pull in repository.upto(request.number)]
        if request.status == "enqueued" and number in members:
            status = "failed" if number == members[0] else "enqueued"
            repository.merges[uuid] = replace(request, status=status, result_message=reason, ejected=number)


def _performed(world: World, repository: Repository, request: MergeRequest) -> MergeRequest:
    pull = repository.pulls[request.number]
    queue = rules.rule_of(repository, pull).queue and request.action != "direct_merge"
    if queue and request.status == "pending":
        return replace(
            request,
            status="enqueued",
            age=-repository.queue_requests,
            result_message="Pull request is in the merge queue.",
        )
    ejected = request.ejected
    try:
        if repository.stack_of(pull.number) is None:
            done = merge(
                world, repository, pull, request.actor, method=MergeMethod[request.method.upper()], queued=queue,
                expected_head=request.sha, headline=request.title, body=request.message,
            )  # fmt: skip
        else:
            done = merge_stack(world, repository, request, queued=queue)
    except GitHubRefusal as refusal:
        return replace(request, status="failed", result_message=refusal.message)
    if ejected:
        return replace(request, status="failed")
    return replace(
        request, status="merged", result_message="Pull request was merged.", merge_commit=done.merge_commit
    )


def merge_stack(world: World, repository: Repository, request: MergeRequest, *, queued: bool = False) -> PullRequest:
    """Merge a pull request of a native stack and all unmerged ones below it, all or none.

    In the merge queue, one that was ejected stays open, and so do those above it.

    Raises:
        GitHubRefusal: one of them cannot be merged; the message names it.
    """
    group, method = _group(world, repository, request, queued=queued), MergeMethod[request.method.upper()]
    bare, base, at = world.bare(repository), group[0].base, world.now()
    before = tip = below = repository.refs[base]
    commits = []
    for pull in group:
        top = pull.number == request.number
        if method is MergeMethod.REBASE:
            tip = _rebase(bare, tip, pull, person(world, request.actor, at), since=below)
        elif method is MergeMethod.SQUASH:
            title, text = squash_message(pull, bare.between(below, pull.head_oid))
            title = request.title if top and request.title is not None else title
            text = request.message if top and request.message is not None else text
            # The stack is linear, so the head holds the whole result.
            tip = _squash(world, repository, pull, parent=tip, words=(title, text))
        below = pull.head_oid
        commits.append(tip)
    if method is MergeMethod.MERGE:
        tip = _commit(world, repository, group[-1], request.actor, method, request.title, request.message)
        commits = [tip] * len(group)
    if not bare.update(f"refs/heads/{base}", tip, old=before):
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "Base branch was modified. Review and try the merge again.")
    merged = [
        pushes.merged(
            world, repository, world.put(repository, replace(repository.pulls[pull.number], base=base)),
            request.actor, commit=commit, base_oid=before,
        )
        for pull, commit in zip(group, commits, strict=True)
    ]  # fmt: skip
    pushes.process_moves(world, repository, [(base, tip)], request.actor)
    stacks.follow_merge(world, repository, merged[-1], request.actor)
    for pull in group:
        _delete_head(world, repository, repository.pulls[pull.number], request.actor, Deletion.KEEP)
    return repository.pulls[merged[-1].number]


def _group(world: World, repository: Repository, request: MergeRequest, *, queued: bool) -> list[PullRequest]:
    """Return the pull requests that a merge of a native stack includes, as if on the stack's base.

    Raises:
        GitHubRefusal: one of them cannot be merged; the message names it.
    """
    stack = repository.stack_of(request.number)
    base = stack.base if stack else ""
    group = [replace(pull, base=base) for pull in repository.upto(request.number)]
    numbers = [pull.number for pull in group]
    if request.ejected in numbers:
        group = group[: numbers.index(request.ejected)]
    if not group:
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, "Pull Request is not mergeable")
    method = MergeMethod[request.method.upper()]
    if reason := stacks.obstacle(world, repository, repository.pulls[group[-1].number]):
        raise GitHubRefusal(RefusalKind.NOT_ALLOWED, reason)
    for pull in group:
        expected = request.sha if pull.number == request.number else ""
        try:
            _check(world, repository, pull, method, expected)
            _check_rules(world, repository, pull, method, queued=queued)
        except GitHubRefusal as refusal:
            raise GitHubRefusal(refusal.no, f"Pull request #{pull.number}: {refusal.message}") from refusal
    return group


def _squash(world: World, repository: Repository, pull: PullRequest, *, parent: str, words: tuple[str, str]) -> str:
    bare, at = world.bare(repository), world.now()
    message = f"{words[0]}\n\n{words[1]}".rstrip("\n") + "\n"
    committer = Person("GitHub", "noreply@github.com", at)
    tree = bare.commit(pull.head_oid).tree
    return bare.write_commit(tree, (parent,), message, person(world, pull.author, at), committer)
