"""Expected failures: what, why, and the command to type next. Each class has one exit code (docs/usage.md)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """Exit codes that Makefiles may rely on."""

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
    """An expected failure, told to a person.

    Args:
        what: one sentence: what stopped.
        why: the reason, with the facts that were seen; may have several lines.
        next_command: what to type next; a tuple where there is a choice, each with its own meaning in front.
        command: the command of ours that failed, as a person would type it.
        stderr: what that command wrote to stderr; only its tail is shown.
        data: what was found until then, JSON values: every gate's verdict.
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
    """A gate or a check failed; the world is as it was before the push (exit 1)."""

    code = ExitCode.FAILED


class UsageError(TrunklineError):
    """What was asked, or stack.toml, or the place it was asked in, is wrong (exit 2)."""

    code = ExitCode.USAGE


class WrongFlag(UsageError):
    """A flag is missing or wrong; what to type next is the same command with other flags (exit 2).

    Args:
        what: one sentence: what is wrong or not known.
        why: what there is to choose from.
        flags: flag without dashes -> the value that it should have; "": leave it out.
    """

    def __init__(self, what: str, *, why: str, flags: Mapping[str, str]) -> None:
        super().__init__(what, why=why)
        self.flags = flags


class Declined(TrunklineError):
    """A person was asked whether to publish, and the answer was no; nothing was done (exit 0)."""

    code = ExitCode.OK


class Paused(TrunklineError):
    """The run stopped for a person; `invoke continue` or `invoke abort` (exit 3)."""

    code = ExitCode.PAUSED


class NotSignedIn(TrunklineError):
    """GitHub does not know us, or does not let us (exit 4)."""

    code = ExitCode.AUTH


class Refused(TrunklineError):
    """Refused for safety (exit 5)."""

    code = ExitCode.REFUSED


class ExternalError(TrunklineError):
    """The outside failed: network, rate limit, 5xx, a tool that died; run again (exit 6)."""

    code = ExitCode.OUTSIDE


class TransientError(ExternalError):
    """The outside failed in a way that may pass: asked again before it is an error (exit 6).

    Args:
        wait: the seconds that it asked us to wait; None: it did not say.
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
    """A contradiction that only a defect of ours explains (exit 70)."""

    code = ExitCode.DEFECT
