"""Shell completion, as the README says to turn it on, in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import programs
from support.repo import Repo
from trunkline.tasks.completing import FREE, VALUES, values
from trunkline.tasks.flags import FLAGS

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


OWN = """schema = 1

[gates.deny]
run = ["true"]

[[entry]]
pr = 518
branch = "feat/one"

[[entry]]
pr = 519
branch = "feat/two"

[[entry.check]]
name = "evict"
kind = "manual"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash completion needs bash")
@pytest.mark.parametrize(
    ("name", "typed", "offered", "left_out"),
    [
        ("invoke", "rebase --pr ''", "518 519", "feat/one"),
        ("trunkline", "rebase --skip fmt,ga", "fmt,gates", "fmt"),
        ("trunkline", "rebase --accept-unavailable = m", "msrv", "modify"),
        ("trunkline", "rebase --accept-unavailable m", "msrv", "modify"),
        ("trunkline", "onto --fork-point ''", "main feat/one", "518"),
    ],
)
def test_tab_offers_values_of_flags(repo: Repo, name: str, typed: str, offered: str, left_out: str) -> None:
    """Pull requests, gates, checks, steps and branches come from stack.toml and git, without a request to GitHub."""
    repo.commit("start")
    repo.git("branch", "feat/one")
    repo.git("remote", "add", "origin", "git@github.com:octo/tiny.git")
    (repo.path / "tasks.py").write_text("from trunkline.tasks import namespace as ns\n")
    mark = repo.path / "mark"
    evil = f"$(touch${{IFS}}{mark})"
    repo.git("branch", evil)
    (repo.path / "stack.toml").write_text(OWN.replace("feat/two", evil))
    ran = subprocess.run(
        ["bash", "-c", TAB.format(name=name, typed=typed)],
        cwd=repo.path, capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": programs.path()},
    )  # fmt: skip
    candidates = set(ran.stdout.split())
    assert set(offered.split()) <= candidates
    assert not set(left_out.split()) & candidates
    assert ran.stderr == ""
    assert not mark.exists()


def test_each_flag_has_its_own_values(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a value is completed, too; a flag without known values offers none."""
    repo.git("remote", "add", "up/stream", "git@github.com:octo/tiny.git")
    (repo.path / "stack.toml").write_text(OWN)
    monkeypatch.chdir(repo.path)
    assert values(["trunkline", "rebase", "--pr", "51"]) == ("518", "519")
    assert (
        values(["trunkline", "rebase", "--pr", "="])
        == values(["trunkline", "rebase", "--pr", "=", "5"])
        == ("518", "519")
    )
    assert values(["trunkline", "rebase", "--pr="]) == ("--pr=518", "--pr=519")
    assert values(["trunkline", "attest", "--waive=build,"])[0] == "--waive=build,build"
    assert set(values(["trunkline", "land", "--accept-unavailable"])) > {"msrv", "deny", "evict"}
    assert values(["trunkline", "land", "--method"]) == ("squash", "merge", "rebase")
    assert values(["trunkline", "init", "--remote"]) == ("up/stream",)
    assert values(["trunkline", "attest", "--waive", "build,"])[:2] == ("build,build", "build,test")
    assert values(["trunkline", "land", "--verify"]) == ("each", "top")
    assert "network-drops" in values(["trunkline", "rehearse", "--fault"])
    repo.commit("start")
    repo.git("branch", "feat/one")
    repo.git("branch", "idea")
    assert values(["trunkline", "add", "--name"]) == ("idea",)
    assert values(["trunkline", "verify", "--commit"]) == ("HEAD", "feat/one", "idea", "main")
    (repo.path / ".git/trunkline/runs/20261128T1-x").mkdir(parents=True)
    (repo.path / ".git/trunkline/runs/20261128T1-x/journal.jsonl").touch()
    assert values(["trunkline", "undo", "--run"]) == ("20261128T1-x",)
    assert values(["trunkline", "rebase", "--no-push"]) == values(["trunkline"]) == ()


def test_each_flag_is_completed_or_free() -> None:
    """A new flag with a value names its values, or is listed as one that has none to offer."""
    with_value = {f"--{name}" for name, flag in FLAGS.items() if not flag.switch}
    assert with_value - VALUES.keys() == FREE
    assert VALUES.keys() - with_value == {"-p"}


def test_where_there_is_no_repository_nothing_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Completion prints no error there, and none for an invalid stack.toml."""
    monkeypatch.chdir(tmp_path)
    assert values(["trunkline", "rebase", "--pr"]) == ()
    Repo.create(tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    Path("stack.toml").write_text("entry = [1]\n")
    assert values(["trunkline", "rebase", "--pr"]) == ()
