"""Decide which staged hunk belongs to which own commit of the stack, and predict every conflict in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from trunkline.domain.absorb import Absorbed, Hunk, target_of
from trunkline.domain.commits import Commit
from trunkline.domain.names import EntryKey, Oid, short
from trunkline.domain.rewrite import NewCommit
from trunkline.domain.stack import Entry
from trunkline.git import hunks, replay, rewrite
from trunkline.git.git import Git
from trunkline.git.hunks import StagedFile
from trunkline.planning.rewrite_plan import OpenEntry

_OUTSIDE = "its lines were last changed outside the stack, by {}"
_ALONE = "it has no neighbouring lines of a commit of the stack"


class Absorption(msgspec.Struct, frozen=True):
    """The decision about all staged changes.

    Attributes:
        rows: each change with the commit that takes it, or the reason why it stays staged.
        wanted: the commits that each entry shall have, from the lowest that changes; empty: none.
        tree: the tree of the checked out branch afterwards.
    """

    rows: tuple[Absorbed, ...]
    wanted: Mapping[EntryKey, tuple[NewCommit, ...]] = msgspec.field(default_factory=dict)
    tree: Oid | None = None


def in_reach(entries: Sequence[OpenEntry]) -> tuple[OpenEntry, ...]:
    """Return the entries, up to the last, whose commits the last one's branch contains as they are now."""
    reached = [entries[-1]]
    for below in reversed(entries[:-1]):
        if reached[0].fork != below.tip:
            break
        reached.insert(0, below)
    return tuple(reached)


def decide(git: Git, entries: Sequence[OpenEntry], index: Oid) -> Absorption:
    """Give each staged hunk to the own commit that last touched its lines.

    A hunk whose lines belong to no own commit, or that would conflict, stays staged.

    Args:
        git: the repository.
        entries: see `in_reach`; the last one is checked out.
        index: the tree of the index.
    """
    decision = _Decision(git, tuple(entries), hunks.staged_files(git, entries[-1].tip, index))
    decision.by_blame()
    accepted = decision.without_conflicts(replay.committer(git))
    return decision.result(accepted)


class _Decision:
    """The target of each hunk, and the reasons of those without one."""

    def __init__(self, git: Git, entries: tuple[OpenEntry, ...], files: tuple[StagedFile, ...]) -> None:
        self.git, self.entries, self.files = git, entries, files
        self.head = entries[-1].tip
        self.order = [commit.oid for each in entries for commit in each.own]
        self.owner: dict[Oid, tuple[Entry, Commit]] = {
            commit.oid: (each.entry, commit) for each in entries for commit in each.own
        }
        self.targets: dict[Hunk, Oid] = {}
        self.left: dict[Hunk, str] = {}

    def by_blame(self) -> None:
        """Find the commit of every hunk among the own commits of the stack."""
        for file in (each for each in self.files if each.hunks):
            known = hunks.blamed(self.git, file.path, file.hunks, since=self.entries[0].fork, head=self.head)
            for hunk in file.hunks:
                if (target := target_of(hunk, known, self.order)) is not None:
                    self.targets[hunk] = target
                else:
                    outside = sorted({short(known[line]) for line in hunk.neighbours if line in known})
                    self.left[hunk] = _OUTSIDE.format(", ".join(outside)) if outside else _ALONE

    def without_conflicts(self, by: str) -> tuple[Hunk, ...]:
        """Return the hunks that can be taken in together; the others get the conflict as their reason."""
        accepted = tuple(self.targets)
        if self._conflict(accepted, by) is None:
            return accepted
        accepted = ()
        for hunk in self.targets:
            conflict = self._conflict((*accepted, hunk), by)
            if conflict is None:
                accepted = (*accepted, hunk)
            else:
                at = conflict.into.source
                self.left[hunk] = f'it would conflict at {short(at.oid)} "{at.subject}"'
        return accepted

    def _conflict(self, accepted: Sequence[Hunk], by: str) -> rewrite.Conflict | None:
        wanted, onto = self.wanted(accepted), None
        for each in self.entries:
            if each.entry.key not in wanted:
                continue
            written = rewrite.write(self.git, wanted[each.entry.key], onto or each.fork, by=by)
            if written.conflict is not None:
                return written.conflict
            onto = written.tip
        return None

    def wanted(self, accepted: Sequence[Hunk]) -> dict[EntryKey, tuple[NewCommit, ...]]:
        """Return the commits that each entry shall have, from the lowest that takes a hunk."""
        by_target: dict[Oid, dict[str, list[Hunk]]] = {}
        for hunk in accepted:
            by_target.setdefault(self.targets[hunk], {}).setdefault(hunk.path, []).append(hunk)
        before = self.git.tree(self.head)
        change = {
            target: rewrite.change_of(self.git, before, hunks.tree_of(self.git, self.head, self.files, chosen))
            for target, chosen in by_target.items()
        }
        found: dict[EntryKey, tuple[NewCommit, ...]] = {}
        for each in self.entries:
            if found or any(commit.oid in change for commit in each.own):
                found[each.entry.key] = tuple(
                    NewCommit(commit, (commit, change[commit.oid]))
                    if commit.oid in change
                    else NewCommit.unchanged(commit)
                    for commit in each.own
                )
        return found

    def result(self, accepted: Sequence[Hunk]) -> Absorption:
        """Return the decision."""
        rows = [
            Absorbed(hunk.path, max(hunk.start, 1), *self.owner[self.targets[hunk]])
            if hunk in accepted
            else Absorbed(hunk.path, max(hunk.start, 1), left=self.left[hunk])
            for file in self.files
            for hunk in file.hunks
        ]
        rows += [Absorbed(file.path, 0, left=file.whole) for file in self.files if file.whole]
        if not accepted:
            return Absorption(tuple(rows))
        chosen: dict[str, list[Hunk]] = {}
        for hunk in accepted:
            chosen.setdefault(hunk.path, []).append(hunk)
        tree = hunks.tree_of(self.git, self.head, self.files, chosen)
        return Absorption(tuple(rows), self.wanted(accepted), tree)
