"""The cause of a gate's failure: what is wrong, which failures share it, what fixes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CauseId(Enum):
    """Kinds of causes, as JSON names them."""

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
    TOOLCHAIN = "toolchain-missing"
    COMPONENT = "component-missing"
    PROGRAM = "program-missing"
    SANDBOX = "sandbox-missing"
    COMMAND = "command-failed"


@dataclass(frozen=True)
class Cause:
    """Why a gate did not pass.

    Attributes:
        id: the kind.
        text: one line for people, the tool's own words included.
        subject: what is wrong, independent of the gate that met it: a place, a package, a file; "": only this gate.
        fix: the command that mends it, or "".
        quoted: the last error line of the tool itself, or "".
    """

    id: CauseId
    text: str
    subject: str = ""
    fix: str = ""
    quoted: str = ""

    def key(self, gate: str) -> str:
        """Return a key that failures with the same cause share.

        Args:
            gate: whose failure it is; failures of two gates without a subject are two.
        """
        return f"{self.id.value}:{self.subject or gate}"

    def to_json(self, gate: str) -> dict[str, str]:
        """Return the cause as the fields that a gate's outcome and its receipt have."""
        return {
            "diagnosis": self.text, "fix": self.fix, "cause": self.id.value, "cause_key": self.key(gate),
            "quoted": self.quoted,
        }  # fmt: skip
