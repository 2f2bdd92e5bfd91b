"""Step `note`: write the reviewer note into the pull request's description, from recorded results."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, TrunklineError
from trunkline.domain.names import ZERO_OID, Oid, PrNumber, short
from trunkline.domain.note import BEGIN, END, NoteFacts, Rebased, place, revisions, worth_writing
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.gates.catalogue import catalogue
from trunkline.operations import commit_statuses
from trunkline.operations.note_template import template_of, written
from trunkline.planning import together
from trunkline.planning.coverage import coverage_of
from trunkline.planning.merged import merged_below, reverted_below
from trunkline.planning.own_base import own_base_of
from trunkline.planning.parents import base_of, open_below
from trunkline.planning.replay_plan import own_commit_count
from trunkline.planning.verification import (
    accepted_names,
    checks_for,
    gates_beside_base,
    merged_numbers,
    rebased_since,
    refuse_other_head,
    skipped_by_name,
)


def plan(view: View) -> Step:
    """Plan the step where gates run before it: their results are published too.

    Raises:
        UsageError: the template in stack.toml cannot be read or is invalid; raised before anything
            changes.
    """
    return _planned(view, gated=StepName.GATES not in view.options.skip)


def _planned(view: View, *, gated: bool) -> Step:
    if own := template_of(view):
        written(_sample(view), own)
    command = f"gh pr edit {view.entry.pr} --body-file DESCRIPTION"
    after = ", with the results of the gates" if gated else ""
    description = f"write the reviewer note into {view.entry.label}'s description{after}"
    return Step(
        StepName.NOTE,
        description,
        (command,),
        mutates=True,
        publishes=() if _is_written(view, gated=gated) else (description,),
    )


def plan_alone(view: View) -> Step:
    """Plan the step as a task of its own.

    Raises:
        UsageError: see `plan`.
        Refused: an entry below is not merged.
    """
    for entry in view.stack.below(view.entry):
        merged_below(view, entry)
    return plan_without_gates(view)


def plan_without_gates(view: View) -> Step:
    """Plan the step where no gate runs before it: what it will write is known.

    Raises:
        UsageError: see `plan`.
    """
    step = _planned(view, gated=False)
    if step.publishes:
        return step
    return Step(StepName.NOTE, f"nothing: the description of {view.entry.label} needs no change", mutates=True)


def _is_written(view: View, *, gated: bool) -> bool:
    """Return whether the note is up to date, as far as this is known before the branch moves and the gates run."""
    pr, local = view.known(view.entry.pr), view.local
    planned = view.decisions.planned_tip(pr.number) or local.local
    if planned != pr.head_oid or view.stack.publish.statuses:
        return False
    with contextlib.suppress(TrunklineError):  # the step itself raises it again
        facts = facts_of(view.with_local(replace(local, local=planned)))  # it may take the remote's version
        if not worth_writing(facts, pr.body):
            return not gated
        return place(pr.body, written(facts, template_of(view))) == pr.body
    return False


def run(context: Context, step_context: StepContext) -> Outcome:
    """Write the note between its markers, and keep the author's text byte for byte.

    Raises:
        Refused: the pull request is closed, or has another head than the local branch, or the
            markers are damaged.
    """
    return Notes((context,)).run(context, step_context)


@dataclass
class Notes:
    """The notes of several entries, which the first of their steps writes together.

    GitHub takes several changes in one GraphQL request and limits how many requests may write, so
    the number of requests must not grow with the number of entries.

    Attributes:
        contexts: of the entries, bottom first.
    """

    contexts: Sequence[Context]
    _results: dict[PrNumber, Outcome | TrunklineError] = field(default_factory=dict, repr=False)

    def run(self, context: Context, step_context: StepContext) -> Outcome:
        """Return the outcome for the note of one entry; the first call writes all notes.

        Raises:
            Refused: see the function `run`.
            ExternalError: GitHub accepted the description but shows another one.
        """
        if not self._results:
            self._results = self._write(step_context)
        result = self._results[context.entry.pr]
        if isinstance(result, TrunklineError):
            raise result
        return replace(
            result,
            details=commit_statuses.publish(context, context.observer.machine(), step_context, context.local_tip()),
        )

    def _write(self, step_context: StepContext) -> dict[PrNumber, Outcome | TrunklineError]:
        results: dict[PrNumber, Outcome | TrunklineError] = {}
        edits: list[tuple[Context, PullRequest, str]] = []
        for context in self.contexts:
            try:
                view = context.view()
                pr, facts = _checked(view), facts_of(view)
                body = place(pr.body, written(facts, template_of(view)))
            except TrunklineError as error:
                results[context.entry.pr] = error  # raised by the step of that entry
                continue
            if worth_writing(facts, pr.body) and body != pr.body:
                edits.append((context, pr, body))
            else:
                message = _unchanged(facts, pr.body, body)
                results[pr.number] = _outcome(context.local_tip(), message, StepStatus.NOTHING)
        return results | (_publish(edits, step_context) if edits else {})


def _publish(
    edits: Sequence[tuple[Context, PullRequest, str]], step_context: StepContext
) -> dict[PrNumber, Outcome | TrunklineError]:
    """Ask for approval, log every intent, and write the descriptions."""
    first, numbers = edits[0][0], [pr.number for _, pr, _ in edits]
    first.reporter.require_approval(*(f"write the reviewer note into #{number}'s description" for number in numbers))
    for context, pr, body in edits:
        about = step_context.about(context.entry)
        step_context.log_intent(records.NoteWritten(*about, body=pr.body, body_after=body))
    first.reporter.command(_command(first.repository, numbers))
    shown = first.github.edit_bodies([(pr, body) for _, pr, body in edits])
    return {pr.number: _confirmed(context.local_tip(), pr, body, shown[pr.number]) for context, pr, body in edits}


def _checked(view: View) -> PullRequest:
    pr = view.pull_request()
    push = task_command("push", "--pr", pr.number)
    refuse_other_head(view, pr, why="the note describes the pushed commit only", next_command=push)
    return pr


def _confirmed(commit: Oid, pr: PullRequest, body: str, shown: str) -> Outcome | TrunklineError:
    if shown == body:
        return _outcome(commit, "updated" if BEGIN in pr.body and END in pr.body else "added", StepStatus.DONE)
    return ExternalError(
        f"#{pr.number}'s description did not come back as written",
        why="somebody may have edited it at the same moment",
        next_command=task_command("note", "--pr", pr.number),
    )


def _outcome(commit: Oid, message: str, status: StepStatus) -> Outcome:
    data = {"commit": commit, "changed": status is StepStatus.DONE}
    return Outcome("note", message, status, data=data)


def _command(repository: Repository, numbers: Sequence[PrNumber]) -> str:
    """Return the equivalent command line that writes the notes."""
    if len(numbers) == 1:
        return f"gh api -X PATCH repos/{repository.slug}/pulls/{numbers[0]} --input DESCRIPTION"
    return f"gh api graphql --input DESCRIPTIONS   # of {', '.join(f'#{number}' for number in numbers)}"


def _unchanged(facts: NoteFacts, before: str, after: str) -> str:
    if before == after:
        return "already up to date"
    if BEGIN in before:
        return f"left as it is: it describes {short(facts.commit)}, and nothing ran here"
    return "none: nothing was verified here, and nothing changed for readers"


def refuse_unusable(view: View) -> None:
    """Check that the note can be rendered, before anything is published.

    Raises:
        UsageError: its template cannot be read, or is invalid.
    """
    own = template_of(view) if StepName.NOTE not in view.options.skip else None
    if own is not None:
        written(facts_of(view), own)


def facts_of(view: View) -> NoteFacts:
    """Gather the facts of the note: receipts for exactly this commit, and skipped steps."""
    tip = view.local_tip()
    base, since = base_of(view), rebased_since(view, tip)
    verified = view.verified_commit()
    gates = gates_beside_base(view, verified)
    waived = {name for name, outcome in gates if view.waivers.accept(outcome)}
    pr = view.known(view.entry.pr)
    url = f"https://{view.repository.host}/{view.repository.slug}"
    compare = f"{url}/compare/{since.old}..{tip}" if since else ""
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    return NoteFacts(
        base=view.stack.trunk if view.options.together else base.branch,
        base_oid=view.world.trunk if view.options.together else base.oid,
        commit=tip,
        own_commits=own_commit_count(view, tip),
        merged=merged_numbers(view),
        reverted=() if open_below(view) is not None else reverted_below(view),
        gates=gates,
        checks=tuple((check.name, check.text, outcome) for check, outcome in checks_for(view, verified)),
        skipped=skipped_by_name(view.options),
        next=view.entry.next,
        since=since,
        pr=view.entry.pr,
        stack=view.stack.numbers,
        issue=view.stack.issue,
        compare=compare,
        coverage=coverage_of(view.git, own_base_of(view, verified), verified, [outcome for _, outcome in gates]),
        accepted=accepted_names(view, verified) | waived,
        result=verified if verified != tip else None,
        revisions=revisions(pr.body, since, tip, date=today, compare=compare),
        together=together.words(view, view.decisions),
    )


def _sample(scope: Scope) -> NoteFacts:
    """Return sample facts, to validate a template before there are results."""
    outcomes = tuple((gate.name, GateOutcome(gate.name, Verdict.PASSED)) for gate in catalogue(scope.stack.gates))
    checks = tuple((check.name, check.text, GateOutcome(check.name, Verdict.PASSED)) for check in scope.entry.checks)
    return NoteFacts(
        base=scope.stack.trunk,
        base_oid=ZERO_OID,
        commit=ZERO_OID,
        own_commits=1,
        merged=(),
        gates=outcomes,
        checks=checks,
        next=scope.entry.next,
        since=Rebased(ZERO_OID, ZERO_OID, 1, ()),
        pr=scope.entry.pr,
        stack=scope.stack.numbers,
        issue=scope.stack.issue,
    )
