"""Commands `up`, `down`, `top` and `bottom`: find the entry to check out, from local refs alone."""

from __future__ import annotations

from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.names import branch_ref
from trunkline.domain.stack import Entry, Stack
from trunkline.git import refs
from trunkline.git.git import Git


def target(git: Git, stack: Stack, direction: str, count: int = 1) -> Entry | None:
    """Return the entry to check out; None if there is none in that direction.

    Entries without a branch, here or on the remote, are skipped: they are merged, and their branches deleted.

    Args:
        git: the checkout.
        stack: the stack.
        direction: up, down, top or bottom.
        count: the number of entries to go up or down; at the end of the stack, the last one counts.

    Raises:
        UsageError: the branch that is checked out is neither an entry nor trunk.
    """
    names = {
        entry: (branch_ref(entry.branch), refs.tracking_ref(stack.remote, entry.branch)) for entry in stack.entries
    }
    held = refs.read_refs(git, *(name for pair in names.values() for name in pair))
    current = refs.current_branch(git)
    entries = [entry for entry, pair in names.items() if held.keys() & set(pair) or entry.branch == current]
    if direction in {"top", "bottom"}:
        found = entries[-1 if direction == "top" else 0] if entries else None
        return None if found is None or found.branch == current else found
    branches = [str(entry.branch) for entry in entries]
    if current not in branches and current != stack.trunk:
        raise UsageError(
            f"{current or 'a detached HEAD'} is no entry of the stack",
            why=f"so there is nothing {direction} from it",
            next_command=task_command("switch", "--pr", stack.entries[-1].key),
        )
    at = branches.index(current) if current in branches else -1
    if direction == "up":
        wanted = min(at + count, len(entries) - 1)
    else:
        wanted = max(at - count, 0) if current in branches else at
    return None if wanted == at else entries[wanted]
