"""A gate's outcome, and its receipt: the proof that a gate passed on a tree with a toolchain.

`domain/statement.py` has the JSON form of a receipt.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from trunkline.domain.cause import Cause
from trunkline.domain.flags import NO_FLAGS, Flags
from trunkline.domain.names import Oid


def instant(at: str) -> dt.datetime:
    """Return an ISO 8601 time in UTC, also with `Z`, which Python 3.10 does not parse.

    Raises:
        ValueError: it is invalid, or has no time zone.
    """
    found = dt.datetime.fromisoformat(at.replace("Z", "+00:00"))
    if found.tzinfo is None:
        raise ValueError(f"a time without a time zone: {at!r}")
    return found


_FAILURE = frozenset({"diagnosis", "fix", "cause", "cause_key", "quoted"})


def failure_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the known fields of a failure, as text."""
    return {name: str(value) for name, value in values.items() if name in _FAILURE}


class Verdict(Enum):
    """The result of a gate; only `PASSED` counts as passed.

    Attributes:
        FLAKY: matching receipts contain both passes and failures.
        STALE: it ran on this tree with another toolchain, command or configuration.
    """

    PASSED = "passed"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed out"
    FLAKY = "flaky"
    STALE = "stale"


class Toolchain(msgspec.Struct, frozen=True):
    """The output of `rustc -vV` and `cargo -V`; for a pattern check, the search tool's version."""

    rustc: str
    cargo: str

    @property
    def name(self) -> str:
        """The first line of rustc's version: `rustc 1.95.0 (59807616e 2026-04-14)`."""
        return self.rustc.partition("\n")[0]


@dataclass(frozen=True)
class GateOutcome:
    """The outcome of a gate, for messages and the note.

    Attributes:
        gate: its name.
        verdict: its verdict.
        seconds: its duration.
        command: the command as a user would type it, with its variables.
        toolchain: rustc's first line, or "".
        diagnosis: why it failed: the first error with its place, and the cause if known.
        fix: the command that fixes it, or "".
        cause: the kind of cause (`CauseId`), or "".
        cause_key: a key that gates with the same cause share, or "".
        quoted: the last error line of the tool itself, or "".
        log: the log file's path.
        reused: a receipt from an earlier run proves it.
        sandbox: "none", or the sandbox that blocked the network and the home directory.
        summary: the result of a check, or who ticked it and why.
        started: when it ran, ISO 8601 in UTC, or "".
        cpu_seconds: its CPU time; 0 if unknown.
        passes: the number of matching receipts that passed.
        runs: the number of matching receipts.
        since: the start of the latest unbroken series of failures, ISO 8601 in UTC, or "".
        tests: the number of tests; None if it runs no tests or it is unknown.
        attempts: 2 if it ran again, without a compiler wrapper, after the compiler had crashed.
        sources: the file beside the receipts that lists the files that the gate read, or "".
        on_base: for a failure: the same gate's result on the base, or "".
        inherited: it fails on the base for the same cause.
        left: command lines of processes that the gate left running; they were killed.
        receipt: the short id of the receipt that decided, or "".
        signer: who signed it, if stack.toml demands signatures, or "".
    """

    gate: str
    verdict: Verdict
    seconds: float = 0.0
    command: str = ""
    toolchain: str = ""
    diagnosis: str = ""
    fix: str = ""
    log: str = ""
    reused: bool = False
    sandbox: str = "none"
    summary: str = ""
    started: str = ""
    cpu_seconds: float = 0.0
    passes: int = 0
    runs: int = 0
    since: str = ""
    cause: str = ""
    cause_key: str = ""
    quoted: str = ""
    tests: int | None = None
    attempts: int = 1
    sources: str = ""
    on_base: str = ""
    inherited: bool = False
    left: tuple[str, ...] = ()
    receipt: str = ""
    signer: str = ""

    @classmethod
    def unavailable(cls, gate: str, fix: str) -> GateOutcome:
        """Return the outcome of a gate whose tool is missing."""
        return cls(gate, Verdict.UNAVAILABLE, fix=fix)

    def because(self, cause: Cause) -> GateOutcome:
        """Return the outcome with the cause of its failure."""
        return self.with_failure(cause.to_json(self.gate))

    def with_failure(self, failure: Mapping[str, str]) -> GateOutcome:
        """Return the outcome with a failure's fields from a receipt."""
        return self.from_json({**self.to_json(), **failure})

    @property
    def proven(self) -> bool:
        """A pass that verified something: a test gate that ran no test proves nothing."""
        return self.verdict is Verdict.PASSED and self.tests != 0

    @property
    def words(self) -> str:
        """The verdict in words.

        Examples: `passed, 0 tests`, `flaky: 1 of 2 passed`, `failed since 2026-11-28 10:02 UTC`.
        """
        if self.verdict is Verdict.PASSED:
            return "passed, 0 tests" if self.tests == 0 else "passed"
        if self.verdict is Verdict.FLAKY:
            return f"flaky: {self.passes} of {self.runs} passed"
        if self.verdict is Verdict.FAILED and self.since:
            return f"failed since {self.since[:16].replace('T', ' ')} UTC"
        return str(self.verdict.value)

    @property
    def again(self) -> str:
        """The command that runs this gate alone."""
        return f'nox -s "gates({self.gate})"'

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**self.__dict__, "verdict": self.verdict.value, "left": list(self.left)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> GateOutcome:
        """Return the value that `to_json` was called on.

        Raises:
            ValueError: the JSON is invalid; the message names the place.
        """
        return msgspec.convert(values, cls)


def receipt_id(file: str) -> str:
    """Return the short id of a receipt, from its file name: the first digits of the hash."""
    return file.removesuffix(".json").rpartition("-")[2][:12]


def by_cause(outcomes: Iterable[GateOutcome]) -> tuple[tuple[GateOutcome, ...], ...]:
    """Group outcomes by verdict and cause, in order; outcomes without a cause are not grouped."""
    groups: dict[tuple[Verdict, str], list[GateOutcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.verdict, outcome.cause_key or outcome.gate), []).append(outcome)
    return tuple(tuple(group) for group in groups.values())


def in_words(outcome: GateOutcome | None) -> str:
    """Return a verdict in words; None means that the gate never ran on this tree."""
    return "not run" if outcome is None else outcome.words


@dataclass(frozen=True)
class Receipt:
    """The record of a finished gate.

    Attributes:
        gate: its name.
        commit: the commit gated.
        tree: its tree, which is what the receipt proves something about.
        argv: the command.
        env: the variables that were set.
        passed_through: names of variables that were passed through.
        toolchain: the toolchain.
        lock_sha256: SHA-256 of Cargo.lock as gated, or "" if there is none.
        config_sha256: SHA-256 over the settings outside the tree (`gates/outer_settings.py`), or "".
        expects: the exit code that counts as a pass.
        lacked: why it is no pass despite its exit code (no test ran for a filter), or "".
        summary: see GateOutcome.
        cpu_seconds: see GateOutcome.
        executor: the executor: nox, dask or actions; "" for a check, which trunkline runs itself.
        host: the machine's name.
        sandbox: see GateOutcome.
        started: ISO 8601, UTC.
        seconds: wall time.
        exit_code: the command's exit code.
        log: the log's file name beside the receipts.
        log_sha256: its hash.
        flags: additional flags of rustc and rustdoc.
        tests: see GateOutcome.
        sources: see GateOutcome; its name begins with the SHA-256 of its content.
        units: compilation units of the command, including fresh ones; 0 if unknown.
        failure: why it did not pass: fields of the outcome, as `Cause.to_json` returns them; {} if
            it did.
        attempts: 2 if it was run again without a compiler wrapper after an internal compiler error.
        repository: the repository whose commit was gated (`repository.identity`); "" if unknown.
        root: the directory in which it ran, relative to the top of the tree.
        missing: the submodules that could not be checked out.
        outside: the packages outside the work tree that it may have been compiled with: directory -> a
            hash of its state, "" if that is unknown.
    """

    gate: str
    commit: Oid
    tree: Oid
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(hash=False)
    passed_through: tuple[str, ...]
    toolchain: Toolchain
    lock_sha256: str
    sandbox: str
    started: str
    seconds: float
    exit_code: int
    log: str
    log_sha256: str
    attempts: int = field(default=1)
    config_sha256: str = ""
    expects: int = 0
    lacked: str = ""
    summary: str = ""
    cpu_seconds: float = 0.0
    executor: str = ""
    host: str = ""
    flags: Flags = NO_FLAGS
    tests: int | None = None
    sources: str = ""
    failure: Mapping[str, str] = field(default_factory=dict, hash=False)
    units: int = 0
    repository: str = ""
    root: str = "."
    missing: tuple[str, ...] = ()
    outside: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def passed(self) -> bool:
        """A pass, even one that verified nothing."""
        return self.exit_code == self.expects and not self.lacked

    @property
    def began(self) -> dt.datetime:
        """The start time, by which receipts are ordered."""
        return instant(self.started)

    @property
    def key(self) -> str:
        """The receipt's name: a hash over tree, gate, command, environment and toolchain."""
        parts = [
            self.tree,
            self.gate,
            list(self.argv),
            dict(sorted(self.env.items())),
            self.toolchain.rustc,
            self.toolchain.cargo,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
