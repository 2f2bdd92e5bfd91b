"""Single operations of `modify`, as edits of the stack's lines. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from trunkline.domain.choices import nearest
from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError, WrongFlag
from trunkline.domain.stack_text import CommitLine, EntryLine

Lines = tuple[EntryLine, ...]


class Operation(msgspec.Struct, frozen=True):
    """One operation, from its flags; "" for what was not given.

    Attributes:
        kind: move, drop, fold, split, rename, reword or squash.
        name: the entry (`519`, `#519`, a branch) or the commit that it is about.
        onto: the entry that a moved entry shall sit on; the name of trunk: the bottom of the stack.
        trunk: the name of trunk.
        into: the adjacent entry that a folded entry goes into; default: the one below.
        branch: the branch of the new entry of a split, or the new branch of a rename.
        paths: files whose changes a split commit begins with, separated by commas.
        message: the message of a reword.
        closes: pull requests of entries that leave the stack are closed.
        elsewhere: the other stack that has the entry `onto`.
    """

    kind: str
    name: str
    onto: str = ""
    trunk: str = ""
    into: str = ""
    branch: str = ""
    message: str = ""
    paths: str = ""
    closes: bool = False
    elsewhere: str = ""


def applied(lines: Lines, operation: Operation) -> Lines:
    """Return the lines after an operation.

    Raises:
        UsageError: it names no entry or no commit of the stack, or a flag of it is missing.
    """
    ways: dict[str, Callable[[Lines, Operation], Lines]] = {
        "move": _move, "drop": _drop, "fold": _fold, "split": _split, "reword": _reword, "squash": _squash,
        "rename": _rename,
    }  # fmt: skip
    return ways[operation.kind](lines, operation)


def _move(lines: Lines, operation: Operation) -> Lines:
    if not operation.onto:
        raise UsageError(f"--move {operation.name}: --onto names the entry that it shall sit on, or trunk")
    moved = lines[_position(lines, operation.name)]
    others = [line for line in lines if line is not moved]
    if operation.onto != operation.trunk and _found(others, operation.onto) is None:
        raise _not_onto(others, operation)
    at = 0 if operation.onto == operation.trunk else _position(others, operation.onto) + 1
    return (*others[:at], moved, *others[at:])


def _not_onto(others: Sequence[EntryLine], operation: Operation) -> UsageError:
    """Return the error for a move onto something that is no other open entry of the stack."""
    what = f"--onto {operation.onto}: the stack has no other open entry of that name"
    if operation.elsewhere:
        return UsageError(
            f"--onto {operation.onto}: it is an entry of the stack {operation.elsewhere}",
            why="an entry moves within its own stack; nothing was changed. The lines of this one:",
            next_command=task_command("modify", "--print"),
        )
    why = f"it has {_listed(others)}; {operation.trunk} is the bottom of the stack"
    if like := nearest(operation.onto, [operation.trunk, *(line.name.removeprefix("#") for line in others)]):
        return WrongFlag(what, why=why, flags={"onto": like})
    return UsageError(what, why=why, next_command=task_command("modify", "--print"))


def _drop(lines: Lines, operation: Operation) -> Lines:
    if (at := _found(lines, operation.name)) is None:
        return _on_commit(lines, operation.name, lambda commit: replace(commit, verb="drop"))
    dropped = tuple(replace(commit, verb="drop") for commit in lines[at].commits)
    return _replaced(lines, at, replace(lines[at], verb="remove", commits=dropped))


def _fold(lines: Lines, operation: Operation) -> Lines:
    at = _position(lines, operation.name)
    into = _position(lines, operation.into) if operation.into else at - 1
    if into < 0 or abs(into - at) != 1:
        raise _unfoldable(lines, at, operation)
    own, theirs = lines[at].commits, lines[into].commits
    joined = (*theirs, *own) if into < at else (*own, *theirs)
    folded = _replaced(lines, into, replace(lines[into], commits=joined))
    return _replaced(folded, at, replace(lines[at], verb="remove", commits=()))


def _unfoldable(lines: Lines, at: int, operation: Operation) -> UsageError:
    what = f"{operation.into} is not next to it" if operation.into else "it is the bottom entry of the stack"
    what = f"--fold {operation.name}: {what}"
    beside = [{"into": lines[each].name.removeprefix("#")} for each in (at - 1, at + 1) if 0 <= each < len(lines)]
    if not beside:
        return UsageError(what, why="no other entry is open", next_command=task_command("status"))
    why = "an entry is folded into the one below it, or with --into into the one above it"
    return WrongFlag(what, why=why, flags=beside[0], otherwise=beside[1:])


def _rename(lines: Lines, operation: Operation) -> Lines:
    at = _position(lines, operation.name)
    entry = lines[at]
    if not operation.branch:
        raise UsageError(f"--rename {operation.name}: --branch has the new name")
    if entry.name.startswith("#") and not operation.closes:
        raise WrongFlag(
            f"{entry.name} {entry.branch} keeps its branch",
            why="GitHub closes a pull request whose branch is renamed; nothing was changed\n"
            f"--close replaces {entry.name} by a new pull request of the same title and description",
            flags={"close": True},
        )
    renamed = replace(entry, name=operation.branch, branch=operation.branch)
    return (*lines[:at], renamed, replace(entry, verb="remove", commits=()), *lines[at + 1 :])


def _split(lines: Lines, operation: Operation) -> Lines:
    if bool(operation.branch) == bool(operation.paths):
        raise UsageError(
            f"--split {operation.name}: how?",
            why="--branch makes an entry of the commits above it; --paths makes two commits of it",
        )
    if operation.paths:
        message = shlex.join(operation.paths.split(","))
        return _on_commit(lines, operation.name, lambda commit: replace(commit, verb="split", message=message))
    at, number = _commit_position(lines, operation.name)
    entry = lines[at]
    above = EntryLine(0, "entry", operation.branch, entry.commits[number + 1 :])
    if not above.commits:
        raise UsageError(
            f"--split {operation.name}: it is the last commit of {entry.name}",
            why="the commits above it become the new entry, and there is none",
        )
    return (*lines[:at], replace(entry, commits=entry.commits[: number + 1]), above, *lines[at + 1 :])


def _reword(lines: Lines, operation: Operation) -> Lines:
    if not operation.message:
        raise UsageError(f"--reword {operation.name}: --message has the new message")
    message = operation.message if "\n" in operation.message else f"{operation.message}\n"
    return _on_commit(lines, operation.name, lambda commit: replace(commit, verb="reword", message=message))


def _squash(lines: Lines, operation: Operation) -> Lines:
    return _on_commit(lines, operation.name, lambda commit: replace(commit, verb="squash"))


def _on_commit(lines: Lines, name: str, change: Callable[[CommitLine], CommitLine]) -> Lines:
    at, number = _commit_position(lines, name)
    commits = lines[at].commits
    return _replaced(
        lines, at, replace(lines[at], commits=(*commits[:number], change(commits[number]), *commits[number + 1 :]))
    )


def _replaced(lines: Lines, at: int, line: EntryLine) -> Lines:
    return (*lines[:at], line, *lines[at + 1 :])


def _found(lines: Sequence[EntryLine], name: str) -> int | None:
    wanted = name.removeprefix("#")
    fitting = (number for number, line in enumerate(lines) if wanted in {line.name.removeprefix("#"), line.branch})
    return next(fitting, None)


def _position(lines: Sequence[EntryLine], name: str) -> int:
    at = _found(lines, name)
    if at is None:
        raise UsageError(
            f"{name} is no open entry of the stack",
            why=f"it has {_listed(lines)}",
            next_command=task_command("modify", "--print", comment="the entries and their commits"),
        )
    return at


def _listed(lines: Sequence[EntryLine]) -> str:
    return ", ".join(line.name for line in lines) or "none"


def _commit_position(lines: Lines, name: str) -> tuple[int, int]:
    found = [
        (at, number)
        for at, line in enumerate(lines)
        for number, commit in enumerate(line.commits)
        if name and commit.name.startswith(name)
    ]
    if len(found) != 1:
        what = f"names {len(found)} commits" if found else "is no own commit of the stack, nor an entry"
        listed = task_command("modify", "--print", comment="the entries and their commits")
        raise UsageError(f"{name} {what}", why="nothing was changed", next_command=listed)
    return found[0]
