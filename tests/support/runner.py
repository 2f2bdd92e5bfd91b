"""A runner for the simulated Actions: runs the commands of a dispatched workflow's jobs here.

Steps that set up a machine are skipped (checkout, Python, `Install ...`): the commit is cloned from
the simulator, and trunkline is the one under test. Everything else comes from the workflow file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from typing_extensions import Self

from support.landing import SLUG, Landing
from support.repo import Repo

FILE = ".github/workflows/trunkline.yml"


def typed(script: str, cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step's script as a runner does: bash, stop at the first failure."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=cwd, env=dict(environment),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def commands(job: Mapping[str, Any]) -> list[str]:
    """Return the commands of a job, without the set-up steps."""
    return [step["run"] for step in job["steps"] if "run" in step and not step["name"].startswith("Install")]


@dataclass
class Runner:
    """Runs dispatched workflows during the context.

    Attributes:
        landing: the landing with the simulator.
        root: its working directory.
        before: called with a gate's name before its job begins; its result is added to the
            environment.
        ran: the gates whose jobs ran, and the exit code of each.
    """

    landing: Landing
    root: Path
    before: Callable[[str], Mapping[str, str]] = lambda _: {}
    ran: list[tuple[str, int]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _failed: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start."""
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Stop, and raise the runner's own errors."""
        self._stop.set()
        self._thread.join()
        if self._failed and error is None:
            raise self._failed[0]

    def _work(self) -> None:
        try:
            while not self._stop.wait(0.05):
                for run in self.landing.github.lever("runs", SLUG):
                    if run["status"] == "queued":
                        self._run(run)
        except BaseException as error:  # noqa: BLE001 -- raised again in __exit__
            self._failed.append(error)

    def _pull(self, lever: str, run: Mapping[str, Any], **arguments: Any) -> None:
        self.landing.github.lever(lever, SLUG, run=run["id"], **arguments)

    def _run(self, run: Mapping[str, Any]) -> None:
        bare = Repo(self.landing.github.bare(SLUG))
        workflow = yaml.safe_load(bare.git("show", f"{run['commit']}:{FILE}"))
        jobs = workflow["jobs"]
        self._pull("begin_job", run, name="sessions")
        place = self._checked_out(run, "sessions")
        output = place / "output"
        (listing,) = commands(jobs["sessions"])
        done = typed(listing, place, {**self._environment(), **workflow["env"], "GITHUB_OUTPUT": str(output)})
        self._pull("end_job", run, name="sessions", conclusion="success" if done.returncode == 0 else "failure")
        if done.returncode == 0:
            names = json.loads(run["inputs"]["gates"] or output.read_text().strip().removeprefix("names="))
            for name in names:
                if self._cancelled(run):
                    return
                self._gate(run, {**jobs["gate"], "env": {**workflow["env"], **jobs["gate"]["env"]}}, name)
        if not self._cancelled(run):
            self._pull("finish_run", run)

    def _cancelled(self, run: Mapping[str, Any]) -> bool:
        held = {each["id"]: each for each in self.landing.github.lever("runs", SLUG)}
        return bool(held[run["id"]]["status"] == "completed")

    def _gate(self, run: Mapping[str, Any], job: Mapping[str, Any], name: str) -> None:
        self._pull("begin_job", run, name=name)
        place = self._checked_out(run, name)
        own = {key: self._value(text, place, name) for key, text in job["env"].items()}
        (script,) = commands(job)
        done = typed(script, place, {**self._environment(), **own, **self.before(name)})
        self.ran.append((name, done.returncode))
        if self._cancelled(run):
            return
        kept = job["steps"][-1]
        folders = [Path(line) for line in kept["with"]["path"].split()]
        top = Path(os.path.commonpath(folders))  # as @actions/artifact packs several paths
        packed = self.root / f"{name}-packed"
        for folder in folders:
            if any((place / folder).glob("*")):
                shutil.copytree(place / folder, packed / folder.relative_to(top))
        if packed.exists():
            archive = shutil.make_archive(str(self.root / f"{run['id']}-{name}"), "zip", packed)
            self._pull("upload", run, name=self._value(kept["with"]["name"], place, name), archive=archive)
            shutil.rmtree(packed)
        self._pull("end_job", run, name=name, conclusion="success" if done.returncode == 0 else "failure")

    def _checked_out(self, run: Mapping[str, Any], name: str) -> Path:
        """Fetch the single commit by its id, as actions/checkout does."""
        place = self.root / f"{run['id']}-{name}"
        place.mkdir(parents=True)
        repo = Repo(place)
        repo.git("init", "--quiet")
        repo.git("fetch", "--quiet", "--depth=1", str(self.landing.github.bare(SLUG)), run["inputs"]["commit"])
        repo.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
        return place

    def _environment(self) -> dict[str, str]:
        return {**self.landing.environment(), "XDG_STATE_HOME": str(self.root / "state"), "GITHUB_ACTIONS": "true"}

    @staticmethod
    def _value(text: str, place: Path, name: str) -> str:
        known = {"matrix.gate": name, "github.workspace": str(place)}
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: known[match[1]], text)
