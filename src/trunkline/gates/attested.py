"""Read the receipts that are shared as notes, and evaluate them under trunk's policy.

`domain.attestation` decides. Nothing is written to the receipt store, and no program of the tree
runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from trunkline.domain.attestation import AttestedGate, attest_gate, is_relevant, query_under, waiver_query
from trunkline.domain.names import Oid, short
from trunkline.domain.proof import KnownReceipt, ReceiptQuery, Terms, concerns
from trunkline.domain.receipt import Receipt
from trunkline.domain.stack import AttestSettings, GateSettings
from trunkline.gates import proof
from trunkline.gates.catalogue import Gate, catalogue
from trunkline.git import signing
from trunkline.state.receipt_store import SharedReceipt, parse_receipt

_MOST_SIGNATURES = 100
"""Signatures verified for one gate, newest first: anybody who can push can add receipts (8 ms each)."""
_THREADS = 4


@dataclass(frozen=True)
class Question:
    """The question whether receipts attest a tree.

    Attributes:
        tree: the tree.
        settings: trunk's `[gates]` table.
        policy: trunk's `[attest]` table.
        terms: the conditions that all gates share.
        signers: whose signatures count.
    """

    tree: Oid
    settings: GateSettings
    policy: AttestSettings
    terms: Terms
    signers: signing.Signers

    def gates(self) -> tuple[Gate, ...]:
        """Return the required gates."""
        required = self.policy.gates
        return tuple(gate for gate in catalogue(self.settings) if not required or gate.name in required)


def evaluate(question: Question, lines: Iterable[str]) -> tuple[AttestedGate, ...]:
    """Return the result for each required gate.

    Args:
        question: the question.
        lines: lines of notes; those that trunkline did not write are skipped.
    """
    shared = {each.name: each for line in lines if (each := SharedReceipt.of_line(line)) is not None}
    receipts = {name: parse_receipt(name, each.content) for name, each in shared.items()}
    known = [KnownReceipt(name, found) for name, found in receipts.items() if isinstance(found, Receipt)]
    rows = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for gate in question.gates():
            base = proof.query_of(gate, question.tree)
            query = query_under(base, question.policy, question.terms)
            waiver = waiver_query(base, question.policy, question.terms)
            about = [each for each in known if concerns(query, each.receipt)]
            rows.append(attest_gate(query, waiver, _verified(query, waiver, about, shared, question.signers, pool)))
    return tuple(rows)


def _verified(
    query: ReceiptQuery,
    waiver: ReceiptQuery,
    about: Sequence[KnownReceipt],
    shared: Mapping[str, SharedReceipt],
    signers: signing.Signers,
    pool: ThreadPoolExecutor,
) -> list[KnownReceipt]:
    """Return the receipts of a gate, with the signatures of those that would count verified."""
    relevant = [each for each in about if is_relevant(query, waiver, each.receipt)]
    newest = sorted(relevant, key=lambda each: each.receipt.began, reverse=True)[:_MOST_SIGNATURES]
    signed = [shared[each.file] for each in newest]
    examined = pool.map(lambda each: _examined(each, signers), signed)
    found = {each.file: _with(each, done) for each, done in zip(newest, examined, strict=True)}
    dropped = {each.file for each in relevant} - found.keys()
    return [found.get(each.file, each) for each in about if each.file not in dropped]


def _examined(each: SharedReceipt, signers: signing.Signers) -> signing.Signature | None:
    return signing.examine(each.content, each.signature, signers) if each.signature else None


def _with(known: KnownReceipt, found: signing.Signature | None) -> KnownReceipt:
    if found is None:
        return known
    return replace(known, signer=found.signer, signature=True, problem=found.problem)


def replayed(lines: Iterable[str], tree: Oid, gates: Collection[str]) -> dict[str, str]:
    """Return why receipts in a commit's note are not of its tree, by gate: a note can be copied.

    Args:
        lines: the lines of the commit's note.
        tree: the tree.
        gates: the names of gates.
    """
    found = {}
    for line in lines:
        shared = SharedReceipt.of_line(line)
        receipt = parse_receipt(shared.name, shared.content) if shared else ""
        if isinstance(receipt, Receipt) and receipt.gate in gates and receipt.tree != tree:
            other = f"{short(receipt.tree)} of commit {short(receipt.commit)}"
            found[receipt.gate] = f"the note of this commit has a receipt of another tree, {other}"
    return found
