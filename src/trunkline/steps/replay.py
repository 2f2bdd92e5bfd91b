"""Step `onto`, shown as replay: replay the entry's own commits onto its base."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from trunkline.context.open_run import go_on
from trunkline.context.project import Reporter
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import same_command, task_command
from trunkline.domain.commits import Commit, counted
from trunkline.domain.errors import Paused
from trunkline.domain.names import Oid, short
from trunkline.domain.replay_plan import Replay, ReplayPlan, ReplayPreview
from trunkline.domain.replayed import Replayed
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import Pause, StepContext
from trunkline.git import history, local_refs, replay
from trunkline.operations import conflict, inclusion, local_branch
from trunkline.operations.local_branch import refuse_unmovable
from trunkline.planning import update_merge
from trunkline.planning.replay_plan import against_merge, preview_replay, refuse_nothing_left, signing, still_holds


def plan(scope: Scope) -> Step:
    """Plan the step, with fork point and predicted conflicts if the history is local."""
    command = f"git rebase --onto {shlex.quote(scope.tracking)} FORK_POINT {shlex.quote(scope.entry.branch)}"
    return Step(StepName.REPLAY, f"replay the entry's own commits onto {scope.tracking}", (command,), mutates=True)


def forecast(view: View, *, moves: bool = True) -> tuple[Step, View]:
    """Plan the step in detail by computing the same replay in memory; no ref moves.

    An entry above a predicted conflict cannot be computed: it is planned without details.

    Args:
        view: the entry.
        moves: the step is part of the plan, so the branch must be movable.

    Returns:
        The step, and the view after it, in which later steps and entries are planned.

    Raises:
        Refused: see `preview_replay`; or the branch cannot be moved.
    """
    if (blocking := blocked_by(view)) is not None:
        description = f"replay its own commits, once the conflict of {blocking.label} is resolved"
        return Step(StepName.REPLAY, description, mutates=True), view
    preview = preview_replay(view)
    work, done = preview.work, preview.done
    if not (view.stacked or preview.nothing or done.conflict):
        against_merge(view, work, done)  # for a whole stack, `check_predictions` checks all entries at once
    if moves:
        # After a conflict, the new tip of the branch is not known yet.
        new = work.local or work.tip if done.conflict else done.tip
        if not (view.stacked and preview.nothing and new == view.local.local):  # its checkout may have any changes
            local_branch.check_move(view, view.local, new)
    after = view.with_replay(preview)
    by_merge = update_merge.is_enabled(view.project) and not update_merge.obstacle(view.project, work, done)
    command = f"git rebase --onto {work.base} {work.fork} {shlex.quote(view.entry.branch)}"
    if by_merge:
        command = f"git merge {shlex.quote(work.base_name)}"
    if preview.nothing:
        return _planned_up_to_date(view, work), after
    if by_merge:
        description = f"merge {work.base_name} into it, with the tree of a replay of {counted(len(work.own))}; "
        return Step(StepName.REPLAY, description + _expected(done), (command,), mutates=True), after
    description = (
        f"replay {counted(len(work.own))} onto {work.base_name}, fork point {short(work.fork)} ({work.about}); "
    )
    warnings = [note for note in work.notes if note.startswith("warning: ")]
    description = "; ".join([description + _expected(done), *warnings])
    return Step(StepName.REPLAY, description, (command,), mutates=True), after


def _planned_up_to_date(view: View, work: ReplayPlan) -> Step:
    """Return the step of an entry that sits on its base; its local branch may move to the remote's version."""
    up_to_date = f"already up to date ({counted(len(work.own))} on {work.base_name})"
    if work.local is None or work.local == work.tip:
        return Step(StepName.REPLAY, up_to_date, ())
    command = local_branch.move_command(view.local, new=work.tip, old=work.local)
    return Step(StepName.REPLAY, "; ".join((up_to_date, *work.notes)), (command,), mutates=True)


def blocked_by(view: View) -> Entry | None:
    """Return the lowest entry below with a predicted conflict; None if there is none."""
    below = view.stack.below(view.entry)
    return next((entry for entry in below if _conflicts(view.of(entry))), None)


def check_predictions(view: View, entries: Sequence[Entry]) -> None:
    """Check every predicted replay against git's own merges, in one process, before anything moves.

    Raises:
        Refused: see `against_merge`.
    """
    planned = [view.decisions.replays.get(entry.key) for entry in entries]
    whole = [each for each in planned if each is not None and not each.nothing and not each.done.conflict]
    replay.three_ways(view.git, [(each.work.fork, each.work.base, each.work.tip) for each in whole])
    history.read_commits(view.git, [new for each in whole for _, new in each.done.mapped])
    for entry in entries:
        preview = view.decisions.replays.get(entry.key)
        if preview is not None and preview in whole:
            against_merge(view.of(entry), preview.work, preview.done)


def after_landing(view: View, below: Entry) -> str:
    """Describe the replay for the time after the open entry below has landed with the same tree."""
    preview = view.decisions.replays[view.entry.key]
    own = counted(len(preview.work.own))
    return f"replay {own} onto {view.tracking}, once {below.label} is in it; {_expected(preview.done)}"


def _expected(done: Replay) -> str:
    if done.conflict is None:
        made = sorted({path for _, path in done.regenerated})
        message = f"no conflict but in {', '.join(made)}, which cargo regenerates" if made else "no conflict"
        message += f"; {counted(len(done.emptied))} will be empty" if done.emptied else ""
        return message + (f"; {counted(len(done.dropped))} left out, now empty" if done.dropped else "")
    return f"conflict in {short(done.conflict[0].oid)}: {', '.join(done.conflict[1])}"


def _conflicts(view: View) -> bool:
    preview = view.decisions.replays.get(view.entry.key)
    return preview is not None and preview.done.conflict is not None


def run(context: Context, step_context: StepContext) -> Outcome:
    """Replay the entry's own commits onto its base, verify the result, then move the branch.

    Raises:
        Refused: see `decide`; or the branch cannot be moved.
        Paused: somebody pushed to the branch after the run began.
        Pause: a commit conflicts; its work tree waits for the user.
    """
    inclusion.settle(context, step_context)
    preview = _as_planned(context)
    if preview.nothing:
        return _nothing(context, step_context, preview.work)
    refuse_unmovable(context.view().local)
    if _left_out(context.reporter, preview):
        preview = preview_replay(context.view(), drop_emptied=True)
    return conclude(context, step_context, preview.work, preview.done)


def _left_out(reporter: Reporter, preview: ReplayPreview) -> bool:
    """Return whether to drop commits that became empty: prompt, unless all would be dropped."""
    done, own = preview.done, preview.work.own
    if done.conflict or not 0 < len(done.emptied) < len(own):
        return False
    subjects = {new: commit.subject for commit, (_, new) in zip(own, done.mapped, strict=True)}
    for name in done.emptied:
        message = f'"{subjects[name]}" is now empty: {preview.work.base_name} already has its changes'
        reporter.progress(f"{short(name)} {message}")
    return reporter.ask(f"Leave {'it' if len(done.emptied) == 1 else 'them'} out?")


def _as_planned(context: Context) -> ReplayPreview:
    """Observe again; reuse the planned replay if nothing changed, else plan anew."""
    view, planned = context.view(), context.run.planned.get(context.entry.key)
    if planned is not None and still_holds(planned, view):
        return structs.replace(planned, work=structs.replace(planned.work, local=view.local.local))
    return preview_replay(view)


class ManualDecisions(msgspec.Struct, frozen=True):
    """Commits that the user resolved by hand, and commits that the user skipped."""

    resolved: tuple[Oid, ...] = ()
    skipped: tuple[Oid, ...] = ()


NO_DECISIONS = ManualDecisions()


def conclude(
    context: Context,
    step_context: StepContext,
    work: ReplayPlan,
    done: Replay,
    by_hand: ManualDecisions = NO_DECISIONS,
) -> Outcome:
    """Verify a replay and move the branch to it; pause if it ended at a conflict.

    Raises:
        Refused: no commit of the entry would be left, the result is wrong, or the branch moved.
        Pause: a commit conflicts; its work tree waits for the user.
    """
    if done.conflict:
        raise pause(context, step_context, work, done, by_hand)
    out_of_it = structs.replace(done, dropped=(*done.dropped, *by_hand.skipped))
    refuse_nothing_left(context.entry, work, out_of_it, first=(task_command("abort"),))
    kept = [commit for commit in work.own if commit.oid not in out_of_it.dropped]
    head = _verified_head(context, work, done, kept, by_hand)
    local_refs.back_up(context.git, step_context.lock, context.entry.branch, work.tip)
    local_branch.move(context, step_context, new=head.oid, old=work.local, why=f"rebased onto {work.base_name}")
    kept_work = conflict.retire_worktree(context.git, step_context, onto=done.tip, taken=_taken(done, by_hand))
    empty = _kept_empty(context.view(), work, done, kept)
    notes = (*work.notes, *_regenerated(done), *empty, *_left_out_lines(work, done, by_hand), *head.remarks)
    resolved, skipped = by_hand.resolved, by_hand.skipped
    return Outcome(
        "merged" if head.is_merge else "rebased",
        f"{counted(len(kept))}, fork point {short(work.fork)} ({work.about}), {_conflict_summary(by_hand)}",
        StepStatus.WARNED if empty or skipped else StepStatus.DONE,
        (*notes, *kept_work.lines()),
        _facts(context.entry, work, done, by_hand, head),
        replayed=_replayed(
            context.entry,
            work,
            head.oid,
            mapped=head.mapped,
            dropped=done.dropped,
            resolved=resolved,
            skipped=skipped,
        ),
    )


def _facts(entry: Entry, work: ReplayPlan, done: Replay, by_hand: ManualDecisions, head: _Head) -> dict[str, object]:
    """Return what the step's outcome holds as JSON values."""
    return {
        **work.facts(),
        "branch": entry.branch,
        "new": head.oid,
        "mapped": [list(pair) for pair in head.mapped],
        "resolved": list(by_hand.resolved),
        "skipped": list(by_hand.skipped),
        "emptied": list(done.emptied),
        "dropped": list(done.dropped),
        "regenerated": [list(each) for each in done.regenerated],
    }


class _Head(msgspec.Struct, frozen=True):
    """The commit that the branch moves to.

    Attributes:
        oid: the commit: the replay's tip, or a merge with its tree.
        mapped: each own commit with the one that it became.
        remarks: messages for the user.
        is_merge: it is a merge.
    """

    oid: Oid
    mapped: tuple[tuple[Oid, Oid], ...]
    remarks: tuple[str, ...]
    is_merge: bool


def _verified_head(
    scope: Scope, work: ReplayPlan, done: Replay, kept: Sequence[Commit], by_hand: ManualDecisions
) -> _Head:
    """Verify a replay, and make a merge of it if stack.toml asks for one.

    Raises:
        Refused: the result is wrong.
    """
    git, differs = scope.git, ""
    is_wanted = update_merge.is_enabled(scope.project)
    again = is_wanted and update_merge.is_merge(git, work, done.tip)
    if not again:  # a killed process had moved the branch to the merge already, after these checks
        replay.check_replayed(git, kept, base=work.base, tip=done.tip)
        differs = against_merge(scope, work, done) if by_hand == NO_DECISIONS else ""
    out_of_it = structs.replace(done, dropped=(*done.dropped, *by_hand.skipped))
    why_not = update_merge.obstacle(scope.project, work, out_of_it) if is_wanted else ""
    remarks = tuple(line for line in (differs, why_not) if line)
    if not is_wanted or why_not:
        return _Head(done.tip, tuple(done.mapped), remarks, is_merge=again)
    sign, branch = signing(scope.project), scope.entry.branch
    new = done.tip if again else update_merge.merged(git, work, done, branch=branch, sign=sign)
    mapped = tuple((commit.oid, commit.oid) for commit in kept)  # they keep their ids
    return _Head(new, mapped, remarks, is_merge=again or new != done.tip)


def _regenerated(done: Replay) -> list[str]:
    verified = "was regenerated by cargo; the gates verify it"
    return [f"{path} of {short(name)} {verified}" for name, path in done.regenerated]


def _kept_empty(view: View, work: ReplayPlan, done: Replay, kept: Sequence[Commit]) -> list[str]:
    """Return a line for each commit that is empty now and was kept; one for all if nothing else is left."""
    if done.emptied and len(done.emptied) == len(kept):
        all_of_it = f"nothing is left of {view.entry.label}: {work.base_name} has all of it"
        pr = view.world.snapshot.pr(view.entry.key)
        closing = f"; to close it: gh pr close {pr.number}" if pr is not None and pr.state is PrState.OPEN else ""
        return [f"{all_of_it}{closing}"]
    task = "restack" if view.stacked else "rebase"  # `rebase` refuses an entry whose parents are open
    without = same_command({"drop-emptied": True}, pr=view.entry.key, otherwise=task)
    return [f"{short(name)} is now empty and is kept; to leave it out: {without}" for name in done.emptied]


def _left_out_lines(work: ReplayPlan, done: Replay, by_hand: ManualDecisions) -> list[str]:
    subjects = {commit.oid: commit.subject for commit in work.own}
    return [
        *(f'left out: {short(name)} "{subjects[name]}", which is now empty' for name in done.dropped),
        *(f'left out: {short(name)} "{subjects[name]}", skipped by hand' for name in by_hand.skipped),
    ]


def _replayed(entry: Entry, work: ReplayPlan, new: Oid, **commits: Any) -> Replayed:
    """Return the result for the journal; `commits` is what became of the entry's own."""
    became = tuple(made for old, made in commits.get("mapped", ()) if old in work.confirmed)
    return Replayed(
        branch=entry.branch, tip=work.tip, new=new, base=work.base, fork=work.fork, remote=work.remote,
        confirmed=(*work.confirmed, *became), **commits,
    )  # fmt: skip


def _taken(done: Replay, by_hand: ManualDecisions) -> list[Oid]:
    """Return the commits that the run made of resolutions."""
    return [new for old, new in done.mapped if old in by_hand.resolved]


def _conflict_summary(by_hand: ManualDecisions) -> str:
    """Return the number of conflicts and how they were resolved, in words."""
    counts = ((len(by_hand.resolved), "resolved by hand"), (len(by_hand.skipped), "left out by hand"))
    met = [f"{number} conflict{'s' * (number > 1)} {how}" for number, how in counts if number]
    return ", ".join(met) or "no conflict"


def _nothing(context: Context, step_context: StepContext, work: ReplayPlan) -> Outcome:
    local_branch.move(
        context, step_context, new=work.tip, old=work.local, why=f"caught up with {context.stack.remote}"
    )
    facts = {**work.facts(), "branch": context.entry.branch, "new": work.tip, "mapped": [], "resolved": []}
    message = f"already up to date ({counted(len(work.own))} on {work.base_name})"
    replayed = _replayed(context.entry, work, work.tip)
    return Outcome("rebased", message, StepStatus.NOTHING, work.notes, facts, replayed=replayed)


def pause(scope: Scope, step_context: StepContext, work: ReplayPlan, done: Replay, by_hand: ManualDecisions) -> Pause:
    """Create the work tree of a conflict, and return the pause with instructions."""
    assert done.conflict  # noqa: S101 -- checked by the caller
    commit, paths = done.conflict
    path, filled_in, kept = conflict.open_worktree(
        scope, step_context, onto=done.tip, commit=commit, taken=_taken(done, by_hand)
    )
    met = conflict.conflict_digests(path, paths)
    listed = "\n".join(f"  {name}" for name in paths)
    before = f"\nrerere filled in how you resolved {', '.join(filled_in)} before: look, then git add"
    earlier = conflict.earlier_resolutions(scope.state, met)
    known = (before if filled_in else "") + "".join(f"\n{line}" for line in (*earlier, *kept.lines()))
    entry, own = scope.entry, counted(len(work.own))
    error = Paused(
        f'conflict in {entry.full_label}: {short(commit.oid)} "{commit.subject}" does not apply to {work.base_name}',
        why=f"{len(done.mapped)} of {own} replayed; {entry.branch} itself has not moved. In"
        f" conflict:\n{listed}{known}\nresolve them in {path} and `git add` them there, then go on; or leave"
        " this commit out, or go back:",
        next_command=go_on(),
    )
    record = records.Paused(
        *step_context.about(entry),
        tip=work.tip,
        local=work.local,
        remote=work.remote,
        base=work.base,
        fork=work.fork,
        about=work.about,
        own=tuple(commit.oid for commit in work.own),
        base_name=work.base_name,
        notes=work.notes,
        unsigned=work.unsigned,
        worktree=str(path),
        onto=done.tip,
        rest=tuple(each.oid for each in done.rest),
        mapped=done.mapped,
        dropped=done.dropped,
        resolved=by_hand.resolved,
        skipped=by_hand.skipped,
        files=tuple(paths),
        conflicts={name: tuple(each) for name, each in met.items()},
    )
    return Pause(error, record)
