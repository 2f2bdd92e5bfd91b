"""Steps that land several entries without a push between their merges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError
from trunkline.domain.merge_choice import described
from trunkline.domain.names import short
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations import inclusion, local_branch
from trunkline.planning import merge_as_is, pushed_commits, together
from trunkline.planning.heads import entry_tip
from trunkline.planning.merge_as_is import Terms
from trunkline.planning.verification import is_unverified, refuse_other_head
from trunkline.state.change_log import Part
from trunkline.steps import fetch, merge, unchanged, wait

_ROUNDS = 5
"""The maximum number of gate runs that are repeated because trunk moved in the meantime."""


def plan(view: View, entries: Sequence[Entry], terms: Terms) -> Step:
    """Plan the step for all entries: with a native stack it also merges them."""
    trunk, listed = view.stack.trunk, " ".join(entry.label for entry in entries)
    stack = together.native_stack(terms.stacks, entries)
    if stack is None:
        return Step(StepName.TOGETHER, f"check that {listed} can be merged one after the other, without a push")
    method = merge_as_is.named_method(view.project) or merge_as_is.default_method(terms.rules)
    path = f"repos/{view.repository.slug}/pulls/{entries[-1].key}/merge-async"
    description = f"merge {listed} into {trunk} with one request: GitHub's native stack {stack.number}, all or none"
    return Step(
        StepName.TOGETHER,
        description,
        (f"gh api -X PUT {path} -f merge_method={method} -f sha=VERIFIED",),
        mutates=True,
        publishes=tuple(f"merge {entry.label} into {trunk}" for entry in entries),
    )


def plan_replay(view: View) -> Step:
    """Plan the replay of an entry, which is merged as it is."""
    choice = view.decisions.merges[view.entry.key]
    return Step(StepName.REPLAY, f"{described(choice)}: {merge_as_is.message(view.tracking, choice)}")


def plan_ready(view: View) -> Step:
    """Plan to mark the pull request as ready, without a new base."""
    label, draft = view.entry.label, view.pull_request().draft
    command = (f"gh pr ready {view.entry.key}",) if draft else ()
    shown = (f"{label} is marked ready for review",) if draft else ()
    return Step(StepName.READY, f"{label} is ready for review", command, mutates=True, publishes=shown)


def decided(context: Context, function: Callable[[StepContext], Outcome]) -> Callable[[StepContext], Outcome]:
    """Wrap a step of one entry so that the choices of an earlier process are restored first.

    A branch that GitHub rebased meanwhile is taken over.
    """

    def step_function(step_context: StepContext) -> Outcome:
        moved = _catch_up(context, step_context)
        if moved or context.entry.key not in context.run.decisions.replays:
            _decide(context)
        return function(step_context)

    return step_function


def _decide(context: Context) -> View:
    """Decide for all entries, and store the commits for the gates, which run in other processes."""
    view = together.decide(context.view(), merge_as_is.requested_terms(context.observer))
    for entry in together.open_of(view):
        context.git.query("cat-file", "-e", view.decisions.merges[entry.key].result)
    context.run.decisions = view.decisions
    return view


def run_replay(context: Context, step_context: StepContext) -> Outcome:
    """Move the local branch to the head that is merged as it is.

    Raises:
        Paused: somebody pushed to the branch after the run began.
        Refused: the entry must be rewritten.
    """
    inclusion.settle(context, step_context)
    tip = entry_tip(context.view())
    known = context.run.decisions.merges.get(context.entry.key)
    if context.entry.key not in context.run.decisions.replays or known is None or known.head != tip.oid:
        _decide(context)
    choice = context.run.decisions.merges[context.entry.key]
    local_branch.move(
        context, step_context, new=choice.head, old=context.view().local.local,
        why=f"caught up with {context.stack.remote}",
    )  # fmt: skip
    facts = {"as_is": True, "head": choice.head, "trunk": choice.trunk, "result": choice.result}
    notes = (tip.reason,) if tip.reason else ()
    return Outcome("unchanged", merge_as_is.message(context.tracking, choice), StepStatus.NOTHING, notes, facts)


def run_ready(context: Context, step_context: StepContext) -> Outcome:
    """Mark the pull request as ready; its base stays until the one below is merged.

    Raises:
        Refused: it is closed, or its head is not the local tip.
    """
    _catch_up(context, step_context)
    pr = context.view().pull_request()
    if not pr.draft:
        return Outcome("ready", "was ready already", StepStatus.NOTHING)
    context.reporter.require_approval(f"#{pr.number} is marked ready for review")
    about = step_context.about(context.entry)
    step_context.log_intent(
        records.PullRequestEdited(*about, base=pr.base, draft=True, base_after=pr.base, draft_after=False)
    )
    context.reporter.command(f"gh pr ready {pr.number}")
    context.github.set_draft(pr, draft=False)
    return Outcome("ready", "was draft", data={"was_draft": True, "base_before": pr.base, "base": pr.base})


def run(context: Context, step_context: StepContext) -> Outcome:
    """Verify all entries on the current trunk; with a native stack, wait for each and merge all.

    Raises:
        Paused: somebody pushed to a branch after the run began, or a review is missing.
        Refused: an entry is closed or must be rewritten, or GitHub rejects the merge.
        CheckFailed: a gate fails on a result, or a check failed on GitHub.
        ExternalError: trunk moved during every round, or GitHub failed.
    """
    entries = _verified(context, step_context)
    if entries and together.native_stack(context.observer.native_stacks() or (), entries) is not None:
        for entry in entries:
            wait.run(context.of(entry), step_context, native=True)
        entries = _verified(context, step_context)  # reviewers may have taken hours
        if entries:
            return _merged(context, step_context, entries)
    if not entries:
        return Outcome("together", "all of them are merged already", StepStatus.NOTHING)
    listed = " ".join(entry.label for entry in entries)
    return Outcome("together", f"{listed} can be merged one after the other")


def _verified(context: Context, step_context: StepContext) -> tuple[Entry, ...]:
    """Return the open entries, once every gated result is verified on the current trunk."""
    for _ in range(_ROUNDS):
        if together.is_outdated(context.view(Part.REMOTE), context.observer.native_stacks() or ()):
            continue  # somebody merged or closed one between the two responses
        for entry in together.open_of(context.view()):
            _catch_up(context.of(entry), step_context)
        view = _decide(context)
        entries = together.open_of(view)
        stale = [entry for entry in entries if _is_stale(view.of(entry))]
        if not stale:
            return entries
        for entry in stale:
            context.reporter.progress(f"the gates run on what merging {entry.label} gives")
            unchanged.verify(context.of(entry), step_context)
    raise ExternalError(
        f"{context.tracking} or the pull requests changed {_ROUNDS} times in a row",
        why="what a merge would give now is not verified; nothing was merged",
        next_command=task_command("continue"),
    )


def _catch_up(context: Context, step_context: StepContext) -> bool:
    """Take over the remote branch if it holds the same commits with other ids; return whether.

    GitHub rebases a native stack on its server after somebody merged its lower part.

    Raises:
        Paused: somebody pushed other commits to the branch after the run began.
        Refused: the pull request is closed, or its head is another one.
    """
    pushed_commits.refuse(context.view())
    view = context.view()
    moved = view.pull_request().head_oid != view.local_tip()
    if moved:
        fetch.run(context, step_context)
        inclusion.settle(context, step_context)
        view = context.view()
        tip = entry_tip(view)
        why = f"caught up with {context.stack.remote}"
        local_branch.move(context, step_context, new=tip.oid, old=view.local.local, why=why)
        view = context.view()
    refuse_other_head(view, view.pull_request(), why=wait.VERIFIED_ONLY, next_command=task_command("continue"))
    return moved


def _is_stale(view: View) -> bool:
    return together.is_gated(view, view.decisions) and is_unverified(view, view.verified_commit())


def _merged(context: Context, step_context: StepContext, entries: Sequence[Entry]) -> Outcome:
    """Merge the entries of a native stack with one request, pinned to the last one's head."""
    trunk, listed = context.stack.trunk, " ".join(entry.label for entry in entries)
    context.reporter.require_approval(*(f"merge {entry.label} into {trunk}" for entry in entries))
    method = merge_as_is.named_method(context.project) or merge_as_is.default_method(context.observer.rules())
    merges = context.run.decisions.merges
    for entry in entries:
        about = step_context.about(entry)
        step_context.log_intent(records.MergeRequested(*about, head=merges[entry.key].head, method=method))
    top, last = context.of(entries[-1]), merges[entries[-1].key]
    path = f"repos/{context.repository.slug}/pulls/{top.entry.key}/merge-async"
    context.reporter.command(f"gh api -X PUT {path} -f merge_method={method} -f sha={last.head}")
    if not merge.request(top, top.view().pull_request(), last.head, method, last):
        merge.wait_for_queue(top)
    view = context.view(Part.REMOTE)
    unmerged = [entry.label for entry in entries if view.known(entry.pr).state is not PrState.MERGED]
    if unmerged:
        raise ExternalError(
            f"GitHub took the merge of {listed} but does not show {', '.join(unmerged)} as merged yet",
            next_command=task_command("continue"),
        )
    done = merge.landed(top, step_context, view.known(top.entry.pr), StepStatus.DONE)
    done = merge.compared(top.project, last, done)
    commits = {entry.pr: view.known(entry.pr).merge_commit for entry in entries}
    shown = ", ".join(f"#{number} as {short(commit) if commit else '?'}" for number, commit in commits.items())
    data = {"merges": [{"pr": number, "merge_commit": commit} for number, commit in commits.items()]}
    return Outcome("merged", f"{trunk} has {shown}, by one request", done.mark, done.details, data)
