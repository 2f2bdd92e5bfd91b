"""Sign receipts with an SSH key, and verify signatures with ssh-keygen.

`ssh-keygen -Y` came with OpenSSH 8.2 (ssh-keygen(1)). The namespace prevents the reuse of a
signature that was made for another purpose, for example for git.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trunkline.domain.errors import ExternalError, UsageError
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
    argv = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(Path(key).expanduser())]
    try:
        done = process.run(
            argv, cwd=receipt.parent, env=process.environment(), timeout=_SECONDS, stdin=receipt.read_bytes()
        )
    except (ExternalError, UsageError) as error:
        return str(error)
    if done.returncode:
        return done.error_text
    replace_bytes(signature_path(receipt), done.stdout)
    return ""


def signer(receipt: Path, allowed: Path) -> str:
    """Return who signed a receipt; "": nobody whom the allowed-signers file names.

    Args:
        receipt: its file, with the signature beside it.
        allowed: the allowed-signers file.
    """
    signature = signature_path(receipt)
    if not signature.is_file():
        return ""
    arguments = ["-f", str(allowed), "-s", str(signature)]
    folder, env = receipt.parent, process.environment()
    try:
        found = process.run(
            ["ssh-keygen", "-Y", "find-principals", *arguments], cwd=folder, env=env, timeout=_SECONDS
        ).text.splitlines()
        if not found:
            return ""
        done = process.run(
            ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-I", found[0], *arguments],
            cwd=folder, env=env, timeout=_SECONDS, stdin=receipt.read_bytes(),
        )  # fmt: skip
    except (ExternalError, UsageError):
        return ""
    return found[0] if done.returncode == 0 else ""


def demanded(settings: GateSettings) -> bool:
    """Return whether stack.toml requires signatures: it names a signing key or allowed signers."""
    return bool(settings.sign or settings.signers)


def allowed_signers(git: Git, settings: GateSettings) -> Path | None:
    """Return the allowed-signers file in force; None: no signature counts.

    It is `signers`, else the public half of `sign`. A relative `signers` is a path in the
    repository, read from trunk: a branch under review cannot add a signer.

    Raises:
        UsageError: the file that `signers` names does not exist.
    """
    if settings.signers:
        named = Path(settings.signers).expanduser()
        if not named.is_absolute():
            return _kept(git, _from_trunk(git, settings))
        if not named.is_file():
            raise _missing(settings.signers, f"there is no file {named}")
        return named
    key = Path(settings.sign).expanduser()
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        kind, blob = public.read_text(encoding="utf-8").split()[:2]
    except (OSError, ValueError):
        return None
    return _kept(git, f"{OWN_KEY} {kind} {blob}\n".encode())


def _from_trunk(git: Git, settings: GateSettings) -> bytes:
    tracking = f"{settings.remote}/{settings.trunk}"
    path = PurePosixPath(settings.signers)
    if ".." in path.parts:
        raise _missing(settings.signers, "it leads out of the repository")
    done = git.query("cat-file", "blob", f"refs/remotes/{tracking}:{path}", ok=(0, 128))
    if done.returncode:
        raise _missing(settings.signers, f"{tracking} has no file {path}", f"git fetch {settings.remote}")
    return done.stdout


def _missing(name: str, why: str, first: str = "") -> UsageError:
    return UsageError(
        f"stack.toml: gates.signers: {name} cannot be read",
        why=f"{why}; without it no receipt can be trusted",
        next_command=tuple(filter(None, (first, "${EDITOR:-vi} stack.toml   # [gates] signers"))),
    )


def _kept(git: Git, content: bytes) -> Path:
    """Write the content to a private file named by its hash, because ssh-keygen needs a file."""
    state = private_directory(git.state_dir())
    path = state / f"signers-{hashlib.sha256(content).hexdigest()[:16]}"
    if not path.is_file() or path.read_bytes() != content:
        replace_bytes(path, content)
    return path
