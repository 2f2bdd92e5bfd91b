"""Landing tasks: `rebase` and each of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import commands
from trunkline.domain.step import ALIASES, REBASE_STEPS, StepName
from trunkline.tasks import (
    asking,
    attestation,
    building,
    configured,
    editing,
    inspection,
    modifying,
    moving,
    receipts,
    recovery,
    setup,
    simulator,
)
from trunkline.tasks import stack as stack_tasks
from trunkline.tasks.definition import LandingTask, landing_task
from trunkline.tasks.flags import options_of
from trunkline.tasks.opening import open_entry
from trunkline.tasks.recovery import conclude
from trunkline.tasks.registry import namespace
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.context.run import Context

_DOCS = {
    StepName.VERIFY_MERGED: "Step 1: verify that every entry below is merged, how and when; and whether CI works.",
    StepName.FETCH: "Step 3: fetch trunk, the entry's branch and the heads of the pull requests below.",
    StepName.REPLAY: "Step 4: replay the entry's own commits, and nothing else, onto trunk.",
    StepName.FMT: "Step 5: run cargo fmt --all, and commit the changes separately.",
    StepName.GATES: "Step 6: run the cargo gates on exactly the entry's tree.",
    StepName.CHECKS: "After step 6: evaluate the entry's own checks: patterns, commands, tests, manual checks.",
    StepName.PUSH: "Step 7: push the branch, if the gates passed and the remote branch has not changed.",
    StepName.READY: "Step 8: retarget the pull request to trunk and mark it ready for review.",
    StepName.NOTE: "Step 9: write the reviewer note into the pull request's description.",
    StepName.CHECKLIST: "Step 10: evaluate the verification checklist.",
    StepName.NEXT: "Step 11: show the entry above and the command for it.",
}


def _do(session: TaskSession, context: Context, task: str = "") -> None:
    """Run a task of one entry and report it.

    Args:
        session: the session.
        context: the entry.
        task: `rebase`, or a step; "": the session's task.
    """
    session.terminal.headline(f"{context.entry.full_label} -> {context.stack.trunk}")
    session.account["pr"] = context.entry.number
    if session.dry_run:
        session.plan(commands.rebase.forecast(context, task or session.task).plan)
        return
    conclude(session, context, commands.rebase.run(context, task or session.task))


@landing_task("rebase", mutates=True)
def rebase_(
    session: TaskSession,
    pr: str | None = None,
    stack: str = "",
    skip: str = "",
    accept_unavailable: str = "",
    accept_flaky: str = "",
    fork_point: str = "",
    fresh: bool = False,
    no_push: bool = False,
    drop_emptied: bool = False,
    attest: bool = False,
) -> None:
    """Land one entry, steps 1 to 11: rebase, verify with cargo, push, mark ready, write the note."""
    options = options_of(
        skip, accept_unavailable, fork_point, fresh=fresh, no_push=no_push, drop_emptied=drop_emptied,
        accept_flaky=accept_flaky, attest=attest,
    )  # fmt: skip
    context = open_entry(session.terminal, pr, stack, options)

    if (nothing := commands.rebase.nothing_to_do(context)) is None:
        _do(session, context)
        return
    outcome, following = nothing
    session.account["pr"] = context.entry.number
    session.nothing_to_do(outcome)
    for command in following:
        session.terminal.next(command)


def _step_task(step: StepName) -> LandingTask:
    def body(
        session: TaskSession,
        pr: str | None = None,
        stack: str = "",
        skip: str = "",
        accept_unavailable: str = "",
        accept_flaky: str = "",
        fork_point: str = "",
        fresh: bool = False,
        clean: bool = False,
    ) -> None:
        options = options_of(
            skip, accept_unavailable, fork_point, fresh=fresh, clean=clean, accept_flaky=accept_flaky
        )
        _do(session, open_entry(session.terminal, pr, stack, options))

    body.__doc__ = _DOCS[step]
    aliases = [alias for alias, name in ALIASES.items() if name == step.value]
    return landing_task(step.value, mutates=True, aliases=aliases)(body)


def _push_task(single: LandingTask) -> LandingTask:
    """Return the task `push`, extended by `--attest`."""

    def body(
        session: TaskSession,
        pr: str | None = None,
        stack: str = "",
        skip: str = "",
        accept_unavailable: str = "",
        accept_flaky: str = "",
        fork_point: str = "",
        fresh: bool = False,
        clean: bool = False,
        attest: bool = False,
    ) -> None:
        options = options_of(
            skip, accept_unavailable, fork_point, fresh=fresh, clean=clean, accept_flaky=accept_flaky, attest=attest
        )
        _do(session, open_entry(session.terminal, pr, stack, options))

    body.__doc__ = single.__doc__
    return landing_task("push", mutates=True)(body)


def fill() -> None:
    """Add every task to the collection."""
    steps = {step: _step_task(step) for step in REBASE_STEPS if step is not StepName.SWITCH}
    steps[StepName.PUSH] = _push_task(steps[StepName.PUSH])
    for task in (rebase_, *steps.values()):
        namespace.add_task(task)
    recovery.add_to(namespace)
    receipts.add_to(namespace, _do)
    moving.add_to(namespace, _do)
    for module in (
        stack_tasks, building, inspection, editing, modifying, setup, attestation, asking, simulator,
    ):  # fmt: skip
        module.add_to(namespace)
    namespace.configure(configured.nothing_configured())
