"""onto: the entry's own commits, and nothing else, on top of its base."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trunkline.adapters import history, refs, replay
from trunkline.domain.commits import Commit, counted
from trunkline.domain.errors import Paused, Refused
from trunkline.domain.names import Oid, branch_name, oid, short
from trunkline.domain.stack import Entry
from trunkline.domain.step import Mark, Outcome, Step, StepName
from trunkline.engine import Acting, Pause
from trunkline.workflows import branch, conflict
from trunkline.workflows.context import Context
from trunkline.workflows.steps.switch import refuse_unmovable
from trunkline.workflows.work import Foreseen, Work, foresee, refuse_nothing_left, resolver


def plan(context: Context) -> Step:
    """Plan the step; the fork point is decided, and a conflict foreseen, where the history is already here."""
    command = f"git rebase --onto {context.tracking} FORK_POINT {context.entry.branch}"
    return Step(StepName.ONTO, f"replay the entry's own commits onto {context.tracking}", (command,), mutates=True)


def forecast(context: Context) -> Step:
    """Plan the step with its facts: the same decision and the same replay, in memory; no ref moves.

    What sits above a conflict that was foreseen cannot be: it is planned without facts.
    """
    for entry in context.stack.below(context.entry):
        if _conflicts(context.of(entry)):
            does = f"replay its own commits, once the conflict of #{entry.pr} is resolved"
            return Step(StepName.ONTO, does, mutates=True)
    foreseen = foresee(context)
    work, done = foreseen.work, foreseen.done
    context.seen.foreseen[context.entry.pr] = foreseen
    context.seen.planned[context.entry.pr] = done.tip
    command = f"git rebase --onto {work.base} {work.fork} {context.entry.branch}"
    if foreseen.nothing:
        return Step(StepName.ONTO, f"nothing: {counted(len(work.own))} on {work.base_name} already", ())
    does = f"replay {counted(len(work.own))} onto {work.base_name}, fork point {short(work.fork)} ({work.about}); "
    return Step(StepName.ONTO, does + _expected(done), (command,), mutates=True)


def foresee_checks(context: Context, entries: Sequence[Entry]) -> None:
    """Let git do at once what the foreseen replays will be held against: three-way merges, the new commits read."""
    planned = [context.seen.foreseen.get(entry.pr) for entry in entries]
    whole = [each for each in planned if isinstance(each, Foreseen) and not each.nothing and not each.done.conflict]
    replay.three_ways(context.git, [(each.work.fork, each.work.base, each.work.tip) for each in whole])
    history.read_commits(context.git, [new for each in whole for _, new in each.done.mapped])


def foretold(context: Context, below: Entry) -> str:
    """Say what the replay comes to once the open entry below has landed: trunk will then hold the same tree."""
    foreseen = context.seen.foreseen[context.entry.pr]
    assert isinstance(foreseen, Foreseen)  # noqa: S101 -- forecast was called for it
    own = counted(len(foreseen.work.own))
    return f"replay {own} onto {context.tracking}, once #{below.pr} is in it; {_expected(foreseen.done)}"


def _expected(done: replay.Replay) -> str:
    if done.conflict is None:
        made = sorted({path for _, path in done.regenerated})
        told = f"no conflict but in {', '.join(made)}, which cargo makes again" if made else "no conflict"
        told += f"; {counted(len(done.emptied))} will change nothing any more" if done.emptied else ""
        return told + (f"; {counted(len(done.dropped))} left out, which change nothing" if done.dropped else "")
    return f"conflict in {short(done.conflict[0].oid)}: {', '.join(done.conflict[1])}"


def _conflicts(context: Context) -> bool:
    foreseen = context.seen.foreseen.get(context.entry.pr)
    return isinstance(foreseen, Foreseen) and foreseen.done.conflict is not None


def perform(context: Context, acting: Acting) -> Outcome:
    """Replay the entry's own commits onto its base, check the result, and only then move the branch.

    Raises:
        Refused: see `decide`; or the branch cannot be moved.
        Pause: a commit conflicts; a work tree waits for a person.
    """
    refuse_unmovable(context.world().local)
    foreseen = _as_planned(context)
    if foreseen.nothing:
        return _nothing(context, acting, foreseen.work)
    if _left_out(context, foreseen):
        dropping = dataclasses.replace(context.options, drop_emptied=True)
        foreseen = foresee(dataclasses.replace(context, options=dropping))
    return _concluded(context, acting, foreseen.work, foreseen.done, resolved=())


def _left_out(context: Context, foreseen: Foreseen) -> bool:
    """Ask whether commits that change nothing any more are left out, where that leaves something."""
    done, own = foreseen.done, foreseen.work.own
    if done.conflict or not 0 < len(done.emptied) < len(own):
        return False
    subjects = {new: commit.subject for commit, (_, new) in zip(own, done.mapped, strict=True)}
    for name in done.emptied:
        told = f'"{subjects[name]}" changes nothing any more: {foreseen.work.base_name} has it'
        context.tell.progress(f"{short(name)} {told}")
    return context.tell.ask(f"Leave {'it' if len(done.emptied) == 1 else 'them'} out?")


def _as_planned(context: Context) -> Foreseen:
    """Look again; where the world is still what the plan was made from, its replay is taken, else decide anew."""
    planned = context.seen.foreseen.get(context.entry.pr)
    if isinstance(planned, Foreseen) and planned.still_holds(context):
        work = dataclasses.replace(planned.work, local=context.world().local.local)
        return dataclasses.replace(planned, work=work)
    return foresee(context)


def resume(
    context: Context, acting: Acting, paused: dict[str, Any], *, resolved: str = "", moved: str = ""
) -> Outcome:
    """Take a replay up again after its conflict was resolved in the pause's work tree.

    Args:
        context: where.
        acting: proof.
        paused: what the journal has of the pause.
        resolved: the commit that an earlier `continue`, killed since, made of the resolution; "": none did.
        moved: where it was about to move the branch; "": it did not come so far.

    Raises:
        Pause: the conflict is not resolved yet, or a later commit conflicts too.
    """
    git = context.git
    own = replay.reread(git, [oid(name) for name in paused["own"]])
    work = Work(
        tip=oid(paused["tip"]),
        local=oid(paused["local"]) if paused["local"] else None,
        remote=oid(paused["remote"]) if paused["remote"] else None,
        base=oid(paused["base"]),
        fork=oid(paused["fork"]),
        about=str(paused["about"]),
        own=own,
        base_name=str(paused["base_name"]),
        notes=tuple(paused["notes"]),
    )
    rest = replay.reread(git, [oid(name) for name in paused["rest"]])
    handled = (*paused["resolved"], rest[0].oid)
    if moved and context.local_tip() == moved:
        held = history.chain(git, work.base, oid(moved))
        done = _as_moved(own, held, oid(moved), dropping=context.options.drop_emptied)
        tip = done.tip
        return _concluded(context, acting, dataclasses.replace(work, local=tip), done, resolved=handled)
    by, sign = replay.committer(git), replay.signs(git)
    onto, drop = oid(paused["onto"]), context.options.drop_emptied
    if resolved:
        new = oid(resolved)
    else:
        tree = conflict.resolution(context, Path(paused["worktree"]), onto, paused)
        leaves = drop and tree == git.tree(onto)
        new = onto if leaves else replay.write_commit(git, rest[0], tree=tree, parent=onto, by=by, sign=sign)
        conflict.remember(context, acting, Path(paused["worktree"]))
        # A person made this: kept and journaled before the work tree may go, so that a kill cannot lose it.
        refs.back_up(git, acting.lease, branch_name(f"resolution-{short(new)}"), new)
        acting.note("resolved", new=new)
    context.tell.progress(f'resolved: {short(rest[0].oid)} "{rest[0].subject}"')
    further = replay.replay(git, rest[1:], new, by=by, sign=sign, resolve=resolver(context), drop_empty=drop)
    mapped = tuple((oid(a), oid(b)) for a, b in paused["mapped"])
    dropped = tuple(oid(name) for name in paused.get("dropped", ()))
    first = (((rest[0].oid, new),), ()) if new != onto else ((), (rest[0].oid,))
    done = dataclasses.replace(
        further, mapped=(*mapped, *first[0], *further.mapped), dropped=(*dropped, *first[1], *further.dropped)
    )  # fmt: skip
    return _concluded(context, acting, work, done, resolved=handled)


def _as_moved(own: Sequence[Commit], new: Sequence[Commit], tip: Oid, *, dropping: bool) -> replay.Replay:
    """Return the replay that a moved branch already holds; what it lacks was left out, if that was asked for."""
    if not dropping:
        return replay.Replay(tip, tuple((old.oid, now.oid) for old, now in zip(own, new, strict=False)))
    left = list(new)
    pairs = [(old.oid, left.pop(0).oid) for old in own if left and old.same_as(left[0])]
    kept = {old for old, _ in pairs}
    return replay.Replay(tip, tuple(pairs), dropped=tuple(old.oid for old in own if old.oid not in kept))


def _concluded(
    context: Context, acting: Acting, work: Work, done: replay.Replay, *, resolved: Sequence[str]
) -> Outcome:
    if done.conflict:
        raise _pause(context, acting, work, done, resolved)
    refuse_nothing_left(context, work, done, first=("invoke abort",))
    git = context.git
    kept = [commit for commit in work.own if commit.oid not in done.dropped]
    replay.check_replayed(git, kept, base=work.base, tip=done.tip)
    if not resolved:
        _check_against_merge(context, work, done)
    refs.back_up(git, acting.lease, context.entry.branch, work.tip)
    branch.move(context, acting, new=done.tip, old=work.local, why=f"rebased onto {work.base_name}")
    conflict.remove_worktree(context, acting, conflict.worktree_path(context, acting))
    met = f"{len(resolved)} conflicts resolved by hand" if resolved else "no conflict"
    made = [f"{path} of {short(name)} was made again by cargo: the gates judge it" for name, path in done.regenerated]
    empty = [
        f"{short(name)} changes nothing any more: it is kept, empty; "
        f"to leave it out: invoke rebase --pr {context.entry.pr} --drop-emptied"
        for name in done.emptied
    ]
    if empty and len(empty) == len(kept):
        all_of_it = f"nothing is left of #{context.entry.pr}: {work.base_name} has all of it"
        empty = [f"{all_of_it}; to close it: gh pr close {context.entry.pr}"]
    subjects = {commit.oid: commit.subject for commit in work.own}
    out = [f'left out: {short(name)} "{subjects[name]}", which changes nothing any more' for name in done.dropped]
    notes = (*work.notes, *made, *empty, *out)
    facts = {
        **work.facts(),
        "branch": context.entry.branch,
        "new": done.tip,
        "mapped": [list(pair) for pair in done.mapped],
    }
    return Outcome(
        "rebased",
        f"{counted(len(kept))}, fork point {short(work.fork)} ({work.about}), {met}",
        Mark.WARNED if empty else Mark.DONE,
        notes,
        {
            **facts,
            "resolved": list(resolved),
            "emptied": list(done.emptied),
            "dropped": list(done.dropped),
            "regenerated": [list(each) for each in done.regenerated],
        },
    )


def _nothing(context: Context, acting: Acting, work: Work) -> Outcome:
    branch.move(context, acting, new=work.tip, old=work.local, why=f"caught up with {context.stack.remote}")
    facts = {**work.facts(), "branch": context.entry.branch, "new": work.tip, "mapped": [], "resolved": []}
    told = f"nothing: {counted(len(work.own))} on {work.base_name} already"
    return Outcome("rebased", told, Mark.NOTHING, work.notes, facts)


def _check_against_merge(context: Context, work: Work, done: replay.Replay) -> None:
    """A replay without conflict must come to the tree of the one three-way merge (promises, fault 10).

    Files that were made again are excepted: a merge knows nothing of them.
    """
    git, tip = context.git, done.tip
    merged = replay.three_way(git, base=work.fork, ours=work.base, theirs=work.tip)
    excepted = {path for _, path in done.regenerated}
    differing = () if merged.tree == git.tree(tip) else history.differing(git, merged.tree, git.tree(tip))
    if not excepted.issuperset((*merged.conflicts, *differing)):
        ranges = f"{work.fork}..{work.tip} {work.base}..{tip}"
        raise Refused(
            "the replay and the three-way merge of the same commits disagree; no ref was moved",
            why=f"conflicts in {', '.join(merged.conflicts)}" if merged.conflicts else "their trees differ",
            command=f"git range-diff {ranges}",
            stderr=git.query("range-diff", "--no-color", *ranges.split()).text,
            next_command=f"git diff {merged.tree} {tip}",
        )


def _pause(context: Context, acting: Acting, work: Work, done: replay.Replay, resolved: Sequence[str]) -> Pause:
    assert done.conflict  # noqa: S101 -- the caller's condition
    commit, paths = done.conflict
    path, filled_in = conflict.open_worktree(context, acting, onto=done.tip, commit=commit)
    met = conflict.met(path, paths)
    listed = "\n".join(f"  {name}" for name in paths)
    before = f"\nrerere filled in how you resolved {', '.join(filled_in)} before: look, then git add"
    known = (before if filled_in else "") + "".join(f"\n{line}" for line in conflict.known(context, met))
    error = Paused(
        f'conflict: {short(commit.oid)} "{commit.subject}" does not apply to {work.base_name}',
        why=f"{len(done.mapped)} of {len(work.own)} commits are replayed; your branch is as it was. In conflict:\n"
        f"{listed}{known}\n"
        f"resolve them in {path} and `git add` them there; then go on, or go back:",
        next_command=("invoke continue", "invoke abort"),
    )
    return Pause(
        error,
        **work.facts(),
        branch=context.entry.branch,
        pr=context.entry.pr,
        worktree=str(path),
        onto=done.tip,
        rest=[each.oid for each in done.rest],
        mapped=[list(pair) for pair in done.mapped],
        dropped=list(done.dropped),
        resolved=list(resolved),
        files=list(paths),
        conflicts=met,
    )
