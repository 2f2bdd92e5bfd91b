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


class Order(msgspec.Struct, frozen=True):
    """The request of an attestation.

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


def question(order: Order, now: dt.datetime) -> Question:
    """Return the query that `verify` will evaluate.

    Raises:
        Refused: the key may not sign for this commit.
    """
    asked = verify.question_of(order.git, order.remote, order.policy, order.commit, now=now, merged=order.merged)
    signer = attestation.require_signer(order.key, order.policy.signers, order.policy.name)
    if why := asked.terms.distrust(signer):
        raise Refused(f"your signature does not count for {short(order.commit)}", why=why, next_command=_ask(order))
    for gate in sorted(order.waive):
        if why := structs.replace(asked.terms, signers=_waivers(order.policy.stack.attest, gate)).distrust(signer):
            raise Refused(f"{gate} cannot be waived", why=why, next_command=_ask(order))
    return asked


def _ask(order: Order) -> str:
    return f"git push {shlex.quote(order.remote)} HEAD   # then another signer runs: {exact_command('attest', {})}"


def _waivers(policy: AttestSettings, gate: str) -> frozenset[str]:
    return frozenset(policy.waive.get(gate, ()))


def plan(order: Order, asked: Question) -> tuple[AttestedGate, ...]:
    """Return the gates with what this machine's receipts attest already; nothing is signed."""
    return _rows(order, asked)


def run(order: Order, asked: Question, reporter: Reporter) -> tuple[Attestation, bool]:
    """Run the gates that are not attested yet, sign, and share.

    Returns:
        The attestation, and whether any receipt is new on the remote.

    Raises:
        CheckFailed: a gate is not attested; nothing was shared.
        Refused: the key cannot sign, or somebody else pushed notes meanwhile.
        ExternalError: the remote did not accept the notes.
    """
    names = frozenset(gate.name for gate in asked.gates())
    attestation.sign_all(order.git, order.tree, names, order.key, order.policy.signers)
    outcomes = _gate(order, _rows(order, asked), reporter)
    attestation.sign_all(order.git, order.tree, names, order.key, order.policy.signers)
    for gate in sorted(order.waive):
        attestation.waive(order.git, order.gated, order.tree, gate, order.reason, order.key, order.remote)
    now = dt.datetime.now(dt.timezone.utc)
    rows = _rows(order, structs.replace(asked, terms=structs.replace(asked.terms, now=now)))
    missing = [row for row in rows if row.standing is Standing.MISSING and row.gate not in order.without]
    if missing:
        raise _failure(order, missing, outcomes)
    with lock.hold(order.git.state_dir(), run="attest") as held:
        moved = attestation.share(order.git, held, order.remote, attestation.lines_of(order.git, order.tree, names))
    policy = order.policy
    return Attestation(order.commit, order.tree, order.merged, policy.name, policy.commit, rows), moved


def _rows(order: Order, asked: Question) -> tuple[AttestedGate, ...]:
    names = [gate.name for gate in asked.gates()]
    return evaluate(asked, [line for _, line in attestation.lines_of(order.git, order.tree, names)])


def _gate(order: Order, rows: Collection[AttestedGate], reporter: Reporter) -> Mapping[str, GateOutcome]:
    """Run the gates that are not attested; those with receipts that do not count run again."""
    left = [row for row in rows if row.gate not in {*order.waive, *order.without}]
    again = [
        row.gate for row in left if order.fresh or (row.standing is Standing.MISSING and row.receipt is not None)
    ]
    first = [row.gate for row in left if row.standing is Standing.MISSING and row.gate not in again]
    started, watch = time.monotonic(), GateProgress(reporter, order.git)
    settings = replace(order.policy.stack.gates, sign=order.key)
    order.git.query("cat-file", "-e", order.gated)  # the merge may be in memory only, where no gate finds it
    found: dict[str, GateOutcome] = {}
    for only, reuse in ((first, Reuse.ALL), (again, Reuse.DEPENDENCIES)):
        if only:
            outcomes = gate_commit(
                order.git.cwd, order.gated, settings, only=only, reuse=reuse, progress=watch.ended,
                began=watch.began, say=reporter.progress, printed=watch.printed, compiled=watch.compiled,
            )  # fmt: skip
            found |= {outcome.gate: outcome for outcome in outcomes}
    reporter.gates_ended(time.monotonic() - started)
    return found


def _failure(order: Order, missing: Collection[AttestedGate], outcomes: Mapping[str, GateOutcome]) -> CheckFailed:
    lines, fixes = [], []
    for row in missing:
        outcome = outcomes.get(row.gate)
        ran = outcome is not None and not outcome.proven
        lines.append(
            f"{row.gate}: {outcome.words}: {outcome.diagnosis}" if outcome and ran else f"{row.gate}: {row.reason}"
        )
        fixes += [outcome.fix] if outcome and outcome.fix else []
    names = [row.gate for row in missing]
    what = f"{count_of(len(names), 'gate')} not attested for {short(order.commit)}: {listing(names)}"
    again = exact_command("attest", {"commit": short(order.commit), **({"merged": True} if order.merged else {})})
    return CheckFailed(
        f"{what}; nothing was shared",
        why="\n".join(lines),
        next_command=tuple(dict.fromkeys([*fixes, again])),
        data={"outcomes": [outcome.to_json() for outcome in outcomes.values()]},
    )
