"""The cause of a gate's failure, shared by all failures with the same cause, and its fix."""

from __future__ import annotations

from enum import Enum

import msgspec


class CauseId(Enum):
    """The kinds of causes; the values are used in JSON."""

    COMPILE = "compile-error"
    CRASH = "compiler-crash"
    TEST = "test-failed"
    TEST_PROGRAM = "test-program-ended"
    FORMAT = "not-formatted"
    BUILD_SCRIPT = "build-script"
    NO_LOCK = "lockfile-missing"
    STALE_LOCK = "lockfile-outdated"
    FEATURE = "feature-missing"
    MANIFEST = "manifest"
    CONFIG = "cargo-config"
    ALIAS = "cargo-alias"
    RUST_VERSION = "rust-version"
    SUBMODULE = "submodule-missing"
    PATH_DEPENDENCY = "path-dependency-missing"
    NETWORK = "dependency-not-fetched"
    DISK = "disk-full"
    SOURCES = "sources-changed"
    NO_TEST = "no-test-ran"
    NO_LIBRARY = "library-missing"
    TOOLCHAIN = "toolchain-missing"
    COMPONENT = "component-missing"
    PROGRAM = "program-missing"
    SANDBOX = "sandbox-missing"
    COMMAND = "command-failed"


OF_MACHINE = frozenset({CauseId.DISK.value, CauseId.NETWORK.value})
"""Causes of the machine: a failure says nothing about the tree, so it makes no later pass flaky."""


class Cause(msgspec.Struct, frozen=True):
    """The reason why a gate did not pass.

    Attributes:
        id: the kind.
        text: one line, with the tool's own message.
        subject: the object of the failure, independent of the gate: a source location, a package, a
            file; "" if it concerns only this gate.
        fix: the command that fixes it, or "".
        quoted: the last error line of the tool itself, or "".
    """

    id: CauseId
    text: str
    subject: str = ""
    fix: str = ""
    quoted: str = ""

    def key(self, gate: str) -> str:
        """Return a key that is equal for failures with the same cause.

        Args:
            gate: the gate; without a subject, failures of two gates have different keys.
        """
        return f"{self.id.value}:{self.subject or gate}"

    def to_json(self, gate: str) -> dict[str, str]:
        """Return the cause as fields of a gate's outcome and receipt."""
        return {
            "diagnosis": self.text, "fix": self.fix, "cause": self.id.value, "cause_key": self.key(gate),
            "quoted": self.quoted,
        }  # fmt: skip
