"""continue and abort: take up the run that stopped, or go back to before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trunkline.adapters import history, journal, lease, refs
from trunkline.adapters.git import Git
from trunkline.adapters.journal import Record, Run
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, PrNumber, branch_name, branch_ref, oid, pr_number, short
from trunkline.domain.step import Mark, Outcome, Plan, Step, StepKey, StepName
from trunkline.engine import Acting, Performed, Performer, perform
from trunkline.workflows import changes, conflict, land, rebase, rescue, restack, undo
from trunkline.workflows.changes import Change
from trunkline.workflows.context import Context, Listener
from trunkline.workflows.opening import top_of
from trunkline.workflows.steps import onto

_OPEN = frozenset({"paused", "failed", "interrupted", "aborting"})


def open_run(git: Git) -> Run | None:
    """Return the newest run of this repository if it is not finished; None: there is nothing to go on with."""
    newest = next((run for run in journal.runs(git.state_dir()) if run.started or run.damaged), None)
    return newest if newest is not None and newest.state in _OPEN else None


def find(tell: Listener, cwd: Path | None = None) -> tuple[Context, Run] | None:
    """Return the run to go on with, and its context; None: there is none.

    Raises:
        Refused: its journal is damaged.
    """
    run = open_run(top_of(Git(cwd or Path.cwd())))
    if run is None:
        return None
    if run.damaged:
        raise Refused(f"the journal of run {run.id} is damaged", why=run.damaged, next_command=f"less {run.path}")
    return rebase.context_of(run, tell=tell, cwd=cwd), run


def plan(context: Context, run: Run) -> Plan:
    """Return what is left to do of a run: its plan without the steps that are done."""
    if run.state == "aborting":
        return abort_plan(context, run)
    whole, _ = _remaining(context, run)
    done = frozenset(_key(record) for record in run.records if record.kind == "done")
    return replace(whole, steps=tuple(step for step in whole.steps if step.key not in done))


def abort_plan(context: Context, run: Run) -> Plan:
    """Return the steps that restore what a run changed."""
    return Plan("abort", context.entry.pr, changes.steps(context, changes.changes_of(context, run)))


def resume(context: Context, run: Run) -> Performed:
    """Go on with a run: the steps that are done stay done, the one that stopped is taken up, the rest follow.

    Raises:
        Refused: another run holds the repository, it was aborted meanwhile, or the branch is not where it left it.
    """
    with lease.hold(context.state, run=run.id) as held:
        run = journal.read(run.path)  # again, now that nobody else can write: two may have been told to continue
        if run.state not in _OPEN - {"aborting"}:
            raise Refused(f"run {run.id} is {run.state} by now", next_command="invoke log")
        rebase.settle_last(context, held)
        plan, ways = _remaining(context, run)
        done = frozenset(_key(record) for record in run.records if record.kind == "done")
        _refuse_moved(context, run)
        log = journal.reopen(run)
        log.append(held, "resumed")
        return perform(plan, ways, lease=held, journal=log, tell=context.tell, done=done)


def _remaining(context: Context, run: Run) -> tuple[Plan, dict[StepKey, Performer]]:
    task = str(run.started["task"])
    steps = tuple(rebase.step_of(each) for each in run.started["steps"])
    skipped = tuple(step.name for step in steps if step.name in context.options.skip and len(steps) > 1)
    plan = Plan(task, context.entry.pr, steps, skipped)
    if task == undo.TASK:
        recorded = tuple(Change.of_data(data) for data in run.started["changes"])
        return plan, changes.performers(context, recorded)
    ways = _ways(context, plan)
    paused = run.pause
    if paused is not None and paused.step == StepName.ONTO.value:
        there = context.of(context.stack.entry(pr_number(paused.data["pr"])))
        ways[_paused_key(plan, paused)] = _resuming(there, paused, run.after(paused))
    return plan, ways


def _ways(context: Context, plan: Plan) -> dict[StepKey, Performer]:
    if plan.task == restack.TASK:
        return restack.performers(context, plan)
    if plan.task == land.TASK:
        return land.performers(context, plan)
    if plan.task == rescue.TASK:
        return rescue.performers(context, plan)
    return rebase.performers(context, plan.task)


def _key(record: Record) -> StepKey:
    pr = record.data.get("pr")
    return StepName(record.step), None if pr is None else pr_number(pr)


def _paused_key(plan: Plan, paused: Record) -> StepKey:
    """Return the step that paused; a plan of one entry names none in its steps, its pauses do."""
    key = _key(paused)
    return key if any(step.key == key for step in plan.steps) else (key[0], None)


def _resuming(context: Context, paused: Record, since: tuple[Record, ...]) -> Performer:
    resolved = next((str(r.data["new"]) for r in since if r.kind == "resolved"), "")
    moved = next((str(r.data["new"]) for r in reversed(since) if r.kind == "intent" and "ref" in r.data), "")
    return lambda acting: onto.resume(context, acting, dict(paused.data), resolved=resolved, moved=moved)


def _refuse_moved(context: Context, run: Run) -> None:
    """Look whether what the run did to the branches still stands: a step that is done is not done again."""
    for record in run.records:
        new = (record.data.get("facts") or {}).get("new") if record.kind == "done" else None
        if record.step != StepName.ONTO.value or not new:
            continue
        entry = context.stack.entry(pr_number(record.data.get("pr", context.entry.pr)))
        ref = branch_ref(entry.branch)
        held = refs.read_refs(context.git, ref).get(ref)
        if held is None or not history.is_ancestor(context.git, oid(str(new)), held):
            raise Refused(
                f"{entry.branch} is not where run {run.id} left it",
                why=f"it was rebased to {new} and is at {held or 'nothing'}; nothing was changed",
                next_command=(f"invoke {_again(run, entry.pr)}", "invoke abort"),
            )


def _again(run: Run, pr: PrNumber) -> str:
    task = str(run.started["task"])
    return task if task in {restack.TASK, land.TASK} else f"rebase --pr {pr}"


def abort(context: Context, run: Run) -> Outcome:
    """Go back to before a run: branch, remote branch, draft state, base and note as they were; nothing is lost.

    What was resolved in the pause's work tree is kept as a commit under `refs/trunkline/backup/`. An abort that was
    killed is finished by another, or by `continue`.

    Raises:
        Refused: something that the run changed has moved since; it is named and nothing is changed.
    """
    with lease.hold(context.state, run=run.id) as held:
        run = journal.read(run.path)
        if run.state not in _OPEN:
            raise Refused(f"run {run.id} is {run.state} by now", next_command="invoke log")
        rebase.settle_last(context, held)
        if run.started["task"] == rescue.TASK and run.state != "aborting":
            rescue.refuse_too_late(context)
        taken = changes.changes_of(context, run)
        if found := changes.drifted(context, taken):
            raise changes.drift(context, found)
        log = journal.reopen(run)
        if run.state != "aborting":
            log.append(held, "aborting")
        acting = Acting(held, log, Step(StepName.ONTO, "abort", mutates=True))
        rescued = rescue.take_back(context, acting) if run.started["task"] == rescue.TASK else ()
        outcomes = (*rescued, *changes.put_back_all(context, acting, taken))
        kept = _remove_worktrees(context, acting, run)
        log.append(held, "aborted")
    told = "; ".join(outcome.told for outcome in reversed(outcomes)) or f"{context.entry.branch} was never moved"
    details = (f"what you had resolved is kept: {kept}",) if kept else ()
    notes = tuple(line for outcome in outcomes for line in outcome.details)
    return Outcome("aborted", told, Mark.DONE, (*notes, *details), {"run": run.id, "kept": kept})


def _remove_worktrees(context: Context, acting: Acting, run: Run) -> str:
    kept = ""
    for record in run.records:
        path = Path(str(record.data.get("worktree", "")))
        if record.kind == "intent" and "worktree" in record.data and path.is_dir():
            kept = _keep_resolution(context, acting, path)
            conflict.remove_worktree(context, acting, path)
    return kept


def _keep_resolution(context: Context, acting: Acting, path: Path) -> str:
    """Commit what stands in a pause's work tree to a backup ref, so that an abort throws no work away."""
    git = context.git.at(path)
    head = git.resolve("HEAD")
    if head is None or not git.query("status", "--porcelain", "-z").stdout:
        return ""
    git.mutate(acting.lease, "add", "--all")
    tree = git.query("write-tree").text
    commit: Oid = oid(git.query("commit-tree", tree, "-p", head, stdin=b"a resolution begun, kept by abort\n").text)
    return refs.back_up(git, acting.lease, branch_name(f"resolution-{short(commit)}"), commit)
