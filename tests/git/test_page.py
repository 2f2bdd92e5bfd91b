"""Output of git on a terminal: the user's pager shows it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from support.repo import Repo

CODE = "from pathlib import Path; from trunkline.git.git import Git; Git(Path.cwd()).page('log', '--format=%s')"


def test_the_users_pager_shows_it(tmp_path: Path) -> None:
    """The pager of GIT_PAGER gets the output, and nothing else is printed."""
    repo = Repo.create(tmp_path / "repo")
    repo.commit("shown", {"a.txt": "1\n"})
    terminal, inner = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", CODE], cwd=repo.path, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
        env={**os.environ, "GIT_PAGER": "sed s/^/paged:/"},
    )  # fmt: skip
    os.close(inner)
    output = b""
    try:
        while part := os.read(terminal, 4096):
            output += part
    except OSError:  # Linux: the other end is closed
        pass
    os.close(terminal)
    assert child.wait() == 0
    assert output.split() == [b"paged:shown"]
