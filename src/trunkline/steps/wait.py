"""Step `wait`: poll until the pull request can be merged, with a time limit."""

from __future__ import annotations

from trunkline.context.observation import World
from trunkline.context.project import Project
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.command import same_command, task_command
from trunkline.domain.errors import CheckFailed, ExternalError, Paused, Refused, TrunklineError
from trunkline.domain.names import EntryKey, PrNumber
from trunkline.domain.native import stack_of
from trunkline.domain.options import Options
from trunkline.domain.readiness import Readiness, Ready, evaluate
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.github import branch_rules
from trunkline.operations.publish import retarget
from trunkline.planning import together
from trunkline.planning.verification import refuse_other_head, require_gates
from trunkline.state.change_log import Part
from trunkline.steps import unchanged
from trunkline.system.polling import poll

WATCH_SECONDS = 24 * 3600.0
"""The time limit with `--watch`, in seconds."""
VERIFIED_ONLY = "only what was verified here is merged"
_OF_PEOPLE = frozenset({Ready.REVIEW, Ready.CHANGES, Ready.BLOCKED})
"""States that a person ends, not time."""
_FIRST, _LONGEST = 2.0, 60.0
"""The shortest and longest poll interval in seconds; GitHub's best practices ask for few requests."""


def plan(scope: Scope) -> Step:
    """Plan the step."""
    gates = requires_gates(scope.project)
    source = "the receipts of this machine" if gates else "GitHub's checks"
    return Step(
        StepName.WAIT,
        f"wait for {source}, approvals, and until GitHub reports it as mergeable",
        (f"gh pr checks {scope.entry.pr} --watch",),
    )


def requires_gates(project: Project) -> bool:
    """Return whether the receipts of this machine replace GitHub's checks."""
    return (project.options.require or project.stack.land.require) == "gates"


def run(context: Context, step_context: StepContext | None = None, *, native: bool = False) -> Outcome:
    """Poll until the pull request can be merged, the user must act, or the time limit is reached.

    Args:
        context: the entry.
        step_context: the step; None: only poll.
        native: it is in one of GitHub's native stacks, whose bases GitHub sets.

    Raises:
        CheckFailed: a check failed.
        Paused: a review is missing, it is a draft again, or CI does not run and the user must decide.
        Refused: it is closed, in conflict, or at another head than the verified one; or
            the required receipts do not prove every gate.
        ExternalError: the time limit was reached.
    """
    if step_context is not None and not native and not _is_merged(context.world(), context.entry.key):
        target_trunk(context, step_context)
    found = _until_decided(context)
    if found is None:
        return Outcome("merged", "already, by somebody else", StepStatus.NOTHING)
    if requires_gates(context.project):
        # Hours may have passed since the gates ran; skipped gates are not proven at all.
        context.world(Part.MACHINE)
        if step_context is not None:
            unchanged.renew(context, step_context)
        if together.is_gated(context, context.run.decisions):
            require_gates(context.view(), context.verified_commit(), skippable=False)
    if found.state is not Ready.YES:
        raise _stop(context.view(), found)
    return Outcome("ready to land", _reason(context.view()), StepStatus.DONE)


def target_trunk(context: Context, step_context: StepContext) -> bool:
    """Set the pull request's base to trunk, and return whether it was another one.

    A merge goes into the base of that moment. Others may have merged the entry below and kept its
    branch, or changed the base. GitHub moves the bases of a native stack itself.

    Raises:
        Refused: it is closed, or GitHub rejects the change.
    """
    pr, trunk = context.view().pull_request(), context.stack.trunk
    if pr.base == trunk or stack_of(context.observer.native_stacks() or (), pr.number) is not None:
        return False
    context.reporter.progress(f"#{pr.number} targets {pr.base}: it is retargeted to {trunk} before the merge")
    retarget(context, step_context, (pr, trunk))
    return True


def _reason(view: View) -> str:
    if requires_gates(view.project):
        return "on the receipts of this machine; GitHub's checks were not requested"
    checks = view.pull_request().checks
    return f"{count_of(len(checks), 'check')} passed" if checks else "there are no checks"


def _until_decided(context: Context) -> Readiness | None:
    """Return the readiness once waiting cannot change it; None if it is merged."""
    message: list[Readiness] = []

    def observe() -> Readiness | None:
        if _is_merged(context.world(Part.REMOTE), context.entry.key):
            return None
        pr = context.view().pull_request()
        return _lagging(context.view(), pr) or evaluate(pr, gates_suffice=requires_gates(context.project))

    def report(found: Readiness | None) -> None:
        if found is not None and found not in message[-1:]:
            message.append(found)
            context.reporter.progress(
                f"{context.entry.label} {found.state.value}: {', '.join(found.why) or 'a moment'}"
            )

    states = _waited_for(context.options)
    return poll(
        observe,
        pending=lambda found: found is not None and found.state in states,
        limit=limit(context.project),
        first=_FIRST,
        longest=_LONGEST,
        report=report,
    )


def _is_merged(world: World, key: EntryKey) -> bool:
    pr = world.snapshot.pr(key)
    return pr is not None and pr.state is PrState.MERGED


def limit(project: Project) -> float:
    """Return the time limit in seconds."""
    return WATCH_SECONDS if project.options.watch else project.stack.land.wait


def _waited_for(options: Options) -> frozenset[Ready]:
    """Return the states that waiting can change; only `--watch` waits for approvals."""
    soon = {Ready.SOON, Ready.CHECKS}
    return frozenset(soon | _OF_PEOPLE if options.watch else soon)


def _named(scope: Scope) -> tuple[str, ...]:
    """Return messages with the names of the base branch's rules, which may block the merge."""
    return tuple(
        f"{scope.stack.trunk} has {rule}" for rule in branch_rules.read_rules(scope.github, scope.entry.pr).rules
    )


def _lagging(view: View, pr: PullRequest) -> Readiness | None:
    """Return a readiness if GitHub shows an older head than was pushed; other heads are foreign."""
    tip, remote = view.local_tip(), view.local.remote
    if remote == tip != pr.head_oid:
        return Readiness(Ready.SOON, ("GitHub does not show the pushed head yet",))
    refuse_other_head(view, pr, why=VERIFIED_ONLY, next_command=task_command("continue"))
    return None


def _stop(view: View, found: Readiness) -> TrunklineError:
    number = view.entry.pr
    by_name = _named(view) if found.state in _OF_PEOPLE else ()
    why = "\n".join((*found.why, *by_name))
    shows = "comments" if found.state is Ready.CHANGES else "open"
    again, page = task_command("continue"), task_command(shows, "--pr", number)
    what = f"#{number}: {found.state.value}"
    if found.state is Ready.DRAFT:
        return _draft_again(what, number)
    if found.state is Ready.RED:
        return CheckFailed(what, why=why, next_command=(f"gh pr checks {number}", again))
    if found.state is Ready.CI_DOWN:
        alone = same_command(
            {"require": "gates"}, pr=number, otherwise="land", comment="lands on the receipts of this machine"
        )
        return Paused(
            what, why=f'{why}\n"not started" is neither red nor green', next_command=(alone, task_command("abort"))
        )
    if found.state in _OF_PEOPLE:
        behind = found.state is Ready.BLOCKED and view.pull_request().merge_state == "BEHIND"
        return Paused(what, why=why, next_command=(task_command("rebase", "--pr", number) if behind else page, again))
    if found.state in {Ready.SOON, Ready.CHECKS}:
        return ExternalError(
            what, why=f"{why}\nwaited {view.stack.land.wait:g} s".strip(), next_command=(again, page)
        )
    return Refused(what, why=why, next_command=task_command("rebase", "--pr", number))


def _draft_again(what: str, number: PrNumber) -> Paused:
    return Paused(
        what,
        why="somebody made it a draft again, perhaps to hold it back",
        next_command=(f"gh pr ready {number}", task_command("continue"), task_command("abort")),
    )
