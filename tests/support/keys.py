"""SSH keys that sign receipts and commits."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def ssh_key(path: Path, *, passphrase: str = "") -> Path:
    """Write a new key, and `PATH.pub`; skip the test where ssh-keygen is missing."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen is installed: on Debian, apt-get install openssh-client")
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(argv, check=True)
    return path
