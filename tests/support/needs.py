"""Marks of tests that need a program which a minimal machine lacks: only git, python3, cargo and make are needed."""

from __future__ import annotations

import shutil

import pytest

from trunkline.rust import bubblewrap

rustup = pytest.mark.skipif(shutil.which("rustup") is None, reason="a second toolchain needs rustup")
ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="no ssh-keygen is installed: on Debian, apt-get install openssh-client"
)
sandbox = pytest.mark.skipif(
    bool(bubblewrap.missing_tool()), reason=f"no sandbox on this machine: {bubblewrap.missing_tool()}"
)
