"""stack.toml's schema as msgspec structs: they validate the file, and its JSON Schema is generated from them.

`validation.py` adds what a type cannot express (names that git accepts, no number twice), and makes the domain's
values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.json import schema_components

from trunkline.domain.check import Expect
from trunkline.domain.names import MAX_NUMBER
from trunkline.domain.stack import DEFAULT_REMOTE, DEFAULT_TRUNK, AttestSettings, GateSettings, LandSettings

SCHEMA_VERSION = 1
SHORT_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,59}"
"""Of gates and checks: a part of file names, and of what is typed."""
DEFAULTS = GateSettings()
LAND = LandSettings()
ATTEST = AttestSettings()
ONE_OR_SEVERAL = "expected either [[entry]] tables (one stack) or [[stack]] tables (several)"
DURATION = r"^[1-9][0-9]{0,4}[mhdw]$(?!\n)"
SOURCE = r"^(git\+https://[A-Za-z0-9._~/-]+@[0-9a-f]{40}|(?!/)(?!.*\.\.)[A-Za-z0-9._][A-Za-z0-9._/-]*)?$(?!\n)"
RELEASE = r"^([0-9]+\.[0-9]+(\.[0-9]+)?)?$(?!\n)"
_YEAR = 366 * 24 * 3600.0
# `$` alone also matches before a newline at the end in Python, though not in a JSON Schema.
_Name = Annotated[
    str,
    Meta(
        pattern=f"^{SHORT_NAME}$(?!\\n)",
        description="A short name of letters, digits, dots, dashes and underscores; unique in its entry.",
    ),
]
_TestFilter = Annotated[
    str, Meta(pattern=r"^[^\s-]\S*$(?!\n)", description="A test filter: no spaces, no dash in front.")
]
_Seconds = Annotated[float, Meta(gt=0, le=_YEAR)]
_Words = Annotated[tuple[str, ...], Meta(min_length=1)]
_Number = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
_Issue = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _CheckTable(_Table, frozen=True, tag_field="kind"):
    name: _Name
    title: Annotated[str, Meta(description="What it says, for people: a line of the checklist and the note.")] = ""


class PatternTable(_CheckTable, frozen=True, kw_only=True, tag="pattern"):
    """A structural search of the Rust sources (ast-grep)."""

    pattern: Annotated[str | dict[str, Any], Meta(description="An ast-grep pattern, or an ast-grep rule as a table.")]
    expect: Annotated[
        Expect,
        Meta(description="present: at least one match. absent: none. inside: every match lies in one of `inside`."),
    ] = Expect.PRESENT
    inside: Annotated[
        tuple[str, ...],
        Meta(description="Where matches count: `#[attribute]`, `fn NAME`, `mod NAME`, `impl TYPE`, or a pattern."),
    ] = ()
    paths: Annotated[
        tuple[str, ...],
        Meta(description="Globs from the repository's top. Empty: the lines that the entry itself adds."),
    ] = ()

    def __post_init__(self) -> None:
        if self.expect is Expect.INSIDE and not self.inside:
            raise ValueError('expect = "inside" needs `inside`: where every match must lie')


class CommandTable(_CheckTable, frozen=True, kw_only=True, tag="command"):
    """A command that must end with an exit code."""

    run: Annotated[_Words, Meta(description="The command, one item an argument.")]
    exit: Annotated[int, Meta(ge=0, le=255, description="The exit code that it must end with.")] = 0
    env: Annotated[dict[str, str], Meta(description="Environment variables it sets.")] = {}


class TestTable(_CheckTable, frozen=True, kw_only=True, tag="test"):
    """Tests that must pass; for each filter at least one must run."""

    tests: Annotated[
        tuple[_TestFilter, ...],
        Meta(min_length=1, description="Filters, as `cargo test` takes them."),
    ]
    args: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(description='What `cargo test` gets instead of the test gate\'s, like ["--test", "eviction"].'),
    ] = UNSET


class ManualTable(_CheckTable, frozen=True, kw_only=True, tag="manual"):
    """A check that a person confirms with a reason, for exactly one tree."""


CheckTable = PatternTable | CommandTable | TestTable | ManualTable


class EntryTable(_Table, frozen=True, kw_only=True):
    """One branch and its pull request, bottom of the stack first."""

    pr: Annotated[
        _Number | UnsetType,
        Meta(description="The pull request's number; missing: `submit` makes one and fills it in."),
    ] = UNSET
    branch: Annotated[str, Meta(description="The pull request's head branch, without refs/heads/.")]
    title: Annotated[str, Meta(description="A short title, for people.")] = ""
    next: Annotated[str, Meta(description="What comes next in the stack; goes into the reviewer note.")] = ""
    check: Annotated[
        tuple[CheckTable, ...], Meta(description="What must hold of the entry's tree beyond the gates.")
    ] = ()


class GateTable(_Table, frozen=True):
    """Changes a default gate (build, test, clippy, fmt, doc, msrv), switches it off, or adds one, which has `run`."""

    run: Annotated[_Words | UnsetType, Meta(description="The command, one item an argument.")] = UNSET
    env: Annotated[dict[str, str] | UnsetType, Meta(description="Environment variables it sets.")] = UNSET
    needs: Annotated[tuple[str, ...] | UnsetType, Meta(description="Programs that must be installed.")] = UNSET
    timeout: Annotated[_Seconds | UnsetType, Meta(description="Seconds it may take.")] = UNSET
    enabled: Annotated[bool, Meta(description="false: the gate does not run, and nothing requires it.")] = True


class GatesTable(_Table, frozen=True):
    """The gates of every entry; a table in it, `[gates.NAME]`, changes or adds a gate."""

    features: Annotated[
        tuple[str, ...],
        Meta(description="Cargo features: --no-default-features --features a,b. Empty: cargo's defaults."),
    ] = DEFAULTS.features
    msrv: Annotated[str, Meta(description="The MSRV gate's toolchain; or, as a table, the gate itself.")] = (
        DEFAULTS.msrv
    )
    root: Annotated[str, Meta(description="The Cargo workspace's directory.")] = DEFAULTS.root
    timeout: Annotated[_Seconds, Meta(description="Seconds a gate may take.")] = DEFAULTS.timeout
    env: Annotated[dict[str, str], Meta(description="Environment variables of every gate, beside its own.")] = {}
    locked: Annotated[
        bool, Meta(description="The default gates demand a Cargo.lock in the commit that is up to date (--locked).")
    ] = DEFAULTS.locked
    sandbox: Annotated[bool, Meta(description="No network and no home directory for gates (bubblewrap).")] = (
        DEFAULTS.sandbox
    )
    strict: Annotated[
        bool, Meta(description="Compile all packages of the repository anew for every commit, whatever changed.")
    ] = DEFAULTS.strict
    sign: Annotated[str, Meta(description="The SSH private key that signs receipts; `~` is your home.")] = (
        DEFAULTS.sign
    )
    signers: Annotated[
        str, Meta(description="An allowed-signers file (ssh-keygen): whose receipts count. Relative: trunk's file.")
    ] = DEFAULTS.signers
    revoked: Annotated[
        str, Meta(description="A file of revoked keys (ssh-keygen: KRL or public keys). Relative: trunk's file.")
    ] = DEFAULTS.revoked
    cache: Annotated[
        Literal["", "sccache"], Meta(description="sccache: a shared compile cache, for all gates but the MSRV gate.")
    ] = ""
    inherited: Annotated[
        Literal["", "allow"],
        Meta(description="allow: a gate that fails on the base for the same cause stops nothing; the note says so."),
    ] = ""
    presets: Annotated[
        tuple[Literal["semver", "deny", "machete", "hack", "typos", "nextest"], ...],
        Meta(description="More gates, off by default; nextest runs the test gate instead of cargo test."),
    ] = ()
    executor: Annotated[
        Literal["local", "dask", "actions"],
        Meta(description="What runs the gates: local (nox), dask (trunkline[cluster]), actions (GitHub Actions)."),
    ] = "local"
    scheduler: Annotated[
        str,
        Meta(description="Dask's scheduler, like tls://HOST:8786. Empty: workers made here, on the spot."),
    ] = DEFAULTS.scheduler
    workers: Annotated[
        int, Meta(ge=0, le=1024, description="How many workers are made on the spot; 0: one a core.")
    ] = DEFAULTS.workers
    insecure: Annotated[
        bool,
        Meta(description="Reach the scheduler without TLS: who reaches it too can run commands on every worker."),
    ] = DEFAULTS.insecure

    def __post_init__(self) -> None:
        if self.cache and self.sandbox:
            raise ValueError("cache and sandbox exclude each other: nothing in a sandbox reaches sccache's server")


class LandTable(_Table, frozen=True):
    """The way in which `land` merges, and the conditions that it waits for."""

    method: Annotated[
        Literal["", "squash", "merge", "rebase"],
        Meta(description="squash, merge or rebase. Empty: squash where the repository allows it."),
    ] = ""
    title: Annotated[
        str,
        Meta(description="The squash commit's title, with {title}, {number}, {position}, {count}. Empty: GitHub's."),
    ] = ""
    require: Annotated[
        Literal["checks", "gates"],
        Meta(description="checks: GitHub's checks must be green. gates: receipts of this machine suffice."),
    ] = "checks"
    wait: Annotated[_Seconds, Meta(description="Seconds to wait for GitHub without --watch.")] = LAND.wait
    rewrite: Annotated[
        Literal["auto", "always", "never"],
        Meta(
            description="auto: an approved head is merged as it is where that gives the same result as replaying its"
            " own commits. always: every entry is rebased and pushed. never: refuse rather than rewrite."
        ),
    ] = "auto"


class RebaseTable(_Table, frozen=True):
    """The replay of own commits."""

    sign: Annotated[
        bool, Meta(description="Sign replayed commits even where `commit.gpgSign` does not ask for it.")
    ] = False
    signatures: Annotated[
        Literal["drop", "require"],
        Meta(
            description="Where a signed commit would be replayed unsigned: drop: leave the signature out and say so,"
            " as `git rebase` does. require: refuse."
        ),
    ] = "drop"
    update: Annotated[
        Literal["rebase", "merge"],
        Meta(
            description="rebase: the replayed commits become the branch, pushed by force with a lease. merge: a merge"
            " of the branch and its new base becomes the branch, with the tree of the replay; pushed fast-forward."
        ),
    ] = "rebase"


class PublishTable(_Table, frozen=True):
    """Publications beside the reviewer note."""

    statuses: Annotated[
        bool, Meta(description="A commit status `trunkline/GATE` for each gate that a receipt proves.")
    ] = False
    native: Annotated[
        Literal["auto", "never"],
        Meta(
            description="auto: after a restack the entries are linked as one of GitHub's native stacks, where the"
            " repository has them. never: native stacks are left alone."
        ),
    ] = "auto"


class AttestTable(_Table, frozen=True):
    """The policy of attested CI: the requirements of `verify` for shared receipts."""

    gates: Annotated[tuple[_Name, ...], Meta(description="The gates that are required. Empty: all.")] = ()
    max_age: Annotated[
        str,
        Meta(pattern=DURATION, description="How old a receipt may be: a number with m, h, d or w, like 14d."),
    ] = field(default="30d", name="max-age")
    rebase: Annotated[
        Literal["keep", "refuse"],
        Meta(
            description="keep: a receipt counts for every commit with its tree, also after a rebase. refuse: only for"
            " the commit that was gated."
        ),
    ] = "keep"
    waive: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description='Who may waive a gate: names of the signers file by gate, like {msrv = ["ada@example.org"]}.'
        ),
    ] = {}
    independent: Annotated[
        bool, Meta(description="The signer must be another person than the authors of the commits.")
    ] = ATTEST.independent
    toolchain: Annotated[
        str,
        Meta(
            pattern=RELEASE,
            description='The release of rustc that gates must have run with, like "1.95.0" or "1.95". Empty: any.',
        ),
    ] = ATTEST.toolchain
    auto: Annotated[bool, Meta(description="push and land attest, too, as with --attest.")] = ATTEST.auto
    install: Annotated[
        str,
        Meta(
            pattern=SOURCE,
            description="Where the workflow of ci.workflow --attested installs trunkline from: git+https://...@COMMIT,"
            " a requirements file with hashes (.txt), or a directory of the repository. Empty: the package index.",
        ),
    ] = ATTEST.install


class NoteTable(_Table, frozen=True):
    """The form of the reviewer note."""

    template: Annotated[
        str,
        Meta(description="A Jinja2 template of your own, relative to the repository's top."),
    ] = ""


class SubmitTable(_Table, frozen=True):
    """Defaults of `submit` for new pull requests."""

    draft: Annotated[bool, Meta(description="They are drafts.")] = True
    labels: Annotated[tuple[str, ...], Meta(description="Labels of the repository.")] = ()
    reviewers: Annotated[tuple[str, ...], Meta(description="Logins, or ORGANISATION/TEAM.")] = ()
    assignees: Annotated[tuple[str, ...], Meta(description="Logins.")] = ()
    milestone: Annotated[str, Meta(description="The title of an open milestone.")] = ""
    prefix: Annotated[
        str,
        Meta(
            description="The beginning of branch names that `add` derives from a commit message."
            " Empty: what the branches of all entries begin with: directories and the number of an issue."
        ),
    ] = ""
    title: Annotated[
        str,
        Meta(description="A pattern: `[{position}/{count}] {title}`. Empty: titles show no position."),
    ] = ""


class StackTable(_Table, frozen=True, kw_only=True):
    """One of several stacks."""

    name: Annotated[str, Meta(min_length=1, description="The stack's name, for --stack.")]
    issue: Annotated[_Issue | UnsetType, Meta(description="The issue that the stack resolves.")] = UNSET
    landed: Annotated[
        bool, Meta(description="Every entry is merged: tasks take the stack only by --stack. Set by init and sync.")
    ] = False
    entry: Annotated[tuple[EntryTable, ...], Meta(min_length=1)]


class StackFile(_Table, frozen=True):
    """stack.toml: the stack of pull requests that trunkline lands."""

    schema_: Annotated[Literal[1], Meta(description="1, the version of this file's schema.")] = field(name="schema")
    trunk: Annotated[str, Meta(description="The branch that the stack lands on.")] = DEFAULT_TRUNK
    remote: Annotated[str, Meta(description="The git remote of the stack.")] = DEFAULT_REMOTE
    issue: Annotated[_Issue | UnsetType, Meta(description="The issue that the stack resolves.")] = UNSET
    rerere: Annotated[
        bool, Meta(description="Fill in how a person resolved the same conflict before (git-rerere); shown.")
    ] = False
    lockfile: Annotated[
        Literal["regenerate", "conflict"],
        Meta(description="A Cargo.lock in conflict: made again by cargo, or left to a person."),
    ] = "regenerate"
    gates: GatesTable = GatesTable()
    land: LandTable = LandTable()
    publish: PublishTable = PublishTable()
    rebase: RebaseTable = RebaseTable()
    note: NoteTable = NoteTable()
    attest: AttestTable = AttestTable()
    submit: SubmitTable = SubmitTable()
    entry: Annotated[tuple[EntryTable, ...], Meta(description="The entries, bottom first.")] = ()
    stack: Annotated[
        tuple[StackTable, ...], Meta(description="Several stacks; then there is no top-level entry.")
    ] = ()

    def __post_init__(self) -> None:
        if self.entry and self.stack:
            raise ValueError(ONE_OR_SEVERAL)

    def entries(self) -> Iterator[tuple[tuple[str | int, ...], EntryTable]]:
        """Yield every entry of every stack with its path in the file."""
        for index, entry in enumerate(self.entry):
            yield ("entry", index), entry
        for outer, stack in enumerate(self.stack):
            for inner, entry in enumerate(stack.entry):
                yield ("stack", outer, "entry", inner), entry


def gate_tables(gates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `[gates.NAME]` tables of `[gates]`: TOML has one table for its settings and for these.

    `msrv` is both a setting (the toolchain) and the name of a gate.
    """
    settings = {*GatesTable.__struct_fields__} - {"msrv"}
    return {name: value for name, value in gates.items() if isinstance(value, dict) and name not in settings}


def json_schema() -> dict[str, Any]:
    """Return stack.toml's JSON Schema."""
    _, tables = schema_components([StackFile, GateTable], ref_template="#/$defs/{name}")
    gate, gates = {"$ref": "#/$defs/GateTable"}, tables["GatesTable"]
    gates["additionalProperties"] = gate
    msrv = gates["properties"]["msrv"]
    msrv["anyOf"] = [{"type": msrv.pop("type")}, gate]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema", **tables.pop("StackFile"), "$defs": tables
    }  # fmt: skip
    plain: dict[str, Any] = json.loads(json.dumps(schema))  # arrays, where msgspec leaves tuples as defaults
    return plain
