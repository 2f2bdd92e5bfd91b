"""Sign receipts with an SSH key, and verify signatures with ssh-keygen.

`ssh-keygen -Y` came with OpenSSH 8.2 (ssh-keygen(1)). The namespace prevents the reuse of a
signature that was made for another purpose, for example for git.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.domain.proof import UNKNOWN_SIGNER
from trunkline.system import process
from trunkline.system.files import private_directory, replace_bytes

if TYPE_CHECKING:
    from trunkline.domain.stack import GateSettings
    from trunkline.git.git import Git

NAMESPACE = "trunkline-receipt"
OWN_KEY = "own-key"
_SECONDS = 60.0


def signature_path(receipt: Path) -> Path:
    """Return the path of a receipt's signature: beside the receipt."""
    return receipt.with_name(f"{receipt.name}.sig")


def sign(receipt: Path, key: str) -> str:
    """Sign a receipt; return the error message, or "".

    Args:
        receipt: its file; the signature is written beside it.
        key: the private key, or the public half of a key in the agent; `~` is the home directory.
    """
    signature, problem = signature_of(receipt.read_bytes(), key)
    if not problem:
        replace_bytes(signature_path(receipt), signature)
    return problem


def signature_of(content: bytes, key: str) -> tuple[bytes, str]:
    """Return a content's signature, and the error message, or ""."""
    argv = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(Path(key).expanduser())]
    try:
        done = process.run(argv, cwd=Path("/"), env=process.environment(), timeout=_SECONDS, stdin=content)
    except (ExternalError, UsageError) as error:
        return b"", str(error)
    return done.stdout, done.error_text if done.returncode else ""


@dataclass(frozen=True)
class Signers:
    """The files that decide whose signatures count.

    Attributes:
        allowed: the allowed-signers file.
        revoked: the file of revoked keys, if any.
        cache: public key -> its names in the allowed-signers file, and why it has none.
    """

    allowed: Path
    revoked: Path | None = None
    cache: dict[bytes, tuple[str, str]] = field(default_factory=dict, repr=False, compare=False)


class Signature(msgspec.Struct, frozen=True):
    """The result of the verification of a signature.

    Attributes:
        signer: the signer's names in the allowed-signers file, joined by commas; "": none.
        problem: why it does not count, or "".
    """

    signer: str = ""
    problem: str = ""


UNREADABLE = "its signature cannot be read"
OTHER_CONTENT = "its signature is of another content, or the signers file does not allow the key for receipts"
REVOKED = "it is signed with a key that is revoked"
EXPIRED_KEY = "it is signed with a key that has expired, or is not valid yet (valid-before, valid-after)"


def signer(receipt: Path, signers: Signers) -> str:
    """Return the signer of a receipt; "": the allowed-signers file does not name one.

    Args:
        receipt: its file, with the signature beside it.
        signers: whose signatures count.
    """
    signature = signature_path(receipt)
    if not signature.is_file():
        return ""
    return examine(receipt.read_bytes(), signature.read_bytes(), signers).signer


def examine(content: bytes, signature: bytes, signers: Signers) -> Signature:
    """Verify a signature now: a key that has expired since does not count, whenever it signed.

    The time of signing cannot be proven, because the signer writes it.

    Args:
        content: the receipt.
        signature: its signature, as `ssh-keygen -Y sign` writes it.
        signers: whose signatures count.
    """
    try:
        key, namespace = _parts(signature)
    except ValueError:
        return Signature(problem=UNREADABLE)
    if namespace != NAMESPACE.encode():
        return Signature(problem=f"it is signed for another purpose: {namespace[:60].decode('ascii', 'replace')!r}")
    with tempfile.TemporaryDirectory(prefix="trunkline-signature-") as folder:
        path = Path(folder) / "receipt.sig"
        path.write_bytes(signature)
        if key not in signers.cache:
            signers.cache[key] = _names(path, signers.allowed)
        names, problem = signers.cache[key]
        if problem:
            return Signature(problem=problem)
        if _verifies(path, content, names, signers):
            return Signature(names)
        if signers.revoked and _verifies(path, content, names, Signers(signers.allowed)):
            return Signature(problem=REVOKED)
    return Signature(problem=OTHER_CONTENT)


def _names(signature: Path, allowed: Path) -> tuple[str, str]:
    """Return the names of a signature's key in the allowed-signers file, or why it has none."""
    done = _keygen("find-principals", "-f", str(allowed), "-s", str(signature))
    names = ",".join(done.text.splitlines()) if done is not None and done.returncode == 0 else ""
    if names:
        return names, ""
    dated = done is not None and any(word in done.error_text for word in ("expired", "not yet valid"))
    return "", EXPIRED_KEY if dated else UNKNOWN_SIGNER


def _verifies(signature: Path, content: bytes, names: str, signers: Signers) -> bool:
    name, revoked = names.partition(",")[0], ("-r", str(signers.revoked)) if signers.revoked else ()
    arguments = ("-n", NAMESPACE, "-I", name, "-f", str(signers.allowed), "-s", str(signature), *revoked)
    done = _keygen("verify", *arguments, stdin=content)
    return done is not None and done.returncode == 0


def _keygen(operation: str, *arguments: str, stdin: bytes = b"") -> process.Completed | None:
    argv = ["ssh-keygen", "-Y", operation, *arguments]
    try:
        return process.run(argv, cwd=Path("/"), env=process.environment(), timeout=_SECONDS, stdin=stdin)
    except (ExternalError, UsageError):
        return None


def _parts(signature: bytes) -> tuple[bytes, bytes]:
    """Return the public key and the namespace of an SSH signature (OpenSSH, PROTOCOL.sshsig).

    Raises:
        ValueError: it is none.
    """
    lines = signature.strip().splitlines()
    if len(lines) < _LEAST_LINES or (lines[0], lines[-1]) != (_BEGIN, _END):
        raise ValueError("no armour")
    blob = base64.b64decode(b"".join(lines[1:-1]), validate=True)
    if blob[:6] != b"SSHSIG":
        raise ValueError("no SSH signature")
    found, position = [], 10  # after the magic preamble and the version
    for _ in range(2):
        size = int.from_bytes(blob[position : position + 4], "big")
        part = blob[position + 4 : position + 4 + size]
        if not part or len(part) != size:
            raise ValueError("cut off")
        found.append(part)
        position += 4 + size
    return found[0], found[1]


_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
_LEAST_LINES = 3


KEY_VARIABLE = "TRUNKLINE_SIGN"


def key_of(git: Git, settings: GateSettings) -> str:
    """Return the key that signs the receipts of this machine; "" for none.

    It is `sign`. Where stack.toml demands signatures of several people it names no key of one of
    them: then it is TRUNKLINE_SIGN, else the key file that git signs commits with.
    """
    if settings.sign or not settings.signers:
        return settings.sign
    if named := os.environ.get(KEY_VARIABLE, ""):
        return named
    found = git.query("config", "--null", "--get-regexp", r"^(gpg\.format|user\.signingkey)$", ok=(0, 1)).stdout
    known = dict(line.split("\n", 1) for line in os.fsdecode(found).split("\0") if "\n" in line)
    key = known.get("user.signingkey", "")
    return key if known.get("gpg.format") == "ssh" and not key.startswith(("key::", "ssh-")) else ""


def demanded(settings: GateSettings) -> bool:
    """Return whether stack.toml requires signatures: it names a signing key or allowed signers."""
    return bool(settings.sign or settings.signers)


def signers_of(git: Git, settings: GateSettings) -> Signers | None:
    """Return the accepted signers; None: no signature counts.

    They are in `signers`, else it is the public half of `sign`. A relative path is one in the
    repository, read from trunk: a branch under review cannot add a signer.

    Raises:
        UsageError: a file that stack.toml names does not exist.
    """
    revoked = _file_of(git, settings, settings.revoked, "revoked") if settings.revoked else None
    if settings.signers:
        return Signers(_file_of(git, settings, settings.signers, "signers"), revoked)
    key = Path(settings.sign).expanduser()
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        kind, blob = public.read_text(encoding="utf-8").split()[:2]
    except (OSError, ValueError):
        return None
    return Signers(_kept(git, f"{OWN_KEY} {kind} {blob}\n".encode()), revoked)


def _file_of(git: Git, settings: GateSettings, name: str, key: str) -> Path:
    named = Path(name).expanduser()
    if not named.is_absolute():
        return _kept(git, _from_trunk(git, settings, name, key))
    if not named.is_file():
        raise _missing(key, name, f"there is no file {named}")
    return named


def _from_trunk(git: Git, settings: GateSettings, name: str, key: str) -> bytes:
    tracking = f"{settings.remote}/{settings.trunk}"
    path = PurePosixPath(name)
    if ".." in path.parts:
        raise _missing(key, name, "it leads out of the repository")
    done = git.query("cat-file", "blob", f"refs/remotes/{tracking}:{path}", ok=(0, 128))
    if done.returncode:
        raise _missing(key, name, f"{tracking} has no file {path}", f"git fetch {shlex.quote(settings.remote)}")
    return done.stdout


def _missing(key: str, name: str, why: str, first: str = "") -> UsageError:
    return UsageError(
        f"stack.toml: gates.{key}: {name} cannot be read",
        why=f"{why}; without it no receipt can be trusted",
        next_command=tuple(filter(None, (first, f"${{EDITOR:-vi}} stack.toml   # [gates] {key}"))),
    )


def _kept(git: Git, content: bytes) -> Path:
    """Write the content to a private file named by its hash, because ssh-keygen needs a file."""
    state = private_directory(git.state_dir())
    path = state / f"signers-{hashlib.sha256(content).hexdigest()[:16]}"
    if not path.is_file() or path.read_bytes() != content:
        replace_bytes(path, content)
    return path
