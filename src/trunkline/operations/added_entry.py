"""Make a new entry of the stack, and take it back: stack.toml and the checkout."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from trunkline.domain import records
from trunkline.domain.added import AddedEntry
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import branch_name, branch_ref, short
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import Outcome, StepName
from trunkline.engine import StepContext
from trunkline.git import checkout, history, index, local_refs, refs, work_trees
from trunkline.git.git import Git
from trunkline.operations import stack_file


def inserted(stack: Stack, added: AddedEntry) -> Stack:
    """Return the stack with the new entry in its place; as it is if it has the entry already."""
    entries = stack.entries
    if any(entry.branch == added.branch for entry in entries):
        return stack
    branches = [str(entry.branch) for entry in entries]
    at = branches.index(added.below) + 1 if added.below in branches else 0
    new = Entry(None, added.branch, added.title)
    return replace(stack, entries=(*entries[:at], new, *entries[at:]))


def put_in(git: Git, step_context: StepContext, stack: Stack, added: AddedEntry) -> Outcome:
    """Make the entry; every part that a killed run has made already is left as it is.

    Raises:
        Refused: the branch holds another commit, or the checkout changed since the plan.
    """
    lock, ref = step_context.lock, branch_ref(added.branch)
    about = (StepName.ADD, added.branch, added.branch)
    held = refs.read_ref(git, ref)
    if added.commit is not None and held != added.commit:
        require_unchanged(git, added)
        if history.missing(git, [added.commit]):
            raise Refused(
                f"the commit {short(added.commit)} of {added.branch} is gone",
                why="the run was interrupted before it was stored durably; nothing was changed",
                next_command=task_command("abort"),
            )
        step_context.log_intent(records.BranchMoved(*about, old=None, new=added.commit))
        local_refs.move_ref(git, lock, ref, new=added.commit, old=None, why="added to the stack")
    if all(entry.branch != added.branch for entry in stack_file.current(git, stack).entries):
        step_context.log_intent(records.EntryAdded(*about, added=added))

        def with_it(entries: Sequence[Entry]) -> Sequence[Entry]:
            return inserted(replace(stack, entries=tuple(entries)), added).entries

        stack_file.change_entries(git, lock, stack.name, with_it)
    if added.commit is not None:
        check_out(git, step_context, added)
    return Outcome("added", f"on {added.below or stack.trunk}")


def check_out(git: Git, step_context: StepContext, added: AddedEntry) -> None:
    """Check out the new branch: the files that its commit took in stay, or move with it."""
    assert added.commit is not None  # noqa: S101 -- checked by the caller
    assert added.staged is not None  # noqa: S101 -- set with the commit
    if refs.current_branch(git) == added.branch:
        return
    lock, target = step_context.lock, git.tree(added.commit)
    checkout.put_back(git, lock, old=added.staged, new=added.commit)  # a killed process may have moved half of it
    if index.staged_tree(git) != target:
        if (held := index.staged_tree(git)) != git.tree(added.staged):
            index.change(git, lock, held=held, wanted=git.tree(added.staged))
        checkout.move(
            git, lock, old=added.staged, new=added.commit, what=f"your checkout cannot move to {added.branch}"
        )
    why = f"trunkline: added {added.branch}"
    git.mutate(lock, "symbolic-ref", "-m", why, "HEAD", branch_ref(added.branch), shown=True)


def require_unchanged(git: Git, added: AddedEntry) -> None:
    """Check that the checkout is as it was when the commit was made.

    Raises:
        Refused: something was staged or committed since.
    """
    if (index.staged_tree(git), git.resolve("HEAD")) != (added.index, added.head):
        raise Refused(
            "your checkout changed since the plan was made",
            why=f"{added.branch} would not hold what is staged now; nothing was changed",
            next_command="git status",
        )


def take_back(git: Git, step_context: StepContext, stack: str, added: AddedEntry) -> Outcome:
    """Take the entry out of stack.toml, and bring the checkout back to where `add` found it.

    The checkout moves to other files only if nothing was changed since.

    Args:
        git: the checkout.
        step_context: the step's arguments.
        stack: the stack's name.
        added: the entry as it was added.
    """
    lock = step_context.lock
    step_context.log_intent(records.EntryRemoved(StepName.ADD, added.branch, added.branch, added=added))
    stack_file.change_entries(
        git, lock, stack, lambda entries: [each for each in entries if each.branch != added.branch]
    )
    if added.commit is None or added.staged is None or added.head is None:
        return Outcome("added", f"{added.branch} is no entry any more")
    checked_out, same = refs.current_branch(git), git.tree(added.staged) == git.tree(added.commit)
    came_from = branch_ref(branch_name(added.came_from)) if added.came_from else ""
    stays = bool(came_from) and refs.read_ref(git, came_from) == added.head
    movable = same or not work_trees.changed_paths(git)
    if checked_out == added.branch and movable and stays and git.resolve("HEAD") == added.commit:
        if not same:
            checkout.move(
                git, lock, old=added.commit, new=added.staged, what=f"your checkout cannot leave {added.branch}"
            )
        git.mutate(lock, "symbolic-ref", "HEAD", came_from, shown=True)
        checked_out = added.came_from
    if stays and checked_out == added.came_from and added.index is not None:
        # With `--all` more is staged than before; a killed process may have left it so.
        index.put_back(git, lock, held=git.tree(added.staged), wanted=added.index)
        return Outcome("added", f"{added.branch} is no entry any more; its changes are back on {added.came_from}")
    return Outcome("added", f"{added.branch} is no entry any more; your checkout stays")
