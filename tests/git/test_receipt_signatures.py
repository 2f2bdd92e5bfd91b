"""Signatures of receipts, with the real ssh-keygen: whose count, and why others do not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.keys import ssh_key
from trunkline.domain.proof import UNKNOWN_SIGNER
from trunkline.git.signing import EXPIRED_KEY, OTHER_CONTENT, REVOKED, UNREADABLE, Signature, Signers, examine

GIT = "it is signed for another purpose: 'git'"
CONTENT = b'{"a": "receipt"}\n'


@dataclass(frozen=True)
class Keys:
    """A key pair and the files of trunk about it."""

    folder: Path

    @property
    def public(self) -> str:
        """The public key."""
        return " ".join((self.folder / "key.pub").read_text().split()[:2])

    def signature(self, namespace: str = "trunkline-receipt", content: bytes = CONTENT) -> bytes:
        """Return a signature."""
        argv = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(self.folder / "key")]
        return subprocess.run(argv, input=content, capture_output=True, check=True).stdout

    def signers(self, line: str = "ada@x,ada@y {key}", revoked: str | None = None) -> Signers:
        """Return the signers file with a line, and the file of revoked keys."""
        allowed, gone = self.folder / "allowed", self.folder / "revoked"
        allowed.write_text("# people\n" + line.format(key=self.public) + "\n")
        if revoked is not None:
            gone.write_text(revoked)
        return Signers(allowed, None if revoked is None else gone)

    def list_of_revoked(self) -> Signers:
        """Return signers with a key revocation list in OpenSSH's own format."""
        made = self.signers(revoked="")
        subprocess.run(
            ["ssh-keygen", "-q", "-k", "-f", str(self.folder / "revoked"), str(self.folder / "key.pub")], check=True
        )
        return made


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Return a key pair."""
    folder = tmp_path_factory.mktemp("keys")
    ssh_key(folder / "key")
    return Keys(folder)


CASES: dict[str, tuple[Callable[[Keys], tuple[bytes, Signers]], str]] = {
    "good": (lambda keys: (keys.signature(), keys.signers()), ""),
    "nobody is revoked": (lambda keys: (keys.signature(), keys.signers(revoked="")), ""),
    "revoked": (lambda keys: (keys.signature(), keys.signers(revoked=f"{keys.public}\n")), REVOKED),
    "revoked by a list": (lambda keys: (keys.signature(), keys.list_of_revoked()), REVOKED),
    "expired": (lambda keys: (keys.signature(), keys.signers('a@x valid-before="20200101" {key}')), EXPIRED_KEY),
    "not yet": (lambda keys: (keys.signature(), keys.signers('a@x valid-after="20900101" {key}')), EXPIRED_KEY),
    "unknown": (lambda keys: (keys.signature(), keys.signers("# {key}")), UNKNOWN_SIGNER),
    "for git only": (lambda keys: (keys.signature(), keys.signers('a@x namespaces="git" {key}')), OTHER_CONTENT),
    "another purpose": (
        lambda keys: (keys.signature("git"), keys.signers()),
        "it is signed for another purpose: 'git'",
    ),
    "another content": (lambda keys: (keys.signature(content=b"x"), keys.signers()), OTHER_CONTENT),
    "empty": (lambda keys: (b"", keys.signers()), UNREADABLE),
    "no base64": (lambda keys: (keys.signature().replace(b"U1NI", b"!!!!"), keys.signers()), UNREADABLE),
    "cut off": (
        lambda keys: (b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAA\n-----END SSH SIGNATURE-----", keys.signers()),
        UNREADABLE,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_signature(keys: Keys, case: str) -> None:
    """The signature counts, or the reason is given."""
    make, why = CASES[case]
    signature, signers = make(keys)
    found = examine(CONTENT, signature, signers)
    assert found == (Signature(problem=why) if why else Signature("ada@x,ada@y"))
