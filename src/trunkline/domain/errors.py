"""Expected errors: what happened, why, and the next command. Each class has one exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """The exit codes, which scripts may rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PAUSED = 3
    AUTH = 4
    REFUSED = 5
    OUTSIDE = 6
    DEFECT = 70
    INTERRUPTED = 130


class TrunklineError(Exception):
    """An expected error, reported to the user.

    Args:
        what: what happened, in one sentence.
        why: the reason, with facts; it may have several lines.
        next_command: the next command; a tuple if there is a choice.
        command: the command that failed, as a user would type it.
        stderr: its standard error, of which the end is shown.
        data: the results so far as JSON values, such as every gate's verdict.
    """

    code: ClassVar[ExitCode] = ExitCode.DEFECT

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        next_command: str | tuple[str, ...] = (),
        command: str = "",
        stderr: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_commands = (next_command,) if isinstance(next_command, str) else next_command
        self.command = command
        self.stderr = stderr
        self.data: Mapping[str, Any] = data or {}

    def __str__(self) -> str:
        return self.what if not self.why else f"{self.what}: {self.why}"


class CheckFailed(TrunklineError):
    """A gate, a check or another condition does not hold (exit code 1)."""

    code = ExitCode.FAILED


class UsageError(TrunklineError):
    """The command, stack.toml or the working directory is wrong (exit code 2)."""

    code = ExitCode.USAGE


class WrongFlag(UsageError):
    """A flag is missing or invalid; the next command has other flags (exit code 2).

    Args:
        what: what is wrong or unknown, in one sentence.
        why: the possible values.
        flags: corrected values by flag, without dashes; True for a switch; "" to leave it out.
        otherwise: other corrections, each as `flags`.
    """

    def __init__(
        self,
        what: str,
        *,
        why: str,
        flags: Mapping[str, str | bool],
        otherwise: Sequence[Mapping[str, str | bool]] = (),
    ) -> None:
        super().__init__(what, why=why)
        self.flags = flags
        self.choices = (flags, *otherwise)


class Declined(TrunklineError):
    """The user declined to publish; nothing was done (exit code 0)."""

    code = ExitCode.OK


class Paused(TrunklineError):
    """The run paused for the user: `invoke continue` or `invoke abort` (exit code 3)."""

    code = ExitCode.PAUSED


class NotSignedIn(TrunklineError):
    """The user is not signed in to GitHub, or lacks permission (exit code 4)."""

    code = ExitCode.AUTH


class Refused(TrunklineError):
    """The operation was refused for safety (exit code 5)."""

    code = ExitCode.REFUSED


class ExternalError(TrunklineError):
    """The network, GitHub or a tool failed; run the command again (exit code 6)."""

    code = ExitCode.OUTSIDE


class TransientError(ExternalError):
    """A temporary failure of the network or GitHub; retried before it is reported (exit code 6).

    Args:
        wait: the requested delay before a retry, in seconds; None if there is none.
    """

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        next_command: str | tuple[str, ...] = (),
        command: str = "",
        stderr: str = "",
        wait: float | None = None,
    ) -> None:
        super().__init__(what, why=why, next_command=next_command, command=command, stderr=stderr)
        self.wait = wait


class InternalError(TrunklineError):
    """An internal contradiction, caused by a bug in trunkline (exit code 70)."""

    code = ExitCode.DEFECT
