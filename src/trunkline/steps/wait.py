"""wait: until the pull request can be merged, as far as GitHub and its reviewers decide it; bounded."""

from __future__ import annotations

from collections.abc import Callable

from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.errors import CheckFailed, ExternalError, Paused, Refused, TrunklineError
from trunkline.domain.readiness import Readiness, Ready, judge
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.github import branch_rules
from trunkline.planning.verification import refuse_other_head, require_gates
from trunkline.steps import unchanged
from trunkline.system import retry

WATCH_SECONDS = 24 * 3600.0
"""How long `--watch` waits."""
VERIFIED_ONLY = "only what was verified here is merged"
_FIRST, _LONGEST = 2.0, 60.0
"""Seconds between two looks; GitHub asks to poll seldom (docs.github.com, best practices of the REST API)."""


def plan(context: Context) -> Step:
    """Plan the step."""
    gates = requires_gates(context)
    wanted = "the receipts of this machine" if gates else "GitHub's checks"
    return Step(
        StepName.WAIT,
        f"wait for {wanted}, approvals, and GitHub's word that it can be merged",
        (f"gh pr checks {context.entry.pr} --watch",),
    )


def requires_gates(context: Context) -> bool:
    """Say whether the receipts of this machine stand for GitHub's checks."""
    return (context.options.require or context.stack.land.require) == "gates"


def run(context: Context, step_context: StepContext | None = None) -> Outcome:
    """Look until the pull request can be merged, a person is needed, or the time is up.

    Raises:
        CheckFailed: a check failed.
        Paused: a person has to review, or to decide about a CI that does not run.
        Refused: it is closed, a draft, conflicts, or is at another head than what was verified here; or the receipts
            that must suffice do not prove every gate.
        ExternalError: the time is up.
    """
    found = _until_decided(context)
    if found is None:
        return Outcome("merged", "already, by somebody else", StepStatus.NOTHING)
    if requires_gates(context):
        # Hours may have passed since the gates ran; what was skipped by name is proven by nothing.
        context.cache.surroundings = None
        if step_context is not None:
            unchanged.renew(context, step_context)
        require_gates(context, context.verified_commit(), skippable=False)
    if found.state is not Ready.YES:
        raise _stop(context, found)
    return Outcome("ready to land", _told(context), StepStatus.DONE)


def _told(context: Context) -> str:
    if requires_gates(context):
        return "on the receipts of this machine; GitHub's checks were not asked"
    checks = context.pull_request().checks
    return f"{count_of(len(checks), 'check')} passed" if checks else "there are no checks"


def _until_decided(context: Context) -> Readiness | None:
    """Return what GitHub says once that will not change by waiting; None: it is merged."""
    # Imported here: it brings asyncio with it, which a task that waits for nothing can do without.
    from tenacity import RetryCallState, Retrying, retry_if_result, wait_exponential  # noqa: PLC0415

    message: list[Readiness] = []

    def look() -> Readiness | None:
        context.invalidate_remote()
        pr = context.world().snapshot.pr(context.entry.pr)
        if pr is not None and pr.state is PrState.MERGED:
            return None
        pr = context.pull_request()
        return _lagging(context, pr) or judge(pr, gates_suffice=requires_gates(context))

    def say(state: RetryCallState) -> None:
        found = state.outcome.result() if state.outcome else None
        if found is not None and found not in message[-1:]:
            message.append(found)
            context.reporter.progress(
                f"#{context.entry.pr} {found.state.value}: {', '.join(found.why) or 'a moment'}"
            )

    retrying = Retrying(
        retry=retry_if_result(lambda found: found is not None and found.state in _waited_for(context)),
        wait=wait_exponential(multiplier=_FIRST, max=_LONGEST),
        stop=waited(limit(context)),
        sleep=retry.sleep,
        before_sleep=say,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    result: Readiness | None = retrying(look)
    return result


def limit(context: Context) -> float:
    """Return how long GitHub is waited for, in seconds."""
    return WATCH_SECONDS if context.options.watch else context.stack.land.wait


def waited(seconds: float) -> Callable[..., bool]:
    """Return a tenacity stop: the waits asked for sum up to so many seconds, however long they really took."""
    return lambda state: bool(state.idle_for >= seconds)


def _waited_for(context: Context) -> frozenset[Ready]:
    """What waiting can change; approvals take hours, so only `--watch` waits for them."""
    soon = {Ready.SOON, Ready.CHECKS}
    return frozenset(soon | {Ready.REVIEW, Ready.BLOCKED} if context.options.watch else soon)


def _named(context: Context) -> tuple[str, ...]:
    """Return the rules of the base by name: they may be what blocks it, and are never gone around."""
    return tuple(
        f"{context.stack.trunk} has {rule}" for rule in branch_rules.ruled(context.github, context.entry.pr).rules
    )


def _lagging(context: Context, pr: PullRequest) -> Readiness | None:
    """Say whether GitHub shows an older head than was pushed; a head that is neither is somebody else's."""
    tip, remote = context.local_tip(), context.world().local.remote
    if remote == tip != pr.head_oid:
        return Readiness(Ready.SOON, ("GitHub does not show the pushed head yet",))
    refuse_other_head(context, pr, why=VERIFIED_ONLY, task="rebase")
    return None


def _stop(context: Context, found: Readiness) -> TrunklineError:
    number = context.entry.pr
    by_name = _named(context) if found.state in {Ready.REVIEW, Ready.BLOCKED} else ()
    why = "\n".join((*found.why, *by_name))
    again, page = task_command("continue"), f"gh pr view {number} --web"
    what = f"#{number}: {found.state.value}"
    if found.state is Ready.RED:
        return CheckFailed(what, why=why, next_command=(f"gh pr checks {number}", again))
    if found.state is Ready.CI_DOWN:
        alone = task_command(
            "land", "--pr", number, "--require", "gates", comment="lands on the receipts of this machine"
        )
        return Paused(
            what, why=f'{why}\n"not started" is neither red nor green', next_command=(alone, task_command("abort"))
        )
    if found.state is Ready.BLOCKED and context.pull_request().merge_state == "BEHIND":
        return Paused(what, why=why, next_command=(task_command("rebase", "--pr", number), again))
    if found.state in {Ready.REVIEW, Ready.BLOCKED}:
        return Paused(what, why=why, next_command=(page, again))
    if found.state in {Ready.SOON, Ready.CHECKS}:
        return ExternalError(
            what, why=f"{why}\nwaited {context.stack.land.wait:g} s".strip(), next_command=(again, page)
        )
    return Refused(what, why=why, next_command=task_command("rebase", "--pr", number))
