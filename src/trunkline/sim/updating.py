"""Update a pull request's branch with its base: the web page's buttons "Update branch" and "Update with rebase"."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from trunkline.sim import merging, pushes, stacks
from trunkline.sim.bare import Person
from trunkline.sim.model import PullRequest, PullState, Repository
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError, RefusalKind

if TYPE_CHECKING:
    from trunkline.sim.world import World


class UpdateMethod(Enum):
    """GraphQL's PullRequestBranchUpdateMethod; REST merges."""

    MERGE = "MERGE"
    REBASE = "REBASE"


def update(
    world: World,
    repository: Repository,
    pull: PullRequest,
    actor: str,
    *,
    method: UpdateMethod = UpdateMethod.MERGE,
    expected_head: str = "",
) -> None:
    """Merge the base into the head, or rebase the head onto the base.

    Raises:
        GitHubRefusal: 422, it is closed, another head is expected, the base has nothing new (the
            sentence is in nevermined-io/payments#449), or the two conflict (docs.github.com, "Update a
            pull request branch").
        NotSimulatedError: the head is in a fork.
    """
    bare, base = world.bare(repository), repository.refs.get(pull.base, "")
    if pull.fork:
        raise NotSimulatedError("updating the branch of a fork")
    if pull.state is not PullState.OPEN:
        raise _refused("Pull request is closed")
    if expected_head and expected_head != pull.head_oid:
        raise _refused("expected head sha didn't match current head ref.")
    if bare.contains(pull.head_oid, base):
        raise _refused("There are no new commits on the base branch.")
    if method is UpdateMethod.REBASE:
        below = bare.merge_base(base, pull.head_oid)
        moved = dict(stacks.rebased(world, repository, [pull], onto=base, below=below))
        new = moved.get(pull.head, "")
    else:
        new = _merged(world, repository, pull, base, actor)
    if not new:
        raise _refused("merge conflict between base and head")
    bare.update(f"refs/heads/{pull.head}", new)
    pushes.process_moves(world, repository, [(pull.head, new)], actor)


def _merged(world: World, repository: Repository, pull: PullRequest, base: str, actor: str) -> str:
    """Return the merge of the base into the head, "" on a conflict; the head is the first parent."""
    bare, at = world.bare(repository), world.now()
    tree = bare.merged_tree(pull.head_oid, base)
    if not tree:
        return ""
    message = f"Merge branch '{pull.base}' into {pull.head}\n"
    committer = Person("GitHub", "noreply@github.com", at)
    return bare.write_commit(tree, (pull.head_oid, base), message, merging.person(world, actor, at), committer)


def _refused(message: str) -> GitHubRefusal:
    return GitHubRefusal(RefusalKind.INVALID, message, code="")
