"""The Actions workflow: valid by GitHub's schema, and what its jobs type gates a commit here too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.landing import Landing, small_stack
from support.runner import FILE, commands, typed

pytestmark = [pytest.mark.gh, pytest.mark.slow]


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    """Return the small stack with a noxfile of its own."""
    with small_stack(tmp_path, merged=True) as made:
        assert made.run("trunkline", "init", "--write-tasks").code == 0
        yield made


def in_clone(landing: Landing, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Type a step's script in the clone."""
    return typed(script, landing.clone.path, {**landing.environment(), **variables})


def test_the_workflow_is_valid_and_its_jobs_run_here(landing: Landing) -> None:
    """GitHub's schema accepts it; its first job lists the gates, the second runs each, a failing one fails."""
    ran = landing.invoke("ci.workflow")
    assert ran.out.splitlines() == [f"✓ wrote {FILE}", f"next: git add {FILE}"]
    path = landing.clone.path / FILE
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    jobs = yaml.safe_load(path.read_text())["jobs"]
    output = landing.clone.path.parent / "output"
    (listing,) = commands(jobs["sessions"])
    listed = in_clone(landing, listing, GITHUB_OUTPUT=str(output))
    assert listed.returncode == 0, listed.stderr
    names = json.loads(output.read_text().strip().removeprefix("names="))
    assert names == ["build", "test", "clippy", "fmt", "doc", "msrv"]
    (gate,) = commands(jobs["gate"])
    landing.clone.git("add", "--all")
    landing.clone.commit("on Actions")
    for name in names:
        done = in_clone(landing, gate, GATE=name)
        assert done.returncode == 0, done.stderr
    kept = landing.clone.path / jobs["gate"]["steps"][-1]["with"]["path"].split()[0]
    head = landing.clone.git("rev-parse", "--short=12", "HEAD^{tree}")
    assert {receipt.name.split("-")[1] for receipt in kept.glob(f"{head}-*.json")} == set(names)
    broken = landing.clone.path / "stack.toml"
    broken.write_text(broken.read_text().replace('[gates.doc]\nrun = ["true"]', '[gates.doc]\nrun = ["false"]'))
    assert in_clone(landing, gate, GATE="doc").returncode != 0


def test_it_is_checked_and_never_overwrites(landing: Landing) -> None:
    """A second write changes nothing; `--check` reports an edit; a foreign file stays; no noxfile, no jobs."""
    assert landing.invoke("ci.workflow", "--check").code == 1
    assert landing.invoke("ci.workflow").code == 0
    assert landing.invoke("ci.workflow", "--check").code == 0
    assert landing.invoke("ci.workflow").out.startswith("✓ has it already")
    other = landing.invoke("ci.workflow", "--runner", "big-one", "--check")
    assert (other.code, other.err.splitlines()[-1]) == (1, "next: invoke ci.workflow")
    printed = landing.invoke("ci.workflow", "--runner", "big-one", "--dry-run").out
    assert yaml.safe_load(printed)["jobs"]["gate"]["runs-on"] == "big-one"
    assert landing.invoke("ci.workflow", "--runner", "${{ x }}").code == 2
    path = landing.clone.path / FILE
    path.write_text("name: mine\n")
    refused = landing.invoke("ci.workflow")
    assert (refused.code, path.read_text()) == (5, "name: mine\n")
    (landing.clone.path / "noxfile.py").unlink()
    assert landing.invoke("ci.workflow").err.splitlines()[-1] == "next: invoke init --write-tasks"
