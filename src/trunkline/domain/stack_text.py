"""The stack as text for `modify`: one line for each entry, and its commits indented below, as in `git rebase -i`.

Pure. `written` makes the text, `parsed` reads it with every problem by line.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from trunkline.domain.commits import Commit
from trunkline.domain.stack import Entry

COMMIT_VERBS = {"p": "pick", "r": "reword", "s": "squash", "f": "fixup", "d": "drop"}
"""Short and long verbs of lines about a commit, as in `git rebase -i`."""
_LONG_VERBS = (*COMMIT_VERBS.values(), "split")
ENTRY_VERBS = {"e": "entry", "entry": "entry", "remove": "remove"}
"""Verbs of lines about an entry."""
_SHOWN = 7
"""The fewest digits of an object id in the text."""
HELP = """
# The bottom entry comes first. Lines may be moved, within an entry and to another one.
# Commits:
#   pick COMMIT              keep it
#   reword COMMIT SUBJECT    keep it, with another subject
#   squash COMMIT            put it into the commit above this line, with both messages
#   fixup COMMIT             put it into the commit above this line, without its message
#   drop COMMIT              leave it out
#   split COMMIT PATH...     two commits: its changes in these files, then the rest
# Entries:
#   entry #NUMBER            an entry with a pull request; a moved line moves the entry
#   entry BRANCH             an entry without one; a new name makes a new entry
#   remove #NUMBER           an entry that loses all of its commits
# Every commit and every entry must be listed. To change nothing, leave the text as it is.
"""


class Problem(msgspec.Struct, frozen=True):
    """A problem of a text, with its line (from 1)."""

    line: int
    text: str

    def __str__(self) -> str:
        """Return the problem for people."""
        return f"line {self.line}: {self.text}"


class CommitLine(msgspec.Struct, frozen=True):
    """A line about a commit.

    Attributes:
        line: its number, from 1.
        verb: pick, reword, squash, fixup, drop or split.
        name: the commit's object id, or its beginning.
        message: the new subject of a reword, or the whole message; the paths of a split; else anything.
    """

    line: int
    verb: str
    name: str
    message: str = ""


class EntryLine(msgspec.Struct, frozen=True):
    """A line about an entry, with the lines of its commits.

    Attributes:
        line: its number, from 1.
        verb: entry or remove.
        name: `#519`, or a branch.
        commits: the lines of its commits, bottom first.
        branch: its branch, if the name is a number and the line was not read from a text.
    """

    line: int
    verb: str
    name: str
    commits: tuple[CommitLine, ...] = ()
    branch: str = ""


def written(today: Sequence[tuple[Entry, Sequence[Commit]]], base: str) -> str:
    """Return the text of a stack.

    Args:
        today: the open entries, bottom first, each with its own commits, oldest first.
        base: the name of the branch below.
    """
    names = [commit.oid for _, commits in today for commit in commits]
    length = next(n for n in range(_SHOWN, len(max(names, default="")) + _SHOWN + 1) if _is_unique(names, n))
    lines = [f"# stack onto {base}, the bottom entry first"]
    for entry, commits in today:
        name = entry.branch if entry.number is None else f"#{entry.number} {entry.branch}"
        lines.append(f"entry {name}  {entry.title}".rstrip())
        lines += [f"    pick {commit.oid[:length]} {commit.subject}" for commit in commits]
    return "\n".join(lines) + "\n" + HELP


def _is_unique(names: Sequence[str], length: int) -> bool:
    return len({name[:length] for name in names}) == len(names)


def lines_of(today: Sequence[tuple[Entry, Sequence[Commit]]]) -> tuple[EntryLine, ...]:
    """Return the lines of an unchanged stack, with full object ids."""
    return tuple(
        EntryLine(
            0, "entry", entry.label, tuple(CommitLine(0, "pick", commit.oid) for commit in commits), entry.branch
        )
        for entry, commits in today
    )


def parsed(text: str) -> tuple[tuple[EntryLine, ...], tuple[Problem, ...]]:
    """Return the entries of a text, and its problems by line."""
    entries: list[EntryLine] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        verb, _, rest = line.strip().partition(" ")
        if not verb or verb.startswith("#"):
            continue
        name, _, more = rest.strip().partition(" ")
        commit_verb = COMMIT_VERBS.get(verb, verb if verb in _LONG_VERBS else "")
        if not name and (commit_verb or verb in ENTRY_VERBS):
            problems.append(
                Problem(number, f"{verb}: the name of {'a commit' if commit_verb else 'an entry'} is missing")
            )
        elif verb in ENTRY_VERBS:
            entries.append(EntryLine(number, ENTRY_VERBS[verb], name))
        elif not commit_verb:
            known = ", ".join((*_LONG_VERBS, "entry", "remove"))
            problems.append(Problem(number, f"{verb!r} is no verb; known are {known}"))
        elif not entries:
            problems.append(Problem(number, "a commit before the first entry"))
        else:
            made = CommitLine(number, commit_verb, name, more.strip())
            entries[-1] = replace(entries[-1], commits=(*entries[-1].commits, made))
    if not entries and not problems:
        problems.append(Problem(1, "there is no entry"))
    return tuple(entries), tuple(problems)
