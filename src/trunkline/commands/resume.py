"""Commands `continue` and `skip`: resume the stopped run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import structs
from msgspec.structs import replace

from trunkline.commands import add, land, rebase, rescue, restack, rewriting, runner, submit, sync, undo
from trunkline.context import open_run
from trunkline.context.loading import checkout
from trunkline.context.project import Reporter
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.command import Command, task_command
from trunkline.domain.commits import counted
from trunkline.domain.decisions import Decisions
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import EntryKey, Oid, branch_ref, short
from trunkline.domain.replayed import Replayed
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Plan, Step, StepKey, StepName
from trunkline.engine import RunResult, StepContext, StepFunction, run_plan
from trunkline.git import history, local_refs, refs
from trunkline.git.git import Git
from trunkline.operations import inclusion, local_branch, revert
from trunkline.planning import pushed_commits
from trunkline.state import journal, lock
from trunkline.state.journal import Run
from trunkline.steps import resume_replay

_AFTER_REPLAY = frozenset({
    StepName.FMT, StepName.GATES, StepName.CHECKS, StepName.PUSH, StepName.READY, StepName.NOTE, StepName.RETARGET,
    StepName.CHECKLIST, StepName.WAIT,
})  # fmt: skip
"""Steps to repeat for an entry, or a stack, whose branch changed after they were done."""


_WHOLE: Mapping[str, Callable[[Context, Plan], dict[StepKey, StepFunction]]] = {
    rescue.TASK: rescue.step_functions,
    restack.TASK: restack.step_functions,
    sync.TASK: restack.step_functions,
    submit.TASK: submit.step_functions,
    land.TASK: land.step_functions,
}
"""The tasks of several entries whose step functions need their plan alone."""


def find(reporter: Reporter, cwd: Path | None = None) -> tuple[Context, Run] | None:
    """Return the open run and the context for resuming it; None if there is none.

    Raises:
        Refused: its journal is damaged.
        UsageError: stack.toml no longer has the entries of the run.
    """
    run = open_run.open_run(checkout(cwd).state_dir())
    if run is None:
        return None
    open_run.refuse_damaged(run)
    try:
        if run.begun.declared or run.task == undo.TASK:  # the run itself changes the entries of stack.toml
            return runner.recorded_context(run, reporter=reporter, cwd=cwd), run
        context = rebase.context_of(run, reporter=reporter, cwd=cwd)
        if run.begun.added is not None:
            context = add.with_entry(context, run.begun.added)
        for pr in _numbers(run):
            context.stack.entry(pr)
    except UsageError as error:
        why = f"run {run.id} needs it: put stack.toml back as it was and continue, or abort\n{error.why}".strip()
        # An editor helps; `init` would write another file, and `status` would fail likewise.
        edits = tuple(command for command in error.next_commands if not isinstance(command, Command))
        commands = (*edits, task_command("continue"), task_command("abort"))
        raise UsageError(error.what, why=why, next_command=commands) from error
    return context, run


def _numbers(run: Run) -> list[EntryKey]:
    """Return the entries that a run moves, from its journal."""
    return [each.pr for each in run.begun.entries if each.branch in run.moves]


def resume(context: Context, run: Run, *, skip: bool = False, include: str = "") -> RunResult:
    """Resume a run: repeat the step that stopped, and run those that follow.

    Steps that are done stay done, unless the user has moved a branch that they depend on.

    Args:
        context: see `find`.
        run: the run.
        skip: skip the commit at which the run stopped.
        include: include commits that were pushed since the run began, up to this one; "" for none.

    Raises:
        Refused: another run holds the lock, the run has ended, it is not paused at a commit that
            can be skipped, or a branch does not exist.
    """
    context.reporter.require_approval(*plan(context, run).publishes)
    with lock.hold(context.state, run=run.id) as held:
        run = journal.read(run.path)  # read again under the lock: two processes may try to continue
        if run.state in {"finished", "aborted", "aborting"}:
            raise Refused(f"run {run.id} is {run.state} by now", next_command=task_command("log"))
        pause = run.pause
        if skip and (pause is None or pause.step is not StepName.REPLAY):
            raise Refused(
                f"run {run.id} did not stop at a commit",
                why="there is nothing to leave out",
                next_command=(task_command("continue"), task_command("abort")),
            )
        runner.settle_last(context.project, held)
        log = journal.reopen(run)
        resumed = _ResumedRun(context, run, held, log)
        if run.task == undo.TASK:
            return resumed.undo()
        resumed.refuse_gone()
        resumed.refuse_unmovable()
        log.append(held, records.Resumed())
        context.run.begin(Decisions(), pushed_commits.initial_tips(context.stack, run.begun, run))
        if include:
            resumed.include(include)
        first = resumed.run_paused_step(pause, skip=skip) if pause is not None else RunResult({})
        return first if first.error is not None else runner.explained(run.path, resumed.rest(first), resumed.plan)


def plan(scope: Scope, run: Run, *, skip: bool = False) -> Plan:
    """Return the remaining steps of a run.

    Args:
        scope: the run's entry.
        run: the run.
        skip: the commit at which it paused is left out.
    """
    whole = _plan_of(scope, run)
    done, pause = _done(whole, run), run.pause
    steps = [step for step in whole.steps if step.key not in done]
    if pause is not None and pause.rest:
        key = whole.key(pause.step, pause.pr)
        steps = [_taken_up(step, pause, skip=skip) if step.key == key else step for step in steps]
    return structs.replace(whole, steps=tuple(steps))


def _taken_up(step: Step, pause: records.Paused, *, skip: bool) -> Step:
    """Return the step of a replay that paused as `take_up` continues it; its planned commands began it."""
    first, *others = pause.rest
    description = f"leave out {short(first)}" if skip else f"take your resolution of {short(first)}"
    description += f", then replay {counted(len(others))}" if others else ""
    return structs.replace(step, description=f"{description} onto {pause.base_name}", commands=())


def _plan_of(scope: Scope, run: Run) -> Plan:
    """Return a run's plan, from its journal."""
    steps = tuple(runner.step_of(each) for each in run.begun.steps)
    skipped = tuple(step.name for step in steps if step.name in scope.options.skip and len(steps) > 1)
    return Plan(run.task, scope.entry.key, steps, skipped, branches=run.begun.moves)


def _done(plan: Plan, run: Run) -> frozenset[StepKey]:
    """Return the steps that are done, except those that a later replay of the entry invalidated."""
    found: set[StepKey] = set()
    for record in run.records:
        if not isinstance(record, records.StepDone | records.Adopted):
            continue
        name, pr = plan.key(record.step, record.pr)
        if name is StepName.REPLAY:
            found -= _resting_on(plan, pr)
        if isinstance(record, records.StepDone):
            found.add((name, pr))
    return frozenset(found)


def _resting_on(plan: Plan, pr: EntryKey | None) -> set[StepKey]:
    """Return the steps that depend on an entry's branch: its own, and those of the whole stack."""
    return {step.key for step in plan.steps if step.name in _AFTER_REPLAY and step.pr in {None, pr}}


class _ResumedRun(msgspec.Struct, frozen=True):
    """A run that is being resumed."""

    context: Context
    run: Run
    held: lock.RepositoryLock
    log: journal.Journal

    @property
    def plan(self) -> Plan:
        """The run's plan."""
        return _plan_of(self.context, self.run)

    def done(self) -> frozenset[StepKey]:
        """Return the steps that are done by now."""
        return _done(self.plan, journal.read(self.run.path))

    def undo(self) -> RunResult:
        """Resume an undo."""
        recorded = self.run.begun.changes
        self.log.append(self.held, records.Resumed())
        return self._run_plan(self.plan, revert.step_functions(self.context, recorded), self.done())

    def run_paused_step(self, pause: records.Paused, *, skip: bool) -> RunResult:
        """Run only the step that paused; the user's resolution is then in the branch."""
        entry_context = self.context.of(self.context.stack.entry(pause.pr))
        key = self.plan.key(pause.step, entry_context.entry.key)
        step = next(step for step in self.plan.steps if step.key == key)
        stopped = resume_replay.stopped_at(pause, self.run.after(pause))

        def step_function(step_context: StepContext) -> Outcome:
            return resume_replay.run(entry_context, step_context, stopped, skip=skip)

        one = structs.replace(self.plan, steps=(step,))
        return runner.explained(
            self.run.path, self._run_plan(one, {key: step_function}, frozenset(), ends=False), self.plan
        )

    def include(self, name: str) -> None:
        """Include commits that were pushed to a branch since the run began, up to one.

        Raises:
            Refused: no such commit was pushed.
        """
        entry, tip = pushed_commits.named(self.context.view(), name)
        step_context = StepContext(self.held, self.log, Step(StepName.REPLAY, "include"))
        inclusion.include(self.context.of(entry), step_context, tip)

    def _included(self) -> frozenset[StepKey]:
        """Return the steps to repeat after an include: the replay, and all that depend on it."""
        read = journal.read(self.run.path).records
        found: set[StepKey] = set()
        for number, record in enumerate(read):
            if not isinstance(record, records.Included):
                continue
            entry = self.context.stack.entry(record.pr)
            for each in (entry, *self.context.stack.entries[self.context.stack.entries.index(entry) + 1 :]):
                key = self.plan.key(StepName.REPLAY, each.key)
                later = (record for record in read[number:] if isinstance(record, records.StepDone))
                if all(self.plan.key(done.step, done.pr) != key for done in later):
                    found |= {key, *_resting_on(self.plan, key[1])}
        return frozenset(found)

    def rest(self, first: RunResult) -> RunResult:
        """Run the remaining steps of the plan."""
        stale = self._stale() | self._included()
        result = self._run_plan(self.plan, self._step_functions(), self.done() - stale)
        return replace(result, outcomes={**first.outcomes, **result.outcomes})

    def _run_plan(
        self, plan: Plan, functions: Mapping[StepKey, StepFunction], done: frozenset[StepKey], *, ends: bool = True
    ) -> RunResult:
        return run_plan(
            plan, functions, lock=self.held, journal=self.log, reporter=self.context.reporter, done=done, ends=ends
        )

    def _step_functions(self) -> dict[StepKey, StepFunction]:
        context, plan, begun = self.context, self.plan, self.run.begun
        if plan.task in rewriting.TASKS:
            declared = runner.entries_of(begun.declared)
            return rewriting.step_functions(context, plan, begun.rewrites, begun.staged, declared)
        if plan.task == add.TASK:
            return add.step_functions(context, plan, begun.added)
        if plan.task in _WHOLE:
            return _WHOLE[plan.task](context, plan)
        return {
            key: runner.unless_merged(context, key[0], function)
            for key, function in rebase.step_functions(context, plan.task).items()
        }

    def refuse_gone(self) -> None:
        """Check that the branches that the run moved still exist and contain their new base.

        Raises:
            Refused: one was deleted, renamed, or moved to commits without its base.
        """
        for entry, replayed in self._moved():
            tip, new = _tip(self.context.git, entry), replayed.new
            on_base = tip is not None and history.is_ancestor(self.context.git, replayed.base, tip)
            if on_base or self._is_merged(entry):
                continue
            if tip is None:
                raise Refused(
                    f"{entry.label}: local branch {entry.branch} no longer exists",
                    why=f"run {self.run.id} left it at {new}; nothing was changed",
                    next_command=(f"git branch {shlex.quote(entry.branch)} {new}", task_command("abort")),
                )
            whole = self.run.task in {restack.TASK, sync.TASK, land.TASK}
            again = self.run.task if whole else f"rebase --pr {entry.key}"
            again = restack.TASK if self.run.task in rewriting.TASKS else again
            raise Refused(
                f"{entry.full_label} is not where run {self.run.id} left it",
                why=f"it was rebased to {new} and is at {tip}, without its base; nothing was changed",
                next_command=(task_command("abort"),)
                if self.run.is_held
                else (task_command(*again.split()), task_command("abort")),
            )

    def refuse_unmovable(self) -> None:
        """Check that every branch that is left to replay can be moved, before the first of them is.

        Raises:
            Refused: one is checked out elsewhere or being rebased, or its checkout has uncommitted changes.
        """
        done = self.done()
        replays = (step for step in self.plan.steps if step.name is StepName.REPLAY and step.key not in done)
        left = {step.pr or self.context.entry.key for step in replays}
        # `add` takes the changes to its new branch before the branch that has them moves.
        leaves = any(step.name is StepName.ADD and step.key not in done for step in self.plan.steps)
        for entry in self.context.stack.entries:
            if entry.key in left and not self._is_merged(entry):
                local_branch.refuse_unmovable(self.context.of(entry).view().local, keeps_files=leaves)

    def _moved(self) -> list[tuple[Entry, Replayed]]:
        """Return the replayed entries, bottom first, each with the data of its newest replay."""
        found: dict[EntryKey, Replayed] = {}
        for record in journal.read(self.run.path).records:
            if isinstance(record, records.StepDone | records.Adopted) and record.replayed is not None:
                found[record.pr or self.context.entry.key] = record.replayed
        return [(entry, found[entry.key]) for entry in self.context.stack.entries if entry.key in found]

    def _is_merged(self, entry: Entry) -> bool:
        pr = self.context.world().snapshot.pr(entry.key)
        return pr is not None and pr.state is PrState.MERGED

    def _stale(self) -> frozenset[StepKey]:
        """Return finished steps that must be repeated because a branch is not as the run left it.

        Each such branch is reported.

        In a restack or a rewrite, an entry that lacks new commits of the entry below is replayed again, and so
        are all entries above it. If the user moved an entry's branch, the steps after its replay
        are repeated with its new tip.
        """
        found: set[StepKey] = set()
        below: Oid | None = None
        again = False
        for entry, replayed in self._moved():
            tip = _tip(self.context.git, entry)
            if tip is None or self._is_merged(entry):
                continue
            if below is not None and self.plan.task in {restack.TASK, sync.TASK, *rewriting.TASKS}:
                again = again or not history.is_ancestor(self.context.git, below, tip)
            if again:
                found.add(self.plan.key(StepName.REPLAY, entry.key))
            if again or tip not in self._known_tips(entry, replayed):
                if again:
                    self.context.reporter.progress(
                        f"{entry.full_label} no longer holds its base: it is replayed again"
                    )
                else:
                    self._adopt(entry, replayed, tip)
                found |= _resting_on(self.plan, self.plan.key(StepName.REPLAY, entry.key)[1])
            below = tip
        return frozenset(found)

    def _known_tips(self, entry: Entry, replayed: Replayed) -> set[Oid]:
        """Return the tips of a local branch that the run made or accepted."""
        moves = (r for r in journal.read(self.run.path).records if isinstance(r, records.BranchMoved))
        return {replayed.new, *(move.new for move in moves if move.branch == entry.branch)}

    def _pushed(self, entry: Entry) -> Oid | None:
        """Return the tip of an entry that the run has pushed; None if the remote holds another."""
        pushes = (r for r in reversed(self.run.records) if isinstance(r, records.BranchPushed))
        pushed = next((push for push in pushes if push.branch == entry.branch), None)
        remote = self.context.of(entry).view().local.remote
        return remote if pushed is not None and remote == pushed.new else None

    def _adopt(self, entry: Entry, replayed: Replayed, tip: Oid) -> None:
        """Accept the tip of a branch that the user has moved as the entry's head, and journal it."""
        self.context.reporter.progress(
            f"{entry.full_label} is at {short(tip)}, moved since: taken as it is, verified again"
        )
        # Keep the amended commits as known heads: entries above still contain them.
        local_refs.back_up(self.context.git, self.held, entry.branch, replayed.new)
        # After an amend, the mapping from old to new commits is unknown.
        is_forward = history.is_ancestor(self.context.git, replayed.new, tip)
        adopted = msgspec.structs.replace(
            replayed,
            new=tip,
            mapped=replayed.mapped if is_forward else (),
            remote=self._pushed(entry) or replayed.remote,
        )
        self.log.append(self.held, records.Adopted(StepName.REPLAY, entry.key, entry.branch, replayed=adopted))


def _tip(git: Git, entry: Entry) -> Oid | None:
    ref = branch_ref(entry.branch)
    return refs.read_ref(git, ref)
