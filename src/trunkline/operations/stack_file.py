"""Change the stack.toml that counts: write entries and numbers; comments and order stay."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from trunkline.config import reading, trust, validation, writing
from trunkline.config.location import VARIABLE
from trunkline.config.reading import StackText
from trunkline.context.loading import choose_stack, found_text, load_stacks
from trunkline.domain import records
from trunkline.domain.command import caller, exact_command, task_command
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import BranchName, PrNumber
from trunkline.domain.stack import Entry, Stack
from trunkline.engine import StepContext
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.state.lock import RepositoryLock
from trunkline.system.files import replace_bytes

_NONE: Mapping[BranchName, BranchName] = {}


def require_writable(git: Git, trunk: str, remote: str, *, next_command: str) -> None:
    """Check that a change of stack.toml is not a change of a file that belongs to a branch.

    Args:
        git: the checkout.
        trunk: the branch on which a tracked file may be changed.
        remote: trunk's remote.
        next_command: the command that changes the file there.

    Raises:
        Refused: the file is tracked, and another branch is checked out.
    """
    found = trust.effective(git, found_text(git))
    why = found.source
    if not found.of_trunk:
        if not trust.is_tracked(git, found.path):
            return
        holder = git.at(found.path.absolute().parent)
        branch = refs.current_branch(holder)
        edited = holder.query("diff", "--quiet", "HEAD", "--", found.path.name, ok=(0, 1, 128)).returncode
        if branch == trunk or edited:
            return
        why = f"it is tracked: mended here, it would be an uncommitted change on {branch or 'a detached HEAD'}"
    upstream = shlex.quote(f"{remote}/{trunk}")
    raise Refused(
        f"stack.toml is part of {remote}/{trunk}: it is mended there; nothing was changed",
        why=why,
        next_command=f"git switch {shlex.quote(trunk)} && git merge --ff-only {upstream} && {next_command}",
    )


def require_own(git: Git, trunk: str, remote: str) -> None:
    """Check that stack.toml belongs to no branch, for a task that changes it on any checkout.

    Raises:
        Refused: git tracks it; the error has the command that makes a copy outside the work tree.
        UsageError: its entries are no `[[entry]]` tables.
    """
    found = trust.effective(git, found_text(git))
    if not found.of_trunk and not trust.is_tracked(git, found.path):
        writing.require_tables(found.text)
        return
    copy = git.common_dir() / reading.FILE_NAME
    quoted = shlex.quote(str(copy))
    made = f"git show {shlex.quote(f'{remote}/{trunk}')}:stack.toml > {quoted} && "
    again = f"{VARIABLE}={quoted} {exact_command(caller().task, caller().given)}"
    raise Refused(
        f"stack.toml is part of {remote}/{trunk}: a change of it would be part of a branch; nothing was changed",
        why="entries come and go with your work; keep them in a copy that git does not track, and in your shell:\n"
        f"export {VARIABLE}={quoted}",
        next_command=again if copy.exists() else made + again,
    )


def change_entries(
    git: Git, lock: RepositoryLock, stack: str, change: Callable[[Sequence[Entry]], Sequence[Entry]]
) -> Path:
    """Change the entries of a stack in the file that counts; return the file.

    Args:
        git: the checkout.
        lock: proof that the caller holds the repository lock.
        stack: the stack's name; "" where there is one.
        change: returns the new entries, bottom first, from those of the file.
    """
    assert lock.run  # noqa: S101 -- a proof, not input
    before = trust.effective(git, found_text(git))
    entries = choose_stack(validation.stacks_of(before), stack).entries
    after = tuple(change(entries))
    if after == entries:
        return before.path
    replace_text(before.path, writing.with_entries(before.text, stack, after))
    trust.carry_over(git, before, reading.read(before.path))
    return before.path


def replace_text(path: Path, text: str) -> None:
    """Replace the text of a stack.toml, if the new one is valid.

    Raises:
        UsageError: it is not; the file stays as it is.
    """
    content = text.encode()
    validation.stacks_of(reading.parsed(path, content))
    replace_bytes(path.resolve(), content)


def entries_text(
    git: Git, stack: str, entries: Sequence[Entry], renamed: Mapping[BranchName, BranchName] = _NONE
) -> tuple[str, str]:
    """Return the text of the file that counts, now and with other entries in one of its stacks.

    Args:
        git: the checkout.
        stack: the stack's name; "" where there is one.
        entries: the entries, bottom first.
        renamed: see `writing.with_entries`.
    """
    text = trust.effective(git, found_text(git)).text
    return text, writing.with_entries(text, stack, entries, renamed)


def fill_in(
    git: Git, step_context: StepContext, entry: Entry, *, branch: BranchName, number: PrNumber, stack: str
) -> None:
    """Write the number of a pull request into the file that counts, logged before; one that is there stays.

    Args:
        git: the repository.
        step_context: the step's arguments.
        entry: the entry that the journal's record names.
        branch: the branch of the pull request.
        number: the number.
        stack: the stack's name; "" where there is one.

    Raises:
        UsageError: the stack has no entry of that branch any more.
    """
    before = trust.effective(git, found_text(git))
    entries = choose_stack(validation.stacks_of(before), stack).entries
    if all(entry.branch != branch for entry in entries):
        raise UsageError(
            f"#{number} was made for {branch}, which is not in stack.toml any more",
            next_command=task_command("init", "--update"),
        )
    numbered = [replace(each, number=number) if each.branch == branch else each for each in entries]
    text_after = writing.with_entries(before.text, stack, numbered)
    if text_after != before.text:
        _write(git, step_context, entry, before, text=before.text, text_after=text_after)


def write(git: Git, step_context: StepContext, entry: Entry, *, text: str, text_after: str) -> None:
    """Replace the text of the file that counts, logged before.

    Args:
        git: the repository.
        step_context: the step's arguments.
        entry: the entry that the journal's record names.
        text: the text that the file has.
        text_after: the new text.
    """
    _write(git, step_context, entry, trust.effective(git, found_text(git)), text=text, text_after=text_after)


def _write(
    git: Git, step_context: StepContext, entry: Entry, before: StackText, *, text: str, text_after: str
) -> None:
    intent = records.StackFileWritten(
        *step_context.about(entry), path=str(before.path.absolute()), text=text, text_after=text_after
    )
    step_context.log_intent(intent)
    replace_text(before.path, text_after)
    trust.carry_over(git, before, reading.read(before.path))


def current(git: Git, stack: Stack) -> Stack:
    """Return a stack as stack.toml has it by now."""
    return choose_stack(load_stacks(git), stack.name)
