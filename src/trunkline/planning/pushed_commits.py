"""Detect commits that somebody pushed to an entry's branch after the run began.

The run's first record holds the local and remote tip of every branch at planning time. The user has
not seen anything that was pushed later, so `--yes` does not include it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from trunkline.context.project import Context
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Paused, Refused
from trunkline.domain.names import Oid, short
from trunkline.domain.stack import Entry
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.git import history
from trunkline.state.journal import Run

_SHOWN_DIGITS, _LEAST_DIGITS = 12, 7


@dataclass(frozen=True)
class InitialTips:
    """The tips of an entry's branch when the run began.

    Attributes:
        local: the local tip; None if there was no local branch.
        known: tips that need no confirmation: the local and remote tips at the start, and tips that
            the run itself made.
        included: later tips that the user has included.
    """

    local: Oid | None
    known: frozenset[Oid]
    included: frozenset[Oid] = frozenset()


def heads(context: Context) -> tuple[records.Head, ...]:
    """Return the last observed tips of all branches, in the form of a run's first record."""
    entries = context.stack.entries if context.stacked else (context.entry,)
    states = {entry.key: context.of(entry).world().local for entry in entries}
    return tuple(records.Head(pr, state.local, state.remote) for pr, state in states.items())


def remember(context: Context, recorded: Iterable[records.Head], run: Run | None = None) -> None:
    """Restore the initial tips from a run's first record, and later tips from the rest."""
    for head in recorded:
        pr = head.pr
        made, included = _made(context.stack.entry(pr), run) if run is not None else (frozenset(), frozenset())
        start = frozenset(tip for tip in (head.local, head.remote) if tip)
        context.cache.began[pr] = InitialTips(head.local, start | made | included, included)


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


def commits(context: Context) -> tuple[Commit, ...]:
    """Return the commits on the entry's remote branch that appeared after the run began."""
    began, world = _began(context), context.world()
    local = world.local
    if began is None or local.remote is None or local.remote in began.known:
        return ()
    known = [*began.known, world.trunk, *([local.local] if local.local else [])]
    absent = history.missing(context.git, known)
    found = history.reachable(context.git, [local.remote], [tip for tip in known if tip not in absent])
    return () if _is_rewrite(context, found, [tip for tip in known if tip not in absent]) else found


def _is_rewrite(context: Context, found: tuple[Commit, ...], known: list[Oid]) -> bool:
    """Return whether all commits are known ones with other ids: same change, author and message.

    GitHub rebases a native stack on the server after a merge, and then nothing new has appeared.
    """
    git = context.git
    if any(len(commit.parents) != 1 for commit in found):
        return False
    here = history.with_patch_ids(git, history.reachable(git, known, [context.world().trunk]))
    return all(
        any(commit.same_as(other) and commit.patch_id == other.patch_id for other in here)
        for commit in history.with_patch_ids(git, found)
    )


def refuse(context: Context) -> None:
    """Check that nothing was pushed to the entry's branch since the run began.

    Raises:
        Paused: commits were pushed; the error lists them and the command that includes them.
    """
    if found := commits(context):
        raise _paused(context, found)


def settle(context: Context, step_context: StepContext) -> None:
    """Check as `refuse` does, but prompt an interactive user to include the commits.

    Raises:
        Paused: commits were pushed, and the user did not include them.
    """
    found = commits(context)
    if not found:
        return
    for line in _listed(found):
        context.reporter.progress(line)
    what = f"{context.entry.full_label}: {count_of(len(found), 'commit')} pushed since the run began"
    if not context.reporter.ask_person(f"{what}. Take {'it' if len(found) == 1 else 'them'} in?"):
        raise _paused(context, found)
    include(context, step_context, found[-1].oid)


def include(context: Context, step_context: StepContext, tip: Oid) -> None:
    """Record that the user includes the commits pushed to the entry's branch, up to a tip."""
    step_context.note(records.Included(*step_context.about(context.entry), new=tip))
    began = _began(context)
    if began is not None:
        changed = replace(began, known=began.known | {tip}, included=began.included | {tip})
        context.cache.began[context.entry.key] = changed


def named(context: Context, name: str) -> tuple[Entry, Oid]:
    """Return the entry whose branch received a commit after the run began, and the commit.

    Args:
        context: the run's context.
        name: the value of `--include`, an abbreviated object id.

    Raises:
        Refused: no branch of the run received such a commit.
    """
    for entry in context.stack.entries if context.stacked else (context.entry,):
        for commit in commits(context.of(entry)):
            if len(name) >= _LEAST_DIGITS and commit.oid.startswith(name):
                return entry, commit.oid
    raise Refused(
        f"--include {name}: no commit of that name was pushed since the run began",
        why="nothing was changed",
        next_command=(task_command("continue"), task_command("abort")),
    )


def is_included(context: Context, local: Oid, remote: Oid) -> bool:
    """Return whether the remote branch extends the initial local tip by included commits.

    The local branch then holds the run's own replay, which is made again from the remote tip.
    """
    began = _began(context)
    if began is None or remote not in began.included or local not in began.known:
        return False
    return began.local is None or history.is_ancestor(context.git, began.local, remote)


def _began(context: Context) -> InitialTips | None:
    found = context.cache.began.get(context.entry.key)
    return found if isinstance(found, InitialTips) else None


def _listed(found: tuple[Commit, ...]) -> list[str]:
    return [f'{short(commit.oid)} {commit.author_name}: "{commit.subject}"' for commit in found]


def _paused(context: Context, found: tuple[Commit, ...]) -> Paused:
    entry, count = context.entry, count_of(len(found), "commit")
    return Paused(
        f"{entry.full_label}: {count} pushed to {context.stack.remote} since this run began",
        why="\n".join(_listed(found))
        + "\nnobody who began the run has seen that: --yes does not cover it. Take it in, or go back:",
        next_command=(task_command("continue", "--include", found[-1].oid[:_SHOWN_DIGITS]), task_command("abort")),
    )
