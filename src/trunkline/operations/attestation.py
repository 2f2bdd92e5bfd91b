"""Sign the receipts of a tree, and share them as git notes."""

from __future__ import annotations

import datetime as dt
import hashlib
import platform
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from trunkline.domain.attestation import WAIVER
from trunkline.domain.command import exact_command
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid
from trunkline.domain.receipt import Receipt, Toolchain
from trunkline.domain.stack import GateSettings
from trunkline.git import notes, refs, signing
from trunkline.git.git import Git
from trunkline.state.lock import RepositoryLock
from trunkline.state.receipt_store import SharedReceipt, Store


def key_of(git: Git, given: str, settings: GateSettings) -> str:
    """Return the key that signs: from the flag, from stack.toml, else git's own for commits.

    Raises:
        UsageError: there is none.
    """
    if key := given or signing.key_of(git, settings):
        return key
    raise UsageError(
        "there is no SSH key to sign with",
        why="neither --sign, nor [gates] sign, nor git's user.signingKey with gpg.format = ssh names a key file",
        next_command=exact_command("attest", {"sign": "~/.ssh/id_ed25519"}),
    )


def require_signer(key: str, signers: signing.Signers, trunk: str) -> str:
    """Return the names of a key in the signers file of trunk, before minutes of gates.

    Raises:
        Refused: it cannot sign, or its signatures do not count.
    """
    signature, problem = signing.signature_of(b"probe\n", key)
    if problem:
        raise Refused(f"{key} cannot sign", why=problem, next_command=f"ssh-add {key}")
    found = signing.examine(b"probe\n", signature, signers)
    if found.problem:
        raise Refused(
            f"receipts signed with {key} do not count",
            why=f"{found.problem}; [gates] signers of {trunk} says whose do",
            next_command=f"ssh-keygen -y -f {key}   # the line for the signers file, after your email address",
        )
    return found.signer


def sign_all(git: Git, tree: Oid, gates: Collection[str], key: str, signers: signing.Signers) -> None:
    """Sign the passes of a tree in the store that have no signature that counts.

    Raises:
        Refused: the key cannot sign.
    """
    for path, receipt in _of_tree(git, tree, gates):
        if receipt.passed and not signing.signer(path, signers) and (problem := signing.sign(path, key)):
            raise Refused(f"{key} cannot sign", why=problem, next_command=f"ssh-add {key}")


def waive(git: Git, commit: Oid, tree: Oid, gate: str, reason: str, key: str, remote: str) -> None:
    """Store a signed receipt that waives a gate on a tree.

    Raises:
        Refused: the key cannot sign.
    """
    digest = hashlib.sha256(reason.encode()).hexdigest()
    receipt = Receipt(
        gate=gate,
        commit=commit,
        tree=tree,
        argv=(*WAIVER, gate),
        env={},
        passed_through=(),
        toolchain=Toolchain("", ""),
        lock_sha256="",
        sandbox="none",
        started=dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds"),
        seconds=0.0,
        exit_code=0,
        log=f"{digest[:32]}.log",
        log_sha256=digest,
        summary=reason,
        host=platform.node(),
        repository=refs.identity_of(git, remote),
    )
    path = Store(git.state_dir()).write(receipt, reason.encode())
    if problem := signing.sign(path, key):
        raise Refused(f"{key} cannot sign", why=problem, next_command=f"ssh-add {key}")


def lines_of(git: Git, tree: Oid, gates: Collection[str]) -> tuple[tuple[Oid, str], ...]:
    """Return the receipts of a tree in the store as lines of notes, with the commit gated."""
    return tuple(
        (receipt.commit, SharedReceipt.of_file(path).to_line()) for path, receipt in _of_tree(git, tree, gates)
    )


def share(git: Git, lock: RepositoryLock, remote: str, lines: Sequence[tuple[Oid, str]]) -> bool:
    """Push lines as git notes, merged with the remote's; return False if it has them all.

    Raises:
        Refused: somebody else pushed notes meanwhile; nothing was overwritten.
        ExternalError: the remote did not accept them.
    """
    by_commit: dict[Oid, list[str]] = {}
    for commit, line in lines:
        by_commit.setdefault(commit, []).append(line)
    notes.add(git, lock, by_commit)
    return notes.push(git, lock, remote)


def _of_tree(git: Git, tree: Oid, gates: Collection[str]) -> Iterator[tuple[Path, Receipt]]:
    for path, receipt in Store(git.state_dir()).read(tree):
        if isinstance(receipt, Receipt) and receipt.gate in gates:
            yield path, receipt
