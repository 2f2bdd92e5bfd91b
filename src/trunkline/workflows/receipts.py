"""The evidence on its own: listed, verified, shared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trunkline.adapters import lease, notes, signing
from trunkline.adapters.git import Git
from trunkline.adapters.receipts import Store, read_receipt
from trunkline.domain.names import Oid
from trunkline.domain.receipt import Receipt
from trunkline.domain.stack import Stack


@dataclass(frozen=True)
class Listed:
    """A receipt as it was found.

    Attributes:
        path: its file.
        receipt: what it says; None: nothing that can be believed.
        problem: what is wrong with it or its log, or "".
        signed: "" not signed; else the signer as the allowed-signers file names them, or "unknown".
    """

    path: Path
    receipt: Receipt | None
    problem: str = ""
    signed: str = ""


def listed(git: Git, stack: Stack) -> tuple[Listed, ...]:
    """Return every receipt of the repository, newest first, verified: its own hash, its log's, its signature."""
    store = Store(git.state_dir())
    found = [_verified(path, stack.gates.signers) for path in sorted(store.directory.glob("*.json"))]
    return tuple(sorted(found, key=lambda each: each.receipt.started if each.receipt else "", reverse=True))


def _verified(path: Path, signers: str) -> Listed:
    receipt = read_receipt(path)
    if isinstance(receipt, str):
        return Listed(path, None, receipt)
    signed = ""
    if signing.signature_path(path).is_file():
        signed = signing.signer(path, signers) or "unknown"
    problem = _log_problem(path.with_name(receipt.log), receipt.log_sha256)
    if signers and signed == "unknown":
        problem = problem or "its signature is nobody's whom the signers file knows"
    return Listed(path, receipt, problem, signed)


def _log_problem(log: Path, digest: str) -> str:
    try:
        return "" if hashlib.sha256(log.read_bytes()).hexdigest() == digest else "its log is not what it says"
    except OSError:
        return ""  # a receipt that was pulled has no log here; the hash stands for it


def push(git: Git, stack: Stack) -> tuple[int, bool]:
    """Share every sound receipt as git notes; returns how many there are, and whether the remote lacked one.

    Raises:
        Refused: somebody else pushed notes meanwhile.
        OutsideFailed: the remote did not take them.
    """
    lines: dict[Oid, list[str]] = {}
    found = sound(git)
    for path, receipt in found:
        lines.setdefault(receipt.commit, []).append(_as_line(path))
    with lease.hold(git.state_dir(), run="receipts") as held:
        notes.add(git, held, lines)
        return len(found), notes.push(git, held, stack.remote)


def sound(git: Git) -> tuple[tuple[Path, Receipt], ...]:
    """Return the receipts whose own hash is right, with their files: those that `push` shares."""
    paths = sorted(Store(git.state_dir()).directory.glob("*.json"))
    found = ((path, read_receipt(path)) for path in paths)
    return tuple((path, receipt) for path, receipt in found if isinstance(receipt, Receipt))


@dataclass(frozen=True)
class Pulled:
    """What came of a pull: receipts taken, those that prove nothing here, and those that were here already."""

    taken: int
    untrusted: int
    known: int


def pull(git: Git, stack: Stack) -> Pulled:
    """Fetch others' receipts; only one signed by somebody of `[gates] signers` becomes proof here.

    Anybody who can push can push a note: without a signature that we know, it is a claim.
    """
    store = Store(git.state_dir())
    with lease.hold(git.state_dir(), run="receipts") as held:
        notes.pull(git, held, stack.remote)
    taken = untrusted = known = 0
    for name, content, signature in _from_lines(git):
        if (store.directory / name).is_file():
            known += 1
        elif store.take(name, content, signature, lambda path: bool(signing.signer(path, stack.gates.signers))):
            taken += 1
        else:
            untrusted += 1
    return Pulled(taken, untrusted, known)


def _as_line(path: Path) -> str:
    signature = signing.signature_path(path)
    text = signature.read_text(encoding="ascii") if signature.is_file() else ""
    return json.dumps({"name": path.name, "receipt": path.read_text(encoding="utf-8"), "signature": text})


def _from_lines(git: Git) -> Iterator[tuple[str, bytes, bytes]]:
    for lines in notes.read(git).values():
        for line in lines:
            try:
                said = json.loads(line)
                yield str(said["name"]), str(said["receipt"]).encode(), str(said["signature"]).encode()
            except (ValueError, KeyError, TypeError):
                continue  # somebody else's note
