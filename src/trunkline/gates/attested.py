"""Read the receipts that are shared as notes, and evaluate them under trunk's policy.

`domain.attestation` decides. Nothing is written to the receipt store, and no program of the tree
runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
from msgspec.structs import replace

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


class Question(msgspec.Struct, frozen=True):
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
    shared = [each for line in lines if (each := SharedReceipt.of_line(line)) is not None]
    parsed = ((each, parse_receipt(each.name, each.content)) for each in shared)
    known = [_Candidate(KnownReceipt(each.name, found), each) for each, found in parsed if isinstance(found, Receipt)]
    rows = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for gate in question.gates():
            base = proof.query_of(gate, question.tree)
            query = query_under(base, question.policy, question.terms)
            waiver = waiver_query(base, question.policy, question.terms)
            about = [each for each in known if concerns(query, each.known.receipt)]
            rows.append(attest_gate(query, waiver, _verified(query, waiver, about, question.signers, pool)))
    return tuple(rows)


class _Candidate(msgspec.Struct, frozen=True):
    """A valid receipt, with the line that it came from."""

    known: KnownReceipt
    shared: SharedReceipt

    def examined(self, signers: signing.Signers) -> KnownReceipt:
        """Return the receipt with its signature verified."""
        if not self.shared.signature:
            return self.known
        found = signing.examine(self.shared.content, self.shared.signature, signers)
        return replace(self.known, signer=found.signer, signature=True, problem=found.problem)


def _verified(
    query: ReceiptQuery,
    waiver: ReceiptQuery,
    about: Sequence[_Candidate],
    signers: signing.Signers,
    pool: ThreadPoolExecutor,
) -> list[KnownReceipt]:
    """Return the receipts of a gate, with the signatures of those that would count verified.

    The same receipt may be there with several signatures, of which a wrong one hides no right one.
    """
    relevant = [each for each in about if is_relevant(query, waiver, each.known.receipt)]
    newest = sorted(relevant, key=lambda each: each.known.receipt.began, reverse=True)[:_MOST_SIGNATURES]
    examined = pool.map(lambda each: each.examined(signers), newest)
    return [*examined, *(each.known for each in about if each not in relevant)]


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
