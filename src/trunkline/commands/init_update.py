"""Command `init` with `--check` or `--update`: compare stack.toml with the open pull requests, and mend it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import structs

from trunkline.commands.init import PullRequestStacks, entry_of, refuse_second, slug_of
from trunkline.commands.init_local import with_local
from trunkline.config import reading, trust, writing
from trunkline.context import open_run
from trunkline.context.loading import found_text, load_stacks
from trunkline.context.observation import no_trunk
from trunkline.domain.command import task_command
from trunkline.domain.discover import (
    Difference,
    DifferenceKind,
    OnGitHub,
    OpenPullRequest,
    beside,
    differences,
    grown,
    mended_order,
    unnumbered,
    with_unsubmitted,
)
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import PrNumber, branch_name, branch_ref
from trunkline.domain.repository import repository_of
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry, Stack
from trunkline.git import refs
from trunkline.github.client import GitHub
from trunkline.operations import stack_file
from trunkline.state import lock


class Checked(msgspec.Struct, frozen=True):
    """A declared stack, compared with GitHub.

    Attributes:
        stack: as stack.toml declares it.
        entries: the expected entries; for a landed stack those of its successor, or its own.
        differences: the differences between the two.
        landed: every declared entry is merged.
        following: the entries of the successor.
        branches: pull requests with the same base as an entry, each with that entry.
    """

    stack: Stack
    entries: tuple[Entry, ...]
    differences: tuple[Difference, ...]
    landed: bool = False
    branches: tuple[tuple[OpenPullRequest, OpenPullRequest], ...] = ()
    following: tuple[Entry, ...] = ()


def check(scan: PullRequestStacks, *, local: bool = False) -> tuple[Checked, ...]:
    """Compare every stack of stack.toml with GitHub.

    Args:
        scan: the stacks of the pull requests.
        local: after stacks that have all landed, local branches begin the next one if no pull request does.

    Raises:
        UsageError: stack.toml is missing or invalid, or the remote does not have its trunk.
        ExternalError: the request for an entry's state failed.
    """
    stacks = load_stacks(scan.git)
    _refuse_no_trunk(scan, stacks[0])
    pulls = {pr.number: pr for pr in scan.open}
    made = {pr.head: pr.number for pr in scan.open}
    declared = {number for stack in stacks for number in _numbered(stack, made).numbers}
    merged, closed = _ended(scan, declared - pulls.keys())
    following = [stack for stack in scan.stacks if not declared & {entry.pr for entry in stack if entry.pr in pulls}]
    landed = [stack for stack in stacks if all(entry.number in merged for entry in stack.entries)]
    if local and len(landed) == len(stacks) and not following:
        branches = {entry.branch for stack in stacks for entry in stack.entries}
        following = list(with_local(scan, declared=branches).stacks)
    checked = []
    for stack in stacks:
        if stack in landed:
            succeeds = bool(following) and not stack.landed
            closes = len(landed) < len(stacks)
            checked.append(_landed(stack, following.pop(0) if succeeds else (), closes=closes))
            continue
        submitted = tuple(entry for entry in _numbered(stack, made).entries if entry.number is not None)
        own = grown(scan.open, scan.trunk, submitted, scan.native)
        elsewhere = {number: pr for number, pr in pulls.items() if number not in {each.number for each in own}}
        checked.append(_compared(scan, stack, submitted, OnGitHub(own, merged, closed, elsewhere)))
    return tuple(checked)


def _refuse_no_trunk(scan: PullRequestStacks, stack: Stack) -> None:
    """Check that the remote has the trunk of stack.toml, unless it is GitHub's default branch.

    Raises:
        UsageError: it does not.
    """
    if stack.trunk == scan.trunk:
        return
    if not refs.list_remote(scan.git, scan.remote, [branch_ref(stack.trunk)]):
        raise no_trunk(scan.git, stack)


def refuse_unfinished(scan: PullRequestStacks) -> tuple[Checked, ...]:
    """Check that every entry of stack.toml is merged and that a next stack exists; compare the two.

    Raises:
        UsageError: an entry is not merged, or there is no other stack.
        ExternalError: the request for an entry's state failed.
    """
    checked = check(scan, local=True)
    if not all(each.landed for each in checked):
        refuse_second(scan.git.cwd)
    if not any(each.differences for each in checked):
        raise UsageError(
            "every entry of stack.toml is merged, and no other stack is open",
            why="`add` begins an entry with the staged changes, and `init` with the branch that is checked out, if it"
            f" has commits above {scan.trunk}; open pull requests of others are no stack of yours",
            next_command=(task_command("add", "NAME"), f"gh pr list --repo {slug_of(scan.git, scan.remote)}"),
        )
    return checked


def _numbered(stack: Stack, made: Mapping[str, PrNumber]) -> Stack:
    """Return a stack whose entries without a number have that of the open pull request of their branch.

    Args:
        stack: the stack of stack.toml.
        made: the numbers of open pull requests, by head branch.
    """
    entries = (
        structs.replace(entry, number=made.get(entry.branch)) if entry.number is None else entry
        for entry in stack.entries
    )
    return structs.replace(stack, entries=tuple(entries))


def _landed(stack: Stack, following: Sequence[Entry], *, closes: bool) -> Checked:
    """Return the comparison of a landed stack with its successor.

    Args:
        stack: the stack.
        following: the entries of its successor.
        closes: another stack has not landed, so this one is marked even without a successor.
    """
    found: tuple[Difference, ...] = ()
    if following:
        message = f"all of it is merged; next is {' '.join(f'{entry.label}' for entry in following)}"
        found = (Difference(DifferenceKind.ADDED, following[0].number, message),)
    elif closes and not stack.landed:
        found = (Difference(DifferenceKind.LANDED, stack.entries[0].pr, "all of it is merged"),)
    return Checked(stack, tuple(following) or stack.entries, found, landed=True, following=tuple(following))


def _ended(scan: PullRequestStacks, numbers: Collection[PrNumber]) -> tuple[frozenset[PrNumber], frozenset[PrNumber]]:
    """Return which of these closed pull requests were merged, and which were not.

    GitHub's list has only the newest merged ones, so the others are requested by number.
    """
    merged = {pr.number for pr in scan.listing.merged}
    unknown = sorted(set(numbers) - merged)
    if not unknown:
        return frozenset(merged), frozenset()
    github = GitHub(repository_of(refs.remote_url(scan.git, scan.remote)), scan.git.cwd)
    with github.reading_stack(unknown) as response:
        pulls = [pr for pr in response().pull_requests.values() if pr is not None]
    merged |= {pr.number for pr in pulls if pr.state is PrState.MERGED}
    return frozenset(merged), frozenset(pr.number for pr in pulls if pr.state is PrState.CLOSED)


def _compared(scan: PullRequestStacks, stack: Stack, submitted: Sequence[Entry], github: OnGitHub) -> Checked:
    by_number = {pr.number: pr for pr in github.stack}
    known = {entry.pr: entry for entry in submitted}
    entries = tuple(
        structs.replace(known[number], branch=branch_name(by_number[number].head))
        if number in known and number in by_number
        else known.get(number) or entry_of(by_number[number])
        for number in mended_order(submitted, github.stack, github.merged)
    )
    found = (*unnumbered(stack.entries, submitted), *differences(submitted, github))
    return Checked(stack, with_unsubmitted(entries, stack.entries), found, branches=beside(scan.open, github.stack))


def refuse_while_paused(scan: PullRequestStacks, checked: Sequence[Checked]) -> None:
    """Check that no paused or half rewritten run needs the stacks as they are.

    Raises:
        Paused: one does.
    """
    changed = [each for each in checked if each.differences]
    branches = {entry.branch for each in changed for entry in (*each.stack.entries, *each.entries)}
    open_run.refuse_while_paused(scan.git.state_dir(), branches)


def update(scan: PullRequestStacks, checked: Sequence[Checked], *, drop: bool = False) -> Path:
    """Update the active stack.toml; keep comments, order and everything that was written by hand.

    A named stack that has landed stays with `landed = true`, and its successor is a stack of its own.

    Args:
        scan: the stacks of the pull requests.
        checked: the comparisons.
        drop: leave out named stacks that have landed, where another stack stays.

    Raises:
        Paused: a paused run needs the stack as it is.
        Refused: another run holds the lock, the file changed since it was compared, a stack would have no
            entry left, or the file belongs to another branch.
    """
    with lock.hold(scan.git.state_dir(), run="init"):
        stacks = load_stacks(scan.git)
        if any(each.stack not in stacks for each in checked):
            raise Refused(
                "stack.toml changed while it was compared with GitHub",
                why="it was not written",
                next_command=task_command("init", "--update"),
            )
        return _update(scan, checked, drop=drop)


def _update(scan: PullRequestStacks, checked: Sequence[Checked], *, drop: bool) -> Path:
    refuse_while_paused(scan, checked)
    before = trust.effective(scan.git, found_text(scan.git))
    path = before.path
    stack_file.require_writable(scan.git, scan.trunk, scan.remote, next_command=task_command("init", "--update"))
    text = before.text
    for each in checked:
        if not each.differences or (each.landed and each.stack.name):
            continue
        if not each.entries:
            raise Refused(
                f"stack {each.stack.name} would have no entry left".replace("  ", " "),
                why="\n".join(difference.message for difference in each.differences),
                next_command="${EDITOR:-vi} stack.toml",
            )
        text = writing.with_entries(text, each.stack.name, each.entries)
        if each.landed and not each.stack.name:
            text = writing.without(text, "issue")  # the issue of the stack that has landed
    text = _without_landed(text, [each for each in checked if each.landed and each.stack.name], drop=drop)
    stack_file.replace_text(path, text)
    trust.carry_over(scan.git, before, reading.read(path))
    return path


def _without_landed(text: str, landed: Sequence[Checked], *, drop: bool) -> str:
    """Return stack.toml with named stacks marked as landed, or without them, and with their successors."""
    for each in landed:
        if each.following:
            top = each.following[-1]
            name = f"{top.branch}-{top.pr}" if top.branch in writing.stack_names(text) else str(top.branch)
            text = writing.with_stack(text, name, each.following)
    for each in landed:
        is_dropped = drop and len(writing.stack_names(text)) > 1
        if is_dropped or (each.differences and not each.stack.landed):
            text = writing.closed(text, each.stack.name, drop=is_dropped)
    return text
