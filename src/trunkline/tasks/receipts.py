"""Tasks for evidence: gates over a whole stack, checks, checklist and receipts."""

from __future__ import annotations

import datetime as dt
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from invoke.collection import Collection

from trunkline import commands, operations, report, steps
from trunkline import context as contexts
from trunkline.domain.checklist import next_commands
from trunkline.domain.command import task_command
from trunkline.domain.errors import CheckFailed, TrunklineError, UsageError
from trunkline.domain.names import short
from trunkline.domain.options import Options
from trunkline.domain.receipt import Verdict
from trunkline.domain.redaction import redacted
from trunkline.domain.stack import Stack
from trunkline.domain.statement import statement_of
from trunkline.domain.step import Outcome, StepStatus
from trunkline.domain.waivers import Waivers
from trunkline.domain.words import count_of
from trunkline.report import as_json
from trunkline.system import installing, process
from trunkline.tasks.definition import LandingTask, landing_task
from trunkline.tasks.flags import FLAGS, from_environment, options_of
from trunkline.tasks.opening import checkout, open_entry, open_stack, read_stack
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.context.run import Context
    from trunkline.git.git import Git


def _place(stack: str, session: TaskSession) -> tuple[Git, Stack]:
    git = checkout()
    return git.with_echo(session.terminal.command), read_stack(git, stack)


def gates_task(single: LandingTask, run: Callable[[TaskSession, Context], None]) -> LandingTask:
    """Return the task `gates`: for one entry, or with a bare `--stack` for all entries.

    Args:
        single: the step's own task.
        run: runs the step in a context.
    """

    def body(
        session: TaskSession,
        pr: str | None = None,
        stack: Any = "",
        all_: bool = False,
        skip: str = "",
        accept_unavailable: str = "",
        accept_flaky: str = "",
        fork_point: str = "",
        fresh: bool = False,
        clean: bool = False,
        baseline: bool = False,
    ) -> None:
        options = options_of(
            skip, accept_unavailable, fork_point, fresh=fresh, clean=clean, accept_flaky=accept_flaky,
            baseline=baseline,
        )  # fmt: skip
        if stack is True and pr and pr != from_environment("pr", ""):
            raise UsageError(
                f"--stack alone gates every entry, and --pr {pr} names one",
                why="nothing was done",
                next_command=(session.again({"stack": ""}), session.again({"pr": ""})),
            )
        if all_ or stack is True:
            _gate_all(session, *_place("" if stack is True else stack, session), options)
            return
        run(session, open_entry(session.terminal, pr, stack, options))

    body.__doc__ = f"{single.__doc__} With --stack alone: of every entry, bottom first."
    help_ = {"stack": f"{FLAGS['stack'].help}; without a value: gate every entry"}
    return landing_task("gates", mutates=True, help=help_, optional=("stack",))(body)


def checks_task(single: LandingTask) -> LandingTask:
    """Return the task `checks`, extended by `--tick` to confirm a manual check."""

    def body(
        session: TaskSession,
        pr: str | None = None,
        stack: str = "",
        tick: str = "",
        reason: str = "",
        skip: str = "",
        accept_unavailable: str = "",
        accept_flaky: str = "",
        fork_point: str = "",
        fresh: bool = False,
        clean: bool = False,
    ) -> None:
        if not (tick or reason):
            single.body(
                session, pr=pr, stack=stack, skip=skip, accept_unavailable=accept_unavailable,
                accept_flaky=accept_flaky, fork_point=fork_point, fresh=fresh, clean=clean,
            )  # fmt: skip
            return
        if not tick:
            raise UsageError("--reason belongs to --tick NAME", next_command=task_command("checks"))
        _tick(session, open_entry(session.terminal, pr, stack, Options()), tick, reason)

    body.__doc__ = f"{single.__doc__} --tick NAME --reason WHY: you looked."
    return landing_task("checks", mutates=True)(body)


def _tick(session: TaskSession, context: Context, name: str, reason: str) -> None:
    session.account["pr"] = context.entry.number
    check = steps.checks.manual_check(context.entry, name, reason)
    if session.dry_run:
        session.terminal.line(f"would confirm {name} on {short(context.local_tip())}")
        return
    outcome = steps.checks.tick(context.view(), check, reason)
    session.account["ticked"] = outcome.to_json()
    session.terminal.line(("✓ ", "green"), f"{name} on {short(context.local_tip())}: {outcome.summary}")


def checklist_task(single: LandingTask) -> LandingTask:
    """Return the task `checklist`, which only reads and writes no journal."""

    def body(
        session: TaskSession,
        pr: str | None = None,
        stack: str = "",
        skip: str = "",
        accept_unavailable: str = "",
        accept_flaky: str = "",
        markdown: bool = False,
    ) -> None:
        if session.dry_run:
            single.body(session, pr=pr, stack=stack, skip=skip)
            return
        options = options_of(skip, accept_unavailable, accept_flaky=accept_flaky)
        context = open_entry(session.terminal, pr, stack, options)

        lines = steps.checklist.evaluate(context.view())
        outcome = steps.checklist.outcome(lines)
        session.account["pr"] = context.entry.number
        session.account["steps"] = [{"step": "checklist", **as_json.outcome(outcome)}]
        if markdown and not session.json_wanted:
            sys.stdout.write(redacted(report.checklist.markdown(lines), process.secrets()))
        else:
            session.terminal.headline(f"{context.entry.full_label}: {outcome.message}")
            now = dt.datetime.now(dt.timezone.utc)
            session.terminal.console.print(report.checklist.table(lines, now))
        if outcome.mark is StepStatus.FAILED:
            following = next_commands(context.entry.key, outcome.data["lines"])
            raise CheckFailed("the checklist has open lines", next_command=following)

    body.__doc__ = single.__doc__
    help_ = {"markdown": "print a task list for a pull request"}
    return landing_task("checklist", mutates=True, help=help_)(body)


def _unmerged(session: TaskSession, stack: Stack, options: Options) -> Stack:
    """Return a stack without its merged entries; as it is, where GitHub cannot be reached."""
    try:
        context = open_stack(session.terminal, stack.name, options)
        return msgspec.structs.replace(stack, entries=operations.gate_stack.unmerged(context.project))
    except TrunklineError as error:
        session.terminal.progress(f"merged entries are gated, too: {error.what}")
        return stack


def _gate_all(session: TaskSession, git: Git, stack: Stack, options: Options) -> None:
    contexts.loading.refuse_unknown_gates(stack, options)
    stack = _unmerged(session, stack, options)
    if not stack.entries:
        session.nothing_to_do(Outcome("nothing to do", "every entry is merged", StepStatus.NOTHING))
        return
    session.terminal.headline(f"gates of {count_of(len(stack.entries), 'entry', 'entries')}, bottom first")
    if session.dry_run:
        for entry in stack.entries:
            session.terminal.line(f"  {entry.full_label}: {', '.join(operations.gate_stack.names(stack))}")
        return
    session.approve(steps.gates.publishes(stack.gates))
    with session.terminal.gating():
        rows = operations.gate_stack.gate_stack(git, stack, session.terminal, options.reuse)
    session.account["entries"] = [
        {
            "pr": row.entry.number,
            "branch": row.entry.branch,
            "commit": row.commit,
            "seconds": round(row.seconds, 3),
            "outcomes": [outcome.to_json() for outcome in row.outcomes.values()],
        }
        for row in rows
    ]
    heads = [(f"{r.entry.label} {short(r.commit) if r.commit else 'no branch'}", r.outcomes) for r in rows]
    session.terminal.console.print(report.gates.stack_table(operations.gate_stack.names(stack), heads))
    waived = Waivers(options.accept_unavailable, options.accept_flaky)
    wrong = [row for row in rows if not all(map(waived.allow, row.outcomes.values()))]
    if wrong:
        first = next(outcome for outcome in wrong[0].outcomes.values() if not waived.allow(outcome))
        commit, pr = wrong[0].commit, wrong[0].entry.key
        if first.verdict is Verdict.UNAVAILABLE:  # alone it would be unavailable too
            outcomes = [outcome for row in rows for outcome in row.outcomes.values()]
            missing = {outcome.gate for outcome in outcomes if outcome.verdict is Verdict.UNAVAILABLE}
            again = session.again({"accept-unavailable": ",".join(sorted(missing | options.accept_unavailable))})
        else:
            again = steps.gates.run_again(git, first, short(commit), pr) if commit else ""
        raise CheckFailed(
            f"{len(wrong)} of {count_of(len(rows), 'entry', 'entries')} did not pass every gate",
            why=f"{wrong[0].entry.label} {first.gate}: {first.diagnosis or first.verdict.value}",
            next_command=tuple(
                part for part in (*steps.gates.to_edit(git, wrong[0].entry, [first]), first.fix, again) if part
            ),
        )


def _print_receipts(session: TaskSession, stack: str) -> tuple[commands.receipts.Listed, ...]:
    found = commands.receipts.listed(*_place(stack, session))
    session.account["receipts"] = [
        {
            "file": each.path.name,
            "statement": statement_of(each.receipt) if each.receipt else None,
            "problem": each.problem,
            "signed": each.signed,
            "standing": each.standing,
            "why": each.why,
        }
        for each in found
    ]
    if not found:
        session.terminal.line(f"no receipt yet: {task_command('gates')}")
        return found
    sound = [(each.receipt, _standing(each), each.signed) for each in found if each.receipt]
    session.terminal.console.print(report.gates.receipts_table(sound))
    for (standing, why), count in Counter((each.standing, each.why) for each in found if each.why).items():
        session.terminal.line(f"{count_of(count, 'receipt')} {standing}: {why}")
    for each in found:
        if each.problem:
            session.terminal.line(("! ", "yellow"), f"{each.path.name}: {each.problem}")
    return found


def _standing(each: commands.receipts.Listed) -> str:
    """Return a receipt's current validity, or its own verdict if that is unknown."""
    if each.problem or each.receipt is None:
        return Verdict.FAILED.value
    return each.standing or (Verdict.PASSED if each.receipt.passed else Verdict.FAILED).value


@landing_task("receipts.list", mutates=False, default=True)
def list_(session: TaskSession, stack: str = "") -> None:
    """List the receipts: verdict, tree, toolchain, sandbox and signer."""
    _print_receipts(session, stack)


@landing_task("receipts.verify", mutates=False)
def verify(session: TaskSession, stack: str = "") -> None:
    """Verify every receipt: its own hash, its log's hash, its signature."""
    wrong = [each for each in _print_receipts(session, stack) if each.problem]
    if wrong:
        raise CheckFailed(
            f"{count_of(len(wrong), 'damaged receipt')}: no proof of anything",
            why="\n".join(f"{each.path}: {each.problem}" for each in wrong),
            next_command=f"rm {shlex.quote(str(wrong[0].path))}",
        )


@landing_task("receipts.push", mutates=True)
def push(session: TaskSession, stack: str = "") -> None:
    """Share the receipts as git notes (refs/notes/trunkline), without their logs."""
    git, chosen = _place(stack, session)
    if session.dry_run:
        count = len(commands.receipts.valid(git))
        session.account.update(receipts=count, pushed=False)
        session.terminal.line(f"would push {count_of(count, 'receipt')} to {chosen.remote} as git notes")
        return
    if found := commands.receipts.valid(git):
        session.approve(
            [f"push {count_of(len(found), 'receipt')} to {chosen.remote} as git notes (refs/notes/trunkline)"]
        )
    count, moved = commands.receipts.push(git, chosen)
    session.account.update(receipts=count, pushed=moved)
    session.terminal.line(
        f"{count_of(count, 'receipt')}: " + ("pushed" if moved else "nothing to push, the remote is up to date")
    )


@landing_task("receipts.pull", mutates=True)
def pull(session: TaskSession, stack: str = "") -> None:
    """Fetch others' receipts; only those signed by one of `[gates] signers` count here."""
    git, chosen = _place(stack, session)
    if session.dry_run:
        session.terminal.line(f"would fetch the receipts of {chosen.remote}")
        return
    pulled = commands.receipts.pull(git, chosen)
    session.account.update(taken=pulled.taken, untrusted=pulled.untrusted, known=pulled.known)
    session.terminal.line(
        f"{pulled.taken} taken, {pulled.known} known already, {pulled.untrusted} not signed by anybody known"
    )


@landing_task(
    "receipts.export",
    mutates=True,
    help={
        "output": "the directory to write; default: receipts-COMMIT",
        "sign": "an Ed25519 key file; default as for attest",
    },
)
def export(session: TaskSession, stack: str = "", commit: str = "", output: str = "", sign: str = "") -> None:
    """Write the receipts of a commit as DSSE envelopes and a JUnit file."""
    with installing.needing("export", "DSSE envelopes and JUnit files need packages"):
        export_command = commands.export_receipts

    git, chosen = _place(stack, session)
    found = export_command.export_of(git, commit, output)
    session.account.update(folder=str(found.folder), files=list(found.names()))
    if session.dry_run:
        for name in found.names():
            session.terminal.line(f"would write {found.folder / name}")
        return
    export_command.write(found, sign, chosen.gates)
    session.terminal.line(
        ("✓ ", "green"), f"{count_of(len(found.receipts), 'envelope')} and {export_command.JUNIT} in {found.folder}"
    )


def add_to(namespace: Collection, run: Callable[[TaskSession, Context], None]) -> None:
    """Add these tasks to the collection; some replace single steps of the same name.

    Args:
        namespace: the collection.
        run: runs a step in a context.
    """
    single = {name: task for name, task in namespace.tasks.items() if isinstance(task, LandingTask)}
    namespace.add_task(gates_task(single["gates"], run))
    namespace.add_task(checks_task(single["checks"]))
    namespace.add_task(checklist_task(single["checklist"]))
    namespace.add_collection(Collection("receipts", list_, verify, push, pull, export))
