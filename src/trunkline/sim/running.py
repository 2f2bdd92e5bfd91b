"""Simulate workflow runs: dispatch, start, end, cancel; nothing is executed."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trunkline.sim.model import Annotation, Job, Repository, WorkflowRun
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError, RefusalKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.sim.world import World

FOLDER = ".github/workflows"
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")


def dispatch(world: World, repository: Repository, file: str, ref: str, inputs: Mapping[str, str]) -> WorkflowRun:
    """Queue a run of a workflow, as defined by its file on a branch.

    Raises:
        GitHubRefusal: 404, the default branch has no such file; 422, there is no such branch, it
            has no dispatch trigger, or the inputs are invalid (docs.github.com, "Create a workflow
            dispatch event"; the messages are from cli/cli#4001, cli/cli#5014).
    """
    branch = ref.removeprefix("refs/heads/")
    tip = repository.refs.get(branch)
    if not known(world, repository, file):
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
    if tip is None:
        raise GitHubRefusal(RefusalKind.INVALID, f"No ref found for: {ref}", code="")
    workflow = _file(world, repository, tip, file) or {}
    trigger = workflow.get(True, workflow.get("on"))  # YAML 1.1 parses a bare `on` as true
    if not isinstance(trigger, dict) or "workflow_dispatch" not in trigger:
        raise GitHubRefusal(RefusalKind.INVALID, "Workflow does not have 'workflow_dispatch' trigger", code="")
    declared = (trigger["workflow_dispatch"] or {}).get("inputs", {})
    if unknown := sorted(inputs.keys() - declared.keys()):
        names = ", ".join(f'"{name}"' for name in unknown)
        raise GitHubRefusal(RefusalKind.INVALID, f"Unexpected inputs provided: [{names}]", code="")
    title = _title(str(workflow.get("run-name") or workflow.get("name") or file), inputs)
    run = WorkflowRun(world.new_id(), file, title, branch, tip, world.now(), dict(inputs))
    repository.workflow_runs[run.id] = run
    return run


def known(world: World, repository: Repository, file: str) -> bool:
    """Return whether the default branch has a workflow."""
    return _file(world, repository, repository.refs.get(repository.default_branch, ""), file) is not None


def _file(world: World, repository: Repository, commit: str, file: str) -> dict[Any, Any] | None:
    text = world.bare(repository).file(commit, f"{FOLDER}/{file}")
    return None if text is None else dict(yaml.safe_load(text))


def _title(text: str, inputs: Mapping[str, str]) -> str:
    """Evaluate a run-name: `||` of inputs, and of values that a dispatched run lacks."""

    def value(match: re.Match[str]) -> str:
        for part in (each.strip() for each in match[1].split("||")):
            if not re.fullmatch(r"(inputs|github)(\.\w+)+", part):
                raise NotSimulatedError(f"the expression {match[0]}")
            if found := inputs.get(part.removeprefix("inputs."), ""):
                return found
        return ""

    return _EXPRESSION.sub(value, text)


def begin(world: World, repository: Repository, run: int, name: str) -> Job:
    """Start a job of a run."""
    stored = repository.workflow_runs[run]
    job = Job(world.new_id(), name)
    repository.workflow_runs[run] = replace(stored, status="in_progress", jobs=(*stored.jobs, job))
    return job


def end(
    world: World, repository: Repository, run: int, name: str, *, conclusion: str, annotations: tuple[str, ...]
) -> None:
    """End a job, and start it first if needed."""
    if name not in {job.name for job in repository.workflow_runs[run].jobs}:
        begin(world, repository, run, name)
    stored = repository.workflow_runs[run]
    notes = tuple(Annotation(message) for message in annotations)
    jobs = tuple(
        replace(job, status="completed", conclusion=conclusion, annotations=notes) if job.name == name else job
        for job in stored.jobs
    )
    repository.workflow_runs[run] = replace(stored, jobs=jobs)
    world.touch()


def finish(world: World, repository: Repository, run: int) -> None:
    """End a run: a failure if a job failed."""
    stored = repository.workflow_runs[run]
    failed = any(job.conclusion == "failure" for job in stored.jobs)
    ended = replace(stored, status="completed", conclusion="failure" if failed else "success")
    repository.workflow_runs[run] = ended
    world.touch()


def cancel(world: World, repository: Repository, run: WorkflowRun) -> None:
    """Cancel a run.

    Raises:
        GitHubRefusal: 409, it has ended.
    """
    if run.status == "completed":
        raise GitHubRefusal(RefusalKind.CONFLICT, "Cannot cancel a workflow run that is completed.", code="")
    jobs = tuple(
        job if job.status == "completed" else replace(job, status="completed", conclusion="cancelled")
        for job in run.jobs
    )
    repository.workflow_runs[run.id] = replace(run, status="completed", conclusion="cancelled", jobs=jobs)
    world.touch()


def upload(world: World, repository: Repository, run: int, name: str, path: Path) -> int:
    """Store a zip archive as an artifact of a run and return its id."""
    number = world.new_id()
    target = archive(world, number)
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(path, target)
    repository.workflow_runs[run].artifacts[name] = number
    return number


def archive(world: World, number: int) -> Path:
    """Return the path of an artifact's archive."""
    return world.root / "artifacts" / f"{number}.zip"
