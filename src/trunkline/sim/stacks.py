"""Native stacks: create, extend and dissolve them, and what GitHub does after a merge of one.

Source: GitHub's OpenAPI description (npm @octokit/openapi 23.0.2, routes below `stacks`), and its
documentation of stacked pull requests (public preview since 2026-07-30).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from trunkline.sim import actions, pushes
from trunkline.sim.bare import Person
from trunkline.sim.model import NativeStack, PullRequest, PullState, Repository
from trunkline.sim.refused import GitHubRefusal, RefusalKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.sim.world import World

LEAST, MOST = 2, 100


def create(world: World, repository: Repository, numbers: tuple[int, ...]) -> NativeStack:
    """Create a stack, bottom first.

    Raises:
        GitHubRefusal: 422, the pull requests cannot form a stack.
    """
    if not LEAST <= len(numbers) <= MOST:
        raise _invalid(f"A stack must have between {LEAST} and {MOST} pull requests")
    pulls = _fit(repository, numbers)
    stack = NativeStack(repository.next_number, numbers, pulls[0].base, world.now())
    repository.next_number += 1
    return _put(world, repository, stack)


def add(world: World, repository: Repository, stack: NativeStack, numbers: tuple[int, ...]) -> NativeStack:
    """Append pull requests on top of a stack.

    Raises:
        GitHubRefusal: 409, another request modifies the stack; 422, the pull requests do not fit,
            or all of the stack is merged.
    """
    _refuse_busy(stack)
    if not 1 <= len(numbers) <= MOST or len(stack.members) + len(numbers) > MOST:
        raise _invalid(f"A stack must have between {LEAST} and {MOST} pull requests")
    if all(repository.pulls[number].state is PullState.MERGED for number in stack.members):
        raise _invalid("All pull requests in this stack are merged")
    pulls = _fit(repository, numbers)
    if pulls[0].base != repository.pulls[stack.members[-1]].head:
        raise _invalid(f"The base of pull request #{pulls[0].number} must be the head of the top pull request")
    return _put(world, repository, replace(stack, members=(*stack.members, *numbers)))


def unstack(world: World, repository: Repository, stack: NativeStack) -> NativeStack | None:
    """Take the unmerged pull requests out of a stack and return what is left; None: nothing.

    Raises:
        GitHubRefusal: 409, another request modifies the stack; 422, none can be taken out.
    """
    _refuse_busy(stack)
    kept = tuple(number for number in stack.members if _is_locked(repository, number))
    if kept == stack.members:
        raise GitHubRefusal(RefusalKind.INVALID, "Pull requests in this stack cannot be removed", code="")
    if kept:
        return _put(world, repository, replace(stack, members=kept))
    del repository.stacks[stack.number]
    world.touch()
    return None


def _is_locked(repository: Repository, number: int) -> bool:
    """Return whether a pull request is merged, or a merge that includes it is under way."""
    running = [each for each in repository.merges.values() if each.status in {"pending", "enqueued"}]
    included = any(number in {pull.number for pull in repository.upto(each.number)} for each in running)
    return included or repository.pulls[number].state is PullState.MERGED


def _put(world: World, repository: Repository, stack: NativeStack) -> NativeStack:
    repository.stacks[stack.number] = stack
    world.touch()
    return stack


def _refuse_busy(stack: NativeStack) -> None:
    if stack.busy:
        raise GitHubRefusal(RefusalKind.CONFLICT, "Stack is currently being modified")


def _invalid(message: str) -> GitHubRefusal:
    return GitHubRefusal(RefusalKind.INVALID, message, field="pull_requests", code="custom")


def _fit(repository: Repository, numbers: Sequence[int]) -> list[PullRequest]:
    """Return the pull requests if they form a chain of open ones that are in no stack."""
    if missing := [number for number in numbers if number not in repository.pulls]:
        raise _invalid(f"Pull request #{missing[0]} does not exist")
    pulls = [repository.pulls[number] for number in numbers]
    for pull in pulls:
        if pull.state is not PullState.OPEN:
            raise _invalid(f"Pull request #{pull.number} is not open")
        if pull.fork:
            raise _invalid(f"Pull request #{pull.number} is from a fork")
        if repository.stack_of(pull.number) is not None or numbers.count(pull.number) > 1:
            raise _invalid(f"Pull request #{pull.number} is already part of a stack")
    for below, above in pairwise(pulls):
        if above.base != below.head:
            raise _invalid(f"The base of pull request #{above.number} must be the head of #{below.number}")
    return pulls


def obstacle(world: World, repository: Repository, pull: PullRequest) -> str:
    """Return why a pull request of a native stack cannot be merged; "": it can.

    A stack must be linear: each head contains the tip of its base. A closed pull request blocks
    those above.
    """
    stack = repository.stack_of(pull.number)
    if stack is None:
        return ""
    for number in stack.members[: stack.members.index(pull.number)]:
        if repository.pulls[number].state is PullState.CLOSED:
            return f"Pull request #{number} in the stack is closed"
    upto = repository.upto(pull.number)
    tips = [repository.refs.get(stack.base, ""), *(below.head_oid for below in upto)]
    for tip, each in zip(tips, upto, strict=False):
        if not world.bare(repository).contains(each.head_oid, tip):
            return f"The stack is not linear: pull request #{each.number} must be rebased"
    return ""


def follow_merge(world: World, repository: Repository, pull: PullRequest, actor: str) -> None:
    """Retarget the lowest open pull request of a stack after a merge, and rebase those above.

    GitHub does both on the server: new object ids, and no signatures.

    Args:
        world: the world.
        repository: the repository.
        pull: the topmost merged pull request.
        actor: the user who merged it.
    """
    stack = repository.stack_of(pull.number)
    members = stack.members[stack.members.index(pull.number) + 1 :] if stack else ()
    above = [each for number in members if (each := repository.pulls[number]).state is PullState.OPEN]
    if stack is None or not above:
        return
    actions.retarget(world, repository, above[0], stack.base, actor)
    moves = rebased(world, repository, above, onto=repository.refs[stack.base], below=pull.head_oid)
    bare = world.bare(repository)
    for branch, new in moves:
        bare.update(f"refs/heads/{branch}", new)
    pushes.process_moves(world, repository, moves, actor)


def rebased(
    world: World, repository: Repository, pulls: Sequence[PullRequest], *, onto: str, below: str
) -> list[tuple[str, str]]:
    """Return the rebased branches with their new tips, up to the first conflict."""
    bare, committer = world.bare(repository), Person("GitHub", "noreply@github.com", world.now())
    moves: list[tuple[str, str]] = []
    for pull in pulls:
        tip = onto
        for commit in bare.between(below, pull.head_oid):
            tree = bare.picked_tree(tip, commit.oid) if len(commit.parents) == 1 else bare.commit(tip).tree
            if not tree:
                return moves
            if tree == bare.commit(tip).tree:
                continue  # it is in the base already
            tip = bare.write_commit(tree, (tip,), bare.message(commit.oid), commit.author, committer)
        moves.append((pull.head, tip))
        onto, below = tip, pull.head_oid
    return moves
