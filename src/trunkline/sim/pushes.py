"""What GitHub does to pull requests when branches move or go, by a push or by the API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.sim import rules
from trunkline.sim.bare import is_nothing
from trunkline.sim.model import EventKind, PullRequest, PullState, Repository

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.sim.world import World

_HEADS = "refs/heads/"


def sync(world: World) -> None:
    """Read the pushes that came in since, and let each take its effect, in order.

    GitHub's own view of a head lags behind the push, by up to tens of seconds; `lag` imitates it by a number of
    requests.
    """
    for repository in world.state.repositories.values():
        pushes, offset = world.bare(repository).pushes(repository.received)
        if pushes and repository.waited < repository.lag:
            repository.waited += 1
            world.touch()
            continue
        repository.waited = 0
        for push in pushes:
            moves = [(ref.removeprefix(_HEADS), new) for _, new, ref in push if ref.startswith(_HEADS)]
            moved(world, repository, moves, actor=repository.owner)
        if offset != repository.received:
            repository.received = offset
            world.touch()


def adopt(world: World, repository: Repository) -> None:
    """Take up refs that came by no push: a bare repository filled by hand before the server started."""
    now = world.bare(repository).refs()
    differing = [(name, oid) for name, oid in now.items() if repository.refs.get(name) != oid]
    gone = [(name, "") for name in repository.refs if name not in now]
    if differing or gone:
        moved(world, repository, differing + gone, actor=repository.owner)


def moved(world: World, repository: Repository, moves: Iterable[tuple[str, str]], actor: str) -> None:
    """Let branches that moved together, now at these object ids (empty or zeros: gone), take their effect."""
    before = dict(repository.refs)
    names = set()
    for name, new in moves:
        names.add(name)
        if is_nothing(new):
            repository.refs.pop(name, None)
        else:
            repository.refs[name] = new
    world.touch()
    for pull in repository.open_pulls():
        follow = _head_followed(world, repository, pull, actor) if pull.head in names else pull
        if follow.state is PullState.OPEN and {pull.base, pull.head} & names:
            _settle(world, repository, follow, before.get(pull.base, ""), actor)
    _note_deleted_heads(world, repository, names, actor)


def close(world: World, repository: Repository, pull: PullRequest, actor: str, base_oid: str = "") -> PullRequest:
    """Close a pull request without merging; its head is frozen as it is now."""
    closed = world.record(pull, EventKind.CLOSED, actor)
    return world.put(
        repository,
        replace(
            closed,
            state=PullState.CLOSED,
            closed_at=closed.events[-1].at,
            base_oid=base_oid or repository.refs.get(pull.base, "") or pull.base_oid,
        ),
    )


def merged(
    world: World, repository: Repository, pull: PullRequest, actor: str, *, commit: str, base_oid: str
) -> PullRequest:
    """Mark a pull request merged by `commit`; `base_oid` is the base's tip before."""
    noted = world.record(pull, EventKind.MERGED, actor, after=commit)
    noted = world.record(noted, EventKind.CLOSED, actor)
    at = noted.events[-2].at
    return world.put(
        repository,
        replace(
            noted, state=PullState.MERGED, merged_at=at, closed_at=at, merged_by=actor, merge_commit=commit,
            base_oid=base_oid, draft=False,
        ),
    )  # fmt: skip


def _head_followed(world: World, repository: Repository, pull: PullRequest, actor: str) -> PullRequest:
    """Follow a head that moved: its oid, refs/pull/N/head and the force-push event; a deleted head closes it."""
    new = repository.refs.get(pull.head, "")
    if not new:
        return close(world, repository, pull, actor)
    bare = world.bare(repository)
    if new == pull.head_oid:
        return pull
    noted = pull
    if not bare.contains(new, pull.head_oid):
        noted = world.record(pull, EventKind.HEAD_REF_FORCE_PUSHED, actor, pull.head_oid, new)
    bare.update(f"refs/pull/{pull.number}/head", new)
    return world.put(repository, rules.head_moved(world, repository, replace(noted, head_oid=new)))


def _settle(world: World, repository: Repository, pull: PullRequest, old_base: str, actor: str) -> None:
    """Decide whether an open pull request is merged or closed by where its base and head now stand.

    Base gone: closed (cli/cli#1168). Base moved so that it contains the head: merged, by the commit that brought
    it in. Head moved to what the base holds already: no commits are left, closed for good.
    """
    bare = world.bare(repository)
    base = repository.refs.get(pull.base, "")
    if not base:
        noted = world.record(pull, EventKind.BASE_REF_DELETED, actor, before=pull.base)
        close(world, repository, noted, actor, base_oid=old_base)
    elif bare.contains(base, pull.head_oid):
        if old_base and base != old_base and not bare.contains(old_base, pull.head_oid):
            commit = bare.entry_point(base, pull.head_oid)
            merged(world, repository, pull, actor, commit=commit, base_oid=old_base)
        else:
            close(world, repository, pull, actor, base_oid=base)


def _note_deleted_heads(world: World, repository: Repository, names: set[str], actor: str) -> None:
    gone = {name for name in names if name not in repository.refs}
    for pull in tuple(repository.pulls.values()):
        if pull.head in gone and pull.state is not PullState.OPEN:
            world.put(repository, world.record(pull, EventKind.HEAD_REF_DELETED, actor, before=pull.head))
