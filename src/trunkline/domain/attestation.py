"""Decide whether shared receipts attest every gate that trunk's policy requires. Pure rules.

`domain.proof.prove` decides about each gate; this module asks it the questions of the policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from trunkline.domain.proof import KnownReceipt, Proof, ReceiptQuery, Terms, concerns, mismatch, prove
from trunkline.domain.receipt import GateOutcome, Receipt, Verdict, receipt_id

if TYPE_CHECKING:
    from trunkline.domain.names import Oid
    from trunkline.domain.stack import AttestSettings


class Standing(Enum):
    """The result for one gate."""

    ATTESTED = "attested"
    WAIVED = "waived"
    MISSING = "missing"


class AttestedGate(msgspec.Struct, frozen=True):
    """One required gate, and the receipt that decides about it.

    Attributes:
        gate: its name.
        standing: attested, waived or missing.
        receipt: the deciding receipt; None: there is none of this tree.
        file: the receipt's file name, or "".
        signer: who signed it, as the signers file has it, or "".
        reason: why it is missing, or why it was waived.
    """

    gate: str
    standing: Standing
    receipt: Receipt | None = None
    file: str = ""
    signer: str = ""
    reason: str = ""

    @property
    def id(self) -> str:
        """The receipt's short id: the first digits of the hash of its content, or ""."""
        return receipt_id(self.file)

    @property
    def where(self) -> str:
        """The machine and the executor of the run: `build-7 (nox)`, or ""."""
        if self.receipt is None:
            return ""
        host, executor = self.receipt.host or "unknown", self.receipt.executor
        return f"{host} ({executor})" if executor else host


class Attestation(msgspec.Struct, frozen=True):
    """The result for a commit.

    Attributes:
        commit: the commit.
        tree: its tree, or that of its merge with trunk.
        merged: the tree is that of the merge with trunk.
        trunk: trunk's name: `origin/main`.
        policy: the commit of trunk that policy and signers were read from.
        gates: the required gates.
        notices: remarks that change no result.
    """

    commit: Oid
    tree: Oid
    merged: bool
    trunk: str
    policy: Oid
    gates: tuple[AttestedGate, ...]
    notices: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[AttestedGate, ...]:
        """The gates that are neither attested nor waived."""
        return tuple(each for each in self.gates if each.standing is Standing.MISSING)


WAIVER = ("trunkline", "attest", "--waive")
"""The command of a receipt that waives a gate; no gate has it, so it never proves one."""
_PLUS = re.compile(r"\+(\d+\.\d+(?:\.\d+)?)")


def query_under(query: ReceiptQuery, policy: AttestSettings, terms: Terms) -> ReceiptQuery:
    """Return the question of the policy about a gate.

    Args:
        query: the gate on the tree, as the policy defines it.
        policy: the `[attest]` table.
        terms: the conditions that all gates share.
    """
    chosen = [match[1] for word in query.argv[1:2] if (match := _PLUS.fullmatch(word))]
    toolchain = next(iter(chosen), "" if _chooses(query) else policy.toolchain)
    return replace(query, signed=True, terms=replace(terms, release=toolchain))


def _chooses(query: ReceiptQuery) -> bool:
    """Return whether a gate's command names its own toolchain: `cargo +nightly`."""
    return any(word.startswith("+") for word in query.argv[1:2])


def waiver_query(query: ReceiptQuery, policy: AttestSettings, terms: Terms) -> ReceiptQuery:
    """Return the question whether a gate was waived by somebody who may."""
    signers = frozenset(policy.waive.get(query.gate, ()))
    return ReceiptQuery(
        query.gate, query.tree, (*WAIVER, query.gate), {}, signed=True, terms=replace(terms, signers=signers)
    )


def attest_gate(query: ReceiptQuery, waiver: ReceiptQuery, receipts: Sequence[KnownReceipt]) -> AttestedGate:
    """Return the result for one gate.

    Args:
        query: the question about the gate, see `query_under`.
        waiver: the question about a waiver, see `waiver_query`.
        receipts: receipts of any gates and trees, with verified signatures.
    """
    runs = [known for known in receipts if concerns(query, known.receipt) and not is_waiver(known.receipt)]
    found = prove(query, runs)
    if found.verdict is Verdict.PASSED and found.known is not None and found.known.receipt.tests != 0:
        return _row(query.gate, Standing.ATTESTED, found.known)
    waivers = [known for known in receipts if concerns(query, known.receipt) and is_waiver(known.receipt)]
    waived = prove(waiver, waivers)
    if waived.verdict is Verdict.PASSED and waived.known is not None:
        return _row(query.gate, Standing.WAIVED, waived.known, waived.known.receipt.summary)
    return _row(query.gate, Standing.MISSING, found.known or waived.known, _why(found, waived))


def is_waiver(receipt: Receipt) -> bool:
    """Return whether a receipt waives a gate."""
    return receipt.argv[: len(WAIVER)] == WAIVER


def _row(gate: str, standing: Standing, known: KnownReceipt | None, reason: str = "") -> AttestedGate:
    if known is None:
        return AttestedGate(gate, standing, reason=reason)
    return AttestedGate(gate, standing, known.receipt, known.file, known.signer, reason)


def _why(found: Proof, waived: Proof) -> str:
    """Return why a gate is not attested."""
    if found.verdict is None or found.known is None:
        return f"its waiver does not count: {waived.reason}" if waived.known else NO_RECEIPT
    if found.verdict is Verdict.STALE:
        return found.reason
    if found.verdict is Verdict.FLAKY:
        return f"flaky: {found.passes} of {found.runs} passed"
    if found.verdict is Verdict.PASSED:
        return "it ran no test"
    failure = found.known.receipt.failure.get("diagnosis") or f"exit code {found.known.receipt.exit_code}"
    return f"it failed: {failure}"


NO_RECEIPT = "there is no receipt of this tree"


def is_relevant(query: ReceiptQuery, waiver: ReceiptQuery, receipt: Receipt) -> bool:
    """Return whether the signature of a receipt matters: it would count, if it is trusted."""
    relevant = waiver if is_waiver(receipt) else query
    return receipt.passed and concerns(relevant, receipt) and not mismatch(relevant, receipt)


_LONGEST = 140  # docs.github.com, "Create a commit status"
_STATUS = re.compile(r"passed, (?:signed by (\S+)|not signed), receipt ([0-9a-f]{12})\b")


def status_text(outcome: GateOutcome) -> str:
    """Return the description of the commit status of a gate that passed: signer and receipt."""
    signed = f"signed by {outcome.signer}" if outcome.signer else "not signed"
    text = f"passed, {signed}, receipt {outcome.receipt}, {outcome.toolchain or outcome.command}"
    return text[:_LONGEST]


def named_receipt(text: str) -> str:
    """Return the id of the receipt that a status names, or ""."""
    match = _STATUS.match(text)
    return match[2] if match else ""


def status_problem(state: str, text: str, named: AttestedGate | None) -> str:
    """Return why a commit status is not true, or "".

    Args:
        state: its state.
        text: its description.
        named: what the receipt that it names attests; None: there is no such receipt.
    """
    match = _STATUS.match(text)
    if state != "success":
        return ""
    if match is None:
        return "it names no receipt"
    if named is None:
        return f"there is no receipt {match[2]} of this tree"
    if named.standing is not Standing.ATTESTED:
        return f"receipt {match[2]} attests nothing: {named.reason}"
    if named.signer != (match[1] or ""):
        return f"it says that {match[1] or 'nobody'} signed receipt {match[2]}; {named.signer} did"
    return ""


_EMAIL = re.compile(r"[^\s<>]+@[^\s<>]+")


def emails(text: str) -> frozenset[str]:
    """Return the email addresses in a text, in lower case."""
    return frozenset(match.lower() for match in _EMAIL.findall(text))


def to_data(found: Attestation) -> Mapping[str, object]:
    """Return an attestation as JSON values."""
    return {
        "commit": found.commit,
        "tree": found.tree,
        "merged": found.merged,
        "trunk": found.trunk,
        "policy": found.policy,
        "notices": list(found.notices),
        "gates": [
            {
                "gate": each.gate,
                "standing": each.standing.value,
                "signer": each.signer,
                "where": each.where,
                "toolchain": each.receipt.toolchain.name if each.receipt else "",
                "started": each.receipt.started if each.receipt else "",
                "receipt": each.id,
                "reason": each.reason,
            }
            for each in found.gates
        ],
    }
