"""Rename a branch, as the web page and the API do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.sim import actions, heads, pushes
from trunkline.sim.model import Repository
from trunkline.sim.refused import GitHubRefusal, RefusalKind

if TYPE_CHECKING:
    from trunkline.sim.world import World


def rename(world: World, repository: Repository, actor: str, branch: str, new: str) -> None:
    """Rename a branch: what targets it is retargeted, and pull requests with this head are closed.

    Source: docs.github.com, "Renaming a branch". Pull requests on it whose fork was deleted are closed
    (google/gson#2405).

    Raises:
        GitHubRefusal: 404, the branch does not exist; 422, the new name is taken.
    """
    if branch not in repository.refs:
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Branch not found")
    if new in repository.refs:
        raise GitHubRefusal(RefusalKind.INVALID, f"Branch {new} already exists", code="")
    bare, oid = world.bare(repository), repository.refs[branch]
    bare.update(f"refs/heads/{new}", oid)
    repository.refs[new] = oid
    for pull in repository.open_pulls():
        if pull.base == branch and heads.home(world, repository, pull) is not None:
            actions.retarget(world, repository, pull, new, actor)
    for number, stack in tuple(repository.stacks.items()):
        if stack.base == branch:
            repository.stacks[number] = replace(stack, base=new)
    if branch in repository.rules:
        repository.rules[new] = repository.rules.pop(branch)
    if repository.default_branch == branch:
        repository.default_branch = new
        bare.git("symbolic-ref", "HEAD", f"refs/heads/{new}")
    bare.delete(f"refs/heads/{branch}")
    pushes.process_moves(world, repository, [(branch, "")], actor)
