"""Run commands in this process as a user would, and the commands that they print."""

from __future__ import annotations

import ast
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from invoke.program import Program

from support.inprocess import Desk
from support.printed import check_printed, is_ours, next_commands
from trunkline.domain.command import Command, argv_of
from trunkline.tasks import namespace

SOURCE = Path(__file__).resolve().parents[2] / "src/trunkline"
MAKERS = frozenset({"task_command", "same_command", "exact_command", "program_help", "task_list"})
"""The functions that build a command of ours."""


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def next(self) -> list[str]:
        """Return the next commands that it printed, without the words in front of them."""
        return next_commands(self.out + self.err)

    @property
    def error(self) -> str:
        """Return the line of the error, or ""."""
        return next((line for line in self.err.splitlines() if line.startswith("error: ")), "")


@functools.cache
def sites() -> dict[str, list[tuple[int, int]]]:
    """Return the functions that build commands (`commands/abort.py:abort`), with their call lines."""
    found: dict[str, list[tuple[int, int]]] = {}

    def visit(node: ast.AST, path: str, names: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = (*names, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else names
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in MAKERS:
                found.setdefault(f"{path}:{'.'.join(names)}", []).append((child.lineno, child.end_lineno or 0))
            visit(child, path, inner)

    for path in sorted(SOURCE.rglob("*.py")):
        if path.name != "command.py":
            visit(ast.parse(path.read_text()), str(path.relative_to(SOURCE)), ())
    return found


def _site(frame: Any) -> str:
    """Return the site of a frame; "" if it is none."""
    while frame is not None and frame.f_code.co_filename.endswith("domain/command.py"):
        frame = frame.f_back
    path = os.path.relpath(frame.f_code.co_filename, SOURCE)
    fitting = [
        (last - first, site)
        for site, calls in sites().items()
        if site.partition(":")[0] == path
        for first, last in calls
        if first <= frame.f_lineno <= last
    ]
    return min(fitting)[1] if fitting else ""


@dataclass
class Typist:
    """A user who runs the commands that are printed.

    Attributes:
        desk: the stack.
        origins: the functions that built each command.
    """

    desk: Desk
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    origins: dict[str, set[str]] = field(default_factory=dict)

    def __call__(self, line: str) -> Ran:
        """Run a command line; `invoke` is this process, anything else is an error."""
        argv = list(argv_of(line))
        assert is_ours(line), line
        self.patch.setattr(sys, "argv", argv)
        self.capture.readouterr()
        code = 0
        try:
            Program(name="invoke", namespace=namespace).run(argv)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = self.capture.readouterr()
        ran = Ran(code, captured.out, captured.err)
        check_printed(ran.out + ran.err)
        return ran

    def follow(self, ran: Ran, site: str, command: str = "", *, code: int = 0, same: bool = False) -> Ran:
        """Run a printed command unchanged, and check its exit code.

        Args:
            ran: the result that printed it.
            site: the function that built it: `commands/abort.py:abort`.
            command: its beginning, if several were printed; "": the first.
            code: the exit code that it must end with.
            same: it may end with the error that printed it, but must not print itself again.
        """
        printed = [*ran.next, *re.findall(r"(invoke [^\n]+)$", ran.out + ran.err, re.MULTILINE)]
        chosen = next((each for each in printed if each.startswith(command or "invoke")), "")
        assert chosen, f"no command {command!r} among {printed}\n{ran.out}{ran.err}"
        assert site in self.origins.get(chosen, ()), f"{chosen!r} was built by {self.origins.get(chosen)}"
        after = self(chosen)
        assert after.code == code, f"{chosen} ended with {after.code}\n{after.out}{after.err}"
        progress = chosen not in after.next if same else (after.error or after.out) != (ran.error or ran.out)
        assert progress, f"{chosen} changed nothing"
        return after


def typist(desk: Desk, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], skip: str) -> Iterator[Typist]:
    """Yield a user whose environment skips the steps that run cargo."""
    made = Typist(desk, patch, capture)
    build: Callable[..., Command] = Command.__new__

    def recording(cls: type[Command], argv: tuple[str, ...], comment: str = "") -> Command:
        command = build(cls, argv, comment)
        made.origins.setdefault(str(command), set()).add(_site(sys._getframe(1)))
        return command

    patch.setattr(Command, "__new__", recording)
    patch.chdir(desk.clone.path)
    patch.setenv("TRUNKLINE_SKIP", skip)
    yield made


__all__ = ["Ran", "Typist", "sites", "typist"]
