"""Resume a replay that paused at a conflict.

The stopped commit is taken as resolved, or skipped; then the following commits are replayed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import structs

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, branch_name, branch_ref, short
from trunkline.domain.records import Record
from trunkline.domain.replay_plan import Replay, ReplayPlan
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome
from trunkline.engine import StepContext
from trunkline.git import history, local_refs, refs, replay
from trunkline.git.git import Git
from trunkline.operations import conflict
from trunkline.operations.resolution import resolution
from trunkline.planning import update_merge
from trunkline.planning.replay_plan import resolver, signing
from trunkline.steps import replay as replay_step
from trunkline.steps.replay import ManualDecisions


class Stopped(msgspec.Struct, frozen=True):
    """The state of a paused replay, from the journal.

    Attributes:
        paused: the record of the pause.
        decided: the last decision that an earlier process, killed or failed, recorded for the stopped
            commit, or None.
        moved: the intent of a killed process to move the branch, or None.
    """

    paused: records.Paused
    decided: records.Resolved | None = None
    moved: records.BranchMoved | None = None


def stopped_at(pause: records.Paused, since: Sequence[Record]) -> Stopped:
    """Return the state of a paused replay, from its pause and the later records."""
    decided = next((record for record in reversed(since) if isinstance(record, records.Resolved)), None)
    moved = next((record for record in reversed(since) if isinstance(record, records.BranchMoved)), None)
    return Stopped(pause, decided, moved)


def run(context: Context, step_context: StepContext, stopped: Stopped, *, skip: bool = False) -> Outcome:
    """Resume a replay: take or skip the stopped commit, and replay the rest.

    Args:
        context: the entry's context.
        step_context: the step's arguments.
        stopped: the state of the replay.
        skip: skip the stopped commit.

    Raises:
        Pause: the conflict is not resolved yet, or a later commit conflicts too.
        Refused: the branch is not as the run left it, or no commit of the entry would be left.
    """
    paused = stopped.paused
    work = _work_of(context.git, paused)
    rest = history.read_commits(context.git, paused.rest)
    if stopped.moved is not None and _took_place(context, stopped.moved):
        work, _ = _with_later_commits(context, work, stopped.moved.old)
        return _conclude_moved(context, step_context, stopped, work, rest[0])
    ref = branch_ref(context.entry.branch)
    work, added = _with_later_commits(context, work, refs.read_ref(context.git, ref))
    rest = (*rest, *added)
    recorded = _recorded(context.git, stopped, skip=skip)
    if recorded is not None:
        decided = recorded
    elif skip:
        decided = _skip(context.entry, step_context, stopped, work, rest[0])
    else:
        decided = _resolve(context, step_context, paused, work, rest)
    return _replay_rest(context, step_context, paused, work, rest, decided)


def _work_of(git: Git, paused: records.Paused) -> ReplayPlan:
    return ReplayPlan(
        tip=paused.tip,
        local=paused.local,
        remote=paused.remote,
        base=paused.base,
        fork=paused.fork,
        about=paused.about,
        own=history.read_commits(git, paused.own),
        base_name=paused.base_name,
        notes=paused.notes,
        unsigned=paused.unsigned,
    )


def _took_place(scope: Scope, moved: records.BranchMoved) -> bool:
    """Return whether a killed process had completed its intended move of the branch."""
    ref, new = branch_ref(scope.entry.branch), moved.new
    tip = refs.read_ref(scope.git, ref)
    return tip is not None and history.has_object(scope.git, new) and history.is_ancestor(scope.git, new, tip)


def _with_later_commits(scope: Scope, work: ReplayPlan, tip: Oid | None) -> tuple[ReplayPlan, tuple[Commit, ...]]:
    """Return the plan with the commits that the user added to the branch during the pause.

    Raises:
        Refused: the branch was deleted, or does not extend the paused commits.
    """
    entry = scope.entry
    if tip == work.local:
        return work, ()
    if tip is None:
        raise Refused(
            f"{entry.label}: local branch {entry.branch} no longer exists",
            why=f"when the run paused it was at {work.local}; nothing was changed",
            next_command=(f"git branch {shlex.quote(entry.branch)} {work.local}", task_command("abort")),
        )
    added = history.chain(scope.git, work.tip, tip) if history.is_ancestor(scope.git, work.tip, tip) else ()
    if work.tip != work.local or not added or any(len(commit.parents) != 1 for commit in added):
        raise Refused(
            f"{entry.full_label} moved since the run paused",
            why=f"it was at {work.local} and is at {tip}; nothing was changed\nan abort leaves the branch where"
            " it is, and keeps what you resolved under refs/trunkline/backup/",
            next_command=task_command("abort"),
        )
    scope.reporter.progress(f"{entry.branch} got {len(added)} more since the pause: replayed too")
    return structs.replace(work, tip=tip, local=tip, own=(*work.own, *added)), tuple(added)


def _recorded(git: Git, stopped: Stopped, *, skip: bool) -> tuple[Oid, str] | None:
    """Return the decision that an earlier process recorded; None if the user decided again since.

    A continue that failed after its decision leaves the work tree in place: the user may change the
    resolution there, or skip the commit after all.
    """
    if stopped.decided is None:
        return None
    new, left_out = stopped.decided.new, stopped.decided.left_out
    if left_out == "skipped":
        return new, left_out
    path = conflict.current_path(git, Path(stopped.paused.worktree))
    return None if skip or conflict.is_edited(git, path, new) else (new, left_out)


def _skip(
    entry: Entry, step_context: StepContext, stopped: Stopped, work: ReplayPlan, commit: Commit
) -> tuple[Oid, str]:
    """Record that the stopped commit is skipped; return the commit to continue from."""
    out_of_it = {*stopped.paused.dropped, *stopped.paused.skipped, commit.oid}
    if all(each.oid in out_of_it for each in work.own):
        raise Refused(
            f"nothing would be left of {entry.full_label}",
            why=f'{short(commit.oid)} "{commit.subject}" is its last commit; a push without any closes it for good',
            next_command=(
                task_command("abort"),
                *((f"gh pr close {entry.number}",) if entry.number is not None else ()),
            ),
        )
    onto_ = stopped.paused.onto
    about = step_context.about(entry)
    step_context.log(records.Resolved(*about, new=onto_, commit=commit.oid, left_out="skipped"))
    return onto_, "skipped"


def _resolve(
    scope: Scope, step_context: StepContext, paused: records.Paused, work: ReplayPlan, rest: Sequence[Commit]
) -> tuple[Oid, str]:
    """Record the user's resolution as a commit; return it, and why a commit was dropped."""
    git, onto_ = scope.git, paused.onto
    path = conflict.current_path(git, Path(paused.worktree))
    if not (path / ".git").is_file():
        scope.reporter.progress("the work tree of the conflict is missing; it is created again")
        again = Replay(onto_, paused.mapped, (rest[0], paused.files), tuple(rest), dropped=paused.dropped)
        raise replay_step.pause(scope, step_context, work, again, _by_hand(paused))
    tree = resolution(scope.project, step_context, path, paused)
    left_out: Literal["", "emptied"] = "emptied" if tree == git.tree(onto_) else ""
    new = onto_
    if not left_out:
        by, sign = replay.committer(git), signing(scope.project)
        new = replay.write_commit(git, rest[0], tree=tree, parent=onto_, by=by, sign=sign)
    conflict.record_resolution(scope.project, step_context, path)
    # Back up and journal the user's work before the work tree may be removed, so that a kill cannot
    # lose it.
    local_refs.back_up(git, step_context.lock, branch_name(f"resolution-{short(new)}"), new)
    about = step_context.about(scope.entry)
    step_context.log(records.Resolved(*about, new=new, commit=rest[0].oid, left_out=left_out))
    return new, left_out


def _replay_rest(
    context: Context,
    step_context: StepContext,
    paused: records.Paused,
    work: ReplayPlan,
    rest: Sequence[Commit],
    decided: tuple[Oid, str],
) -> Outcome:
    """Replay the commits after the stopped one, and finish.

    `decided` is the commit to continue from, and why the stopped one was dropped ("" if it was
    kept).
    """
    git, drop, stopped, (new, left_out) = context.git, context.options.drop_emptied, rest[0], decided
    done = "left out" if left_out else "resolved"
    context.reporter.progress(f'{done}: {short(stopped.oid)} "{stopped.subject}"')
    by, sign = replay.committer(git), signing(context.project)
    further = replay.replay(git, rest[1:], new, by=by, sign=sign, resolve=resolver(context.project), drop_empty=drop)
    own_pair = () if left_out else ((stopped.oid, new),)
    emptied = (stopped.oid,) if left_out == "emptied" else ()
    whole = structs.replace(
        further,
        mapped=(*paused.mapped, *own_pair, *further.mapped),
        dropped=(*paused.dropped, *emptied, *further.dropped),
    )
    return replay_step.conclude(context, step_context, work, whole, _by_hand(paused, stopped.oid, left_out))


def _by_hand(paused: records.Paused, commit: Oid | None = None, left_out: str = "") -> ManualDecisions:
    """Return the user's decisions so far, with the latest one if there is one."""
    skipped = left_out == "skipped"
    resolved = (*paused.resolved, *((commit,) if commit and not skipped else ()))
    return ManualDecisions(resolved, (*paused.skipped, *((commit,) if commit and skipped else ())))


def _conclude_moved(
    context: Context, step_context: StepContext, stopped: Stopped, work: ReplayPlan, commit: Commit
) -> Outcome:
    """Finish a replay whose branch a killed process had already moved."""
    left_out = stopped.decided.left_out if stopped.decided is not None else ""
    by_hand = _by_hand(stopped.paused, commit.oid, left_out)
    assert stopped.moved is not None  # noqa: S101 -- checked by the caller
    tip = stopped.moved.new
    if update_merge.is_merge(context.git, work, tip):
        done = Replay(tip, ())
        return replay_step.conclude(context, step_context, structs.replace(work, local=tip), done, by_hand)
    new = history.chain(context.git, work.base, tip)
    left, kept = list(new), [old for old in work.own if old.oid not in by_hand.skipped]
    pairs = [(old.oid, left.pop(0).oid) for old in kept if left and old.same_as(left[0])]
    handled = {old for old, _ in pairs} | set(by_hand.skipped)
    dropped = tuple(old.oid for old in work.own if old.oid not in handled) if context.options.drop_emptied else ()
    done = Replay(tip, tuple(pairs), dropped=dropped)
    return replay_step.conclude(context, step_context, structs.replace(work, local=done.tip), done, by_hand)
