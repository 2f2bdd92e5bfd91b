"""Heads of pull requests: branches of the repository itself, or of a fork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.sim.model import PullRequest, Repository

if TYPE_CHECKING:
    from trunkline.sim.world import World


def home(world: World, repository: Repository, pull: PullRequest) -> Repository | None:
    """Return the repository that has a pull request's head; None: a fork that was deleted."""
    return world.repository(pull.fork) if pull.fork else repository


def tip(world: World, repository: Repository, pull: PullRequest) -> str:
    """Return the tip of a pull request's head branch, "" if it does not exist."""
    found = home(world, repository, pull)
    return found.refs.get(pull.head, "") if found is not None else ""


def owner(repository: Repository, pull: PullRequest) -> str:
    """Return the owner of the repository that has, or had, the head."""
    return pull.fork.partition("/")[0] if pull.fork else repository.owner


def label(repository: Repository, pull: PullRequest) -> str:
    """Return the head as GitHub names it: `owner:branch`."""
    return f"{owner(repository, pull)}:{pull.head}"


def same(one: PullRequest, other: PullRequest) -> bool:
    """Return whether two pull requests have the same head branch and base."""
    return (one.fork, one.head, one.base) == (other.fork, other.head, other.base)


def fetch(world: World, repository: Repository, pull: PullRequest, oid: str) -> None:
    """Get a commit of a fork's branch, with what it contains."""
    source = world.repository(pull.fork)
    if source is not None:
        world.bare(repository).git("fetch", "--quiet", "--no-tags", str(world.bare(source).path), oid)


def update(world: World, repository: Repository, pull: PullRequest, oid: str) -> None:
    """Move refs/pull/N/head, which needs the commit here."""
    fetch(world, repository, pull, oid)
    world.bare(repository).update(f"refs/pull/{pull.number}/head", oid)
