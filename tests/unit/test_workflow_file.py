"""The generated workflow as an attacker reads it: what it runs, with which rights, and what reaches its shell."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from trunkline.domain.stack import GateSettings
from trunkline.report.workflow import workflow

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
    """Each action is named by a commit, which nobody can move; a comment says which release that is."""
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
    """Nothing; and it does find what is planted."""
    text = text_of(settings)
    assert findings(tmp_path / "workflow.yml", text) == ""
    planted = text.replace('nox -s "gates($GATE)"', 'nox -s "gates(${{ github.event.pull_request.title }})"')
    assert "template-injection" in findings(tmp_path / "workflow.yml", planted)
    assert "unpinned-uses" in findings(tmp_path / "workflow.yml", re.sub(r"@[0-9a-f]{40}", "@v4", text))
