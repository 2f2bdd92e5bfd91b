"""continue and abort: take up the run that stopped, or go back to before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trunkline.adapters import history, journal, lease, refs
from trunkline.adapters.git import Git
from trunkline.adapters.journal import Record, Run
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, branch_name, branch_ref, oid, short
from trunkline.domain.step import Mark, Outcome, Plan, Step, StepName
from trunkline.engine import Acting, Performed, perform
from trunkline.workflows import changes, conflict, rebase, undo
from trunkline.workflows.changes import Change
from trunkline.workflows.context import Context, Listener, open_context, top_of
from trunkline.workflows.steps import onto

_OPEN = frozenset({"paused", "failed", "interrupted", "aborting"})


def open_run(git: Git) -> Run | None:
    """Return the newest run of this repository if it is not finished; None: there is nothing to go on with."""
    newest = next((run for run in journal.runs(git.state_dir()) if run.started or run.damaged), None)
    return newest if newest is not None and newest.state in _OPEN else None


def context_of(run: Run, *, tell: Listener, cwd: Path | None = None) -> Context:
    """Return the context that a run was started in."""
    started = run.started
    options = rebase.options_of(started)
    return open_context(str(started["pr"]), stack=str(started["stack"]), options=options, tell=tell, cwd=cwd)


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
    return context_of(run, tell=tell, cwd=cwd), run


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
        done = frozenset(StepName(record.step) for record in run.records if record.kind == "done")
        _refuse_moved(context, run)
        log = journal.reopen(run)
        log.append(held, "resumed")
        return perform(plan, ways, lease=held, journal=log, tell=context.tell, done=done)


def _remaining(context: Context, run: Run) -> tuple[Plan, dict[StepName, Callable[[Acting], Outcome]]]:
    task = str(run.started["task"])
    steps = tuple(
        Step(StepName(each["name"]), str(each["does"]), tuple(each["commands"])) for each in run.started["steps"]
    )
    names = [step.name for step in steps]
    skipped = tuple(name for name in names if name in context.options.skip and len(names) > 1)
    if task == undo.TASK:
        recorded = tuple(Change.of_data(data) for data in run.started["changes"])
        return Plan(task, context.entry.pr, steps), changes.performers(context, recorded)
    ways = rebase.performers(context, task)
    paused = run.pause
    if paused is not None:
        ways[StepName(paused.step)] = _resuming(context, paused, run.after(paused))
    return Plan(task, context.entry.pr, steps, skipped), ways


def _resuming(context: Context, paused: Record, since: tuple[Record, ...]) -> Callable[[Acting], Outcome]:
    resolved = next((str(r.data["new"]) for r in since if r.kind == "resolved"), "")
    moved = next((str(r.data["new"]) for r in reversed(since) if r.kind == "intent" and "ref" in r.data), "")
    return lambda acting: onto.resume(context, acting, dict(paused.data), resolved=resolved, moved=moved)


def _refuse_moved(context: Context, run: Run) -> None:
    """Look whether what the run did to the branch still stands: a step that is done is not done again."""
    done = next((r for r in reversed(run.records) if r.kind == "done" and r.step == StepName.ONTO.value), None)
    new = (done.data.get("facts") or {}).get("new") if done is not None else None
    ref = branch_ref(context.entry.branch)
    held = refs.read_refs(context.git, ref).get(ref)
    if new and (held is None or not history.is_ancestor(context.git, oid(str(new)), held)):
        raise Refused(
            f"{context.entry.branch} is not where run {run.id} left it",
            why=f"it was rebased to {new} and is at {held or 'nothing'}; nothing was changed",
            next_command=(f"invoke rebase --pr {context.entry.pr}", "invoke abort"),
        )


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
        taken = changes.changes_of(context, run)
        if found := changes.drifted(context, taken):
            raise changes.drift(context, found)
        log = journal.reopen(run)
        if run.state != "aborting":
            log.append(held, "aborting")
        acting = Acting(held, log, Step(StepName.ONTO, "abort", mutates=True))
        outcomes = changes.put_back_all(context, acting, taken)
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
