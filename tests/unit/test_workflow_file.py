"""The generated workflows as an attacker reads them, and the Pythons of this project's own workflow."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli
import yaml

from trunkline.domain.stack import AttestSettings, GateSettings
from trunkline.report.workflow import attested_workflow, install_command, workflow

PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")
SETTINGS = [GateSettings(), replace(GateSettings(), sandbox=True)]


def text_of(settings: GateSettings) -> str:
    """Return the workflow of some settings."""
    return workflow(settings, version="1.2.3", runner="ubuntu-24.04", python="3.12")


def steps_of(text: str) -> list[dict[str, Any]]:
    """Return all steps of all jobs."""
    return [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_action_that_is_replaced_under_its_tag(settings: GateSettings) -> None:
    """Each action is pinned to a commit, which cannot be moved; a comment names its release."""
    text = text_of(settings)
    used = [step["uses"] for step in steps_of(text) if "uses" in step]
    assert len(used) == 5
    assert all(PINNED.fullmatch(name) for name in used), used
    assert len(re.findall(r"@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", text, re.MULTILINE)) == 5


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_name_that_is_a_command(settings: GateSettings) -> None:
    """No expression is written into a script: what others name reaches the shell by variables alone."""
    scripts = [step["run"] for step in steps_of(text_of(settings)) if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_job_that_writes_to_the_repository(settings: GateSettings) -> None:
    """A job may read the repository; its checkout leaves no token behind; no secret is named."""
    text = text_of(settings)
    made = yaml.safe_load(text)
    assert made["permissions"] == {}
    assert [job["permissions"] for job in made["jobs"].values()] == [{"contents": "read"}] * 2
    checkouts = [step for step in steps_of(text) if "checkout" in step.get("uses", "")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False, False]
    assert "pull_request_target" not in text
    assert "secrets." not in text


def findings(path: Path, text: str) -> str:
    """Return what zizmor, an auditor of workflows, finds; "" where it finds nothing."""
    path.write_text(text)
    program = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [program, "--offline", "--no-progress", "--quiet", "--persona=auditor", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout if done.returncode else ""


@pytest.mark.parametrize("settings", SETTINGS)
def test_what_an_auditor_finds(tmp_path: Path, settings: GateSettings) -> None:
    """The auditor finds nothing in the workflow, and finds a planted problem."""
    text = text_of(settings)
    assert findings(tmp_path / "workflow.yml", text) == ""
    planted = text.replace('nox -s "gates($GATE)"', 'nox -s "gates(${{ github.event.pull_request.title }})"')
    assert "template-injection" in findings(tmp_path / "workflow.yml", planted)
    assert "unpinned-uses" in findings(tmp_path / "workflow.yml", re.sub(r"@[0-9a-f]{40}", "@v4", text))


def test_an_auditor_finds_nothing_in_the_reusable_action(tmp_path: Path) -> None:
    """Inputs reach the scripts through the environment."""
    text = (Path(__file__).parents[2] / "extras/verify-action/action.yml").read_text()
    assert findings(tmp_path / "action.yml", text) == ""
    assert "template-injection" in findings(
        tmp_path / "action.yml", text.replace('"$COMMIT"', "${{ inputs.commit }}")
    )


def attested(*, merged: bool = False, fallback: bool = False, policy: AttestSettings | None = None) -> str:
    """Return the workflow that verifies receipts."""
    return attested_workflow(
        GateSettings(), policy or AttestSettings(), version="1.2.3", runner="ubuntu-24.04", python="3.12",
        merged=merged, fallback=fallback,
    )  # fmt: skip


@pytest.mark.parametrize("fallback", ["", "run"])
def test_the_workflow_that_verifies_receipts(tmp_path: Path, fallback: str) -> None:
    """The workflow is valid, may only read, names no secret, pins its actions; the required check keeps its name."""
    text = attested(fallback=bool(fallback))
    made = yaml.safe_load(text)
    assert made["permissions"] == {}
    assert {tuple(job["permissions"].items()) for job in made["jobs"].values()} <= {(("contents", "read"),), ()}
    assert "trunkline-attested" in {job["name"] for job in made["jobs"].values()}
    assert "secrets." not in text
    scripts = [step["run"] for step in steps_of(text) if "run" in step]
    assert not [script for script in scripts if "${{" in script]
    assert all(PINNED.fullmatch(step["uses"]) for step in steps_of(text) if "uses" in step)
    assert findings(tmp_path / "workflow.yml", text) == ""
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows",
         str(tmp_path / "workflow.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_code_of_the_pull_request_runs_only_where_its_workflow_counts() -> None:
    """On pull_request_target trunk alone is checked out, and no gate runs; the fallback has another event."""
    text = attested()
    assert list(yaml.safe_load(text)[True]) == ["pull_request_target", "merge_group"]  # YAML 1.1: `on` is a boolean
    (checkout,) = (step for step in steps_of(text) if "checkout" in step.get("uses", ""))
    assert checkout["with"]["ref"] == "${{ github.event.repository.default_branch }}"
    assert "nox" not in text
    assert list(yaml.safe_load(attested(fallback=True))[True]) == ["pull_request", "merge_group"]


def test_history_is_fetched_where_it_is_needed() -> None:
    """For the merge base, and for the authors of all commits."""
    depths = [
        steps_of(text)[0]["with"]["fetch-depth"]
        for text in (attested(), attested(merged=True), attested(policy=AttestSettings(independent=True)))
    ]
    assert depths == [1, 0, 0]
    assert "--merged" in attested(merged=True)


@pytest.mark.parametrize(
    ("source", "command"),
    [
        ("", 'python -m pip install "trunkline==1.2.3"'),
        (
            "git+https://example.org/o/r@" + "a" * 40,
            f'pip install "trunkline @ git+https://example.org/o/r@{"a" * 40}"',
        ),
        ("ci/requirements.txt", "pip install --require-hashes -r ci/requirements.txt"),
        ("tools/trunkline", "pip install ./tools/trunkline"),
    ],
)
def test_where_trunkline_is_installed_from(source: str, command: str) -> None:
    """The package index, a commit, a file of hashes, or the repository."""
    assert install_command(source, "1.2.3").endswith(command)


def test_ci_of_this_project_covers_the_supported_pythons() -> None:
    """Linux runs every Python of pyproject.toml; macOS at least the oldest and the newest; no job stops another."""
    top = Path(__file__).parents[2]
    metadata = tomli.loads((top / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = re.findall(r"Python :: (3\.\d+)", " ".join(metadata["classifiers"]))
    jobs = yaml.safe_load((top / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    strategies = {name: jobs[name]["strategy"] for name in ("linux", "macos")}
    pythons = {name: each["matrix"]["python"] for name, each in strategies.items()}
    assert pythons["linux"] == supported
    assert {supported[0], supported[-1]} <= set(pythons["macos"]) <= set(supported)
    assert not any(each["fail-fast"] for each in strategies.values())
    for name in strategies:
        given = [
            step["with"]["python-version"] for step in jobs[name]["steps"] if "python-version" in step.get("with", {})
        ]
        assert given == ["${{ matrix.python }}"]
