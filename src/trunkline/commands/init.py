"""Command `init`: write stack.toml from the open pull requests, or compare and update it."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path, PurePosixPath

from msgspec import structs

from trunkline.config import location, reading, trust, validation
from trunkline.config.other_tools import tracked_stacks
from trunkline.config.reading import StackText
from trunkline.context.loading import found_text, load_stacks, top_of
from trunkline.context.observation import observe_remote
from trunkline.context.project import Reporter
from trunkline.domain.command import task_command
from trunkline.domain.discover import (
    Change,
    Difference,
    Found,
    OnGitHub,
    OpenPullRequest,
    beside,
    chain_to,
    differences,
    discover,
    grown,
    mended_order,
    merged_below,
    unnumbered,
    with_bases,
    with_unsubmitted,
)
from trunkline.domain.errors import Refused, TrunklineError, UsageError
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_name, branch_ref, pr_number
from trunkline.domain.native import NativeStack
from trunkline.domain.repository import repository_of
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import DEFAULT_REMOTE, Entry, GateSettings, Stack
from trunkline.domain.workspace import Proposal
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.github import native_stacks
from trunkline.github.client import GitHub
from trunkline.github.pull_request_list import PullRequestList, list_pull_requests
from trunkline.operations import stack_file
from trunkline.planning.gate_proposals import proposed
from trunkline.rust import cargo
from trunkline.system.files import replace_bytes, write_inside


@dataclass(frozen=True)
class PullRequestStacks:
    """The stacks that a repository's open pull requests form.

    Attributes:
        git: the checkout.
        remote: the git remote.
        trunk: the branch that stacks are merged into.
        stacks: the stacks, each bottom first, with merged pull requests that the bottom entry still
            builds on.
        found: the stacks without those, and pull requests in no stack.
        listing: the response of GitHub.
        notes: further messages for the user.
        pulls: the open pull requests, if other tools record other bases than GitHub.
        native: GitHub's native stacks.
    """

    git: Git
    remote: str
    trunk: BranchName
    stacks: tuple[tuple[Entry, ...], ...]
    found: Found
    listing: PullRequestList
    notes: tuple[str, ...]
    pulls: tuple[OpenPullRequest, ...] = ()
    native: tuple[NativeStack, ...] = ()

    @property
    def open(self) -> tuple[OpenPullRequest, ...]:
        """The open pull requests, each with the base that other tools record."""
        return self.pulls or self.listing.open


def look(
    reporter: Reporter,
    *,
    remote: str = "",
    trunk: str = "",
    alone: bool = False,
    top: str = "",
    cwd: Path | None = None,
) -> PullRequestStacks:
    """Find the repository's stacks: one request to GitHub, and git's evidence for merged parents.

    Args:
        reporter: receives progress events.
        remote: the git remote; "": origin, or the only one.
        trunk: the branch that stacks are merged into; "": GitHub's default branch.
        alone: a single pull request based on trunk counts as a stack too.
        top: the number of a pull request; only the stack with this top is used.
        cwd: a directory inside the checkout.

    Raises:
        UsageError: this is not a checkout, it has no such remote, or GitHub has no such repository.
        ExternalError: the request to GitHub or the remote failed.
    """
    git = top_of(Git(cwd or Path.cwd()))
    remote = remote or _remote(git)
    github = GitHub(repository_of(refs.remote_url(git, remote)), git.cwd, reporter.progress)
    with native_stacks.reading(github) as answer:
        listing = list_pull_requests(github)
        native = answer() or ()
    onto = branch_name(trunk or listing.trunk)
    notes = []
    pulls = listing.open
    for tracked in tracked_stacks(git):
        moved = with_bases(pulls, tracked.bases)
        for before, now in zip(pulls, moved, strict=True):
            if before.base != now.base:
                notes.append(
                    f"#{now.number} sits on {now.base} by {tracked.tool}; on GitHub it targets {before.base}"
                )
        pulls = moved
    found = _ending_in(pulls, onto, top) if top else discover(pulls, onto, alone=alone, native=native)
    stacks = _with_merged(git, remote, onto, found, listing)
    notes += [
        f"GitHub's native stack {stack.number} holds {' '.join(f'#{number}' for number in stack.open)}"
        for stack in native
        if stack.open
    ]
    return PullRequestStacks(git, remote, onto, stacks, found, listing, tuple(notes), pulls, native)


def _ending_in(pulls: Sequence[OpenPullRequest], trunk: BranchName, top: str) -> Found:
    number = pr_number(top)
    stack = chain_to(pulls, trunk, number)
    if not stack:
        why = discover(pulls, trunk).left_out.get(number)
        raise UsageError(
            f"--top {top}: no stack of open pull requests on {trunk} ends in #{number}",
            why=why.value if why else "it is not open",
            next_command=f"gh pr view {number}",
        )
    return Found((stack,), {})


def _remote(git: Git) -> str:
    names = git.query("remote").lines
    if DEFAULT_REMOTE in names or not names:
        return DEFAULT_REMOTE
    if len(names) == 1:
        return names[0]
    raise UsageError(
        "which remote has the pull requests?",
        why=f"there are {', '.join(names)}",
        next_command=task_command("init", "--remote", names[0]),
    )


def _with_merged(
    git: Git, remote: str, trunk: BranchName, found: Found, listing: PullRequestList
) -> tuple[tuple[Entry, ...], ...]:
    if not found.stacks:
        return ()
    bottoms = tuple(_entry(stack[0]) for stack in found.stacks)
    tips = observe_remote(git, Stack(trunk, remote, bottoms), bottoms)
    upon = tips[branch_ref(trunk)]
    stacks = []
    for stack in found.stacks:
        listed = git.query("rev-list", "--topo-order", "--end-of-options", f"{upon}..{stack[0].head_oid}").text
        below = merged_below(stack[0], listing.merged, [Oid(line) for line in listed.split()])
        merged = tuple(Entry(pr.number, branch_name(pr.head), pr.title) for pr in below)
        stacks.append((*merged, *(_entry(pr) for pr in stack)))
    return tuple(stacks)


def _entry(pr: OpenPullRequest) -> Entry:
    return Entry(pr.number, branch_name(pr.head), pr.title)


def exists(cwd: Path | None = None) -> bool:
    """Return whether stack.toml exists in any place where tasks look for it.

    Raises:
        UsageError: TRUNKLINE_STACK_FILE names another kind of file.
    """
    return _existing(top_of(Git(cwd or Path.cwd()))) is not None


def _existing(git: Git) -> StackText | None:
    if not os.path.lexists(location.new_place(git, track=False)) and os.environ.get(location.VARIABLE):
        return None  # the file that the variable names is written
    return location.locate(git, git.cwd)


def refuse_second(cwd: Path | None = None) -> None:
    """Check that no stack.toml exists in any place where tasks look for it.

    Raises:
        UsageError: there is one, or TRUNKLINE_STACK_FILE names another kind of file.
    """
    found = _existing(top_of(Git(cwd or Path.cwd())))
    if found is not None:
        raise UsageError(
            "there is a stack.toml already",
            why=found.source or f"{found.path} is yours to edit",
            next_command=(
                task_command("init", "--check", comment="how it differs from GitHub"),
                task_command("init", "--update", comment="mend it"),
            ),
        )


def write(seen: PullRequestStacks, *, track: bool = False) -> Path:
    """Write a new stack.toml, and the schema that editors use to complete it; return its path.

    It is written at the top of the main work tree, excluded from git: every branch and every work
    tree sees it, and it is part of no pull request.

    Args:
        seen: the stacks.
        track: write it at the top of this work tree instead, to be committed.

    Raises:
        UsageError: the file exists already, or there is no stack.
    """
    refuse_second(seen.git.cwd)
    path = location.new_place(seen.git, track=track)
    if not seen.stacks:
        raise UsageError(
            f"no open pull request of {_slug(seen.git, seen.remote)} (remote {seen.remote}) sits on {seen.trunk}",
            why="\n".join(f"#{number}: {why.value}" for number, why in sorted(seen.found.left_out.items())),
            next_command=_elsewhere(seen),
        )
    from trunkline.config import writing  # noqa: PLC0415 -- tomlkit is slow to import

    names = {str(stack[-1].branch): stack for stack in seen.stacks}
    text = writing.new_file(names, trunk=seen.trunk, remote=seen.remote, gates=_gates(seen.git.cwd))
    schema = resources.files("trunkline").joinpath("stack.schema.json").read_bytes()
    write_inside(path.parent, PurePosixPath(writing.SCHEMA_PATH), schema)
    replace_bytes(path, text.encode())
    for each in (path, path.parent / writing.SCHEMA_PATH):
        if not trust.is_tracked(seen.git, each):
            location.keep_untracked(seen.git, each, untracked=not track)
    validation.load(path)
    trust.confirm(seen.git, reading.read(path))
    return path


def _slug(git: Git, remote: str) -> str:
    return repository_of(refs.remote_url(git, remote)).argument


def _elsewhere(seen: PullRequestStacks) -> tuple[str, ...]:
    """Return the other remotes on GitHub that may have the pull requests, as in a clone of a fork."""
    asked, commands = _slug(seen.git, seen.remote), list[str]()
    for name in seen.git.query("remote").lines:
        with contextlib.suppress(TrunklineError):
            if (other := _slug(seen.git, name)) != asked:
                commands.append(shlex.join(["invoke", "init", "--remote", name]) + f"   # {other}")
    return (*commands, f"gh pr list --repo {asked}")


def proposals(seen: PullRequestStacks) -> tuple[Proposal, ...]:
    """Return gates that would cover the parts of the workspace that a new stack.toml leaves out."""
    return proposed(seen.git, _gates(seen.git.cwd))


def _gates(top: Path) -> GateSettings:
    """Return gate settings derived from the Cargo workspace: its features and its rust-version."""
    found = cargo.workspace(top)
    if found is None:
        return replace(GateSettings(), features=())
    features = tuple(name for name in GateSettings().features if name in found.features)
    return replace(GateSettings(), features=features, msrv=found.rust_version or GateSettings().msrv)


@dataclass(frozen=True)
class Checked:
    """A declared stack, compared with GitHub.

    Attributes:
        stack: as stack.toml declares it.
        entries: the expected entries; for a landed stack those of its successor.
        differences: the differences between the two.
        landed: every declared entry is merged.
        branches: pull requests with the same base as an entry, each with that entry.
    """

    stack: Stack
    entries: tuple[Entry, ...]
    differences: tuple[Difference, ...]
    landed: bool = False
    branches: tuple[tuple[OpenPullRequest, OpenPullRequest], ...] = ()


def check(seen: PullRequestStacks) -> tuple[Checked, ...]:
    """Compare every stack of stack.toml with GitHub.

    Raises:
        UsageError: stack.toml is missing or invalid.
        ExternalError: the request for an entry's state failed.
    """
    stacks = load_stacks(seen.git)
    pulls = {pr.number: pr for pr in seen.open}
    made = {pr.head: pr.number for pr in seen.open}
    declared = {number for stack in stacks for number in _numbered(stack, made).numbers}
    merged, closed = _ended(seen, declared - pulls.keys())
    following = [stack for stack in seen.stacks if not declared & {entry.pr for entry in stack if entry.pr in pulls}]
    checked = []
    for stack in stacks:
        if all(entry.number in merged for entry in stack.entries):
            checked.append(_landed(stack, following.pop(0) if following else ()))
            continue
        submitted = tuple(entry for entry in _numbered(stack, made).entries if entry.number is not None)
        own = grown(seen.open, seen.trunk, submitted, seen.native)
        elsewhere = {number: pr for number, pr in pulls.items() if number not in {each.number for each in own}}
        checked.append(_checked(seen, stack, submitted, OnGitHub(own, merged, closed, elsewhere)))
    return tuple(checked)


def refuse_unfinished(seen: PullRequestStacks) -> tuple[Checked, ...]:
    """Check that every entry of stack.toml is merged and that a next stack is open; compare the two.

    Raises:
        UsageError: an entry is not merged, or no other stack is open.
        ExternalError: the request for an entry's state failed.
    """
    checked = check(seen)
    if not all(each.landed for each in checked):
        refuse_second(seen.git.cwd)
    if not any(each.differences for each in checked):
        raise UsageError(
            "every entry of stack.toml is merged, and no other stack is open",
            why="`add` begins an entry with the staged changes; a stack of pull requests may be of others",
            next_command=(task_command("add", "NAME"), f"gh pr list --repo {_slug(seen.git, seen.remote)}"),
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


def _landed(stack: Stack, following: Sequence[Entry]) -> Checked:
    """Return the comparison of a landed stack with its successor."""
    message = f"all of it is merged; next is {' '.join(f'{entry.label}' for entry in following)}"
    found = (Difference(Change.ADDED, following[0].pr, message),) if following else ()
    return Checked(stack, tuple(following) or stack.entries, found, landed=True)


def _ended(seen: PullRequestStacks, numbers: Collection[PrNumber]) -> tuple[frozenset[PrNumber], frozenset[PrNumber]]:
    """Return which of these closed pull requests were merged, and which were not.

    GitHub's list has only the newest merged ones, so the others are requested by number.
    """
    merged = {pr.number for pr in seen.listing.merged}
    unknown = sorted(set(numbers) - merged)
    if not unknown:
        return frozenset(merged), frozenset()
    github = GitHub(repository_of(refs.remote_url(seen.git, seen.remote)), seen.git.cwd)
    with github.reading_stack(unknown) as answer:
        pulls = [pr for pr in answer().pull_requests.values() if pr is not None]
    merged |= {pr.number for pr in pulls if pr.state is PrState.MERGED}
    return frozenset(merged), frozenset(pr.number for pr in pulls if pr.state is PrState.CLOSED)


def _checked(seen: PullRequestStacks, stack: Stack, submitted: Sequence[Entry], github: OnGitHub) -> Checked:
    by_number = {pr.number: pr for pr in github.stack}
    known = {entry.pr: entry for entry in submitted}
    entries = tuple(
        structs.replace(known[number], branch=branch_name(by_number[number].head))
        if number in known and number in by_number
        else known.get(number) or _entry(by_number[number])
        for number in mended_order(submitted, github.stack, github.merged)
    )
    found = (*unnumbered(stack.entries, submitted), *differences(submitted, github))
    return Checked(stack, with_unsubmitted(entries, stack.entries), found, branches=beside(seen.open, github.stack))


def update(seen: PullRequestStacks, checked: Sequence[Checked]) -> Path:
    """Update the active stack.toml; keep comments, order and everything that was written by hand."""
    from trunkline.config import writing  # noqa: PLC0415 -- tomlkit is slow to import

    before = trust.effective(seen.git, found_text(seen.git))
    path = before.path
    stack_file.require_writable(seen.git, seen.trunk, seen.remote, next_command=task_command("init", "--update"))
    text = before.text
    for each in checked:
        if not each.differences:
            continue
        if not each.entries:
            raise Refused(
                f"stack {each.stack.name} would have no entry left".replace("  ", " "),
                why="\n".join(difference.message for difference in each.differences),
                next_command="${EDITOR:-vi} stack.toml",
            )
        text = writing.mended(text, each.stack.name, each.entries)
        if each.landed and not each.stack.name:
            text = writing.without(text, "issue")  # the issue of the stack that has landed
    replace_bytes(path.resolve(), text.encode())
    validation.load(path)
    trust.carry_over(seen.git, before, reading.read(path))
    return path
