"""Compute the commits that each entry shall have, from the present stack and the wanted lines. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from trunkline.domain.commits import Commit
from trunkline.domain.names import EntryKey, branch_name, branch_problem, entry_key, labelled, short
from trunkline.domain.rewrite import NewCommit
from trunkline.domain.stack import Entry
from trunkline.domain.stack_text import CommitLine, EntryLine, Problem

Today = Sequence[tuple[Entry, Sequence[Commit]]]
"""The open entries, bottom first, each with its own commits, oldest first."""
_LEAST = 4
"""The fewest digits of an object id that name a commit, as in git (core.abbrev)."""


class WantedEntry(msgspec.Struct, frozen=True):
    """An entry with the commits that it shall have, oldest first; at least one."""

    entry: Entry
    commits: tuple[NewCommit, ...]


class WantedStack(msgspec.Struct, frozen=True):
    """A stack as it shall be.

    Attributes:
        entries: the entries, bottom first.
        split: commits that become two, each with the change of the first and of the second.
        removed: the entries that it loses; their branches and pull requests stay until a person deletes them.
        dropped: the commits that it loses, on request.
    """

    entries: tuple[WantedEntry, ...]
    split: tuple[tuple[Commit, Commit, Commit], ...] = ()
    removed: tuple[Entry, ...] = ()
    dropped: tuple[Commit, ...] = ()


Halve = Callable[[Commit, "tuple[str, ...]"], "tuple[Commit, Commit] | None"]
"""Returns the change of a commit in some paths, and the rest of it; None if one would be empty."""


def never_halved(_commit: Commit, _paths: tuple[str, ...]) -> None:
    """Return None: the default without a repository."""


def wanted(
    today: Today, lines: Sequence[EntryLine], halve: Halve = never_halved
) -> tuple[WantedStack, tuple[Problem, ...]]:
    """Return the stack that lines describe, with every problem by line; valid only if there is none.

    Every entry and every commit of today must be listed exactly once, so nothing is lost by an
    omission.

    Args:
        today: the stack as it is.
        lines: see `stack_text.parsed`.
        halve: splits a commit by paths.
    """
    reading = _Reading(today, halve)
    for line in lines:
        reading.entry(line)
    reading.complete(max((line.line for line in lines), default=1))
    stack = WantedStack(tuple(reading.made), tuple(reading.split), tuple(reading.removed), tuple(reading.dropped))
    return stack, tuple(sorted(reading.problems, key=lambda problem: problem.line))


class _Reading(msgspec.Struct):
    """The state of one reading."""

    today: Today
    halve: Halve
    split: list[tuple[Commit, Commit, Commit]] = msgspec.field(default_factory=list)
    made: list[WantedEntry] = msgspec.field(default_factory=list)
    removed: list[Entry] = msgspec.field(default_factory=list)
    dropped: list[Commit] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)
    seen: dict[str, int] = msgspec.field(default_factory=dict)

    def entry(self, line: EntryLine) -> None:
        """Read an entry and its commits."""
        entry, is_new = self._named(line)
        if entry is None:
            return
        if self._is_twice(line.line, entry.label):
            return
        own_oids = {commit.oid for each, own in self.today if each.key == entry.key for commit in own}
        commits = tuple(replace(new, moved=new.source.oid not in own_oids) for new in self._commits(line))
        if line.verb == "remove":
            self.removed.append(entry)
            if is_new:
                self.problems.append(Problem(line.line, f"{line.name} is no entry of the stack"))
            self.problems += [
                Problem(each.line, f"{each.name} is in {line.name}, which is removed: move it, or drop it")
                for each in line.commits
                if each.verb != "drop"
            ]
        elif commits:
            self.made.append(WantedEntry(entry, commits))
        else:
            self.problems.append(Problem(line.line, f"{line.name} has no commit left: write `remove {line.name}`"))

    def _named(self, line: EntryLine) -> tuple[Entry | None, bool]:
        """Return the entry that a line names, and whether it is a new one."""
        known: dict[EntryKey, Entry] = {}
        for entry, _ in self.today:
            known |= {entry.key: entry, entry.branch: entry}
        if line.name.removeprefix("#").isdecimal():
            found = known.get(entry_key(line.name))
            if found is None:
                listed = ", ".join(entry.label for entry, _ in self.today)
                self.problems.append(Problem(line.line, f"{line.name} is no open entry; the stack has {listed}"))
            return found, False
        if wrong := branch_problem(line.name):
            self.problems.append(Problem(line.line, f"{line.name!r} is no branch name: {wrong}"))
            return None, False
        name = branch_name(line.name)
        return (known[name], False) if name in known else (Entry(None, name), True)

    def _is_twice(self, line: int, name: str) -> bool:
        if name in self.seen:
            self.problems.append(Problem(line, f"{name} is listed twice, first in line {self.seen[name]}"))
            return True
        self.seen[name] = line
        return False

    def _commits(self, line: EntryLine) -> tuple[NewCommit, ...]:
        found: list[NewCommit] = []
        for each in line.commits:
            commit = self._commit(each)
            if commit is None or self._is_twice(each.line, commit.oid):
                continue
            if each.verb == "drop":
                self.dropped.append(commit)
            elif each.verb in {"squash", "fixup"}:
                if not found:
                    self.problems.append(
                        Problem(each.line, f"{each.verb}: there is no commit above it in {line.name}")
                    )
                    continue
                found[-1] = _joined(found[-1], commit, keeps_message=each.verb == "squash")
            elif each.verb == "split":
                found += self._halves(each, commit)
            elif each.verb == "reword":
                found.append(NewCommit(commit, (commit,), self._message(each, commit)))
            else:
                found.append(NewCommit.unchanged(commit))
        return tuple(found)

    def _halves(self, line: CommitLine, commit: Commit) -> tuple[NewCommit, ...]:
        try:
            paths = tuple(shlex.split(line.message))
        except ValueError:  # an open quote
            paths = (line.message,)
        both = self.halve(commit, paths) if paths else None
        if both is None:
            where = f"changes nothing in {line.message}, or nothing else" if paths else "the paths are missing"
            self.problems.append(Problem(line.line, f"split {line.name}: {where}"))
            return ()
        self.split.append((commit, *both))
        _, _, body = commit.message.lstrip(b"\n").partition(b"\n")
        subject = commit.message.lstrip(b"\n").partition(b"\n")[0]
        return tuple(
            NewCommit(commit, (half,), b"%s (%d/2)\n%s" % (subject, number, body))
            for number, half in enumerate(both, 1)
        )

    def _message(self, line: CommitLine, commit: Commit) -> bytes:
        if not line.message or line.message == commit.subject:
            self.problems.append(Problem(line.line, f"reword {line.name}: the new subject is missing"))
        if "\n" in line.message:
            return f"{line.message.strip()}\n".encode()
        _, _, body = commit.message.lstrip(b"\n").partition(b"\n")
        return line.message.encode() + b"\n" + body

    def _commit(self, line: CommitLine) -> Commit | None:
        own = [commit for _, commits in self.today for commit in commits]
        fitting = [commit for commit in own if commit.oid.startswith(line.name)] if len(line.name) >= _LEAST else []
        if len(fitting) == 1:
            return fitting[0]
        what = f"names {len(fitting)} commits" if fitting else "is no own commit of the stack"
        self.problems.append(Problem(line.line, f"{line.name} {what}"))
        return None

    def complete(self, last: int) -> None:
        """Find the entries and commits that no line names."""
        for entry, commits in self.today:
            if entry.label not in self.seen:
                self.problems.append(
                    Problem(last, f"{entry.label} is missing: to lose it, write `remove {entry.label}`")
                )
            for commit in commits:
                if commit.oid not in self.seen:
                    name = short(commit.oid)
                    lost = f'{name} "{commit.subject}" is missing: to lose it, write `drop {name}`'
                    self.problems.append(Problem(last, lost))
        if not self.made and not self.problems:
            self.problems.append(Problem(last, "no entry would be left"))


def _joined(into: NewCommit, commit: Commit, *, keeps_message: bool) -> NewCommit:
    """Return a commit with the change of another one, and with both messages if wanted."""
    message = into.message
    if keeps_message:
        first = into.source.message if message is None else message
        message = first.rstrip(b"\n") + b"\n\n" + commit.message.lstrip(b"\n")
    return NewCommit(into.source, (*into.changes, commit), message)


def described(today: Today, stack: WantedStack) -> Iterator[tuple[EntryKey, str]]:
    """Yield for each entry of the wanted stack that changes what changes, in a few words."""
    before = {entry.key: [commit.oid for commit in commits] for entry, commits in today}
    order = [entry.key for entry, _ in today]
    kept = [each.entry.key for each in stack.entries if each.entry.key in before]
    remaining = [key for key in order if key in kept]
    for position, each in enumerate(stack.entries):
        key, words = each.entry.key, list[str]()
        if key not in before:
            words.append("new")
        elif remaining.index(key) != kept.index(key):
            below = stack.entries[position - 1].entry.key if position else None
            words.append(f"moved onto {labelled(below) if below is not None else 'the base of the stack'}")
        parts = {half.oid: commit.oid for commit, *both in stack.split for half in both}
        halved = [parts.get(change.oid, change.oid) for new in each.commits for change in new.changes]
        now = list(dict.fromkeys(halved))
        words += [f"splits {short(name)}" for name in now if halved.count(name) > 1]
        taken = [short(name) for name in now if name not in before.get(key, [])]
        lost = [short(name) for name in before.get(key, []) if name not in now]
        words += [f"takes {', '.join(taken)}"] if taken else []
        words += [f"loses {', '.join(lost)}"] if lost else []
        joined = [new for new in each.commits if len(new.changes) > 1]
        words += [f"joins commits into {short(new.source.oid)}" for new in joined]
        reworded = [
            new
            for new in each.commits
            if new.message is not None and new not in joined and new.changes[0].oid not in parts
        ]
        words += [f"rewords {short(new.source.oid)}" for new in reworded]
        if not taken and not lost and key in before and sorted(now) == sorted(before[key]) and now != before[key]:
            words.append("orders its commits anew")
        if words:
            yield key, "; ".join(words)
