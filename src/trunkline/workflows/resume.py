"""continue and abort: take up the run that stopped, or go back to before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trunkline.adapters import journal, lease, refs
from trunkline.adapters.git import Git
from trunkline.adapters.journal import Run
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, branch_name, branch_ref, oid, short
from trunkline.domain.step import Mark, Outcome, Plan, Step, StepName
from trunkline.engine import Acting, Performed, perform
from trunkline.workflows import branch, conflict, rebase
from trunkline.workflows.context import Context, Listener, open_context, top_of
from trunkline.workflows.steps import onto

_OPEN = frozenset({"paused", "failed", "interrupted"})


def open_run(git: Git) -> Run | None:
    """Return the newest run of this repository if it is not finished; None: there is nothing to go on with."""
    newest = next((run for run in journal.runs(git.state_dir()) if run.started), None)
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
        Refused: another run holds the repository.
    """
    task = str(run.started["task"])
    steps = tuple(
        Step(StepName(each["name"]), str(each["does"]), tuple(each["commands"])) for each in run.started["steps"]
    )
    names = [step.name for step in steps]
    skipped = tuple(name for name in names if name in context.options.skip and len(names) > 1)
    done = frozenset(StepName(record.step) for record in run.records if record.kind == "done")
    ways = rebase.performers(context, task)
    paused = run.last("paused") if run.state == "paused" else None
    if paused is not None:
        ways[StepName(paused.step)] = _resuming(context, dict(paused.data))
    with lease.hold(context.state, run=run.id) as held:
        log = journal.reopen(run)
        log.append(held, "resumed")
        plan = Plan(task, context.entry.pr, steps, skipped)
        return perform(plan, ways, lease=held, journal=log, tell=context.tell, done=done)


def _resuming(context: Context, paused: dict[str, object]) -> Callable[[Acting], Outcome]:
    return lambda acting: onto.resume(context, acting, paused)


def abort(context: Context, run: Run) -> Outcome:
    """Go back to before a run: the branch as it was, the work tree of the conflict gone; nothing is lost.

    What was resolved in the pause's work tree is kept as a commit under `refs/trunkline/backup/`.

    Raises:
        Refused: the run has pushed already, or the branch moved since.
    """
    with lease.hold(context.state, run=run.id) as held:
        log = journal.reopen(run)
        acting = Acting(held, log, Step(StepName.ONTO, "abort", mutates=True))
        _refuse_pushed(context, run)
        told = _restore_branch(context, acting, run)
        kept = _remove_worktrees(context, acting, run)
        log.append(held, "aborted")
    details = (f"what you had resolved is kept: {kept}",) if kept else ()
    return Outcome("aborted", told, Mark.DONE, details, {"run": run.id, "kept": kept})


def _moves(run: Run) -> list[tuple[str, str | None, str]]:
    """Return (ref, old, new) of every local branch move that the run announced, in order."""
    return [
        (str(record.data["ref"]), record.data["old"], str(record.data["new"]))
        for record in run.records
        if record.kind == "intent" and "ref" in record.data and "remote" not in record.data
    ]


def _refuse_pushed(context: Context, run: Run) -> None:
    intent = next((r for r in run.records if r.kind == "intent" and r.step == StepName.PUSH.value), None)
    if intent is None:
        return
    ref, old, new = str(intent.data["ref"]), str(intent.data["old"]), str(intent.data["new"])
    now = refs.list_remote(context.git, context.stack.remote, [ref]).get(ref)
    if now == new:
        raise Refused(
            f"run {run.id} has pushed already",
            why=f"{context.stack.remote} holds {short(new)}; going back would need another push",
            next_command=(
                "invoke continue",
                f"git push --force-with-lease={ref}:{new} {context.stack.remote} {old}:{ref}",
            ),
        )


def _restore_branch(context: Context, acting: Acting, run: Run) -> str:
    moves = _moves(run)
    if not moves:
        return f"{context.entry.branch} was never moved"
    before, ours = moves[0][1], {new for _, _, new in moves}
    now = refs.read_refs(context.git, branch_ref(context.entry.branch)).get(branch_ref(context.entry.branch))
    if now == before or now is None:
        return f"{context.entry.branch} is as it was"
    if now not in ours:
        raise Refused(
            f"{context.entry.branch} moved since",
            why=f"it is at {now}, which run {run.id} did not make; nothing was changed",
            next_command=f"git log --oneline {now}",
        )
    if before is None:
        return f"{context.entry.branch} stays: the run created it, from {context.stack.remote}"
    branch.move(context, acting, new=oid(before), old=now, why="abort")
    return f"{context.entry.branch} is back at {short(before)}"


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
