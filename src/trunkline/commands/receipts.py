"""List, verify and share receipts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from trunkline.domain.names import Oid, oid
from trunkline.domain.proof import UNKNOWN_SIGNER, UNSIGNED, Proof, ReceiptQuery, is_of_machine, mismatch
from trunkline.domain.receipt import Receipt, Verdict
from trunkline.domain.stack import Stack
from trunkline.gates import proof
from trunkline.gates.catalogue import catalogue
from trunkline.git import notes, signing
from trunkline.git.git import Git
from trunkline.state import lock
from trunkline.state.receipt_store import SharedReceipt, Store, read_receipt


class Listed(msgspec.Struct, frozen=True):
    """A receipt file, with the result of its verification.

    Attributes:
        path: its file.
        receipt: its content; None if it is invalid.
        problem: the problem with it or its log, or "".
        signed: "" if not signed; else the signer's name in the allowed-signers file, or "unknown".
        standing: its current validity: the verdict that it decides, "superseded" or "stale"; "" if
            unknown.
        why: why it is not valid, or how flaky its gate is.
    """

    path: Path
    receipt: Receipt | None
    problem: str = ""
    signed: str = ""
    standing: str = ""
    why: str = ""


SUPERSEDED = "superseded"


def listed(git: Git, stack: Stack) -> tuple[Listed, ...]:
    """Return every receipt, newest first, with its hash, its log's hash and its signature verified.

    Raises:
        UsageError: stack.toml names a file of signers that does not exist.
    """
    store, demanded = Store(git.state_dir()), signing.demanded(stack.gates)
    allowed = signing.signers_of(git, stack.gates) if demanded else None
    found = [_verified(path, allowed, demanded=demanded) for path in sorted(store.directory.glob("*.json"))]
    found.sort(key=lambda each: each.receipt.began.timestamp() if each.receipt else 0.0, reverse=True)
    answers = _answers(git, stack, found)
    return tuple(_with_standing(each, answers) for each in found)


def _verified(path: Path, allowed: signing.Signers | None, *, demanded: bool) -> Listed:
    receipt = read_receipt(path)
    if isinstance(receipt, str):
        return Listed(path, None, receipt)
    signed = ""
    if signing.signature_path(path).is_file():
        signed = (signing.signer(path, allowed) if allowed else "") or "unknown"
    problem = _log_problem(path.with_name(receipt.log), receipt.log_sha256)
    if demanded and signed in {"", "unknown"}:
        problem = problem or (UNKNOWN_SIGNER if signed else UNSIGNED)
    return Listed(path, receipt, problem, signed)


_Answers = Mapping[tuple[str, Oid], tuple[ReceiptQuery, Proof]]
"""The conditions of a gate on a tree now, and the proven outcome, by gate and tree."""


def _answers(git: Git, stack: Stack, found: Sequence[Listed]) -> _Answers:
    gates = {gate.name: gate for gate in catalogue(stack.gates)}
    keys = {(each.receipt.gate, each.receipt.tree) for each in found if each.receipt and each.receipt.gate in gates}
    trees = _trees(git, {tree for _, tree in keys})
    surroundings = proof.Surroundings(git, stack.gates.sandbox)
    answers = {}
    for name, tree in keys:
        if tree in trees:
            query = proof.query_on(gates[name], tree, stack.gates, surroundings)
            answers[name, tree] = query, proof.known_receipts(git, tree, stack.gates).prove(query)
    return answers


def _trees(git: Git, names: Collection[Oid]) -> frozenset[Oid]:
    """Return the trees that exist in the repository."""
    request = "".join(f"{name}\n" for name in names).encode()
    lines = git.query("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=request).text.splitlines()
    return frozenset(oid(line.split()[0]) for line in lines if line.endswith(" tree"))


def _with_standing(each: Listed, answers: _Answers) -> Listed:
    receipt = each.receipt
    answer = answers.get((receipt.gate, receipt.tree)) if receipt and not each.problem else None
    if receipt is None or answer is None:
        return each
    query, found = answer
    if why := mismatch(query, receipt):
        return replace(each, standing=Verdict.STALE.value, why=why)
    if is_of_machine(receipt):
        return replace(each, standing=SUPERSEDED, why="the machine failed, not the tree")
    if found.verdict is None or found.known is None or found.known.file != str(each.path):
        return replace(each, standing=SUPERSEDED, why="a newer run of the same question counts")
    why = f"{found.passes} of {found.runs} passed" if found.verdict is Verdict.FLAKY else ""
    return replace(each, standing=found.verdict.value, why=why)


def _log_problem(log: Path, digest: str) -> str:
    try:
        return "" if hashlib.sha256(log.read_bytes()).hexdigest() == digest else "its log does not match its checksum"
    except OSError:
        return ""  # a receipt from another machine has no log here; its hash was checked there


def push(git: Git, stack: Stack) -> tuple[int, bool]:
    """Share every valid receipt as git notes; return their number, and whether any was new.

    Raises:
        Refused: somebody else pushed notes in the meantime.
        ExternalError: the remote rejected them.
    """
    lines: dict[Oid, list[str]] = {}
    found = valid(git)
    for path, receipt in found:
        lines.setdefault(receipt.commit, []).append(SharedReceipt.of_file(path).to_line())
    with lock.hold(git.state_dir(), run="receipts") as held:
        notes.add(git, held, lines)
        return len(found), notes.push(git, held, stack.remote)


def valid(git: Git) -> tuple[tuple[Path, Receipt], ...]:
    """Return the receipts with a valid hash, with their files: those that `push` shares."""
    paths = sorted(Store(git.state_dir()).directory.glob("*.json"))
    found = ((path, read_receipt(path)) for path in paths)
    return tuple((path, receipt) for path, receipt in found if isinstance(receipt, Receipt))


class Pulled(msgspec.Struct, frozen=True):
    """The result of a pull: accepted receipts, receipts that prove nothing here, and known ones."""

    taken: int
    untrusted: int
    known: int


def pull(git: Git, stack: Stack) -> Pulled:
    """Fetch the receipts of others; accept those that are signed by one of `[gates] signers`.

    Anybody with push access can push a note, so a receipt without a known signature proves nothing.

    Raises:
        UsageError: stack.toml names a file of signers that does not exist.
    """
    store = Store(git.state_dir())
    allowed = signing.signers_of(git, stack.gates) if signing.demanded(stack.gates) else None
    with lock.hold(git.state_dir(), run="receipts") as held:
        notes.pull(git, held, stack.remote)
    taken = untrusted = known = 0
    for each in _shared(git):
        if (store.directory / each.name).is_file():
            known += 1
        elif store.import_receipt(
            each.name, each.content, each.signature, lambda path: bool(allowed and signing.signer(path, allowed))
        ):
            taken += 1
        else:
            untrusted += 1
    return Pulled(taken, untrusted, known)


def _shared(git: Git) -> Iterator[SharedReceipt]:
    for lines in notes.read(git).values():
        for line in lines:
            found = SharedReceipt.of_line(line)
            if found is not None:
                yield found
