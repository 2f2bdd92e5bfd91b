"""The stack as declared in stack.toml: entries above trunk, and the settings of their gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from trunkline.domain.choices import nearest
from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.names import labelled, labelled_fully

if TYPE_CHECKING:
    from trunkline.domain.check import Check
    from trunkline.domain.names import BranchName, EntryKey, PrNumber

DEFAULT_TRUNK, DEFAULT_REMOTE = "main", "origin"
DEFAULT_GATES = ("build", "test", "clippy", "fmt", "doc", "msrv")
"""The names of the six gates that every stack has."""


class Entry(msgspec.Struct, frozen=True):
    """One branch and its pull request.

    Attributes:
        number: the pull request's number; None: it has no pull request yet.
        branch: its head branch.
        title: a short title.
        next: a remark about the next entry, for the reviewer note.
        checks: further conditions on its tree, in file order.
    """

    number: PrNumber | None
    branch: BranchName
    title: str = ""
    next: str = ""
    checks: tuple[Check, ...] = ()

    @property
    def key(self) -> EntryKey:
        """Its identity in mappings, journals and commands: the number, or the branch without one."""
        return self.branch if self.number is None else self.number

    @property
    def pr(self) -> PrNumber:
        """The pull request's number, for code that cannot do without one.

        Raises:
            UsageError: it has no pull request yet; the error names `submit`.
        """
        if self.number is None:
            raise self.no_pull_request()
        return self.number

    def no_pull_request(self) -> UsageError:
        """Return the error for an entry that has no pull request yet; it names `submit`."""
        return UsageError(
            f"{self.branch} has no pull request yet",
            why="stack.toml lists it without a number",
            next_command=task_command("submit"),
        )

    @property
    def label(self) -> str:
        """Its short name for people: `#519`, or the branch while it has no pull request."""
        return labelled(self.key)

    @property
    def full_label(self) -> str:
        """Its number and branch for people; the branch alone while it has no pull request."""
        return labelled_fully(self.key, self.branch)


@dataclass(frozen=True)
class GateOverride:
    """A `[gates.NAME]` table: changes to a default gate, or a custom gate.

    `None` means the default's value; a new gate must have `run`.
    """

    run: tuple[str, ...] | None = None
    env: Mapping[str, str] | None = field(default=None, hash=False)
    needs: tuple[str, ...] | None = None
    timeout: float | None = None
    enabled: bool = True


@dataclass(frozen=True)
class GateSettings:
    """The `[gates]` table.

    Attributes:
        features: cargo features of the gates; empty means cargo's defaults.
        msrv: the toolchain of the MSRV gate.
        root: the Cargo workspace's directory inside the repository, relative, `.` for the top.
        timeout: the time limit of a gate in seconds.
        env: additional variables of every gate.
        locked: the default gates require a committed and current Cargo.lock.
        sandbox: gates run without network and home directory (bubblewrap), or are unavailable.
        sign: the SSH private key that signs receipts, `~` allowed; "" for none.
        signers: an allowed-signers file (ssh-keygen(1)): whose receipts are accepted; a relative
            path is read from trunk; "" for none.
        revoked: a file of revoked keys (ssh-keygen(1), KRL or public keys), found as `signers` is;
            "" for none.
        executor: the executor of the gates: local (nox), dask, or actions (GitHub Actions).
        scheduler: dask's scheduler, like tcp://HOST:8786; "": start local workers.
        workers: the number of local workers; 0: one per core.
        insecure: allow a scheduler without TLS, with a warning.
        remote: the remote on which GitHub Actions finds the commits.
        trunk: the branch whose workflow file it runs.
        strict: rebuild every package of the tree for every commit.
        cache: "sccache": run compilers through it where it is safe; "" for none.
        inherited: "allow": ignore a failure that the base has for the same cause; "": do not.
        presets: optional gates that are enabled by name, see `gates.catalogue`.
        overrides: changed or added gates by name, in file order.
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
    revoked: str = ""
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

    @property
    def disabled(self) -> frozenset[str]:
        """The gates that `enabled = false` switches off."""
        return frozenset(name for name, override in self.overrides.items() if not override.enabled)


class LandSettings(msgspec.Struct, frozen=True):
    """The `[land]` table.

    Attributes:
        method: squash, merge or rebase; "": squash if the repository allows it, else an allowed
            method.
        title: the squash commit's title, with {title}, {number}, {position} and {count}; "":
            GitHub's default.
        require: checks: GitHub's checks must be green; gates: the receipts of this machine suffice.
        wait: how long `land` waits for GitHub without `--watch`, in seconds.
        rewrite: auto: only entries that cannot be merged as they are; always: every entry; never:
            refuse.
    """

    method: str = ""
    title: str = ""
    require: str = "checks"
    wait: float = 600.0
    rewrite: str = "auto"


class RebaseSettings(msgspec.Struct, frozen=True):
    """The `[rebase]` table.

    Attributes:
        sign: sign replayed commits even if git's configuration does not.
        signatures: drop: replay signed commits unsigned, with a message; require: refuse.
        update: rebase: the replayed commits become the branch; merge: a merge of the branch and its
            new base does, with the tree of the replay.
    """

    sign: bool = False
    signatures: str = "drop"
    update: str = "rebase"


class PublishSettings(msgspec.Struct, frozen=True):
    """The `[publish]` table.

    Attributes:
        statuses: publish a commit status for each gate with a receipt.
        native: auto: link the entries as one of GitHub's native stacks, where the repository has
            them; never: leave native stacks alone.
    """

    statuses: bool = False
    native: str = "auto"


@dataclass(frozen=True)
class AttestSettings:
    """The `[attest]` table: the conditions under which shared receipts replace CI.

    Attributes:
        gates: the required gates; empty: all.
        max_age: how old a receipt may be, in seconds.
        rebase: keep: a receipt counts for every commit with its tree; refuse: only for the commit
            that was gated.
        waive: gate -> the signers who may waive it.
        independent: the signer must not be an author of the commits.
        toolchain: the release of rustc that the gates must have run with, like "1.95.0" or "1.95";
            "" for any. A gate whose command names a release (`cargo +1.89.0`) must have run with
            that one.
        auto: push and land attest, too.
        install: where the workflow of `ci.workflow --attested` installs trunkline from; "": from
            the package index.
    """

    gates: tuple[str, ...] = ()
    max_age: float = 30 * 86400.0
    rebase: str = "keep"
    waive: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    independent: bool = False
    toolchain: str = ""
    auto: bool = False
    install: str = ""


class NoteSettings(msgspec.Struct, frozen=True):
    """The `[note]` table.

    Attributes:
        template: a Jinja2 template of the reviewer note, relative to the top of the repository; "":
            the built-in one.
    """

    template: str = ""


class SubmitSettings(msgspec.Struct, frozen=True):
    """The `[submit]` table.

    Attributes:
        draft: new pull requests are drafts.
        labels: labels to add.
        reviewers: logins, or ORGANISATION/TEAM.
        assignees: logins.
        milestone: the title of a milestone; "" for none.
        prefix: the beginning of derived branch names; "": that of the entries' branches.
        title: the pattern of titles, with {title}, {position} and {count}; "": titles have no position.
    """

    draft: bool = True
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    milestone: str = ""
    prefix: str = ""
    title: str = ""


class Stack(msgspec.Struct, frozen=True):
    """The entries above trunk, bottom first, with all settings.

    Attributes:
        rerere: reuse earlier resolutions of the same conflict; they are shown, never staged.
        lockfile: what to do with a Cargo.lock in conflict: regenerate it, or conflict (leave it to
            the user).
        landed: every entry is merged; tasks take the stack only by its name.
    """

    trunk: BranchName
    remote: str
    entries: tuple[Entry, ...]
    name: str = ""
    issue: int | None = None
    gates: GateSettings = msgspec.field(default_factory=GateSettings)
    land: LandSettings = msgspec.field(default_factory=LandSettings)
    publish: PublishSettings = msgspec.field(default_factory=PublishSettings)
    rebase: RebaseSettings = msgspec.field(default_factory=RebaseSettings)
    note: NoteSettings = msgspec.field(default_factory=NoteSettings)
    attest: AttestSettings = msgspec.field(default_factory=AttestSettings)
    submit: SubmitSettings = msgspec.field(default_factory=SubmitSettings)
    rerere: bool = False
    lockfile: str = "regenerate"
    landed: bool = False

    def entry(self, key: EntryKey) -> Entry:
        """Return the entry of a pull request, or of a branch, whether or not it has a pull request.

        Raises:
            UsageError: the stack has no such pull request or branch.
        """
        for entry in self.entries:
            if key in {entry.number, entry.branch}:
                return entry
        listed = ", ".join(entry.label for entry in self.entries)
        similar = nearest(str(key), [str(name) for entry in self.entries for name in (entry.key, entry.branch)])
        raise UsageError(
            f"{labelled(key)} is not in stack.toml",
            why=f"the stack has {listed}" + (f"; did you mean {similar}?" if similar else ""),
            next_command=task_command("status"),
        )

    @property
    def numbers(self) -> tuple[PrNumber, ...]:
        """The pull requests of the entries that have one, bottom first."""
        return tuple(entry.number for entry in self.entries if entry.number is not None)

    def below(self, entry: Entry) -> tuple[Entry, ...]:
        """Return the entries between trunk and `entry`, bottom first."""
        return self.entries[: self.entries.index(entry)]

    def unsubmitted_below(self, entry: Entry) -> Entry | None:
        """Return the nearest entry below without a pull request; its branch may not be on GitHub."""
        return next((each for each in reversed(self.below(entry)) if each.number is None), None)

    def above(self, entry: Entry) -> Entry | None:
        """Return the entry directly above `entry`, if there is one."""
        index = self.entries.index(entry) + 1
        return self.entries[index] if index < len(self.entries) else None


def stack_of(stacks: Sequence[Stack], entry: str) -> str:
    """Return the name of the stack that has an entry and has not landed; "" for none.

    Args:
        stacks: the stacks of stack.toml, which have no entry in common.
        entry: a pull request or a branch; "" for none.
    """
    key = entry.removeprefix("#")
    with_entry = (
        stack.name
        for stack in stacks
        if not stack.landed and any(key in {str(each.key), each.branch} for each in stack.entries)
    )
    return next(with_entry, "")
