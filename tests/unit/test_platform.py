"""Differences between machines: platforms, missing extras, a repository's own files, remotes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.repo import Repo
from trunkline.commands import init, init_files
from trunkline.domain.discover import Discovery
from trunkline.domain.errors import UsageError
from trunkline.gates import jobserver, request
from trunkline.git import checkout_settings
from trunkline.sim import client


def test_jobs_are_processors_where_no_affinity_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """MacOS has no sched_getaffinity."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 5}, raising=False)
    assert jobserver.jobs() == 3
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert jobserver.jobs() == 1


def test_the_umask_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MacOS has no /proc: read by setting it, and put back."""
    before = checkout_settings.umask()
    monkeypatch.setattr(checkout_settings, "_STATUS", tmp_path / "none")
    assert checkout_settings.umask() == before == checkout_settings.umask()


def test_whether_a_process_lives() -> None:
    """Without /proc."""
    child = subprocess.Popen(["true"])
    child.wait()
    assert request._is_alive(str(os.getpid()))
    assert not request._is_alive(str(child.pid))
    assert not request._is_alive("no number")


def test_windows_is_refused_with_one_line() -> None:
    """Before any module fails to import."""
    program = "import sys; sys.platform = 'win32'; import trunkline"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "trunkline needs Linux or macOS; on Windows, use it in WSL\n")


def test_without_its_extra_the_simulator_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a server is started that could only fail."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    with pytest.raises(UsageError, match="not installed") as found, client.running(tmp_path / "github"):
        pass
    assert "'uvicorn>=" in found.value.next_commands[0]
    assert found.value.why == "it needs uvicorn"


OWN = "from invoke import task\n\n\n@task\ndef mine(c):\n    pass\n"


@pytest.mark.parametrize(
    "own", [OWN, f"{OWN}\nfrom invoke import Collection\n\nns = Collection(mine)\n"], ids=["tasks", "a collection"]
)
def test_the_advice_for_a_tasks_py_of_ones_own_works(repo: Repo, own: str) -> None:
    """Both theirs and ours are listed and found."""
    path = repo.path / "tasks.py"
    path.write_text(own)
    advice = next(file.add for file in init_files.write(repo.path, dry_run=True) if file.name == "tasks.py")
    path.write_text(f"{own}\n{advice}")
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "--list"], cwd=repo.path, capture_output=True, text=True, check=True
    )
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert {"mine", "stack.rebase", "stack.status"} <= listed
    again = next(file for file in init_files.write(repo.path, dry_run=True) if file.name == "tasks.py")
    assert (again.wrote, again.add) == (False, "")


NOXFILE = """\
import nox
from trunkline.gates.sessions import gates

@nox.session(venv_backend="none")
def own(session):
    session.log("ran")
"""


def test_a_typo_in_stack_toml_fails_only_the_gates(repo: Repo) -> None:
    """The other sessions of the noxfile run, and all are listed; the gates report the error."""
    (repo.path / "noxfile.py").write_text(NOXFILE)
    (repo.path / "stack.toml").write_text('schema = 1\ntrunck = "main"\n')

    def nox(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "nox", *arguments]
        return subprocess.run(argv, cwd=repo.path, capture_output=True, text=True, check=False)

    assert nox("-s", "own").returncode == 0
    assert "gates(clippy)" in nox("--list").stdout
    failed = nox("-s", "gates(clippy)")
    assert failed.returncode == 1
    assert "stack.toml:2: trunck: unknown key; did you mean 'trunk'?" in failed.stderr


def test_a_clone_of_a_fork_is_pointed_to_the_project(repo: Repo) -> None:
    """The error names the repository that was queried, and the remote of the project."""
    repo.commit("start")
    for name, url in (("origin", "git@github.com:me/fork.git"), ("up/stream", "https://github.com/octo/tiny")):
        repo.git("remote", "add", name, url)
    repo.git("remote", "add", "backup", "/somewhere/else")
    seen: Any = SimpleNamespace(git=repo.adapter, remote="origin", trunk="main", stacks=(), found=Discovery((), {}))
    with pytest.raises(UsageError) as refused:
        init.write(seen)
    assert refused.value.what == "no open pull request of me/fork (remote origin) sits on main"
    assert refused.value.next_commands == (
        "invoke init --remote up/stream   # octo/tiny", "gh pr list --repo me/fork",
    )  # fmt: skip


def test_a_gate_that_does_not_exist_is_refused_before_any_session(repo: Repo) -> None:
    """Exit code 2, with the nearest gate; a failed default gate names the command that writes stack.toml."""
    (repo.path / "noxfile.py").write_text(NOXFILE)
    argv = [sys.executable, "-m", "nox", "-s", "own", "gates(clipy)"]
    done = subprocess.run(argv, cwd=repo.path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: there is no gate 'clipy'" in done.stderr
    assert done.stderr.splitlines()[-1] == "next: nox -s 'gates(clippy)'"
    assert "ran" not in done.stderr
    argv[-1] = "gates(clippy)"
    repo.commit("no workspace")
    done = subprocess.run(argv[:-2] + argv[-1:], cwd=repo.path, capture_output=True, text=True, check=False)
    assert "there is no stack.toml here: clippy is the default gate\nnox > next: trunkline init\n" in done.stderr
