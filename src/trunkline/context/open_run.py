"""Find the open run: the one that `continue`, `skip` and `abort` act on."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from trunkline.context.loading import checkout
from trunkline.domain.command import task_command
from trunkline.domain.errors import Paused
from trunkline.domain.names import BranchName, EntryKey, labelled, short
from trunkline.domain.records import PlacedEntry, StepDone, StepFailed
from trunkline.domain.status import OpenRun
from trunkline.domain.step import Plan, StepName, StepStatus
from trunkline.git.git import Git
from trunkline.git.work_trees import work_trees
from trunkline.state import journal
from trunkline.state.journal import Run

_MOVING = frozenset(
    {
        StepName.REWRITE, StepName.REPLAY, StepName.FMT, StepName.PUSH, StepName.MERGE, StepName.CLEANUP,
        StepName.RESCUE,
    }
)  # fmt: skip
"""Steps that move a local or a remote branch."""


def go_on() -> tuple[str, ...]:
    """Return the commands for a run that is paused at a commit."""
    return tuple(task_command(name) for name in ("continue", "skip", "abort"))


def open_run(state: Path) -> Run | None:
    """Return the repository's open run; None if there is none.

    A paused run, or one with an unfinished abort, stays open until it is finished or aborted.
    Otherwise the open run is the newest one that failed or was killed, unless a later run moved its
    branches; if it changed nothing itself, unless a later run was going to move them. A single step
    that failed before it changed anything is open only until another run starts, and not at all if it was
    refused and `continue` cannot help. A run with a damaged journal is open until another run starts, too.

    Args:
        state: the repository's state directory.
    """
    paths = journal.paths(state)
    unfinished = [path for path in paths if not journal.ending(path)]
    stopped = []
    for run in map(journal.read, unfinished):
        if run.is_held and not run.damaged:
            return run
        if (run.started or run.damaged) and run.state in {"failed", "interrupted"} and not _is_over(run):
            stopped.append(run)
    worth = (run for run in stopped if (run.changed or _has_several_steps(run)) and not run.damaged)
    found = next((run for run in worth if not _is_superseded(run, paths)), None)
    if found is not None or not stopped:
        return found
    last = max(paths, key=lambda path: path.stat().st_mtime_ns)  # a run may end after a later one
    return next((run for run in stopped if run.path == last), None)


def _is_over(run: Run) -> bool:
    """Return whether a run's only step was refused before it changed anything, and `continue` cannot help."""
    if run.damaged or run.state != "failed" or run.changed or _has_several_steps(run):
        return False
    failed = run.last(StepFailed)
    return failed is not None and not failed.resumable


def _has_several_steps(run: Run) -> bool:
    return run.started is not None and len(run.started.steps) > 1


def stopped_runs(state: Path) -> tuple[Run, ...]:
    """Return runs that may have left the checkout half moved: the open and the newest one.

    Args:
        state: the repository's state directory.
    """
    run, newest = open_run(state), max(journal.paths(state), key=lambda path: path.stat().st_mtime_ns, default=None)
    found = [run] if run is not None else []
    if newest is not None and not journal.ending(newest) and (run is None or newest != run.path):
        found.append(journal.read(newest))
    return tuple(each for each in found if not each.damaged)


def find_open_run(cwd: Path | None = None) -> OpenRun | None:
    """Return a description of the open run of a directory's repository; None if there is none.

    Raises:
        UsageError: the directory is not in a repository, or in a bare one.
    """
    run = open_run(checkout(cwd).state_dir())
    return described(run) if run is not None else None


def checkout_beside_conflict(git: Git) -> Path | None:
    """Return the checkout to work in if a directory is in the work tree of the open run's conflict; else None.

    The run removes that work tree, and a process whose directory is deleted can start no other. The
    checkout is one that has a branch of the run, else the main work tree.

    Args:
        git: the directory's work tree, at its top.
    """
    run = open_run(git.state_dir())
    if run is None or git.query("rev-parse", "--absolute-git-dir").path.name != run.id:
        return None
    trees = [tree for tree in work_trees(git) if tree.path != git.cwd]
    return next((tree.path for tree in (*(each for each in trees if each.branch in run.moves), *trees)), None)


def paused_run(state: Path) -> Run | None:
    """Return the run that is paused or stopped half way through a rewrite; None if there is none.

    Another run could restack some branches of a half rewritten stack, and would replace the stopped
    run as the newest one. Then `continue` could not finish the rewrite.
    """
    run = open_run(state)
    return run if run is not None and (run.is_held or run.is_half_rewritten) else None


def _is_superseded(run: Run, paths: Collection[Path]) -> bool:
    """Return whether a later run handled a branch that this run was going to move.

    A run that changed nothing has nothing to restore: the later one replaces it, even without an effect.
    """
    later = (path for path in paths if path.parent.name > run.id)
    return any(_sets_out_to_move(path, run.moves) and (not run.changed or _took_effect(path)) for path in later)


def _sets_out_to_move(path: Path, branches: frozenset[str]) -> bool:
    first = journal.first_record(path)
    return first is not None and not branches.isdisjoint(first.moves)


def _took_effect(path: Path) -> bool:
    """Return whether a run changed anything that was not aborted."""
    kind = journal.ending(path)
    return kind == "finished" or (not kind and journal.read(path).changed)


def progress(run: Run) -> str:
    """Return the progress of a run for each entry that it moved, in words; "" if it moved none."""
    stages = {
        StepName.REWRITE: "rewritten here",
        StepName.REPLAY: "rebased here",
        StepName.PUSH: "pushed",
        StepName.MERGE: "merged",
    }
    found: dict[EntryKey, str] = {}
    for record in run.records:
        if isinstance(record, StepDone) and record.step in stages and record.mark is not StepStatus.NOTHING:
            # A step of the whole stack applies to every entry that was moved before it.
            of = list(found) if record.pr is None else [record.pr]
            found |= dict.fromkeys(of, stages[record.step])
    names = {each.pr: each.full_label for each in run.started.entries} if run.started else {}
    listed = [f"{names.get(key, labelled(key))} {stage}" for key, stage in found.items()]
    return f"this run so far: {', '.join(listed)}" if listed else ""


def refuse_damaged(run: Run) -> None:
    """Check that a run's journal is intact.

    Raises:
        Refused: it is damaged.
    """
    if run.damaged:
        raise run.refusal()


def moved_by(plan: Plan, branch: BranchName, branches: Collection[BranchName]) -> list[BranchName]:
    """Return the branches that a plan will move.

    Args:
        plan: the plan.
        branch: the branch of a plan for one entry.
        branches: the branches of all entries in a plan for several.
    """
    moving = [step for step in plan.steps if step.name in _MOVING and step.name not in plan.skipped]
    if not moving:
        return []
    return sorted(branches) if any(step.pr is not None for step in plan.steps) else [branch]


def moves_branches(steps: Collection[StepName]) -> bool:
    """Return whether one of these steps moves a branch."""
    return bool(_MOVING.intersection(steps))


def described(run: Run) -> OpenRun:
    """Return why an open run stopped, its state, and how to resume it."""
    return OpenRun(run.id, run.task, "paused" if run.pause and run.state != "aborting" else run.state, *_facts(run))


def _facts(run: Run) -> tuple[str, str, tuple[str, ...], str]:
    """Return why a run stopped, the details, the next commands, and the work tree of its conflict."""
    if run.damaged:
        refused = run.refusal()
        return refused.what, refused.why, refused.next_commands, ""
    name = name_of(run)
    if run.state == "aborting":
        return f"the abort of {name} is not finished", "it stopped half way", (task_command("abort"),), ""
    pause = run.pause
    if pause is None:
        how = "failed" if run.state == "failed" else "was interrupted"
        failed = run.last(StepFailed)
        why = failed.what if failed is not None and run.state == "failed" else ""
        return f"{name} {how}", why, (task_command("continue"), task_command("abort")), ""
    what = f"{name} is paused at commit {short(pause.rest[0])} of {pause.full_label}"
    why = f"a conflict in {', '.join(pause.files)}\nresolve it in {pause.worktree}"
    return what, why, go_on(), pause.worktree


def name_of(run: Run) -> str:
    """Return the task and the entries of a run: `restack of #518, #519`."""
    return f"{run.task} of {_entries(run)}"


def _entries(run: Run) -> str:
    begun = run.begun
    branches = run.moves or {begun.branch}
    if len(branches) == 1:
        branch = BranchName(next(iter(branches)))
        pr = next((each.pr for each in begun.entries if each.branch == branch), begun.pr)
        return PlacedEntry(pr, branch).full_label
    return ", ".join(labelled(each.pr) for each in begun.entries if each.branch in branches)


def refuse_while_paused(state: Path, branches: Collection[str]) -> None:
    """Check that no paused or half rewritten run needs these branches.

    Args:
        state: the repository's state directory.
        branches: the local or remote branches that will move.

    Raises:
        Paused: one does; the error names it, its state and the next commands.
    """
    run = paused_run(state)
    if run is None or not run.moves.intersection(branches):
        return
    found = described(run)
    raise Paused(found.what, why=f"{found.why}\nnothing was begun".lstrip(), next_command=found.commands)
