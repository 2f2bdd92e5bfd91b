"""Programs end with us, whatever interrupts us while we end them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.gating import Held
from trunkline.kernel import proc


@pytest.mark.parametrize("when", ["while it is asked to end", "before it is watched"])
def test_a_second_interrupt_leaves_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Ctrl-C twice, or a parent of several threads that dies: each thread's end signals its child (prctl(2)).

    The second interrupt meets us before the group was told to end; the leash ends it.
    """
    begun: list[Held] = []
    children: list[subprocess.Popen[bytes]] = []
    start = proc._start

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def noted(*args: object, **options: object) -> subprocess.Popen[bytes]:
        child = start(*args, **options)  # type: ignore[arg-type]  # passed through
        children.append(child)
        begun.append(Held(child.pid, os.pidfd_open(child.pid), "looping"))
        return child

    monkeypatch.setattr(proc, "_start", noted)
    monkeypatch.setattr(proc, "end_group" if when == "while it is asked to end" else "_ending", interrupted)
    with pytest.raises(KeyboardInterrupt):
        proc.run_logged(
            [sys.executable, "-c", "import signal; print('looping', flush=True); signal.pause()"],
            cwd=tmp_path, env=proc.environment(), timeout=60, log=tmp_path / "log", on_line=interrupted,
        )  # fmt: skip
    (child,) = begun
    ended = child.ended()
    if not ended:
        os.kill(child.pid, 9)
    os.close(child.handle)
    for each in children:
        assert each.stdout is not None
        each.stdout.close()
    assert ended
