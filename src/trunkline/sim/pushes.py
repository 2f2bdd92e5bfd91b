"""Update pull requests when branches move or are deleted, by a push or by the API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.sim import heads, rules
from trunkline.sim.bare import is_nothing
from trunkline.sim.model import EventKind, PullRequest, PullState, Repository

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.sim.world import World

_HEADS = "refs/heads/"


def sync(world: World) -> None:
    """Process new pushes in order.

    GitHub processes a push with a delay of up to tens of seconds; `lag` simulates it by a number of
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
            process_moves(world, repository, moves, actor=repository.owner)
        if offset != repository.received:
            repository.received = offset
            world.touch()


def adopt(world: World, repository: Repository) -> None:
    """Register refs of a bare repository that was filled without a push."""
    now = world.bare(repository).refs()
    differing = [(name, oid) for name, oid in now.items() if repository.refs.get(name) != oid]
    deleted = [(name, "") for name in repository.refs if name not in now]
    if differing or deleted:
        process_moves(world, repository, differing + deleted, actor=repository.owner)


def process_moves(world: World, repository: Repository, moves: Iterable[tuple[str, str]], actor: str) -> None:
    """Process branches that moved together to these object ids (empty or zeros: deleted)."""
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
        is_moved = not pull.fork and pull.head in names
        follow = _update_head(world, repository, pull, actor) if is_moved else pull
        if follow.state is PullState.OPEN and (is_moved or pull.base in names):
            _merge_or_close(world, repository, follow, before.get(pull.base, ""), actor)
    _note_deleted_heads(world, repository, "", names, actor)
    parent = world.repository(repository.parent)
    if parent is not None:
        _follow_fork(world, parent, repository.slug, names, actor)


def _follow_fork(world: World, parent: Repository, fork: str, names: set[str], actor: str) -> None:
    """Update the pull requests whose heads are these branches of a fork."""
    for pull in parent.open_pulls():
        if pull.fork == fork and pull.head in names:
            follow = _update_head(world, parent, pull, actor)
            if follow.state is PullState.OPEN:
                _merge_or_close(world, parent, follow, parent.refs.get(pull.base, ""), actor)
    _note_deleted_heads(world, parent, fork, names, actor)


def close(world: World, repository: Repository, pull: PullRequest, actor: str, base_oid: str = "") -> PullRequest:
    """Close a pull request without a merge; its head is frozen."""
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
    """Mark a pull request as merged by `commit`; `base_oid` is the base's tip before."""
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


def _update_head(world: World, repository: Repository, pull: PullRequest, actor: str) -> PullRequest:
    """Update a pull request whose head moved; close it if the head was deleted.

    An update sets its oid and refs/pull/N/head, and adds a force-push event if needed.
    """
    new = heads.tip(world, repository, pull)
    if not new:
        return close(world, repository, pull, actor)
    bare = world.bare(repository)
    if new == pull.head_oid:
        return pull
    noted = pull
    heads.update(world, repository, pull, new)
    if not bare.contains(new, pull.head_oid):
        noted = world.record(pull, EventKind.HEAD_REF_FORCE_PUSHED, actor, pull.head_oid, new)
    return world.put(repository, rules.head_moved(world, repository, replace(noted, head_oid=new)))


def _merge_or_close(world: World, repository: Repository, pull: PullRequest, old_base: str, actor: str) -> None:
    """Merge or close an open pull request if its base or head requires it.

    Base deleted: closed (cli/cli#1168). Base contains the head: merged, by the commit that brought
    it in. Head moved to a commit of the base: no commits are left, so closed permanently.
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


def _note_deleted_heads(world: World, repository: Repository, fork: str, names: set[str], actor: str) -> None:
    for pull in tuple(repository.pulls.values()):
        is_deleted = pull.fork == fork and pull.head in names and not heads.tip(world, repository, pull)
        if is_deleted and pull.state is not PullState.OPEN:
            world.put(repository, world.record(pull, EventKind.HEAD_REF_DELETED, actor, before=pull.head))
