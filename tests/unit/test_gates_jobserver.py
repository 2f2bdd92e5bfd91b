"""One pool of jobs for all gates: how many tokens, who makes it, what make's own pool looks like."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from pathlib import Path

import pytest

from trunkline.gates.jobserver import inherited, jobs, pool, token


def tokens(fifo: Path) -> int:
    """Return how many tokens lie in a pool."""
    handle = os.open(fifo, os.O_RDWR)
    try:
        return int(struct.unpack("i", fcntl.ioctl(handle, termios.FIONREAD, b"\0" * 4))[0])
    finally:
        os.close(handle)


def test_a_pool_has_a_token_for_each_processor(tmp_path: Path) -> None:
    """The first process creates the pool, later ones join it, and a token that is held is missing."""
    with pool(tmp_path) as first, pool(tmp_path) as second:
        assert first == second
        assert tokens(first) == jobs()
        with token(first) as held:
            assert tokens(first) == jobs() - 1
            assert f"--jobserver-auth={held.handle},{held.handle}" in held.variables["CARGO_MAKEFLAGS"]
            assert Path(f"/proc/self/fd/{held.handle}").readlink() == first
            assert "MAKEFLAGS" not in held.variables, "tests that run make would see it"
        assert tokens(first) == jobs()


def test_a_token_is_put_back_when_the_gate_fails(tmp_path: Path) -> None:
    """An exception inside does not lose the job for the others."""
    with pool(tmp_path) as fifo:
        with pytest.raises(KeyboardInterrupt), token(fifo):
            raise KeyboardInterrupt
        assert tokens(fifo) == jobs()


def test_a_pool_without_members_is_recreated(tmp_path: Path) -> None:
    """A killed run that held tokens does not leave the next one with fewer."""
    with pool(tmp_path) as fifo:
        handle = os.open(fifo, os.O_RDWR)
        os.read(handle, 1)
        os.close(handle)
    with pool(tmp_path) as fifo:
        assert tokens(fifo) == jobs()


def test_the_pool_of_make_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make -j` hands down a fifo (4.4) or descriptors (before); a recipe without `+` hands down closed ones."""
    assert inherited() == ""
    monkeypatch.setenv("MAKEFLAGS", " -j4 --jobserver-auth=fifo:/run/GMfifo7")
    assert inherited() == "/run/GMfifo7"
    reading, writing = os.pipe()
    monkeypatch.setenv("MAKEFLAGS", f"-j4 --jobserver-auth={reading},{writing}")
    assert inherited() == f"/proc/{os.getpid()}/fd/{reading}"
    os.close(reading)
    os.close(writing)
    assert inherited() == ""
