"""Ask before a replay whose result depends on a parent that trunk reverted."""

from __future__ import annotations

import shlex

from trunkline.context.scope import resolve_fork_point
from trunkline.context.view import View
from trunkline.domain.command import same_command
from trunkline.domain.commits import Commit, counted
from trunkline.domain.errors import Paused
from trunkline.domain.names import short
from trunkline.domain.replay_plan import Replay, ReplayPlan
from trunkline.domain.reverts import Reverted
from trunkline.git import history
from trunkline.planning.merged import reverted_below
from trunkline.planning.parents import open_below


def refuse_undecided(view: View, work: ReplayPlan, done: Replay) -> None:
    """Check that the result of a replay does not depend on a parent that trunk reverted.

    It depends if a commit that changes a path of the revert conflicts or becomes empty. Any other replay has
    the same result with and without the parent: a warning suffices. A branch that contains the revert has been
    replayed onto it before.

    Raises:
        Paused: it depends, and `--fork-point` does not answer for the entry.
    """
    is_as_before = not (done.conflict or done.emptied or done.dropped)
    if is_as_before or open_below(view) is not None or resolve_fork_point(view) is not None:
        return
    for reverted in reverted_below(view):
        if history.is_ancestor(view.git, reverted.by, work.tip):
            continue
        undone = frozenset(_changed(view, history.read_commits(view.git, [reverted.by])[0]))
        affected = (
            _line(commit, undone.intersection(paths), end) for commit, paths, end in _affected(view, work, done)
        )
        lines = [line for line in affected if line]
        if lines:
            raise _question(view, work, reverted, lines)


def _affected(view: View, work: ReplayPlan, done: Replay) -> list[tuple[Commit, tuple[str, ...], str]]:
    """Return the own commits that conflict or become empty, each with its paths and its outcome in words."""
    empty = {old for old, new in done.mapped if new in done.emptied} | {*done.dropped}
    found = [(commit, _changed(view, commit), "would be empty") for commit in work.own if commit.oid in empty]
    return [*found, (*done.conflict, "conflicts")] if done.conflict else found


def _changed(view: View, commit: Commit) -> tuple[str, ...]:
    return history.differing(view.git, view.git.tree(commit.parents[0]), commit.tree) if commit.parents else ()


def _line(commit: Commit, paths: frozenset[str], end: str) -> str:
    return f'{short(commit.oid)} "{commit.subject}" {end}: {", ".join(sorted(paths))}' if paths else ""


def _question(view: View, work: ReplayPlan, reverted: Reverted, lines: list[str]) -> Paused:
    entry, number = view.entry, reverted.number
    effect = f"replays {counted(len(work.own))} without the changes of #{number}"
    switch = f"git switch --create reapply-{number} {shlex.quote(view.world.trunk)}"
    brings = f"{switch} && git revert --no-edit {reverted.by}"
    return Paused(
        f"{entry.full_label}: {reverted.in_words(view.tracking)}, and the result of its replay depends on that;"
        " a person must decide, and its branch stays as it is until then",
        why="\n".join(lines),
        next_command=(
            same_command({"fork-point": str(work.fork)}, pr=entry.key, comment=effect),
            f"{brings}   # brings #{number} back, for a pull request of its own",
        ),
    )
