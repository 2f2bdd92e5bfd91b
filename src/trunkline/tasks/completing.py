"""Shell completion for values of flags: pull requests, gates, steps, branches."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence

from invoke.exceptions import Exit
from invoke.program import Program

from trunkline import context as contexts
from trunkline import sim
from trunkline.domain.errors import TrunklineError
from trunkline.domain.rehearsal import REHEARSED
from trunkline.domain.stack import DEFAULT_GATES, DEFAULT_TRUNK
from trunkline.domain.step import StepName
from trunkline.tasks import command_line

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
"""Values that are safe to complete: bash expands them, and a branch may be called `$(command)`."""


def _numbers(repository: contexts.completion.Repository) -> list[str]:
    return [str(entry.get("pr") or entry.get("branch")) for entry in repository.entries]


def _checks(repository: contexts.completion.Repository) -> list[str]:
    return [str(check["name"]) for entry in repository.entries for check in entry.get("check") or ()]


def _gates(repository: contexts.completion.Repository) -> list[str]:
    own = [name for name, table in (repository.data.get("gates") or {}).items() if isinstance(table, dict)]
    return [*DEFAULT_GATES, *(name for name in own if name != "env"), *_checks(repository)]


def _other_branches(repository: contexts.completion.Repository) -> list[str]:
    listed = {repository.data.get("trunk", DEFAULT_TRUNK), *(entry.get("branch") for entry in repository.entries)}
    return [branch for branch in repository.branches if branch not in listed]


def _faults(_: contexts.completion.Repository) -> Sequence[str]:
    return sim.faults.days()


def _steps(_: contexts.completion.Repository) -> list[str]:
    return [step.value for step in StepName]


VALUES: Mapping[str, Callable[[contexts.completion.Repository], Sequence[str]]] = {
    "--pr": _numbers,
    "-p": _numbers,
    "--above": _numbers,
    "--up-to": _numbers,
    "--skip": _steps,
    "--accept-unavailable": _gates,
    "--accept-flaky": _gates,
    "--tick": _checks,
    "--stack": lambda repository: [str(stack.get("name", "")) for stack in repository.data.get("stack") or ()],
    "--fork-point": lambda repository: repository.branches,
    **dict.fromkeys(("--move", "--onto", "--fold", "--into", "--drop", "--rename"), _numbers),
    "--top": _numbers,
    "--name": _other_branches,
    "--commit": lambda repository: ("HEAD", *repository.branches),
    "--run": lambda repository: repository.runs,
    "--waive": _gates,
    "--fault": _faults,
    "--task": lambda _: REHEARSED,
    "--topic": lambda _: ("agents",),
    "--verify": lambda _: ("each", "top"),
    "--fallback": lambda _: ("run",),
    "--trunk": lambda repository: repository.branches,
    "--remote": lambda repository: repository.remotes,
    "--require": lambda _: ("checks", "gates"),
    "--method": lambda _: ("squash", "merge", "rebase"),
}
_SEVERAL = frozenset({"--skip", "--accept-unavailable", "--accept-flaky", "--waive"})
FREE = frozenset({
    "--assignee", "--branch", "--count", "--faults", "--include", "--label", "--message", "--milestone", "--output",
    "--paths", "--plan", "--reason", "--repository", "--reviewer", "--reword", "--root", "--runner", "--sign",
    "--split", "--squash",
})  # fmt: skip
"""Flags whose values are new, are files, or are known to GitHub alone."""


def complete(own: Callable[[], Collection[str]]) -> None:
    """Add completion of our flags' values to Invoke's own completion, in every program.

    Invoke has no hook for it, so one of its functions is replaced.

    Args:
        own: returns the names of our tasks.
    """
    if getattr(Program.parse_cleanup, "completes", False):
        return
    before = Program.parse_cleanup

    @functools.wraps(before)
    def completing(self: Program) -> None:
        if self.args.complete.value:
            words = self.core.remainder.split()
            if any(command_line.own_name(word, own()) for word in words):
                found = values(words)
                sys.stdout.writelines(f"{value}\n" for value in found)
                if _with_equals(words) is not None or _is_begun(words, found):
                    raise Exit(code=0)  # Invoke would add the names of all tasks
        before(self)

    completing.completes = True  # type: ignore[attr-defined]  # a function takes attributes
    Program.parse_cleanup = completing  # type: ignore[method-assign]


def _is_begun(words: Sequence[str], found: Sequence[str]) -> bool:
    """Return whether the last word is the beginning of a value after its flag."""
    *_, before, last = ("", "", *words)
    return before in VALUES and last not in found and any(each.startswith(last) for each in found)


def _with_equals(words: Sequence[str]) -> tuple[str, str, str] | None:
    """Return flag, value and the part that a candidate repeats, of `--flag=value`; None if the last word is none.

    bash passes it as three words, since `=` is in its COMP_WORDBREAKS; zsh and fish pass one.
    """
    *_, before, last = ("", "", *words)
    if last == "=":
        return before, "", ""
    if before == "=" and len(words) > 2:  # noqa: PLR2004 -- the flag comes before them
        return words[-3], last, ""
    flag, equals, typed = last.partition("=")
    return (flag, typed, f"{flag}=") if equals and flag.startswith("--") else None


def values(words: Sequence[str]) -> tuple[str, ...]:
    """Return the possible values for the last word; () if it is no value of a known flag.

    Args:
        words: the command line, the program's name first. It is unknown whether a blank follows:
            after a flag its value comes next, otherwise the last word may be part of a value.
    """
    flag, typed, before = (words[-1:] or ("",))[0], "", ""
    if (given := _with_equals(words)) is not None:
        flag, typed, before = given
    elif flag not in VALUES and len(words) > 1:
        flag, typed = words[-2], words[-1]
    if flag not in VALUES:
        return ()
    before += typed[: typed.rfind(",") + 1] if flag in _SEVERAL else ""
    with contextlib.suppress(TrunklineError, OSError, AttributeError, TypeError):
        found = dict.fromkeys(VALUES[flag](contexts.completion.read()))
        return tuple(f"{before}{each}" for each in found if _SAFE.fullmatch(each))
    return ()
