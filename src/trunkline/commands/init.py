"""Command `init`: write stack.toml from the open pull requests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path, PurePosixPath

import msgspec

from trunkline.config import location, reading, trust, validation, writing
from trunkline.config.other_tools import tracked_stacks
from trunkline.config.reading import StackText
from trunkline.context.loading import checkout
from trunkline.context.observation import observe_remote
from trunkline.context.project import Reporter
from trunkline.domain.command import task_command
from trunkline.domain.discover import (
    Discovery,
    OpenPullRequest,
    beside,
    chain_to,
    discover,
    merged_below,
    with_bases,
)
from trunkline.domain.errors import TrunklineError, UsageError
from trunkline.domain.names import BranchName, Oid, branch_name, branch_ref, pr_number
from trunkline.domain.native import NativeStack
from trunkline.domain.repository import repository_of
from trunkline.domain.stack import DEFAULT_REMOTE, Entry, GateSettings, Stack
from trunkline.domain.workspace import Proposal
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.github import native_stacks
from trunkline.github.client import GitHub
from trunkline.github.pull_request_list import PullRequestList, list_pull_requests
from trunkline.planning.gate_proposals import proposed
from trunkline.rust import cargo
from trunkline.system.files import replace_bytes, write_inside


class PullRequestStacks(msgspec.Struct, frozen=True):
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
    found: Discovery
    listing: PullRequestList
    notes: tuple[str, ...]
    pulls: tuple[OpenPullRequest, ...] = ()
    native: tuple[NativeStack, ...] = ()

    @property
    def branches(self) -> tuple[tuple[OpenPullRequest, OpenPullRequest], ...]:
        """The pull requests with the same base as an entry of a stack, each paired with that entry's."""
        return tuple(each for stack in self.found.stacks for each in beside(self.open, stack))

    @property
    def open(self) -> tuple[OpenPullRequest, ...]:
        """The open pull requests, each with the base that other tools record."""
        return self.pulls or self.listing.open


def observe(
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
    git = checkout(cwd)
    remote = remote or _remote(git)
    github = GitHub(repository_of(refs.remote_url(git, remote)), git.cwd, reporter.progress)
    with native_stacks.reading(github) as response:
        listing = list_pull_requests(github)
        native = response() or ()
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


def _ending_in(pulls: Sequence[OpenPullRequest], trunk: BranchName, top: str) -> Discovery:
    number = pr_number(top)
    stack = chain_to(pulls, trunk, number)
    if not stack:
        why = discover(pulls, trunk).left_out.get(number)
        raise UsageError(
            f"--top {top}: no stack of open pull requests on {trunk} ends in #{number}",
            why=why.value if why else "it is not open",
            next_command=f"gh pr view {number}",
        )
    return Discovery((stack,), {})


def _remote(git: Git) -> str:
    names = git.query("remote").lines
    if not names:
        return DEFAULT_REMOTE
    if (usual := refs.usual_remote(names)) is not None:
        return usual
    raise UsageError(
        "which remote has the pull requests?",
        why=f"there are {', '.join(names)}",
        next_command=tuple(
            task_command("init", "--remote", name) for name in sorted(names, key=lambda name: name != "upstream")
        ),
    )


def _with_merged(
    git: Git, remote: str, trunk: BranchName, found: Discovery, listing: PullRequestList
) -> tuple[tuple[Entry, ...], ...]:
    if not found.stacks:
        return ()
    bottoms = tuple(entry_of(stack[0]) for stack in found.stacks)
    tips = observe_remote(git, Stack(trunk, remote, bottoms), bottoms)
    trunk_tip = tips[branch_ref(trunk)]
    stacks = []
    for stack in found.stacks:
        listed = git.query("rev-list", "--topo-order", "--end-of-options", f"{trunk_tip}..{stack[0].head_oid}").text
        below = merged_below(stack[0], listing.merged, [Oid(line) for line in listed.split()])
        merged = tuple(Entry(pr.number, branch_name(pr.head), pr.title) for pr in below)
        stacks.append((*merged, *(entry_of(pr) for pr in stack)))
    return tuple(stacks)


def entry_of(pr: OpenPullRequest) -> Entry:
    """Return the entry of an open pull request."""
    return Entry(pr.number, branch_name(pr.head), pr.title)


def exists(cwd: Path | None = None) -> bool:
    """Return whether stack.toml exists in any place where tasks look for it.

    Raises:
        UsageError: TRUNKLINE_STACK_FILE names another kind of file.
    """
    return _existing(checkout(cwd)) is not None


def own_file(number: int) -> str:
    """Return the variable, with its value, by which a second stack gets a file of its own.

    Args:
        number: the pull request at its top.
    """
    return f"{location.VARIABLE}=stack-{number}.toml"


def _existing(git: Git) -> StackText | None:
    if not os.path.lexists(location.new_place(git, track=False)) and os.environ.get(location.VARIABLE):
        return None  # the file that the variable names is written
    return location.locate(git, git.cwd)


def refuse_second(cwd: Path | None = None) -> None:
    """Check that no stack.toml exists in any place where tasks look for it.

    Raises:
        UsageError: there is one, or TRUNKLINE_STACK_FILE names another kind of file.
    """
    found = _existing(checkout(cwd))
    if found is not None:
        raise UsageError(
            "there is a stack.toml already",
            why=found.source or f"{found.path} is yours to edit",
            next_command=(
                task_command("init", "--check", comment="how it differs from GitHub"),
                task_command("init", "--update", comment="mend it"),
            ),
        )


def write(scan: PullRequestStacks, *, track: bool = False) -> Path:
    """Write a new stack.toml, and the schema that editors use to complete it; return its path.

    It is written at the top of the main work tree, excluded from git: every branch and every work
    tree sees it, and it is part of no pull request.

    Args:
        scan: the stacks.
        track: write it at the top of this work tree instead, to be committed.

    Raises:
        UsageError: the file exists already, or there is no stack.
    """
    refuse_second(scan.git.cwd)
    path = location.new_place(scan.git, track=track)
    if not scan.stacks:
        raise UsageError(
            f"no open pull request of {slug_of(scan.git, scan.remote)} (remote {scan.remote}) sits on {scan.trunk}",
            why="\n".join(
                [
                    *(f"#{number}: {why.value}" for number, why in sorted(scan.found.left_out.items())),
                    f"a branch with commits above {scan.trunk} begins a stack, too: check it out first",
                ]
            ),
            next_command=_elsewhere(scan),
        )
    names = {str(stack[-1].branch): stack for stack in scan.stacks}
    gates, assumed = _gates(scan.git)
    text = writing.new_file(names, trunk=scan.trunk, remote=scan.remote, gates=gates, comments=assumed)
    schema = resources.files("trunkline").joinpath("stack.schema.json").read_bytes()
    write_inside(path.parent, PurePosixPath(writing.SCHEMA_PATH), schema)
    replace_bytes(path, text.encode())
    for each in (path, path.parent / writing.SCHEMA_PATH):
        if not trust.is_tracked(scan.git, each):
            location.keep_untracked(scan.git, each, untracked=not track)
    validation.load(path)
    trust.confirm(scan.git, reading.read(path))
    return path


def slug_of(git: Git, remote: str) -> str:
    """Return the repository on GitHub, as gh takes it."""
    return repository_of(refs.remote_url(git, remote)).argument


def _elsewhere(scan: PullRequestStacks) -> tuple[str, ...]:
    """Return the other remotes on GitHub that may have the pull requests, as in a clone of a fork."""
    slug, commands = slug_of(scan.git, scan.remote), list[str]()
    for name in scan.git.query("remote").lines:
        with contextlib.suppress(TrunklineError):
            if (other := slug_of(scan.git, name)) != slug:
                commands.append(task_command("init", "--remote", name, comment=other))
    return (*commands, f"gh pr list --repo {slug}")


def proposals(scan: PullRequestStacks) -> tuple[Proposal, ...]:
    """Return gates that would cover the parts of the workspace that a new stack.toml leaves out."""
    return proposed(scan.git, _gates(scan.git)[0])


def assumptions(scan: PullRequestStacks) -> tuple[str, ...]:
    """Return the settings of a new stack.toml that the workspace does not declare, each with its reason."""
    return tuple(f"[gates] {key}: {reason}" for key, reason in _gates(scan.git)[1].items())


def _gates(git: Git) -> tuple[GateSettings, Mapping[str, str]]:
    """Return gate settings derived from the Cargo workspace, and the reasons of those that it does not declare.

    Without a committed Cargo.lock every gate with `--locked` would fail. Libraries often ignore it.
    """
    found, defaults = cargo.workspace(git.cwd), GateSettings()
    if found is None:
        return replace(defaults, features=()), {}
    features = tuple(name for name in defaults.features if name in found.features)
    locked = bool(git.query("ls-files", "--", "Cargo.lock").text)
    reasons = {} if found.rust_version else {"msrv": "no package declares a rust-version; this is the default"}
    reasons |= {} if locked else {"locked": "no Cargo.lock is committed, so cargo runs without --locked"}
    return replace(defaults, features=features, msrv=found.rust_version or defaults.msrv, locked=locked), reasons
