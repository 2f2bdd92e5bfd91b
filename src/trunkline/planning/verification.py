"""What is proven of a commit: gates by receipts, the rest by the journal. Nothing here runs a gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from trunkline.context.project import Context
from trunkline.domain.check import Check
from trunkline.domain.command import same_command, task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, PrNumber, branch_ref, oid, short
from trunkline.domain.note import Rebased
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import StepName
from trunkline.gates import checks
from trunkline.gates.run import evidenced, gate_names
from trunkline.git import history, refs
from trunkline.git.git import Git
from trunkline.planning import journal_queries, pushed_commits
from trunkline.planning.baseline import with_base
from trunkline.planning.journal_queries import unavailable
from trunkline.planning.parents import base_of, open_below

Evidence = tuple[tuple[str, GateOutcome | None], ...]
"""Each gate or check by name, with what is known of it; None: it never ran on this tree."""


def gates_for(context: Context, tip: Oid) -> Evidence:
    """Return every gate of the stack with what is known of it on exactly this commit's tree.

    A gate that was unavailable leaves no receipt; the journal remembers that it was tried on this commit.

    Raises:
        UsageError: stack.toml names a file of signers that is not there.
    """
    settings = context.stack.gates
    receipts = evidenced(context.git, tip, settings, context.surroundings())
    return _with_tried(context, tip, "gated", gate_names(settings), receipts)


def gates_beside_base(context: Context, tip: Oid) -> Evidence:
    """Return `gates_for`; a failure with what receipts say of the same gate on the base."""
    known = gates_for(context, tip)
    compared = {each.gate: each for each in with_base(context, [outcome for _, outcome in known if outcome])}
    return tuple((name, compared.get(name)) for name, _ in known)


def _with_tried(
    context: Context, tip: Oid, kind: str, names: Sequence[str], receipts: Mapping[str, GateOutcome]
) -> Evidence:
    """Return the receipts' verdicts; a gate that could not run when it was tried is unavailable, not stale.

    The journals are read only where a receipt leaves something open.
    """
    found = dict(receipts)
    undecided = [name for name in names if name not in found or found[name].verdict is Verdict.STALE]
    if undecided:
        tried = unavailable(context, tip, kind)
        found |= {name: GateOutcome.unavailable(name, tried[name]) for name in undecided if name in tried}
    return tuple((name, found.get(name)) for name in names)


def subject_of(context: Context, tip: Oid) -> checks.Subject:
    """Return what the entry's checks are asked about: a tip, and where its own commits begin."""
    world = context.world()
    return subject_at(context.git, context.stack, context.entry, tip, world.trunk, world.snapshot.pr)


def own_base_of(context: Context, tip: Oid) -> Oid:
    """Return the commit that the entry's own commits follow on a tip."""
    return subject_of(context, tip).base


def subject_at(
    git: Git, stack: Stack, entry: Entry, tip: Oid, trunk: Oid, pull: Callable[[PrNumber], PullRequest | None]
) -> checks.Subject:
    """Return what an entry's checks are asked about, from what is known already.

    Args:
        git: the repository.
        stack: the stack.
        entry: which entry.
        tip: its head.
        trunk: trunk's.
        pull: returns what GitHub said of an entry below; None: it was not asked, or has none.
    """
    below = (heads_of(git, stack.remote, each, pull(each.pr)) for each in reversed(stack.below(entry)))
    return checks.Subject(git, tip, own_base(git, tip, trunk, below), stack.gates)


def heads_of(git: Git, remote: str, entry: Entry, pr: PullRequest | None) -> tuple[Oid, ...]:
    """Return the heads that an entry has and had, as far as known: here, on the remote, on GitHub, in our backups."""
    named = refs.read_refs(git, branch_ref(entry.branch), refs.tracking_ref(remote, entry.branch))
    seen = (pr.head_oid, *pr.historical_heads) if pr else ()
    return tuple(dict.fromkeys((*named.values(), *seen, *refs.backups_of(git, entry.branch))))


def own_base(git: Git, tip: Oid, trunk: Oid, below: Iterable[Iterable[Oid]]) -> Oid:
    """Return the commit that an entry's own commits follow as its tip is now, rebased already or not.

    Args:
        git: the repository.
        tip: the entry's.
        trunk: trunk's.
        below: the heads of each entry below (`heads_of`), nearest first; those that are not here are passed over.
    """
    heads = [head for heads in below for head in heads if head != tip]
    absent = history.missing(git, heads)
    for head in heads:
        if head not in absent and history.is_ancestor(git, head, tip) and not history.is_ancestor(git, head, trunk):
            return head
    return history.merge_base(git, trunk, tip) or trunk


def checks_for(context: Context, tip: Oid) -> tuple[tuple[Check, GateOutcome | None], ...]:
    """Return every check of the entry with what is known of it on exactly this commit's tree; errors as of gates."""
    own = context.entry.checks
    if not own:
        return ()
    known = dict(checks_at(context, subject_of(context, tip), own))
    return tuple((check, known[check.name]) for check in own)


def checks_at(context: Context, subject: checks.Subject, own: Sequence[Check]) -> Evidence:
    """Return checks by name with what is known of them on a subject; errors as of gates."""
    receipts = checks.evidenced(subject, own, context.surroundings())
    return _with_tried(context, subject.commit, "checked", [check.name for check in own], receipts)


def require_gates(context: Context, tip: Oid, *, skippable: bool = True) -> None:
    """See that every gate and check has passed on this commit's tree, is accepted by name, or is skipped.

    Args:
        context: where.
        tip: the commit.
        skippable: a step that was skipped by name is not asked for.

    Raises:
        Refused: one has not.
    """
    for step, missing in _lacking(context, tip, skippable=skippable):
        flags = waiving(each for _, each in missing if each)
        is_waivable = all(each and each.verdict in _WAIVABLE.values() for _, each in missing)
        alone = task_command(step.value, "--pr", context.entry.pr)
        raise Refused(
            f"the {step.value} have not passed on {short(tip)}",
            why="\n".join(f"{name}: {described(each)}" for name, each in missing) + "\nnothing was pushed",
            next_command=same_command(flags, pr=context.entry.pr) if is_waivable else alone,
        )


def missing_tool(context: Context, tip: Oid) -> bool:
    """Return whether a gate or a check that is not skipped has not passed on this commit's tree."""
    return next(_lacking(context, tip, skippable=True), None) is not None


def _lacking(
    context: Context, tip: Oid, *, skippable: bool
) -> Iterator[tuple[StepName, list[tuple[str, GateOutcome | None]]]]:
    """Yield each of the two steps with what has not passed of it."""
    own = ((check.name, outcome) for check, outcome in checks_for(context, tip))
    for step, known in ((StepName.GATES, gates_beside_base(context, tip)), (StepName.CHECKS, own)):
        if skippable and step in context.options.skip:
            continue
        missing = [(name, outcome) for name, outcome in known if not settled(context, name, outcome)]
        if missing:
            yield step, missing


_WAIVABLE = {"accept-unavailable": Verdict.UNAVAILABLE, "accept-flaky": Verdict.FLAKY}


def waiving(wrong: Iterable[GateOutcome]) -> dict[str, str]:
    """Return the flags that accept those verdicts that can be accepted, with the names; {}: none can be."""
    wrong = tuple(wrong)
    named = {
        flag: [outcome.gate for outcome in wrong if outcome.verdict is verdict] for flag, verdict in _WAIVABLE.items()
    }
    return {flag: ",".join(names) for flag, names in named.items() if names}


def refuse_other_head(context: Context, pr: PullRequest, *, why: str, task: str) -> None:
    """See that GitHub shows the commit that is here: what is said of it, or done with it, was found out here.

    Args:
        context: where.
        pr: the entry's pull request as GitHub has it.
        why: why it must.
        task: what brings the two together.

    Raises:
        Paused: somebody has pushed to the branch since the run began.
        Refused: it shows another.
    """
    tip = context.local_tip()
    if pr.head_oid != tip:
        pushed_commits.refuse(context)
        raise Refused(
            f"#{pr.number} is at {short(pr.head_oid)}, your branch is at {short(tip)}",
            why=why,
            next_command=task_command(task, "--pr", pr.number),
        )


def settled(context: Context, name: str, outcome: GateOutcome | None) -> bool:
    """Return whether a gate or a check has passed, or its verdict was accepted by name."""
    return (outcome is not None and outcome.verdict is Verdict.PASSED) or accepted(context, name, outcome)


def accepted(context: Context, name: str, outcome: GateOutcome | None) -> bool:
    """Return whether a verdict other than a pass was accepted by name: unavailable, or flaky.

    A gate that failed whenever it ran is waived only where it fails on the base for the same cause, and stack.toml
    has `inherited = "allow"`.
    """
    if outcome is not None and outcome.inherited and context.stack.gates.inherited == "allow":
        return True
    named = {
        Verdict.UNAVAILABLE: context.options.accept_unavailable | context.cache.accepted,
        Verdict.FLAKY: context.options.accept_flaky,
    }
    return outcome is not None and name in named.get(outcome.verdict, ())


def accepted_names(context: Context, tip: Oid) -> frozenset[str]:
    """Return the gates and checks whose verdict was accepted by name for a commit, now or when they ran."""
    now = context.options.accept_unavailable | context.options.accept_flaky | context.cache.accepted
    return now | journal_queries.accepted(context, tip)


def described(outcome: GateOutcome | None) -> str:
    """Return a verdict in words, with its reason."""
    if outcome is None:
        return "not run on this tree"
    return outcome.words + "".join(f": {part}" for part in (outcome.diagnosis, outcome.on_base) if part)


def merged_numbers(context: Context) -> tuple[PrNumber, ...]:
    """Return the merged entries right below, nearest first; none where an open one is between."""
    if open_below(context) is not None:
        return ()
    return tuple(entry.pr for entry in reversed(context.stack.below(context.entry)))


def own_commit_count(context: Context, tip: Oid) -> int:
    """Return how many commits a tip has over its base."""
    excluded = [base_of(context).oid, own_base_of(context, tip)]
    return len(history.reachable(context.git, [tip], list(dict.fromkeys(excluded))))


def rebased_since(context: Context, tip: Oid) -> Rebased | None:
    """Return what rebases of ours made of what the pull request showed; None: the journal has none for this tip.

    A commit is only rebased when its patch, by `git patch-id --stable`, is what it was when it was pushed last,
    however often it was rebased here since.
    """
    replays = journal_queries.replays(context, tip)
    if not replays or not replays[-1].get("remote"):
        return None
    git, old_tip, fork = context.git, oid(str(replays[-1]["remote"])), oid(str(replays[-1]["fork"]))
    mapped = [{str(new): str(old) for old, new in facts["mapped"]} for facts in replays]
    own = history.with_patch_ids(git, history.chain(git, oid(str(replays[0]["base"])), tip))
    was = {commit.oid: _traced(commit.oid, mapped) for commit in own}
    seen = {commit.oid for commit in history.reachable(git, [old_tip], [fork])}
    before = history.with_patch_ids(git, history.read_commits(git, [old for old in was.values() if old in seen]))
    patches = {commit.oid: commit.patch_id for commit in before}
    changed = tuple(commit.subject for commit in own if patches.get(was[commit.oid], "none") != commit.patch_id)
    out = [
        _traced(str(name), mapped[index + 1 :])
        for index, facts in enumerate(replays)
        for name in (*facts.get("dropped", ()), *facts.get("skipped", ()))
    ]
    left_out = history.read_commits(git, [name for name in out if name in seen])
    return Rebased(old_tip, fork, len(own), changed, tuple(commit.subject for commit in left_out))


def _traced(name: str, mapped: Sequence[Mapping[str, str]]) -> Oid:
    """Return the commit that one was before rebases, newest first: each maps its new commits to the old ones."""
    for pairs in mapped:
        name = pairs.get(name, name)
    return oid(name)


def skipped_by_name(context: Context) -> tuple[str, ...]:
    """Return the steps left out by name, in a run's order."""
    return tuple(step.value for step in StepName if step in context.options.skip)
