"""What a run changed, read from its journal; and how each change is put back, if it is still ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trunkline.adapters import history, refs
from trunkline.adapters.journal import Record, Run
from trunkline.domain.errors import OutsideFailed, Refused
from trunkline.domain.names import Oid, PrNumber, branch_name, branch_ref, oid, pr_number, short
from trunkline.domain.note import block_of, put_back
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import Mark, Outcome, Step, StepKey, StepName
from trunkline.engine import Acting, Performer
from trunkline.workflows import branch
from trunkline.workflows.context import Context
from trunkline.workflows.publish import Update, push_all, set_base


@dataclass(frozen=True)
class Change:
    """One thing that a run changed.

    Attributes:
        pr: the entry that it is about.
        step: the step that changed it: push, ready, note, or onto for the local branch.
        before: what it was.
        left: what the run made of it.
        between: further values that the run gave it on the way: tips.
    """

    pr: PrNumber
    step: StepName
    before: Mapping[str, Any]
    left: Mapping[str, Any]
    between: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return the change as JSON values."""
        return {
            "pr": self.pr,
            "step": self.step.value,
            "before": dict(self.before),
            "left": dict(self.left),
            "between": list(self.between),
        }

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Change:
        """Return the change that `as_data` wrote."""
        pr, step = pr_number(data["pr"]), StepName(data["step"])
        return cls(pr, step, dict(data["before"]), dict(data["left"]), tuple(data["between"]))


def changes_of(context: Context, run: Run) -> tuple[Change, ...]:
    """Return what a run changed, or had announced to change, in the order in which it is put back.

    The remote first, since it alone can refuse; then what the pull request shows; the local branch last.
    """
    intents: dict[PrNumber, list[Record]] = {}
    for record in _own(run):
        # Branches of merged entries that were deleted stay deleted; their tips are kept as backups. A pull request
        # that was rescued stays open: closing it again would be for good.
        if record.kind == "intent" and record.step not in {StepName.TIDY.value, StepName.RESCUE.value}:
            intents.setdefault(pr_number(record.data.get("pr", run.started["pr"])), []).append(record)
    found = [
        change
        for pr, records in intents.items()
        if not _stays(context, pr, records)
        for change in _of_entry(context, pr, records)
        if change.before != change.left
    ]
    order = (StepName.PUSH, StepName.READY, StepName.NOTE, StepName.ONTO)
    return tuple(sorted(found, key=lambda change: order.index(change.step)))


def _stays(context: Context, pr: PrNumber, records: list[Record]) -> bool:
    """Say whether a run merged an entry: what it did for it is not taken back."""
    held = context.world().snapshot.pr(pr) if any("merge" in record.data for record in records) else None
    return held is not None and held.state is PrState.MERGED


def _of_entry(context: Context, pr: PrNumber, intents: list[Record]) -> list[Change]:
    found = (
        _tips(pr, StepName.PUSH, [r for r in intents if "ref" in r.data and "remote" in r.data]),
        _ready(context, pr, [r for r in intents if "draft" in r.data]),
        _note(pr, [r for r in intents if "body" in r.data]),
        _tips(pr, StepName.ONTO, [r for r in intents if "ref" in r.data and "remote" not in r.data]),
    )
    return [change for change in found if change is not None]


def _own(run: Run) -> tuple[Record, ...]:
    """Return the records before an abort, whose intents are no part of what is to be put back."""
    aborting = next((index for index, record in enumerate(run.records) if record.kind == "aborting"), None)
    return run.records[:aborting]


def _tips(pr: PrNumber, step: StepName, intents: list[Record]) -> Change | None:
    if not intents:
        return None
    first, last = intents[0].data, intents[-1].data
    before = first["old"] or first["new"]  # a branch that the run made stays, where it was made
    between = tuple(dict.fromkeys(str(record.data["new"]) for record in intents[:-1]))
    return Change(pr, step, {"tip": str(before)}, {"tip": str(last["new"])}, between)


def _ready(context: Context, pr: PrNumber, intents: list[Record]) -> Change | None:
    if not intents:
        return None
    first, last = intents[0].data, intents[-1].data
    left = {"base": last.get("base_after", context.stack.trunk), "draft": last.get("draft_after", False)}
    return Change(pr, StepName.READY, {"base": first["base"], "draft": first["draft"]}, left)


def _note(pr: PrNumber, intents: list[Record]) -> Change | None:
    if not intents:
        return None
    before, left = intents[0].data["body"], intents[-1].data["body_after"]
    return Change(pr, StepName.NOTE, {"block": block_of(str(before))}, {"block": block_of(str(left))})


def drifted(context: Context, changes: tuple[Change, ...]) -> tuple[str, ...]:
    """Return what is no longer as the run left it, nor as it was before: somebody else's by now.

    Raises:
        Refused: the pull request is merged or closed.
    """
    found = []
    for change in changes:
        there = _there(context, change)
        held = now(there, change)
        for name, value in held.items():
            known = {change.before[name], change.left[name], *change.between}
            if value not in known:
                found.append(f"{_told(there, change, name)}: is {_shown(value)}, not {_shown(change.left[name])}")
    return tuple(found)


def now(context: Context, change: Change) -> dict[str, Any]:
    """Return what stands where a run changed something."""
    if change.step is StepName.ONTO:
        ref = branch_ref(context.entry.branch)
        return {"tip": refs.read_refs(context.git, ref).get(ref, "")}
    pr = context.pull_request()
    if change.step is StepName.PUSH:
        return {"tip": context.world().remote_refs.get(branch_ref(context.entry.branch), "")}
    if change.step is StepName.READY:
        return {"base": pr.base, "draft": pr.draft}
    return {"block": block_of(pr.body)}


def _told(context: Context, change: Change, name: str) -> str:
    pr = f"#{context.entry.pr}'s"
    return {
        "tip": f"{context.stack.remote}/{context.entry.branch}"
        if change.step is StepName.PUSH
        else str(context.entry.branch),
        "base": f"{pr} base",
        "draft": f"{pr} draft state",
        "block": f"{pr} reviewer note",
    }[name]


def _shown(value: object) -> str:
    if isinstance(value, str):
        return (short(value) if len(value) in {40, 64} else f"{value[:40]!r}") or "gone"
    return "gone" if value is None else str(value)


def put_back_all(context: Context, acting: Acting, changes: tuple[Change, ...]) -> tuple[Outcome, ...]:
    """Put every change back, each as a step of the given run."""
    ways = performers(context, changes)
    return tuple(way(replace(acting, step=replace(acting.step, pr=pr))) for (_, pr), way in ways.items())


def performers(context: Context, changes: tuple[Change, ...]) -> dict[StepKey, Performer]:
    """Return how the changes are put back, in order: all branches in one push, each other change as its own step."""
    ways = {StepName.READY: _unready, StepName.NOTE: _unnote, StepName.ONTO: _move_back}

    def bound(change: Change) -> Performer:
        return lambda acting: ways[change.step](_there(context, change), acting, change)

    pushed = tuple(change for change in changes if change.step is StepName.PUSH)
    found: dict[StepKey, Performer] = {}
    if pushed:
        found[StepName.PUSH, None] = lambda acting: _push_back(context, acting, pushed)
    for change in changes:
        if change.step is not StepName.PUSH:
            found[change.step, _key_pr(change, changes)] = bound(change)
    return found


def steps(context: Context, changes: tuple[Change, ...]) -> tuple[Step, ...]:
    """Return the steps that put changes back, with the commands that a person would type."""
    pushed = tuple(change for change in changes if change.step is StepName.PUSH)
    first = (_push_step(context, pushed),) if pushed else ()
    others = (change for change in changes if change.step is not StepName.PUSH)
    return (*first, *(replace(_step(_there(context, c), c), pr=_key_pr(c, changes)) for c in others))


def _key_pr(change: Change, changes: tuple[Change, ...]) -> PrNumber | None:
    return change.pr if len({each.pr for each in changes}) > 1 else None


def _there(context: Context, change: Change) -> Context:
    return context.of(context.stack.entry(change.pr))


def _push_step(context: Context, pushed: tuple[Change, ...]) -> Step:
    remote = context.stack.remote
    parts = [(branch_ref(_there(context, c).entry.branch), c.left["tip"], c.before["tip"]) for c in pushed]
    leases = " ".join(f"--force-with-lease={ref}:{new}" for ref, new, _ in parts)
    command = f"git push --atomic {leases} {remote} " + " ".join(f"{old}:{ref}" for ref, _, old in parts)
    told = ", ".join(short(old) for _, _, old in parts)
    held = ", ".join(short(new) for _, new, _ in parts)
    return Step(StepName.PUSH, f"push {told} back, if {remote} still has {held}", (command,), mutates=True)


def _step(context: Context, change: Change) -> Step:
    entry = context.entry
    if change.step is StepName.READY:
        state, base = "draft" if change.before["draft"] else "ready", change.before["base"]
        undo = " --undo" if change.before["draft"] else ""
        commands = (f"gh pr ready {entry.pr}{undo}", f"gh pr edit {entry.pr} --base {base}")
        return Step(change.step, f"#{entry.pr} is {state} again and targets {base}", commands, mutates=True)
    if change.step is StepName.NOTE:
        command = f"gh pr edit {entry.pr} --body-file DESCRIPTION"
        return Step(change.step, f"the note of #{entry.pr} as it was", (command,), mutates=True)
    old = change.before["tip"]
    command = f"git branch -f {entry.branch} {old}"
    return Step(change.step, f"{entry.branch} is at {short(old)} again", (command,), mutates=True)


def _push_back(context: Context, acting: Acting, changes: tuple[Change, ...]) -> Outcome:
    """Push the old tips, leased on ours, all or none.

    Raises:
        Refused: the remote holds neither, or the push would leave a pull request without commits.
    """
    context.forget()
    updates, remote = [], context.stack.remote
    for change in changes:
        there, old = _there(context, change), oid(str(change.before["tip"]))
        held = now(there, change)["tip"]
        if held == old:
            refs.track(context.git, acting.lease, remote, there.entry.branch, old)
            continue
        if held not in {change.left["tip"], *change.between}:
            raise drift(there, (f"{remote}/{there.entry.branch} is at {short(held) or 'nothing'}",))
        _refuse_closing(there, old, changes)
        updates.append(Update(there.entry, oid(held), old))
    if not updates:
        tips = ", ".join(short(oid(str(change.before["tip"]))) for change in changes)
        return Outcome("pushed", f"{remote} has {tips} already", Mark.NOTHING)
    told = push_all(context, acting, updates)
    moved = ", ".join(f"{short(update.old)}..{short(update.new)}" for update in updates)
    return Outcome("pushed", f"{moved}, back as it was, lease held", details=told)


def _refuse_closing(context: Context, tip: Oid, changes: tuple[Change, ...]) -> None:
    """A head that the base contains closes the pull request for good (promises, fault 48)."""
    base = context.pull_request().base
    if any(_there(context, change).entry.branch == base for change in changes):
        return  # its base goes back with it: push_all sees to it
    held = refs.list_remote(context.git, context.stack.remote, [f"refs/heads/{base}"]).get(f"refs/heads/{base}")
    if held is not None and history.is_ancestor(context.git, tip, held):
        raise Refused(
            f"{short(tip)} has no commits over {base}",
            why=f"a push that leaves the pull request none closes #{context.entry.pr} for good; nothing was pushed",
            next_command=f"gh pr view {context.entry.pr} --web",
        )


def _unready(context: Context, acting: Acting, change: Change) -> Outcome:
    """Give the pull request its draft state and base back; a base that is no more is left, and said."""
    context.forget_github()
    pr, before = context.pull_request(), change.before
    kept = _base_obstacle(context, pr.base, str(before["base"]), pr.head_oid)
    base = pr.base if kept else str(before["base"])
    if (pr.draft, pr.base) == (before["draft"], base):
        return _readied(pr.draft, pr.base, kept, Mark.NOTHING)
    acting.intend(pr=pr.number, base=pr.base, draft=pr.draft, base_after=base, draft_after=before["draft"])
    if pr.draft != before["draft"]:
        context.tell.command(f"gh pr ready {pr.number}{' --undo' if before['draft'] else ''}")
        context.github.set_draft(pr, draft=bool(before["draft"]))
    if pr.base != base:
        set_base(context, pr.number, base)
    context.forget_github()
    return _readied(bool(before["draft"]), base, kept, Mark.DONE)


def _readied(draft: bool, base: str, kept: str, mark: Mark) -> Outcome:  # noqa: FBT001 -- what is told
    told = f"{'a draft' if draft else 'ready'} again, targets {base}"
    return Outcome("ready", told, Mark.WARNED if kept else mark, (kept,) if kept else ())


def _base_obstacle(context: Context, base: str, wanted: str, head: Oid) -> str:
    """Say why a pull request cannot go back to a base, or "" where it can."""
    if base == wanted:
        return ""
    ref = branch_ref(branch_name(wanted))
    tip = refs.list_remote(context.git, context.stack.remote, [ref]).get(ref)
    if tip is None:
        return f"it still targets {base}: {wanted} is no more on {context.stack.remote}"
    if history.has_object(context.git, tip) and history.is_ancestor(context.git, head, tip):
        return f"it still targets {base}: it has no commits over {wanted}"
    return ""


def _unnote(context: Context, acting: Acting, change: Change) -> Outcome:
    """Give the description the note back that it had, or none; everything else byte for byte."""
    context.forget_github()
    pr, wanted = context.pull_request(), change.before["block"]
    held = block_of(pr.body)
    if held == wanted:
        return Outcome("note", "is as it was", Mark.NOTHING)
    if held != change.left["block"]:
        raise drift(context, (f"#{pr.number}'s reviewer note was edited since",))
    body = put_back(pr.body, wanted)
    acting.intend(pr=pr.number, body=pr.body, body_after=body)
    context.tell.command(f"gh api -X PATCH repos/{context.repository.slug}/pulls/{pr.number} --input DESCRIPTION")
    if context.github.edit(pr.number, seen_body=pr.body, body=body).get("body") != body:
        raise OutsideFailed(
            f"#{pr.number}'s description did not come back as written",
            why="somebody may have edited it at the same moment",
            next_command="invoke continue",
        )
    context.forget_github()
    return Outcome("note", "removed" if wanted is None else "as it was")


def _move_back(context: Context, acting: Acting, change: Change) -> Outcome:
    held, old = now(context, change)["tip"], oid(str(change.before["tip"]))
    if held == old:
        return Outcome("branch", f"{context.entry.branch} is at {short(old)}", Mark.NOTHING)
    if held not in {change.left["tip"], *change.between}:
        raise drift(context, (f"{context.entry.branch} is at {short(held) or 'nothing'}",))
    branch.move(context, acting, new=old, old=oid(held), why="taken back")
    return Outcome("branch", f"{context.entry.branch} is back at {short(old)}")


def drift(context: Context, found: tuple[str, ...]) -> Refused:
    """Return the refusal to put back what is no longer ours."""
    return Refused(
        f"#{context.entry.pr} moved since",
        why="\n".join(found) + "\nwhat others changed is not taken back; nothing was changed",
        next_command="invoke log",
    )
