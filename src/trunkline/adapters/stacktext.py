"""stack.toml as text: where it is, and what tomli reads in it; what that means, `config` judges.

Apart from it, since pydantic takes 0.06 s to load: what is only glimpsed here is enough to ask GitHub meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from trunkline.domain.errors import UsageError
from trunkline.domain.names import BranchName, PrNumber, branch_name, branch_problem, pr_number
from trunkline.domain.stack import DEFAULT_REMOTE, DEFAULT_TRUNK

FILE_NAME = "stack.toml"


@dataclass(frozen=True)
class Glimpse:
    """What a stack.toml that nobody has judged yet seems to say.

    Attributes:
        remote: the git remote.
        trunk: the branch that the stack lands on.
        numbers: the pull requests of the stack, bottom first.
    """

    remote: str
    trunk: BranchName
    numbers: tuple[PrNumber, ...]


@dataclass(frozen=True)
class StackText:
    """A stack.toml as it stands there.

    Attributes:
        path: where.
        text: the whole file.
        data: what tomli reads in it.
    """

    path: Path
    text: str
    data: dict[str, Any]

    def trunk(self) -> tuple[str, str] | None:
        """Return the remote and the branch that the file calls trunk; None: not names that git accepts."""
        remote, trunk = self.data.get("remote", DEFAULT_REMOTE), self.data.get("trunk", DEFAULT_TRUNK)
        named = isinstance(remote, str) and isinstance(trunk, str)
        return None if not named or branch_problem(remote) or branch_problem(trunk) else (remote, trunk)

    def glimpse(self, name: str) -> Glimpse | None:
        """Return what the stack of a name, or the only one, seems to be; None: it takes a closer look."""
        stacks = self.data.get("stack") or [self.data]
        try:
            (stack,) = (each for each in stacks if not name or each["name"] == name)
            remote, trunk = self.data.get("remote", DEFAULT_REMOTE), self.data.get("trunk", DEFAULT_TRUNK)
            return Glimpse(str(remote), branch_name(trunk), tuple(pr_number(str(e["pr"])) for e in stack["entry"]))
        except (KeyError, TypeError, ValueError, AttributeError, UsageError):
            return None


def read(path: Path) -> StackText:
    """Read stack.toml.

    Raises:
        UsageError: it cannot be read, or is not TOML: file, line, what was found.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"there is no {path.name} here", why=f"expected it at {path}", next_command="invoke --help rebase"
        ) from None
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read", why=str(error)) from None
    return parsed(path, content)


def parsed(path: Path, content: bytes) -> StackText:
    """Parse the content of a stack.toml.

    Raises:
        UsageError: it is not TOML: file, line, what was found.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise problem(path, 1, f"not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        return StackText(path, text, tomli.loads(text))
    except tomli.TOMLDecodeError as error:
        raise problem(path, error.lineno, f"not TOML: {error.msg} (column {error.colno})") from None


def problem(path: Path, line: int, *problems: str) -> UsageError:
    """Return the error of what is wrong in a file, first the line that an editor opens at."""
    own = f"{path.name}:{line}: "
    return UsageError(
        own + problems[0].removeprefix(own),
        why="\n".join(problems[1:]),
        next_command=f"${{EDITOR:-vi}} +{line} {path.name}",
    )
