"""Sign receipts as DSSE envelopes, which tools for in-toto attestations read; needs cryptography, of an extra.

An envelope's signature is made over its own encoding of type and content (DSSE, protocol.md), so a
receipt's SSH signature cannot be reused: the exporter signs again, with a raw Ed25519 signature.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trunkline.domain.errors import UsageError

PAYLOAD = "application/vnd.in-toto+json"


def encoding(content: bytes) -> bytes:
    """Return the bytes that an envelope's signature is made over (DSSE's PAE)."""
    return b" ".join([b"DSSEv1", b"%d" % len(PAYLOAD), PAYLOAD.encode(), b"%d" % len(content), content])


class Signer:
    """An Ed25519 key in OpenSSH's format, read from its file.

    Args:
        path: the private key's file, `~` allowed.

    Raises:
        UsageError: it cannot be read, has a passphrase, or is another kind of key.
    """

    def __init__(self, path: str) -> None:
        self._key = _read(path)
        self.id = _fingerprint(self._key)

    def envelope(self, content: bytes) -> str:
        """Return a content as a signed DSSE envelope."""
        signature = base64.b64encode(self._key.sign(encoding(content))).decode()
        values = {
            "payloadType": PAYLOAD,
            "payload": base64.b64encode(content).decode(),
            "signatures": [{"keyid": self.id, "sig": signature}],
        }
        return json.dumps(values, indent=1) + "\n"


def _read(path: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_ssh_private_key(Path(path).expanduser().read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} cannot sign envelopes",
            why=f"{error}; a key in an agent or with a passphrase signs receipts, but no envelopes",
            next_command="ssh-keygen -t ed25519 -N '' -f export-key",
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path} is no Ed25519 key", why="envelopes are signed with Ed25519 alone",
            next_command="ssh-keygen -t ed25519 -N '' -f export-key",
        )  # fmt: skip
    return key


def _fingerprint(key: Ed25519PrivateKey) -> str:
    """Return the key's fingerprint as ssh-keygen prints it."""
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
