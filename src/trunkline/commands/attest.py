"""Command `attest`: run the gates of trunk's policy, sign their receipts, and share them as git notes."""

from __future__ import annotations

import datetime as dt
import shlex
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

import msgspec
from msgspec import structs

from trunkline.commands import verify
from trunkline.commands.verify import Policy
from trunkline.context.loading import load_stacks
from trunkline.context.project import Reporter
from trunkline.domain.attestation import Attestation, AttestedGate, Standing
from trunkline.domain.command import exact_command, task_command
from trunkline.domain.errors import CheckFailed, Refused, UsageError
from trunkline.domain.names import Oid, PrNumber, branch_ref, short
from trunkline.domain.receipt import GateOutcome
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import AttestSettings
from trunkline.domain.words import count_of, listing
from trunkline.gates.attested import Question, evaluate
from trunkline.gates.run import gate_commit
from trunkline.git import replay
from trunkline.git.git import Git
from trunkline.operations import attestation
from trunkline.operations.gate_stack import GateProgress
from trunkline.state import lock


class AttestRequest(msgspec.Struct, frozen=True):
    """The commit to attest, and the options.

    Attributes:
        git: the checkout.
        remote: the remote that the receipts are pushed to.
        policy: trunk's policy.
        commit: the commit.
        gated: the commit that the gates run on: `commit`, or one with the tree of its merge.
        key: the SSH key.
        waive: the gates that are waived.
        reason: why.
        without: gates that may be left out: somebody else runs them.
        fresh: run every gate, whatever the receipts say.
        merged: the tree of the merge with trunk instead of the commit's own.
    """

    git: Git
    remote: str
    policy: Policy
    commit: Oid
    gated: Oid
    key: str
    waive: frozenset[str] = frozenset()
    reason: str = ""
    without: frozenset[str] = frozenset()
    fresh: bool = False
    merged: bool = False

    @property
    def tree(self) -> Oid:
        """The tree that the receipts are about."""
        return self.git.tree(self.gated)


def local_commit(git: Git, revision: str, pr: PrNumber | None) -> Oid:
    """Return the commit to attest: the revision, the local branch of the pull request, or HEAD.

    Raises:
        UsageError: this repository has no such commit.
    """
    name = revision or "HEAD"
    if pr is not None:
        branches = [entry.branch for stack in load_stacks(git) for entry in stack.entries if entry.pr == pr]
        if not branches:
            raise UsageError(f"#{pr} is not in stack.toml", next_command=task_command("status"))
        name = branch_ref(branches[0])
    found = git.resolve(name)
    if found is None:
        raise UsageError(
            f"{name} names no commit of this repository",
            next_command=task_command("switch", "--pr", pr) if pr else "git log --oneline",
        )
    return found


def gated_commit(git: Git, policy: Policy, commit: Oid, *, merged: bool) -> Oid:
    """Return the commit that the gates run on.

    Raises:
        CheckFailed: the merge has conflicts.
    """
    tree, is_own = verify.tree_of(git, policy, commit, merged=merged)
    return commit if is_own else replay.commit_of_tree(git, tree, policy.commit, commit)


def question(request: AttestRequest, now: dt.datetime) -> Question:
    """Return the query that `verify` will evaluate.

    Raises:
        Refused: the key may not sign for this commit.
    """
    query = verify.question_of(
        request.git, request.remote, request.policy, request.commit, now=now, merged=request.merged
    )
    signer = attestation.require_signer(request.key, request.policy.signers, request.policy.name)
    if why := query.terms.distrust(signer):
        raise Refused(
            f"your signature does not count for {short(request.commit)}", why=why, next_command=_ask(request)
        )
    for gate in sorted(request.waive):
        if why := structs.replace(query.terms, signers=_waivers(request.policy.stack.attest, gate)).distrust(signer):
            raise Refused(f"{gate} cannot be waived", why=why, next_command=_ask(request))
    return query


def _ask(request: AttestRequest) -> str:
    return f"git push {shlex.quote(request.remote)} HEAD   # then another signer runs: {exact_command('attest', {})}"


def _waivers(policy: AttestSettings, gate: str) -> frozenset[str]:
    return frozenset(policy.waive.get(gate, ()))


def plan(request: AttestRequest, query: Question) -> tuple[AttestedGate, ...]:
    """Return the gates with what this machine's receipts attest already; nothing is signed."""
    names = [gate.name for gate in query.gates()]
    return evaluate(query, [line for _, line in attestation.lines_of(request.git, request.tree, names)])


def run(request: AttestRequest, query: Question, reporter: Reporter) -> tuple[Attestation, bool]:
    """Run the gates that are not attested yet, sign, and share.

    Returns:
        The attestation, and whether any receipt is new on the remote.

    Raises:
        CheckFailed: a gate is not attested; nothing was shared.
        Refused: the key cannot sign, or somebody else pushed notes meanwhile.
        ExternalError: the remote did not accept the notes.
    """
    names = frozenset(gate.name for gate in query.gates())
    attestation.sign_all(request.git, request.tree, names, request.key, request.policy.signers)
    outcomes = _gate(request, plan(request, query), reporter)
    attestation.sign_all(request.git, request.tree, names, request.key, request.policy.signers)
    for gate in sorted(request.waive):
        attestation.waive(request.git, request.gated, request.tree, gate, request.reason, request.key, request.remote)
    now = dt.datetime.now(dt.timezone.utc)
    rows = plan(request, structs.replace(query, terms=structs.replace(query.terms, now=now)))
    missing = [row for row in rows if row.standing is Standing.MISSING and row.gate not in request.without]
    if missing:
        raise _failure(request, missing, outcomes)
    with lock.hold(request.git.state_dir(), run="attest") as held:
        moved = attestation.share(
            request.git, held, request.remote, attestation.lines_of(request.git, request.tree, names)
        )
    policy = request.policy
    return Attestation(request.commit, request.tree, request.merged, policy.name, policy.commit, rows), moved


def _gate(request: AttestRequest, rows: Collection[AttestedGate], reporter: Reporter) -> Mapping[str, GateOutcome]:
    """Run the gates that are not attested; those with receipts that do not count run again."""
    left = [row for row in rows if row.gate not in {*request.waive, *request.without}]
    again = [
        row.gate for row in left if request.fresh or (row.standing is Standing.MISSING and row.receipt is not None)
    ]
    first = [row.gate for row in left if row.standing is Standing.MISSING and row.gate not in again]
    started, progress = time.monotonic(), GateProgress(reporter, request.git)
    settings = replace(request.policy.stack.gates, sign=request.key)
    request.git.query("cat-file", "-e", request.gated)  # the merge may be in memory only, where no gate finds it
    found: dict[str, GateOutcome] = {}
    for only, reuse in ((first, Reuse.ALL), (again, Reuse.DEPENDENCIES)):
        if only:
            outcomes = gate_commit(
                request.git.cwd, request.gated, settings, only=only, reuse=reuse, progress=progress.ended,
                began=progress.began, say=reporter.progress, printed=progress.printed, compiled=progress.compiled,
            )  # fmt: skip
            found |= {outcome.gate: outcome for outcome in outcomes}
    reporter.gates_ended(time.monotonic() - started)
    return found


def _failure(
    request: AttestRequest, missing: Collection[AttestedGate], outcomes: Mapping[str, GateOutcome]
) -> CheckFailed:
    lines, fixes = [], []
    for row in missing:
        outcome = outcomes.get(row.gate)
        ran = outcome is not None and not outcome.proven
        lines.append(
            f"{row.gate}: {outcome.words}: {outcome.diagnosis}" if outcome and ran else f"{row.gate}: {row.reason}"
        )
        fixes += [outcome.fix] if outcome and outcome.fix else []
    names = [row.gate for row in missing]
    what = f"{count_of(len(names), 'gate')} not attested for {short(request.commit)}: {listing(names)}"
    again = exact_command("attest", {"commit": short(request.commit), **({"merged": True} if request.merged else {})})
    return CheckFailed(
        f"{what}; nothing was shared",
        why="\n".join(lines),
        next_command=tuple(dict.fromkeys([*fixes, again])),
        data={"outcomes": [outcome.to_json() for outcome in outcomes.values()]},
    )
