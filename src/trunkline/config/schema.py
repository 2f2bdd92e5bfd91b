"""stack.toml's schema as one pydantic model: what judges the file, and what its JSON Schema is exported from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator

from trunkline.domain import title
from trunkline.domain.names import MAX_NUMBER, branch_problem
from trunkline.domain.stack import DEFAULT_REMOTE, DEFAULT_TRUNK, GateSettings, LandSettings

TOOLCHAIN, TABLE = "<toolchain>", "<table>"
SHORT_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,59}"
"""Of gates and checks: a part of file names, and of what is typed."""
DEFAULTS = GateSettings()
LAND = LandSettings()


def _branch(text: str) -> str:
    if problem := branch_problem(text):
        raise ValueError(f"not a branch name git accepts: {problem}")
    return text


def _remote(text: str) -> str:
    # A remote is written on git command lines, where a leading dash would be an option (fault 51).
    if branch_problem(text):
        raise ValueError("expected the name of a git remote, like origin")
    return text


def _inside(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not text:
        raise ValueError('expected a path inside the repository, relative to its top, like "." or "rust"')
    return str(path)


def _toolchain(text: str) -> str:
    if not text or not all(part.isalnum() or part in ".-_" for part in text) or text.startswith("-"):
        raise ValueError('expected a toolchain name, like "1.89.0"')
    return text


def _feature(text: str) -> str:
    if not text or text.startswith("-") or any(part.isspace() or part == "," for part in text):
        raise ValueError('expected a cargo feature, like "cpu"')
    return text


def _scheduler(text: str) -> str:
    if text and not re.fullmatch(r"(tcp|tls|ws|wss|ucx)://[^\s/]+:\d+", text):
        raise ValueError('expected an address, like "tcp://10.0.0.1:8786" or "tls://scheduler:8786"')
    return text


def _title(text: str) -> str:
    try:
        title.fill(text, dict.fromkeys(title.NAMES, ""))
    except ValueError as error:
        raise ValueError(f"expected a title with names in braces: {error}") from None
    return text


_Branch = Annotated[str, AfterValidator(_branch)]
_YEAR = 366 * 24 * 3600.0
_Seconds = Annotated[float, Field(gt=0, le=_YEAR, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _CheckTable(_Table):
    name: Annotated[str, Field(pattern=f"^{SHORT_NAME}$", description="A short name, unique in its entry.")]
    title: Annotated[str, Field(description="What it says, for people: a line of the checklist and the note.")] = ""


class PatternTable(_CheckTable):
    """A structural search of the Rust sources (ast-grep)."""

    kind: Literal["pattern"]
    pattern: Annotated[
        str | dict[str, JsonValue], Field(description="An ast-grep pattern, or an ast-grep rule as a table.")
    ]
    expect: Annotated[
        Literal["present", "absent", "inside"],
        Field(description="present: at least one match. absent: none. inside: every match lies in one of `inside`."),
    ] = "present"
    inside: Annotated[
        list[str],
        Field(description="Where matches count: `#[attribute]`, `fn NAME`, `mod NAME`, `impl TYPE`, or a pattern."),
    ] = []
    paths: Annotated[
        list[str],
        Field(description="Globs from the repository's top. Empty: the lines that the entry itself adds."),
    ] = []

    @model_validator(mode="after")
    def _somewhere(self) -> PatternTable:
        if self.expect == "inside" and not self.inside:
            raise ValueError('expect = "inside" needs `inside`: where every match must lie')
        return self


class CommandTable(_CheckTable):
    """A command that must end with an exit code."""

    kind: Literal["command"]
    run: Annotated[list[str], Field(min_length=1, description="The command, one item an argument.")]
    exit: Annotated[int, Field(ge=0, le=255, description="The exit code that it must end with.")] = 0
    env: Annotated[dict[str, str], Field(description="Environment variables it sets.")] = {}


class TestTable(_CheckTable):
    """Tests that must pass; for each filter at least one must run."""

    kind: Literal["test"]
    tests: Annotated[
        list[Annotated[str, Field(pattern=r"^[^\s-]\S*$")]],
        Field(min_length=1, description="Filters, as `cargo test` takes them."),
    ]
    args: Annotated[
        list[str] | None,
        Field(description='What `cargo test` gets instead of the test gate\'s, like ["--test", "eviction"].'),
    ] = None


class ManualTable(_CheckTable):
    """Something that a person looks at and ticks with a reason, on exactly this tree."""

    kind: Literal["manual"]


CheckTable = Annotated[PatternTable | CommandTable | TestTable | ManualTable, Discriminator("kind")]


class EntryTable(_Table):
    """One branch and its pull request, bottom of the stack first."""

    pr: Annotated[int, Field(ge=1, le=MAX_NUMBER, description="The pull request's number.")]
    branch: Annotated[_Branch, Field(description="The pull request's head branch, without refs/heads/.")]
    title: Annotated[str, Field(description="A short title, for people.")] = ""
    next: Annotated[str, Field(description="What comes next in the stack; goes into the reviewer note.")] = ""
    check: Annotated[list[CheckTable], Field(description="What must hold of the entry's tree beyond the gates.")] = []


class GateTable(_Table):
    """Changes a default gate (build, test, clippy, fmt, doc, msrv) or adds one; a new gate must have `run`."""

    run: Annotated[list[str] | None, Field(min_length=1, description="The command, one item an argument.")] = None
    env: Annotated[dict[str, str] | None, Field(description="Environment variables it sets.")] = None
    needs: Annotated[list[str] | None, Field(description="Programs that must be installed.")] = None
    timeout: Annotated[_Seconds | None, Field(description="Seconds it may take.")] = None


class GatesTable(BaseModel):
    """How every entry is gated; a table in it, `[gates.NAME]`, changes or adds a gate."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, GateTable]

    features: Annotated[
        list[Annotated[str, AfterValidator(_feature)]],
        Field(description="Cargo features: --no-default-features --features a,b. Empty: cargo's defaults."),
    ] = list(DEFAULTS.features)
    # `msrv` is both the toolchain's key and the name of a gate, and TOML has one value for both.
    msrv: Annotated[
        Annotated[str, AfterValidator(_toolchain), Tag(TOOLCHAIN)] | Annotated[GateTable, Tag(TABLE)],
        Discriminator(lambda value: TABLE if isinstance(value, dict | GateTable) else TOOLCHAIN),
        Field(description="The MSRV gate's toolchain; or, as a table, the gate itself."),
    ] = DEFAULTS.msrv
    root: Annotated[str, AfterValidator(_inside), Field(description="The Cargo workspace's directory.")] = (
        DEFAULTS.root
    )
    timeout: Annotated[_Seconds, Field(description="Seconds a gate may take.")] = DEFAULTS.timeout
    env: Annotated[dict[str, str], Field(description="Environment variables of every gate, beside its own.")] = {}
    locked: Annotated[
        bool, Field(description="The default gates demand a Cargo.lock in the commit that is up to date (--locked).")
    ] = DEFAULTS.locked
    sandbox: Annotated[bool, Field(description="No network and no home directory for gates (bubblewrap).")] = (
        DEFAULTS.sandbox
    )
    strict: Annotated[
        bool, Field(description="Compile all packages of the repository anew for every commit, whatever changed.")
    ] = DEFAULTS.strict
    sign: Annotated[str, Field(description="The SSH private key that signs receipts; `~` is your home.")] = (
        DEFAULTS.sign
    )
    signers: Annotated[
        str, Field(description="An allowed-signers file (ssh-keygen): whose receipts count. Relative: trunk's file.")
    ] = DEFAULTS.signers
    cache: Annotated[
        Literal["", "sccache"], Field(description="sccache: a shared compile cache, for all gates but the MSRV gate.")
    ] = ""
    inherited: Annotated[
        Literal["", "allow"],
        Field(description="allow: a gate that fails on the base for the same cause stops nothing; the note says so."),
    ] = ""
    presets: Annotated[
        list[Literal["semver", "deny", "machete", "hack", "typos", "nextest"]],
        Field(description="More gates, off by default; nextest runs the test gate instead of cargo test."),
    ] = []
    executor: Annotated[
        Literal["local", "dask", "actions"],
        Field(description="What runs the gates: local (nox), dask (trunkline[cluster]), actions (GitHub Actions)."),
    ] = "local"
    scheduler: Annotated[
        Annotated[str, AfterValidator(_scheduler)],
        Field(description="Dask's scheduler, like tls://HOST:8786. Empty: workers made here, on the spot."),
    ] = DEFAULTS.scheduler
    workers: Annotated[
        int, Field(ge=0, le=1024, description="How many workers are made on the spot; 0: one a core.")
    ] = DEFAULTS.workers
    insecure: Annotated[
        bool,
        Field(description="Reach the scheduler without TLS: who reaches it too can run commands on every worker."),
    ] = DEFAULTS.insecure

    @model_validator(mode="after")
    def _cache_or_sandbox(self) -> GatesTable:
        if self.cache and self.sandbox:
            raise ValueError("cache and sandbox exclude each other: nothing in a sandbox reaches sccache's server")
        return self


class LandTable(_Table):
    """How `land` merges, and what it waits for."""

    method: Annotated[
        Literal["", "squash", "merge", "rebase"],
        Field(description="squash, merge or rebase. Empty: squash where the repository allows it."),
    ] = ""
    title: Annotated[
        str,
        AfterValidator(_title),
        Field(description="The squash commit's title, with {title}, {number}, {position}, {count}. Empty: GitHub's."),
    ] = ""
    require: Annotated[
        Literal["checks", "gates"],
        Field(description="checks: GitHub's checks must be green. gates: receipts of this machine suffice."),
    ] = "checks"
    wait: Annotated[_Seconds, Field(description="Seconds to wait for GitHub without --watch.")] = LAND.wait
    rewrite: Annotated[
        Literal["auto", "always", "never"],
        Field(
            description="auto: an approved head is merged as it is where that gives the same result as replaying its"
            " own commits. always: every entry is rebased and pushed. never: refuse rather than rewrite."
        ),
    ] = "auto"


class RebaseTable(_Table):
    """How own commits are replayed."""

    sign: Annotated[
        bool, Field(description="Sign replayed commits even where `commit.gpgSign` does not ask for it.")
    ] = False
    signatures: Annotated[
        Literal["drop", "require"],
        Field(
            description="Where a signed commit would be replayed unsigned: drop: leave the signature out and say so,"
            " as `git rebase` does. require: refuse."
        ),
    ] = "drop"


class PublishTable(_Table):
    """What is published beside the reviewer note."""

    statuses: Annotated[
        bool, Field(description="A commit status `trunkline/GATE` for each gate that a receipt proves.")
    ] = False


class NoteTable(_Table):
    """How the reviewer note is written."""

    template: Annotated[
        str,
        AfterValidator(lambda text: text and _inside(text)),
        Field(description="A Jinja2 template of your own, relative to the repository's top."),
    ] = ""


class StackTable(_Table):
    """One of several stacks."""

    name: Annotated[str, Field(min_length=1, description="The stack's name, for --stack.")]
    issue: Annotated[int | None, Field(ge=1, le=MAX_NUMBER, description="The issue that the stack resolves.")] = None
    entry: Annotated[list[EntryTable], Field(min_length=1)]


class StackFile(_Table):
    """stack.toml: the stack of pull requests that trunkline lands."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="The version of this file's schema.")]
    trunk: Annotated[_Branch, Field(description="The branch that the stack lands on.")] = DEFAULT_TRUNK
    remote: Annotated[str, AfterValidator(_remote), Field(description="The git remote of the stack.")] = (
        DEFAULT_REMOTE
    )
    issue: Annotated[int | None, Field(ge=1, le=MAX_NUMBER, description="The issue that the stack resolves.")] = None
    rerere: Annotated[
        bool, Field(description="Fill in how a person resolved the same conflict before (git-rerere); shown.")
    ] = False
    lockfile: Annotated[
        Literal["regenerate", "conflict"],
        Field(description="A Cargo.lock in conflict: made again by cargo, or left to a person."),
    ] = "regenerate"
    gates: GatesTable = GatesTable()
    land: LandTable = LandTable()
    publish: PublishTable = PublishTable()
    rebase: RebaseTable = RebaseTable()
    note: NoteTable = NoteTable()
    entry: Annotated[list[EntryTable], Field(description="The entries, bottom first.")] = []
    stack: Annotated[list[StackTable], Field(description="Several stacks; then there is no top-level entry.")] = []

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> StackFile:
        if bool(self.entry) == bool(self.stack):
            raise ValueError("expected either [[entry]] tables (one stack) or [[stack]] tables (several)")
        return self

    def entries(self) -> Iterator[tuple[tuple[str | int, ...], EntryTable]]:
        """Yield every entry of every stack with its path in the file."""
        for index, entry in enumerate(self.entry):
            yield ("entry", index), entry
        for outer, stack in enumerate(self.stack):
            for inner, entry in enumerate(stack.entry):
                yield ("stack", outer, "entry", inner), entry


def json_schema() -> dict[str, Any]:
    """Return stack.toml's JSON Schema, from the same model that judges it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **StackFile.model_json_schema(by_alias=True),
    }
