"""The only module that spells ssh-keygen: receipts signed with an SSH key, and whose signature that is.

`ssh-keygen -Y` (OpenSSH 8.2, ssh-keygen(1)). The namespace keeps a signature made here from being taken for one made
for another purpose, git's for example.
"""

from __future__ import annotations

from pathlib import Path

from trunkline.domain.errors import OutsideFailed, UsageError
from trunkline.kernel import proc
from trunkline.kernel.files import replace_bytes

NAMESPACE = "trunkline-receipt"
_SECONDS = 60.0


def signature_path(receipt: Path) -> Path:
    """Return where a receipt's signature is: beside it."""
    return receipt.with_name(f"{receipt.name}.sig")


def sign(receipt: Path, key: str) -> str:
    """Sign a receipt and return what went wrong, or "".

    Args:
        receipt: its file; the signature is written beside it.
        key: the private key, or the public one of a key that the agent holds; `~` is the home directory.
    """
    argv = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(Path(key).expanduser())]
    try:
        done = proc.run(
            argv, cwd=receipt.parent, env=proc.environment(), timeout=_SECONDS, stdin=receipt.read_bytes()
        )
    except (OutsideFailed, UsageError) as error:
        return str(error)
    if done.returncode:
        return done.error_text
    replace_bytes(signature_path(receipt), done.stdout)
    return ""


def signer(receipt: Path, signers: str) -> str:
    """Return who signed a receipt, or "" where nobody did whom the allowed-signers file knows.

    Args:
        receipt: its file, its signature beside it.
        signers: the allowed-signers file; `~` is the home directory.
    """
    signature = signature_path(receipt)
    if not signers or not signature.is_file():
        return ""
    allowed = ["-f", str(Path(signers).expanduser()), "-s", str(signature)]
    here, env = receipt.parent, proc.environment()
    try:
        found = proc.run(
            ["ssh-keygen", "-Y", "find-principals", *allowed], cwd=here, env=env, timeout=_SECONDS
        ).text.splitlines()
        if not found:
            return ""
        done = proc.run(
            ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-I", found[0], *allowed],
            cwd=here, env=env, timeout=_SECONDS, stdin=receipt.read_bytes(),
        )  # fmt: skip
    except (OutsideFailed, UsageError):
        return ""
    return found[0] if done.returncode == 0 else ""
