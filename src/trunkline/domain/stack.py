"""The stack as people declare it in stack.toml: entries above trunk, and how they are gated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError

if TYPE_CHECKING:
    from trunkline.domain.check import Check
    from trunkline.domain.names import BranchName, PrNumber

DEFAULT_TRUNK, DEFAULT_REMOTE = "main", "origin"
DEFAULT_GATES = ("build", "test", "clippy", "fmt", "doc", "msrv")
"""The names of the gates that every stack has (contract: "the six gates")."""


@dataclass(frozen=True)
class Entry:
    """One branch and its pull request.

    Attributes:
        pr: the pull request's number.
        branch: its head branch.
        title: a short title.
        next: what comes next in the stack, for the reviewer note.
        checks: what must hold of its tree beyond the gates, in file order.
    """

    pr: PrNumber
    branch: BranchName
    title: str = ""
    next: str = ""
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class GateOverride:
    """A `[gates.NAME]` table: what it changes of a default gate, or a gate of the user's own.

    `None` means "as the default has it"; a new gate must have `run`.
    """

    run: tuple[str, ...] | None = None
    env: Mapping[str, str] | None = field(default=None, hash=False)
    needs: tuple[str, ...] | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class GateSettings:
    """The `[gates]` table.

    Attributes:
        features: cargo features of the gates; empty means cargo's defaults.
        msrv: the toolchain of the MSRV gate.
        root: the Cargo workspace's directory inside the repository, relative, `.` for the top.
        timeout: seconds a gate may take.
        env: variables of every gate, beside its own.
        locked: the default gates demand that Cargo.lock is in the commit and up to date.
        sandbox: gates run without network and home directory (bubblewrap), or are unavailable.
        sign: the SSH private key that signs receipts, `~` allowed; "": they are not signed.
        signers: an allowed-signers file (ssh-keygen(1)): whose receipts count; relative: trunk's file; "": none.
        executor: what runs the gates: local (nox), dask, or actions (GitHub Actions).
        scheduler: of dask, like tcp://HOST:8786; "": workers of this machine, made on the spot.
        workers: how many workers are made on the spot; 0: one a core.
        insecure: the scheduler may be reached without TLS; said in each run.
        remote: where GitHub Actions finds the commits.
        trunk: whose workflow file it runs.
        strict: every package of the tree is made anew for every commit, whatever changed.
        cache: sccache: compilers run behind it, where that may serve them; "": they do not.
        inherited: allow: a gate that fails on the base for the same cause stops nothing; "": it does.
        presets: gates that are off by default and on by name, see `gates.catalogue`.
        overrides: gate name -> what the user changed or added, in file order.
    """

    features: tuple[str, ...] = ("cpu",)
    msrv: str = "1.89.0"
    root: str = "."
    timeout: float = 3600.0
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    locked: bool = True
    sandbox: bool = False
    sign: str = ""
    signers: str = ""
    executor: str = "local"
    scheduler: str = ""
    workers: int = 0
    insecure: bool = False
    remote: str = DEFAULT_REMOTE
    trunk: str = DEFAULT_TRUNK
    strict: bool = False
    cache: str = ""
    inherited: str = ""
    presets: tuple[str, ...] = ()
    overrides: Mapping[str, GateOverride] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class LandSettings:
    """The `[land]` table.

    Attributes:
        method: squash, merge or rebase; "": squash where the repository allows it, else what it allows.
        title: the squash commit's title, with {title}, {number}, {position} and {count}; "": GitHub's own.
        require: checks: GitHub's checks must be green; gates: the receipts of this machine suffice.
        wait: seconds that `land` waits for GitHub without `--watch`.
        rewrite: auto: only what cannot be merged as it is; always: every entry; never: refuse instead.
    """

    method: str = ""
    title: str = ""
    require: str = "checks"
    wait: float = 600.0
    rewrite: str = "auto"


@dataclass(frozen=True)
class RebaseSettings:
    """The `[rebase]` table.

    Attributes:
        sign: sign replayed commits even where git's configuration does not ask for it.
        signatures: drop: a signed commit may be replayed unsigned, which is said; require: that is refused.
    """

    sign: bool = False
    signatures: str = "drop"


@dataclass(frozen=True)
class PublishSettings:
    """The `[publish]` table.

    Attributes:
        statuses: a commit status for each gate that a receipt proves.
    """

    statuses: bool = False


@dataclass(frozen=True)
class NoteSettings:
    """The `[note]` table.

    Attributes:
        template: a Jinja2 template of the reviewer note, relative to the repository's top; "": ours.
    """

    template: str = ""


@dataclass(frozen=True)
class Stack:
    """Entries above trunk, bottom first.

    Attributes:
        rerere: git may fill in how a person resolved the same conflict before; shown, never staged.
        lockfile: what becomes of a Cargo.lock in conflict: regenerate, or conflict: it is a person's.
    """

    trunk: BranchName
    remote: str
    entries: tuple[Entry, ...]
    name: str = ""
    issue: int | None = None
    gates: GateSettings = field(default_factory=GateSettings)
    land: LandSettings = field(default_factory=LandSettings)
    publish: PublishSettings = field(default_factory=PublishSettings)
    rebase: RebaseSettings = field(default_factory=RebaseSettings)
    note: NoteSettings = field(default_factory=NoteSettings)
    rerere: bool = False
    lockfile: str = "regenerate"

    def entry(self, pr: PrNumber) -> Entry:
        """Return the entry of a pull request.

        Raises:
            UsageError: the stack has no such pull request.
        """
        for entry in self.entries:
            if entry.pr == pr:
                return entry
        listed = ", ".join(f"#{entry.pr}" for entry in self.entries)
        raise UsageError(
            f"#{pr} is not in stack.toml", why=f"the stack has {listed}", next_command=task_command("status")
        )

    def below(self, entry: Entry) -> tuple[Entry, ...]:
        """Return the entries between trunk and `entry`, bottom first."""
        return self.entries[: self.entries.index(entry)]

    def above(self, entry: Entry) -> Entry | None:
        """Return the entry that sits on `entry`, if there is one."""
        index = self.entries.index(entry) + 1
        return self.entries[index] if index < len(self.entries) else None
