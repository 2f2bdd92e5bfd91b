"""Plan the rewrite of entries in memory: the open entries as they are, and as they shall be. No ref moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused
from trunkline.domain.names import EntryKey, Oid, short
from trunkline.domain.replayed import Replayed
from trunkline.domain.rewrite import NewCommit, Rewrite
from trunkline.domain.stack import Entry
from trunkline.git import replay, rewrite
from trunkline.git.rewrite import Written
from trunkline.planning import heads, own_merges
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import dropped_signatures, own_commits, refuse_unanswered, signing


class OpenEntry(msgspec.Struct, frozen=True):
    """An open entry as it is now.

    Attributes:
        entry: the entry.
        tip: its head.
        local: the local branch; None if there is none.
        remote: the remote branch; None if there is none.
        fork: the commit below its own commits.
        own: its own commits, oldest first.
    """

    entry: Entry
    tip: Oid
    local: Oid | None
    remote: Oid | None
    fork: Oid
    own: tuple[Commit, ...]


class RewriteConflict(Refused):
    """A change does not apply at its new place, as predicted in memory; nothing was changed (exit code 5)."""


def open_entries(view: View, *, task: str) -> tuple[OpenEntry, ...]:
    """Return the open entries with their own commits, bottom first.

    Args:
        view: the stack.
        task: the task to type again with an answer.

    Raises:
        Paused: the user must decide which commits are an entry's own.
        Refused: a branch and its remote branch have diverged.
    """
    heads.load(view)
    entries = view.open_entries()
    try:
        return tuple(_now(view.of(entry)) for entry in entries)
    except OwnCommitsUnknown:
        refuse_unanswered(view, entries, task=task)  # collects the questions of all entries
        raise


def _now(view: View) -> OpenEntry:
    tip, local = heads.entry_tip(view).oid, view.local
    found = own_commits(view, tip)
    if found.questions:
        raise OwnCommitsUnknown(view.entry, found)
    return OpenEntry(view.entry, tip, local.local, local.remote, found.fork, found.own)


def rewritten(
    view: View,
    entries: Sequence[OpenEntry],
    wanted: Mapping[EntryKey, Sequence[NewCommit]],
    *,
    instead: str = "git commit   # makes it a commit of its own instead",
) -> tuple[Rewrite, ...]:
    """Write the wanted commits of some entries that follow one another, in memory, and check them.

    The lowest keeps its fork point; each of the others goes onto the new tip of the entry below.

    Args:
        view: the stack.
        entries: those entries as they are, bottom first.
        wanted: the commits that each shall have.
        instead: the next command after a predicted conflict.

    Raises:
        Refused: a change does not apply, a local branch lacks commits of the remote one, or a
            signature would be lost that stack.toml requires.
    """
    by, sign = replay.committer(view.git), signing(view.project)
    onto, made = entries[0].fork, []
    for each in entries:
        commits = tuple(wanted[each.entry.key])
        _refuse_unwritable(view, each)
        replay.load(view.git, each.own, view.git.tree(onto))
        written = rewrite.write(view.git, commits, onto, by=by, sign=sign)
        if written.conflict is not None:
            raise _conflict(each.entry, written.conflict, instead)
        rewrite.check(view.git, commits, written, onto=onto)
        made.append(_result(view.of(each.entry), each, commits, written, onto=onto, sign=sign))
        onto = written.tip
    return tuple(made)


def _result(
    view: View, each: OpenEntry, commits: Sequence[NewCommit], written: Written, *, onto: Oid, sign: bool
) -> Rewrite:
    mapped = [(new.source.oid, oid) for new, oid in zip(commits, written.commits, strict=True)]
    again = [new.source for new, oid in zip(commits, written.commits, strict=True) if oid != new.source.oid]
    signed = [] if sign else [commit for commit in again if commit.signed]
    held = {commit.oid for new in commits for commit in (new.source, *new.changes)}
    dropped = tuple(commit.oid for commit in each.own if commit.oid not in held)
    replayed = Replayed(
        branch=each.entry.branch, tip=each.tip, new=written.tip, base=onto, fork=each.fork, remote=each.remote,
        mapped=tuple(mapped), dropped=dropped,
    )  # fmt: skip
    return Rewrite(pr=each.entry.key, local=each.local, result=replayed, notes=dropped_signatures(view, signed))


def _refuse_unwritable(view: View, each: OpenEntry) -> None:
    entry = each.entry
    if each.local not in {None, each.tip}:
        raise Refused(
            f"{entry.full_label} lacks commits of its remote branch",
            why="they would be left out of the rewritten branch; nothing was changed",
            next_command=task_command("restack"),
        )
    own_merges.refuse(view.of(entry), each.own, each.tip, verb="rewritten")


def _conflict(entry: Entry, conflict: rewrite.Conflict, instead: str) -> RewriteConflict:
    source = conflict.into.source
    commit, moved = f'{short(source.oid)} "{source.subject}"', conflict.change in conflict.into.changes[:1]
    what = f"{commit} does not apply at its new place" if moved else f"the change does not apply at {commit}"
    return RewriteConflict(
        f"{entry.full_label}: {what}",
        why=f"conflict in {', '.join(conflict.paths)}, predicted in memory; nothing was changed",
        next_command=instead,
    )
