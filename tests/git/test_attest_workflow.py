"""The commands of the workflow that verifies receipts, typed here as its jobs type them."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.attesting import GATES, Attesting, attesting
from support.repo import Repo
from support.runner import typed
from trunkline.domain.stack import AttestSettings, GateSettings
from trunkline.report.workflow import attested_workflow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Attesting]:
    """Return the repositories, without receipts."""
    made = attesting(monkeypatch)
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


def jobs(*, fallback: bool) -> dict[str, Any]:
    """Return the jobs of the workflow."""
    text = attested_workflow(
        GateSettings(), AttestSettings(), version="1.2.3", runner="ubuntu-24.04", python="3.12", merged=False,
        fallback=fallback,
    )  # fmt: skip
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


class Runner:
    """A machine of Actions: a shallow checkout of trunk, as the job's first step makes it."""

    def __init__(self, place: Attesting, commit: str) -> None:
        self.files, self.commit = place.root / "runner", commit
        self.files.mkdir()
        url = f"file://{place.bare.path}"
        place.author.git("clone", "--quiet", "--branch=main", "--depth=1", url, str(self.files / "checkout"))
        self.checkout = Repo(self.files / "checkout")
        self.checkout.git("remote", "set-url", "origin", "git@github.com:octo/tiny.git")
        self.checkout.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
        place.bare.git("config", "uploadpack.allowAnySHA1InWant", "true")  # as GitHub does

    def run(self, job: dict[str, Any], **needs: str) -> int:
        """Type the scripts of a job but the installation; return the first exit code that is not 0."""
        env = {
            **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COMMIT": self.commit,
            "GITHUB_STEP_SUMMARY": str(self.files / "summary"), "GITHUB_OUTPUT": str(self.files / "output"), **needs,
        }  # fmt: skip
        for step in job["steps"]:
            if "run" in step and not step["name"].startswith("Install"):
                done = typed(step["run"], self.checkout.path, env)
                if done.returncode:
                    return done.returncode
        return 0

    def text(self, name: str) -> str:
        """Return what the job wrote into its summary or output."""
        return (self.files / name).read_text()


def test_with_and_without_receipts(place: Attesting) -> None:
    """The one job fails with a table of what is missing, and succeeds once the receipts are there."""
    runner, job = Runner(place, place.clone.head()), jobs(fallback=False)["trunkline-attested"]
    assert runner.run(job) == 1
    assert runner.text("summary").count("there is no receipt of this tree") == len(GATES)
    place.share_all(started=_now())
    assert runner.run(job) == 0
    assert "**6 gates attested for" in runner.text("summary")


def test_the_reusable_action(place: Attesting) -> None:
    """Its steps do the same; the environment of each step is that of the action's inputs."""
    action = yaml.safe_load((ROOT / "extras/verify-action/action.yml").read_text())
    assert {name for step in action["runs"]["steps"] for name in step["env"]} == {"INSTALL", "HERE", "COMMIT"}
    runner, steps = Runner(place, place.clone.head()), action["runs"]
    (runner.files / "trunkline").mkdir()
    (runner.files / "trunkline/bin").symlink_to(Path(sys.executable).parent)
    temporary = str(runner.files)
    assert runner.run(steps, RUNNER_TEMP=temporary) == 1
    place.share_all(started=_now())
    assert runner.run(steps, RUNNER_TEMP=temporary) == 0
    assert "**6 gates attested for" in runner.text("summary")


def test_the_fallback_runs_what_is_missing(place: Attesting) -> None:
    """The first job names it; the last one succeeds if nothing is missing, or if it passed."""
    place.share([place.line(place.receipt(gate, started=_now())) for gate in GATES[1:]])
    runner, all_jobs = Runner(place, place.clone.head()), jobs(fallback=True)
    assert runner.run(all_jobs["verify"]) == 0
    assert runner.text("output") == 'missing=["build"]\n'
    last = all_jobs["trunkline-attested"]
    assert runner.run(last, VERIFY="success", MISSING='["build"]', GATES="success") == 0
    assert runner.run(last, VERIFY="success", MISSING="[]", GATES="skipped") == 0
    assert runner.run(last, VERIFY="success", MISSING='["build"]', GATES="failure") != 0
    assert runner.run(last, VERIFY="failure", MISSING="", GATES="skipped") != 0


def test_the_fallback_runs_every_gate_where_no_receipt_can_be_read(place: Attesting) -> None:
    """Anybody who can push can break the notes ref: that stops no pull request."""
    place.bare.git("update-ref", "refs/notes/trunkline", place.bare.git("hash-object", "-w", "--stdin", stdin="x"))
    runner = Runner(place, place.clone.head())
    assert runner.run(jobs(fallback=True)["verify"]) == 0
    assert runner.text("output") == f"missing={json.dumps(GATES)}\n"


def _now() -> str:
    """Return the current time; the jobs verify by the clock of the machine."""
    return dt.datetime.now(dt.timezone.utc).isoformat()
