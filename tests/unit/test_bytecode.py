"""Python's cache of compiled modules, which Invoke switches off, is kept while tasks run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INVOKE = "import sys; sys.argv = [{program!r}, '--list']; sys.dont_write_bytecode = {off}; import trunkline.tasks"
PROGRAM = """
import contextlib, sys
sys.argv = ["trunkline", "--list"]
from trunkline.tasks.program import main
with contextlib.suppress(SystemExit):
    main()
"""


def writes(script: str, *options: str, cwd: Path) -> bool:
    """Run a script in a Python process, and return whether the process writes compiled modules afterwards."""
    script += "\nprint(f'caches {not sys.dont_write_bytecode}')"
    ran = subprocess.run(
        [sys.executable, *options, "-c", script], cwd=cwd, capture_output=True, text=True, check=True, timeout=60
    )
    return ran.stdout.splitlines()[-1] == "caches True"


@pytest.mark.parametrize("program", ["invoke", "inv", "/x/site-packages/invoke/__main__.py"])
def test_tasks_are_cached_after_invoke_switched_the_cache_off(program: str, tmp_path: Path) -> None:
    """Modules that a task loads later are compiled once per installation, not once per command."""
    assert writes(INVOKE.format(program=program, off=True), cwd=tmp_path)


def test_the_installed_program_caches(tmp_path: Path) -> None:
    """Invoke's program switches the cache off after the collection was imported."""
    assert writes(PROGRAM, cwd=tmp_path)


@pytest.mark.parametrize("script", [INVOKE.format(program="invoke", off=True), PROGRAM])
def test_python_without_a_cache_keeps_none(script: str, tmp_path: Path) -> None:
    """`python -B` and PYTHONDONTWRITEBYTECODE are respected."""
    assert not writes(script, "-B", cwd=tmp_path)


def test_a_program_that_only_imports_the_tasks_keeps_its_choice(tmp_path: Path) -> None:
    """A program of somebody else that imports the collection decides about its own cache."""
    assert not writes(INVOKE.format(program="other", off=True), cwd=tmp_path)
