"""Read stack.toml as text with tomli, within bounds; `validation.py` validates what was read."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli

from trunkline.config import toml_lines
from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.names import branch_problem
from trunkline.domain.stack import DEFAULT_REMOTE, DEFAULT_TRUNK
from trunkline.system.files import read_regular

FILE_NAME = "stack.toml"
LONGEST = 2**19
"""Bytes of a stack.toml; a thousand entries have a third of them."""
_DEEPEST = 64
_SHOWN = 80
_LONG_NUMBER = re.compile(r"[0-9][0-9_]{999,}|0[xob][0-9a-fA-F_]{999,}")


class StackText(msgspec.Struct, frozen=True):
    """The text of a stack.toml, parsed but not validated.

    Attributes:
        path: the file, for messages.
        text: the whole file.
        data: the parsed text.
        source: a sentence that names the file; "" for the one at the top of the work tree.
        of_trunk: the text is that of trunk's tracked file, not of a file in a work tree.
    """

    path: Path
    text: str
    data: dict[str, Any]
    source: str = ""
    of_trunk: bool = False

    def trunk(self) -> tuple[str, str] | None:
        """Return the remote and the branch that the file calls trunk; None: not names that git accepts."""
        remote, trunk = self.data.get("remote", DEFAULT_REMOTE), self.data.get("trunk", DEFAULT_TRUNK)
        named = isinstance(remote, str) and isinstance(trunk, str)
        return None if not named or branch_problem(remote) or branch_problem(trunk) else (remote, trunk)


def read(path: Path) -> StackText:
    """Read stack.toml.

    Raises:
        UsageError: it cannot be read, or is not TOML that can be used: file, line, what was found.
    """
    try:
        content = read_regular(path, LONGEST)
    except FileNotFoundError:
        if path.is_symlink():
            raise UsageError(
                f"{path.name} is a link to a file that does not exist",
                why=f"{path} -> {path.readlink()}",
                next_command=f"rm {shlex.quote(str(path))}   # the link",
            ) from None
        raise UsageError(
            f"there is no {path.name} here", why=f"expected it at {path}", next_command=task_command("init")
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path.name} cannot be read",
            why=f"{path}: {error.strerror or error}",
            next_command=f"ls -lL {shlex.quote(str(path))}",
        ) from None
    return parsed(path, content)


def parsed(path: Path, content: bytes) -> StackText:
    """Parse the text of a stack.toml.

    Args:
        path: where it is, for messages.
        content: the file.

    Raises:
        UsageError: it is not TOML that can be used: file, line, what was found.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise problem(path, line, f"not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise problem(path, error.lineno, *_not_toml(text, error)) from None
    except RecursionError:
        raise problem(path, 1, f"nested too deep; expected at most {_DEEPEST} levels") from None
    except ValueError:
        # int() takes no more digits; Python's own words name a setting of the interpreter.
        raise problem(path, _line_of_number(text), "a number has too many digits") from None
    for where, why in _unusable(data):
        raise problem(path, toml_lines.line_of(text, where), f"{dotted(where) or 'the file'}: {why}")
    return StackText(path, text, data)


_TWICE = ("Cannot overwrite", "Cannot declare", "Cannot mutate")
"""The beginnings of tomli's messages about a key or a table that is given twice."""
_MSRV_TWICE = (
    'keep one of them: `msrv = "1.89.0"` names the toolchain of the gate; the table `[gates.msrv]` changes the gate,'
    " and the toolchain is then in its `run`"
)


def _not_toml(text: str, error: tomli.TOMLDecodeError) -> tuple[str, ...]:
    """Return the problem that tomli found, and for a key or table that is given twice, its name and first line."""
    twice = toml_lines.given_twice(text, error.lineno) if error.msg.startswith(_TWICE) else None
    if twice is None:
        return (f"not TOML: {error.msg} (column {error.colno})",)
    where, line = twice
    why = _MSRV_TWICE if where[:2] == ("gates", "msrv") else "TOML takes each key and each table once"
    return f"{dotted(where)}: given twice; expected once, and line {line} has it", why


def _unusable(data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield values that are invalid for every key: they can neither be passed to a program nor be shown."""
    left: list[tuple[tuple[str | int, ...], Any]] = [((), data)]
    while left:
        where, value = left.pop()
        if len(where) > _DEEPEST:
            yield where, f"nested too deep; expected at most {_DEEPEST} levels"
        elif isinstance(value, dict):
            left += [((*where, key), each) for key, each in reversed(value.items())]
            if any("\0" in key for key in value):
                yield where, "a key holds a NUL character"
        elif isinstance(value, list):
            left += [((*where, index), each) for index, each in reversed(list(enumerate(value)))]
        elif isinstance(value, str) and "\0" in value:
            yield where, "it holds a NUL character"
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            yield where, "the number is too large; TOML has 64 bits"


def _line_of_number(text: str) -> int:
    found = _LONG_NUMBER.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def dotted(where: Sequence[str | int]) -> str:
    """Return a path as people write it: `entry[1].branch`; a key that is too long to be a name is cut."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shortened(part)}" for part in where)
    return shortened("".join(parts).lstrip("."))


def shortened(text: str) -> str:
    """Return text that is cut where it is too long to be read in a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def problem(path: Path, line: int, *problems: str) -> UsageError:
    """Return the error of what is wrong in a file, first the line that an editor opens at."""
    own = f"{path.name}:{line}: "
    return UsageError(
        own + problems[0].removeprefix(own),
        why="\n".join(problems[1:]),
        next_command=f"${{EDITOR:-vi}} +{line} {shlex.quote(os.path.relpath(path))}",
    )
