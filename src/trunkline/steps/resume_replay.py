"""Takes up a replay that paused at a conflict: the stopped commit, resolved or left out, and those that follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, branch_name, branch_ref, oid, short
from trunkline.domain.step import Outcome
from trunkline.engine import StepContext
from trunkline.git import history, refs, replay
from trunkline.operations import conflict
from trunkline.planning.replay_plan import ReplayPlan, resolver, signing
from trunkline.state.journal import Record
from trunkline.steps import replay as replay_step
from trunkline.steps.replay import ByHand


@dataclasses.dataclass(frozen=True)
class Stopped:
    """Where a replay stopped, from the journal.

    Attributes:
        paused: the journal's values of the pause.
        decided: what an earlier process noted of the stopped commit, killed since; None: nothing.
        moved: the intent of an earlier process to move the branch; None: it did not come so far.
    """

    paused: dict[str, Any]
    decided: Record | None = None
    moved: Record | None = None


def stopped_at(pause: Record, since: Sequence[Record]) -> Stopped:
    """Return where a replay stopped, from its pause and the records that follow it."""
    decided = next((record for record in since if record.kind == "resolved"), None)
    moved = next((record for record in reversed(since) if record.kind == "intent" and "ref" in record.data), None)
    return Stopped(dict(pause.data), decided, moved)


def run(context: Context, step_context: StepContext, stopped: Stopped, *, skip: bool = False) -> Outcome:
    """Go on with a replay: take the stopped commit as it was resolved, or leave it out, and replay the rest.

    Args:
        context: whose entry it is.
        step_context: proof.
        stopped: where it stopped.
        skip: leave the stopped commit out.

    Raises:
        Pause: the conflict is not resolved yet, or a later commit conflicts too.
        Refused: the branch is not where the run left it, or nothing would be left of the entry.
    """
    paused = stopped.paused
    work = _work_of(context, paused)
    rest = replay.reread(context.git, [oid(name) for name in paused["rest"]])
    if stopped.moved is not None and _took_place(context, stopped.moved):
        work, _ = _with_later_commits(context, work, oid(str(stopped.moved.data["old"])))
        return _conclude_moved(context, step_context, stopped, work, rest[0])
    ref = branch_ref(context.entry.branch)
    work, added = _with_later_commits(context, work, refs.read_refs(context.git, ref).get(ref))
    rest = (*rest, *added)
    if skip or stopped.decided is not None:
        decided = _decide(context, step_context, stopped, work, rest[0])
    else:
        decided = _resolve(context, step_context, paused, work, rest)
    return _replay_rest(context, step_context, paused, work, rest, decided)


def _work_of(context: Context, paused: dict[str, Any]) -> ReplayPlan:
    return ReplayPlan(
        tip=oid(paused["tip"]),
        local=oid(paused["local"]) if paused["local"] else None,
        remote=oid(paused["remote"]) if paused["remote"] else None,
        base=oid(paused["base"]),
        fork=oid(paused["fork"]),
        about=str(paused["about"]),
        own=replay.reread(context.git, [oid(name) for name in paused["own"]]),
        base_name=str(paused["base_name"]),
        notes=tuple(paused["notes"]),
    )


def _took_place(context: Context, moved: Record) -> bool:
    """Return whether the branch holds what an earlier process was about to move it to."""
    ref, new = branch_ref(context.entry.branch), oid(str(moved.data["new"]))
    held = refs.read_refs(context.git, ref).get(ref)
    return held is not None and history.has_object(context.git, new) and history.is_ancestor(context.git, new, held)


def _with_later_commits(
    context: Context, work: ReplayPlan, held: Oid | None
) -> tuple[ReplayPlan, tuple[Commit, ...]]:
    """Return the work with the commits that the user put on the branch since the pause; they are replayed too.

    Raises:
        Refused: the branch is gone, or is at something else than the commits of the pause and some on top of them.
    """
    entry = context.entry
    if held == work.local:
        return work, ()
    if held is None:
        raise Refused(
            f"#{entry.pr}: there is no local branch {entry.branch} any more",
            why=f"when the run paused it was at {work.local}; nothing was changed",
            next_command=(f"git branch {entry.branch} {work.local}", task_command("abort")),
        )
    added = history.chain(context.git, work.tip, held) if history.is_ancestor(context.git, work.tip, held) else ()
    if work.tip != work.local or not added or any(len(commit.parents) != 1 for commit in added):
        raise Refused(
            f"#{entry.pr} {entry.branch} moved since the run paused",
            why=f"it was at {work.local} and is at {held}; nothing was changed\n"
            "an abort leaves the branch where it is, and keeps what you resolved under refs/trunkline/backup/",
            next_command=task_command("abort"),
        )
    context.reporter.progress(f"{entry.branch} got {len(added)} more since the pause: replayed too")
    return dataclasses.replace(work, tip=held, local=held, own=(*work.own, *added)), tuple(added)


def _decide(
    context: Context, step_context: StepContext, stopped: Stopped, work: ReplayPlan, commit: Commit
) -> tuple[Oid, str]:
    """Return the commit to go on from where no work tree is needed: skipped now, or decided by an earlier process."""
    if stopped.decided is not None:
        return oid(str(stopped.decided.data["new"])), str(stopped.decided.data.get("left_out", ""))
    out_of_it = {*stopped.paused.get("dropped", ()), *stopped.paused.get("skipped", ()), commit.oid}
    if all(each.oid in out_of_it for each in work.own):
        raise Refused(
            f"nothing would be left of #{context.entry.pr} {context.entry.branch}",
            why=f'{short(commit.oid)} "{commit.subject}" is its last commit; a push without any closes it for good',
            next_command=(task_command("abort"), f"gh pr close {context.entry.pr}"),
        )
    onto_ = oid(stopped.paused["onto"])
    _keep(context, step_context, stopped.paused)
    step_context.note("resolved", context.entry, new=onto_, commit=commit.oid, left_out="skipped")
    return onto_, "skipped"


def _keep(context: Context, step_context: StepContext, paused: dict[str, Any]) -> None:
    """Keep what was begun in the work tree before it goes with the commit that is left out."""
    path = conflict.current_path(context.git, Path(paused["worktree"]))
    if path.is_dir():
        for ref in conflict.keep_work(context, step_context, path, onto=oid(paused["onto"])):
            context.reporter.progress(f"what you had resolved is kept: {ref}")


def _resolve(
    context: Context, step_context: StepContext, paused: dict[str, Any], work: ReplayPlan, rest: Sequence[Commit]
) -> tuple[Oid, str]:
    """Return the commit that a person's resolution makes, kept and journaled; and whether it was left out."""
    git, onto_ = context.git, oid(paused["onto"])
    path = conflict.current_path(git, Path(paused["worktree"]))
    if not (path / ".git").is_file():
        context.reporter.progress("the work tree of the conflict was gone: it is made again")
        again = replay.Replay(
            onto_, _pairs(paused), (rest[0], tuple(paused["files"])), tuple(rest), dropped=_oids(paused, "dropped")
        )
        raise replay_step.pause(context, step_context, work, again, _by_hand(paused))
    tree = conflict.resolution(context, path, onto_, paused)
    left_out = "emptied" if tree == git.tree(onto_) else ""
    new = onto_
    if not left_out:
        by, sign = replay.committer(git), signing(context)
        new = replay.write_commit(git, rest[0], tree=tree, parent=onto_, by=by, sign=sign)
    conflict.remember(context, step_context, path)
    # A person made this: kept and journaled before the work tree may go, so that a kill cannot lose it.
    refs.back_up(git, step_context.lock, branch_name(f"resolution-{short(new)}"), new)
    step_context.note("resolved", context.entry, new=new, commit=rest[0].oid, left_out=left_out)
    return new, left_out


def _replay_rest(
    context: Context,
    step_context: StepContext,
    paused: dict[str, Any],
    work: ReplayPlan,
    rest: Sequence[Commit],
    decided: tuple[Oid, str],
) -> Outcome:
    """Replay the commits that follow the stopped one, and conclude.

    `decided` is the commit to go on from, and why the stopped one was left out ("": it was not).
    """
    git, drop, stopped, (new, left_out) = context.git, context.options.drop_emptied, rest[0], decided
    done = "left out" if left_out else "resolved"
    context.reporter.progress(f'{done}: {short(stopped.oid)} "{stopped.subject}"')
    by, sign = replay.committer(git), signing(context)
    further = replay.replay(git, rest[1:], new, by=by, sign=sign, resolve=resolver(context), drop_empty=drop)
    own_pair = () if left_out else ((stopped.oid, new),)
    emptied = (stopped.oid,) if left_out == "emptied" else ()
    whole = dataclasses.replace(
        further,
        mapped=(*_pairs(paused), *own_pair, *further.mapped),
        dropped=(*_oids(paused, "dropped"), *emptied, *further.dropped),
    )
    return replay_step.conclude(context, step_context, work, whole, _by_hand(paused, stopped.oid, left_out))


def _by_hand(paused: dict[str, Any], commit: str = "", left_out: str = "") -> ByHand:
    """Return what a person decided so far, with a commit that was just decided, if there is one."""
    skipped = left_out == "skipped"
    resolved = (*paused["resolved"], *((commit,) if commit and not skipped else ()))
    return ByHand(resolved, (*paused.get("skipped", ()), *((commit,) if skipped else ())))


def _pairs(paused: dict[str, Any]) -> tuple[tuple[Oid, Oid], ...]:
    return tuple((oid(old), oid(new)) for old, new in paused["mapped"])


def _oids(paused: dict[str, Any], key: str) -> tuple[Oid, ...]:
    return tuple(oid(name) for name in paused.get(key, ()))


def _conclude_moved(
    context: Context, step_context: StepContext, stopped: Stopped, work: ReplayPlan, commit: Commit
) -> Outcome:
    """Conclude a replay whose branch an earlier process had moved already when it was killed."""
    left_out = str(stopped.decided.data.get("left_out", "")) if stopped.decided is not None else ""
    by_hand = _by_hand(stopped.paused, commit.oid, left_out)
    assert stopped.moved is not None  # noqa: S101 -- the caller's condition
    tip = oid(str(stopped.moved.data["new"]))
    new = history.chain(context.git, work.base, tip)
    left, kept = list(new), [old for old in work.own if old.oid not in by_hand.skipped]
    pairs = [(old.oid, left.pop(0).oid) for old in kept if left and old.same_as(left[0])]
    gone = {old for old, _ in pairs} | {oid(name) for name in by_hand.skipped}
    dropped = tuple(old.oid for old in work.own if old.oid not in gone) if context.options.drop_emptied else ()
    done = replay.Replay(tip, tuple(pairs), dropped=dropped)
    return replay_step.conclude(context, step_context, dataclasses.replace(work, local=done.tip), done, by_hand)
