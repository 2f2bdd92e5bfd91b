"""Detect commits that somebody pushed to an entry's branch after the run began.

The run's first record holds the local and remote tip of every branch at planning time. The user has
not seen anything that was pushed later, so `--yes` does not include it.
"""

from __future__ import annotations

from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.decisions import InitialTips
from trunkline.domain.errors import Paused, Refused
from trunkline.domain.names import EntryKey, Oid, short
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import StepName
from trunkline.domain.words import count_of
from trunkline.git import history
from trunkline.state.journal import Run

_SHOWN_DIGITS, _LEAST_DIGITS = 12, 7


def heads(view: View) -> tuple[records.Head, ...]:
    """Return the last observed tips of all branches, in the form of a run's first record."""
    entries = view.stack.entries if view.stacked else (view.entry,)
    states = {entry.key: view.of(entry).local for entry in entries}
    return tuple(records.Head(pr, state.local, state.remote) for pr, state in states.items())


def initial_tips(stack: Stack, begun: records.RunStarted, run: Run | None = None) -> dict[EntryKey, InitialTips]:
    """Return the initial tips from a run's first record, with the later ones from the rest.

    Args:
        stack: the stack.
        begun: the first record.
        run: the run, if it is resumed.
    """
    found = {}
    replayed = {step.pr for step in begun.steps if step.name is StepName.REPLAY}
    for head in begun.heads:
        made, included = _made(stack.entry(head.pr), run) if run is not None else (frozenset(), frozenset())
        start = frozenset(tip for tip in (head.local, head.remote) if tip)
        found[head.pr] = InitialTips(
            head.local, start | made | included, included, replayed=not replayed.isdisjoint({None, head.pr})
        )
    return found


def _made(entry: Entry, run: Run) -> tuple[frozenset[Oid], frozenset[Oid]]:
    """Return the tips that a run gave an entry's branch, and those that the user included."""
    made, included = set(), set()
    for record in run.records:
        match record:
            # A branch that the run created has the remote's tip: not a commit that the run made.
            case records.BranchMoved(branch=entry.branch, old=str()) | records.BranchPushed(branch=entry.branch):
                made.add(record.new)
            case records.Included(branch=entry.branch):
                included.add(record.new)
            case _:
                pass
    return frozenset(made), frozenset(included)


def commits(view: View) -> tuple[Commit, ...]:
    """Return the commits on the entry's remote branch that appeared after the run began."""
    began, world, local = _began(view), view.world, view.local
    if began is None or local.remote is None or local.remote in began.known:
        return ()
    known = [*began.known, world.trunk, *([local.local] if local.local else [])]
    absent = history.missing(view.git, known)
    found = history.reachable(view.git, [local.remote], [tip for tip in known if tip not in absent])
    return () if _is_rewrite(view, found, [tip for tip in known if tip not in absent]) else found


def _is_rewrite(view: View, found: tuple[Commit, ...], known: list[Oid]) -> bool:
    """Return whether all commits are known ones with other ids: same change, author and message.

    GitHub rebases a native stack on the server after a merge, and then nothing new has appeared.
    """
    git = view.git
    if any(len(commit.parents) != 1 for commit in found):
        return False
    reachable = history.with_patch_ids(git, history.reachable(git, known, [view.world.trunk]))
    return all(
        any(commit.same_as(other) and commit.patch_id == other.patch_id for other in reachable)
        for commit in history.with_patch_ids(git, found)
    )


def refuse(view: View) -> None:
    """Check that nothing was pushed to the entry's branch since the run began.

    Raises:
        Paused: commits were pushed; the error lists them and the command that includes them.
    """
    if found := commits(view):
        raise paused(view, found)


def named(view: View, name: str) -> tuple[Entry, Oid]:
    """Return the entry whose branch received a commit after the run began, and the commit.

    Args:
        view: the run's context.
        name: the value of `--include`, an abbreviated object id.

    Raises:
        Refused: no branch of the run received such a commit.
        Paused: the run does not replay the branch.
    """
    for entry in view.stack.entries if view.stacked else (view.entry,):
        for commit in commits(view.of(entry)):
            if len(name) >= _LEAST_DIGITS and commit.oid.startswith(name):
                if not _replays(view.of(entry)):
                    raise paused(view.of(entry), (commit,))
                return entry, commit.oid
    raise Refused(
        f"--include {name}: no commit of that name was pushed since the run began",
        why="nothing was changed",
        next_command=(task_command("continue"), task_command("abort")),
    )


def is_included(view: View, local: Oid, remote: Oid) -> bool:
    """Return whether the remote branch extends the initial local tip by included commits.

    The local branch then holds the run's own replay, which is made again from the remote tip.
    """
    began = _began(view)
    if began is None or remote not in began.included or local not in began.known:
        return False
    return began.local is None or history.is_ancestor(view.git, began.local, remote)


def _replays(view: View) -> bool:
    began = _began(view)
    return began is None or began.replayed


def _began(view: View) -> InitialTips | None:
    return view.decisions.initial_tips.get(view.entry.key)


def listed(found: tuple[Commit, ...]) -> list[str]:
    """Return a line for each commit: its id, author and subject."""
    return [f'{short(commit.oid)} {commit.author_name}: "{commit.subject}"' for commit in found]


def paused(view: View, found: tuple[Commit, ...]) -> Paused:
    """Return the error for commits that were pushed since the run began.

    If the run replays the branch, the error has the command that includes them.
    """
    entry, count = view.entry, count_of(len(found), "commit")
    including = (task_command("continue", "--include", found[-1].oid[:_SHOWN_DIGITS]),) if _replays(view) else ()
    choice = (
        "the plan did not show it, so --yes does not cover it. Include it, or go back:"
        if including
        else f"this task replays nothing, so it cannot include it. Go back, then {task_command('restack')}:"
    )
    return Paused(
        f"{entry.full_label}: {count} pushed to {view.stack.remote} since this run began",
        why="\n".join([*listed(found), choice]),
        next_command=(*including, task_command("abort")),
    )
