"""A receipt as JSON: an in-toto Statement (https://in-toto.io/Statement/v1).

Its predicate is a test result (https://in-toto.io/attestation/test-result/v0.1). Receipts of earlier versions lack
the fields that have a default here.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from trunkline.domain.flags import Flags
from trunkline.domain.names import Id
from trunkline.domain.receipt import Receipt, Toolchain, failure_of, instant

T = TypeVar("T")
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
_ZERO = 0.0
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]


class _Content(msgspec.Struct, Generic[T], frozen=True):
    content: T


class _Sha256(msgspec.Struct, frozen=True):
    sha256: str


class _Digest(msgspec.Struct, frozen=True):
    digest: _Sha256


class _Log(msgspec.Struct, frozen=True):
    uri: str
    digest: _Sha256

    def __post_init__(self) -> None:
        _require_file_name(self.uri, ".log")


class _Environment(msgspec.Struct, frozen=True):
    set: dict[str, str]
    seen: list[str]


class _Flags(msgspec.Struct, frozen=True, rename=str.upper, omit_defaults=True):
    rustflags: list[str] = []
    rustdocflags: list[str] = []


class _Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The named parts of the configuration."""

    command: _Content[list[str]]
    environment: _Content[_Environment]
    toolchain: _Content[Toolchain]
    flags: _Content[_Flags] = _Content(_Flags())
    lock: _Digest = msgspec.field(name="Cargo.lock")
    cargo_config: _Digest = msgspec.field(name="cargo config", default=_Digest(_Sha256("")))
    log: _Log


class _CommitDigest(msgspec.Struct, frozen=True, rename="camel"):
    git_commit: Id


class _TreeDigest(msgspec.Struct, frozen=True, rename="camel"):
    git_tree: Id


class _Subjects(msgspec.Struct, frozen=True):
    """The digests of the named subjects."""

    commit: _CommitDigest
    tree: _TreeDigest


class _Own(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Fields of a receipt that in-toto has none for."""

    gate: str
    sandbox: str
    started: str
    seconds: _Seconds
    exit_code: int
    attempts: int
    expects: int = 0
    lacked: str = ""
    summary: str = ""
    cpu_seconds: _Seconds = _ZERO
    executor: str = ""
    host: str = ""
    failure: dict[str, str] = {}
    sources: str = ""
    units: int = 0
    repository: str = ""
    tests: int | None = None
    root: str = "."
    missing: tuple[str, ...] = ()
    outside: dict[str, str] = {}

    def __post_init__(self) -> None:
        instant(self.started)
        if self.sources:
            _require_file_name(self.sources, ".sources")


class _Predicate(msgspec.Struct, frozen=True):
    result: str
    configuration: tuple[dict[str, Any], ...]
    trunkline: _Own


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: Any


class _Statement(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    kind: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: tuple[_Subject, ...]
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"]
    predicate: _Predicate


def statement_of(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as the JSON values of an in-toto Statement."""
    subjects = _Subjects(_CommitDigest(receipt.commit), _TreeDigest(receipt.tree))
    configuration = _Configuration(
        command=_Content(list(receipt.argv)),
        environment=_Content(_Environment(dict(receipt.env), list(receipt.passed_through))),
        toolchain=_Content(receipt.toolchain),
        flags=_Content(_Flags(list(receipt.flags.rustc), list(receipt.flags.rustdoc))),
        lock=_Digest(_Sha256(receipt.lock_sha256)),
        cargo_config=_Digest(_Sha256(receipt.config_sha256)),
        log=_Log(receipt.log, _Sha256(receipt.log_sha256)),
    )
    own = _Own(
        gate=receipt.gate, sandbox=receipt.sandbox, started=receipt.started, seconds=receipt.seconds,
        exit_code=receipt.exit_code, attempts=receipt.attempts, expects=receipt.expects, lacked=receipt.lacked,
        summary=receipt.summary, cpu_seconds=receipt.cpu_seconds or _ZERO, executor=receipt.executor,
        host=receipt.host, failure=dict(receipt.failure), sources=receipt.sources, units=receipt.units,
        repository=receipt.repository, tests=receipt.tests, root=receipt.root, missing=receipt.missing,
        outside=dict(receipt.outside),
    )  # fmt: skip
    named: dict[str, Any] = msgspec.to_builtins(configuration)
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": each} for name, each in msgspec.to_builtins(subjects).items()],
        "predicateType": _PREDICATE,
        "predicate": {
            "result": "PASSED" if receipt.passed else "FAILED",
            "passedTests" if receipt.passed else "failedTests": [receipt.gate],
            "configuration": [{"name": name, **part} for name, part in named.items()],
            "trunkline": msgspec.to_builtins(own),
        },
    }


def receipt_of(statement: Any) -> Receipt:
    """Return the receipt of an in-toto Statement, as JSON values.

    Raises:
        ValueError: it is invalid, or contradicts itself; the message names the place.
    """
    found = msgspec.convert(statement, _Statement)
    own = found.predicate.trunkline
    subjects = msgspec.convert({each.name: each.digest for each in found.subject}, _Subjects)
    parts = {part["name"]: part for part in found.predicate.configuration if isinstance(part.get("name"), str)}
    configuration = msgspec.convert(parts, _Configuration)
    flags = configuration.flags.content
    receipt = Receipt(
        gate=own.gate,
        commit=subjects.commit.git_commit,
        tree=subjects.tree.git_tree,
        argv=tuple(configuration.command.content),
        env=configuration.environment.content.set,
        passed_through=tuple(configuration.environment.content.seen),
        toolchain=configuration.toolchain.content,
        lock_sha256=configuration.lock.digest.sha256,
        sandbox=own.sandbox,
        started=own.started,
        seconds=own.seconds,
        exit_code=own.exit_code,
        log=configuration.log.uri,
        log_sha256=configuration.log.digest.sha256,
        attempts=own.attempts,
        config_sha256=configuration.cargo_config.digest.sha256,
        expects=own.expects,
        lacked=own.lacked,
        summary=own.summary,
        cpu_seconds=own.cpu_seconds,
        executor=own.executor,
        host=own.host,
        flags=Flags(tuple(flags.rustflags), tuple(flags.rustdocflags)),
        tests=own.tests,
        sources=own.sources,
        failure=failure_of(own.failure),
        units=own.units,
        repository=own.repository,
        root=own.root,
        missing=own.missing,
        outside=own.outside,
    )
    if (found.predicate.result == "PASSED") != receipt.passed:
        raise ValueError("the result and the exit code contradict each other")
    return receipt


def _require_file_name(name: str, ending: str) -> None:
    """Refuse a path, and the name of a file of another kind, such as another receipt."""
    if not name.endswith(ending) or "/" in name or "\0" in name:
        raise ValueError(f"not the name of a *{ending} file beside it: {name!r}")
