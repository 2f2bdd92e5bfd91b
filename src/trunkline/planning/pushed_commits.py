"""Commits that somebody pushed to an entry's branch since the run began: named, asked about, never taken unseen.

The run's first record holds where each branch was, here and on the remote, when its plan was made. What is on the
remote beyond that is not what the person who began the run has seen, so `--yes` does not cover it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Paused, Refused
from trunkline.domain.names import Oid, oid, pr_number, short
from trunkline.domain.stack import Entry
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.git import history
from trunkline.state.journal import Run

_SHOWN_DIGITS, _LEAST_DIGITS = 12, 7


@dataclass(frozen=True)
class Began:
    """Where an entry's branch was when the run began.

    Attributes:
        local: the local branch's tip; None: there was none.
        known: tips that whoever began the run knows of: here, on the remote, and what the run itself made since.
        included: tips that a person has said to take in since.
    """

    local: Oid | None
    known: frozenset[Oid]
    included: frozenset[Oid] = frozenset()


def heads(context: Context) -> dict[str, dict[str, Oid | None]]:
    """Return where the branches are as last looked at, as a run's first record has it."""
    entries = context.stack.entries if context.stacked else (context.entry,)
    states = {entry.pr: context.of(entry).world().local for entry in entries}
    return {str(pr): {"local": state.local, "remote": state.remote} for pr, state in states.items()}


def remember(context: Context, recorded: Mapping[str, Any], run: Run | None = None) -> None:
    """Take over from a run's first record where its branches were, and from the rest what it made of them."""
    for number, tips in recorded.items():
        pr = pr_number(number)
        made, included = _made(context.stack.entry(pr), run) if run is not None else (frozenset(), frozenset())
        start = frozenset(oid(str(tip)) for tip in tips.values() if tip)
        local = oid(str(tips["local"])) if tips["local"] else None
        context.cache.began[pr] = Began(local, start | made | included, included)


def _made(entry: Entry, run: Run) -> tuple[frozenset[Oid], frozenset[Oid]]:
    """Return the tips that a run gave an entry's branch, and those that a person has included."""
    own = [record for record in run.records if record.data.get("branch") == entry.branch and record.data.get("new")]
    # A branch that the run created is what the remote had at that moment, not what the run made.
    made = (record for record in own if record.kind == "intent" and record.data.get("old"))
    included = (record for record in own if record.kind == "included")
    return (
        frozenset(oid(str(record.data["new"])) for record in made),
        frozenset(oid(str(record.data["new"])) for record in included),
    )


def commits(context: Context) -> tuple[Commit, ...]:
    """Return what is on the remote branch of the entry and was not there, nor here, when the run began."""
    began, world = _began(context), context.world()
    local = world.local
    if began is None or local.remote is None or local.remote in began.known:
        return ()
    known = [*began.known, world.trunk, *([local.local] if local.local else [])]
    absent = history.missing(context.git, known)
    return history.reachable(context.git, [local.remote], [tip for tip in known if tip not in absent])


def refuse(context: Context) -> None:
    """See that nothing was pushed to the entry's branch since the run began.

    Raises:
        Paused: something was; it is named, with the command that takes it in.
    """
    if found := commits(context):
        raise _paused(context, found)


def settle(context: Context, step_context: StepContext) -> None:
    """As `refuse`, before the branch is replayed: a person who can be asked may take it in at once.

    Raises:
        Paused: something was pushed, and nobody has said that it is to be taken in.
    """
    found = commits(context)
    if not found:
        return
    for line in _listed(found):
        context.reporter.progress(line)
    what = f"#{context.entry.pr} {context.entry.branch}: {count_of(len(found), 'commit')} pushed since the run began"
    if not context.reporter.ask_person(f"{what}. Take {'it' if len(found) == 1 else 'them'} in?"):
        raise _paused(context, found)
    include(context, step_context, found[-1].oid)


def include(context: Context, step_context: StepContext, tip: Oid) -> None:
    """Record that a person takes in what was pushed to the entry's branch, up to a commit."""
    step_context.note("included", context.entry, new=tip)
    began = _began(context)
    if began is not None:
        changed = replace(began, known=began.known | {tip}, included=began.included | {tip})
        context.cache.began[context.entry.pr] = changed


def named(context: Context, name: str) -> tuple[Entry, Oid]:
    """Return the entry on whose branch a commit has appeared, and the commit.

    Args:
        context: of the run.
        name: what `--include` says.

    Raises:
        Refused: nothing of that name has appeared on a branch of the run.
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
    """Return whether the remote branch holds all that was here when the run began, and the rest was taken in.

    The local branch is then what the run made of it; it is made again of what the remote has.
    """
    began = _began(context)
    if began is None or remote not in began.included or local not in began.known:
        return False
    return began.local is None or history.is_ancestor(context.git, began.local, remote)


def _began(context: Context) -> Began | None:
    found = context.cache.began.get(context.entry.pr)
    return found if isinstance(found, Began) else None


def _listed(found: tuple[Commit, ...]) -> list[str]:
    return [f'{short(commit.oid)} {commit.author_name}: "{commit.subject}"' for commit in found]


def _paused(context: Context, found: tuple[Commit, ...]) -> Paused:
    entry, count = context.entry, count_of(len(found), "commit")
    return Paused(
        f"#{entry.pr} {entry.branch}: {count} pushed to {context.stack.remote} since this run began",
        why="\n".join(_listed(found))
        + "\nnobody who began the run has seen that: --yes does not cover it. Take it in, or go back:",
        next_command=(task_command("continue", "--include", found[-1].oid[:_SHOWN_DIGITS]), task_command("abort")),
    )
