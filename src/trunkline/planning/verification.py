"""Look up what is proven about a commit: gates by their receipts, other steps by the journal.

Nothing here runs a gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from trunkline.context.project import Project
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.check import Check
from trunkline.domain.command import Command, same_command, task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, PrNumber, short
from trunkline.domain.note import Rebased
from trunkline.domain.options import Options
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.step import StepName
from trunkline.gates import check_receipts
from trunkline.gates.catalogue import catalogue
from trunkline.gates.proof import Surroundings, of_commit
from trunkline.git import history
from trunkline.planning import journal_queries, pushed_commits
from trunkline.planning.baseline import with_base
from trunkline.planning.journal_queries import unavailable
from trunkline.planning.own_base import subject_of
from trunkline.planning.parents import open_below

NamedOutcomes = tuple[tuple[str, GateOutcome | None], ...]
"""The name of each gate or check with its outcome; None if it never ran on this tree."""


def gates_for(project: Project, machine: Surroundings, tip: Oid) -> NamedOutcomes:
    """Return every gate of the stack with its outcome on this commit's tree.

    An unavailable gate leaves no receipt; the journal records that it was tried on this commit.

    Raises:
        UsageError: the file of allowed signers in stack.toml does not exist.
    """
    settings = project.stack.gates
    gates = catalogue(settings)
    receipts = of_commit(project.git, tip, settings, gates, machine)
    return _with_tried(project.state, tip, records.GateVerdicts, [gate.name for gate in gates], receipts)


def gates_beside_base(view: View, tip: Oid) -> NamedOutcomes:
    """Return `gates_for`, with each failure compared with the same gate on the base."""
    known = gates_for(view.project, view.machine, tip)
    compared = {each.gate: each for each in with_base(view, [outcome for _, outcome in known if outcome])}
    return tuple((name, compared.get(name)) for name, _ in known)


def _with_tried(
    state: Path,
    tip: Oid,
    kind: type[records.Verdicts],
    names: Sequence[str],
    receipts: Mapping[str, GateOutcome],
) -> NamedOutcomes:
    """Return the receipts' outcomes; a gate that could not run is unavailable, not stale.

    The journals are read only for gates without a valid receipt.
    """
    found = dict(receipts)
    undecided = [name for name in names if name not in found or found[name].verdict is Verdict.STALE]
    if undecided:
        tried = unavailable(state, tip, kind)
        found |= {name: GateOutcome.unavailable(name, tried[name]) for name in undecided if name in tried}
    return tuple((name, found.get(name)) for name in names)


def checks_for(view: View, tip: Oid) -> tuple[tuple[Check, GateOutcome | None], ...]:
    """Return every check of the entry with its outcome on this tree; errors as `gates_for`."""
    own = view.entry.checks
    if not own:
        return ()
    known = dict(checks_at(view.project, view.machine, subject_of(view, tip), own))
    return tuple((check, known[check.name]) for check in own)


def checks_at(
    project: Project, machine: Surroundings, subject: check_receipts.Subject, own: Sequence[Check]
) -> NamedOutcomes:
    """Return the named checks with their outcomes on a subject; errors as `gates_for`."""
    receipts = check_receipts.proven_outcomes(subject, own, machine)
    return _with_tried(project.state, subject.commit, records.CheckVerdicts, [check.name for check in own], receipts)


def require_gates(view: View, tip: Oid, *, skippable: bool = True) -> None:
    """Check that every gate and check has passed on this tree, or is waived or skipped by name.

    Args:
        view: the entry.
        tip: the commit.
        skippable: accept steps that were skipped by name.

    Raises:
        Refused: one has not passed.
    """
    for step, missing in _unverified(view, tip, skippable=skippable):
        flags = waiver_flags(each for _, each in missing if each)
        is_waivable = all(each and each.verdict in _WAIVABLE.values() for _, each in missing)
        alone = task_command(step.value, "--pr", view.entry.key)
        raise Refused(
            f"the {step.value} have not passed on {short(tip)}",
            why="\n".join(f"{name}: {describe(each)}" for name, each in missing) + "\nnothing was pushed",
            next_command=same_command(flags, pr=view.entry.key) if is_waivable else alone,
        )


def is_unverified(view: View, tip: Oid) -> bool:
    """Return whether a gate or check that is not skipped has not passed on this commit's tree."""
    return next(_unverified(view, tip, skippable=True), None) is not None


def _unverified(
    view: View, tip: Oid, *, skippable: bool
) -> Iterator[tuple[StepName, list[tuple[str, GateOutcome | None]]]]:
    """Yield the steps `gates` and `checks`, each with the names and outcomes that have not passed."""
    own = ((check.name, outcome) for check, outcome in checks_for(view, tip))
    for step, known in ((StepName.GATES, gates_beside_base(view, tip)), (StepName.CHECKS, own)):
        if skippable and step in view.options.skip:
            continue
        missing = [(name, outcome) for name, outcome in known if not view.waivers.allow(outcome)]
        if missing:
            yield step, missing


_WAIVABLE = {"accept-unavailable": Verdict.UNAVAILABLE, "accept-flaky": Verdict.FLAKY}


def waiver_flags(wrong: Iterable[GateOutcome]) -> dict[str, str]:
    """Return the flags that waive these verdicts, with the names; {} if none can be waived."""
    wrong = tuple(wrong)
    named = {
        flag: [outcome.gate for outcome in wrong if outcome.verdict is verdict] for flag, verdict in _WAIVABLE.items()
    }
    return {flag: ",".join(names) for flag, names in named.items() if names}


def refuse_other_head(view: View, pr: PullRequest, *, why: str, next_command: Command) -> None:
    """Check that the pull request's head is the local tip, which the following step relies on.

    Args:
        view: the entry.
        pr: the entry's pull request as GitHub shows it.
        why: the reason in the error.
        next_command: the command that synchronises the two.

    Raises:
        Paused: somebody pushed to the branch after the run began.
        Refused: GitHub shows another head.
    """
    tip = view.local_tip()
    if pr.head_oid != tip:
        pushed_commits.refuse(view)
        raise Refused(
            f"#{pr.number} is at {short(pr.head_oid)}, your branch is at {short(tip)}",
            why=why,
            next_command=next_command,
        )


def accepted_names(view: View, tip: Oid) -> frozenset[str]:
    """Return the gates and checks that were waived by name for a commit, now or when they ran."""
    return view.waivers.names | journal_queries.accepted(view.state, tip)


def describe(outcome: GateOutcome | None) -> str:
    """Return an outcome in words, with its reason."""
    if outcome is None:
        return "not run on this tree"
    return outcome.words + "".join(f": {part}" for part in (outcome.diagnosis, outcome.on_base) if part)


def merged_numbers(view: View) -> tuple[PrNumber, ...]:
    """Return the merged entries right below, nearest first; none if an open entry is in between."""
    if open_below(view) is not None:
        return ()
    return tuple(entry.pr for entry in reversed(view.stack.below(view.entry)))


def rebased_since(scope: Scope, tip: Oid) -> Rebased | None:
    """Return the changes of our rebases to the published commits; None without a journal record.

    A commit counts as unchanged if its patch id (`git patch-id --stable`) equals that of the commit
    that was pushed last, after any number of rebases.
    """
    replays = journal_queries.replays(scope, tip)
    if not replays or not replays[-1].remote:
        return None
    git, old_tip, fork = scope.git, replays[-1].remote, replays[-1].fork
    mapped = [{new: old for old, new in each.mapped} for each in replays]
    chain = history.chain(git, replays[0].base, tip)
    merged = any(commit.parents[1:] == (replays[0].base,) for commit in chain)
    if merged:  # the branch keeps its commits, and those of a parent that was merged by squash
        chain = history.reachable(git, [tip], [replays[0].base, fork])
    own = history.with_patch_ids(git, [commit for commit in chain if len(commit.parents) == 1])
    was = {commit.oid: _traced(commit.oid, mapped) for commit in own}
    reachable = {commit.oid for commit in history.reachable(git, [old_tip], [fork])}
    before = history.with_patch_ids(git, history.read_commits(git, [old for old in was.values() if old in reachable]))
    patches = {commit.oid: commit.patch_id for commit in before}
    changed = tuple(commit.subject for commit in own if patches.get(was[commit.oid], "none") != commit.patch_id)
    out = [
        _traced(name, mapped[index + 1 :])
        for index, each in enumerate(replays)
        for name in (*each.dropped, *each.skipped)
    ]
    left_out = history.read_commits(git, [name for name in out if name in reachable])
    return Rebased(old_tip, fork, len(own), changed, tuple(commit.subject for commit in left_out), merged=merged)


def _traced(name: Oid, mapped: Sequence[Mapping[Oid, Oid]]) -> Oid:
    """Return the original of a commit; `mapped` holds new to old ids per rebase, newest first."""
    for pairs in mapped:
        name = pairs.get(name, name)
    return name


def skipped_by_name(options: Options) -> tuple[str, ...]:
    """Return the skipped steps, in a run's order."""
    return tuple(step.value for step in StepName if step in options.skip)
