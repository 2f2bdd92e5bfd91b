"""Create and delete forks of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.sim import pushes
from trunkline.sim.model import Repository

if TYPE_CHECKING:
    from trunkline.sim.world import World


def create(world: World, parent: Repository, owner: str) -> Repository:
    """Return a user's fork with every branch of the repository, created if new.

    Source: docs.github.com, "Create a fork".
    """
    slug = f"{owner}/{parent.name}"
    found = world.repository(slug)
    if found is None:
        world.create_repository(owner, parent.name, default_branch=parent.default_branch)
        found = world.state.repositories[slug]
        found.parent = parent.slug
        branches = "+refs/heads/*:refs/heads/*"
        world.bare(found).git("fetch", "--quiet", str(world.bare(parent).path), branches)
        pushes.adopt(world, found)
    return found


def delete(world: World, fork: Repository) -> None:
    """Delete a fork; its pull requests stay open, without a head repository (google/gson#2405)."""
    del world.state.repositories[fork.slug]
    world.touch()
