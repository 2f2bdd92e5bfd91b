"""Shell completion, as the README says to turn it on, in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import programs

ROOT = Path(__file__).parents[2]
# What bash does for `NAME TYPED<TAB>`: argv words before the one typed, then the function that was registered.
TAB = """
source <({name} --print-completion-script bash)
COMP_WORDS=({name} {typed})
_complete_{name} {name} "${{COMP_WORDS[-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash completion needs bash")
@pytest.mark.parametrize("name", ["invoke", "trunkline"])
@pytest.mark.parametrize(
    ("typed", "offered", "left_out"),
    [("re", "rebase", "switch"), ("receipts.", "receipts.verify", "rebase"), ("rebase --no", "--no-push", "--pr")],
)
def test_tab_offers_tasks_and_their_flags(name: str, typed: str, offered: str, left_out: str) -> None:
    """Both programs complete the tasks, those with a dot too, and a task's own flags."""
    ran = subprocess.run(
        ["bash", "-c", TAB.format(name=name, typed=typed)],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": programs.path()},
    )  # fmt: skip
    candidates = ran.stdout.split()
    assert offered in candidates
    assert left_out not in candidates
    assert ran.stderr == ""
