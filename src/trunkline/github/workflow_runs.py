"""Query workflow runs of GitHub Actions, their jobs and artifacts."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from trunkline.github.client import GitHub
from trunkline.github.decoding import Resource


class WorkflowRun(Resource, frozen=True):
    """A workflow run."""

    number: int = msgspec.field(name="id")
    title: str = msgspec.field(name="display_title")
    status: str
    url: str = msgspec.field(name="html_url")
    branch: str | None = msgspec.field(name="head_branch")

    @property
    def is_completed(self) -> bool:
        """A run that has ended."""
        return self.status == "completed"


class Job(Resource, frozen=True):
    """A job of a workflow run; it has no conclusion until it has ended."""

    number: int = msgspec.field(name="id")
    name: str
    status: str
    conclusion: str | None
    url: str = msgspec.field(name="html_url")

    @property
    def is_completed(self) -> bool:
        """A run that has ended."""
        return self.status == "completed"

    @property
    def is_running(self) -> bool:
        """A runner has started it."""
        return self.status == "in_progress"


class _Runs(Resource, frozen=True):
    workflow_runs: tuple[WorkflowRun, ...]


class _Jobs(Resource, frozen=True):
    jobs: tuple[Job, ...]


class _Artifact(Resource, frozen=True):
    name: str


class _Artifacts(Resource, frozen=True):
    artifacts: tuple[_Artifact, ...]


class _Annotation(Resource, frozen=True):
    annotation_level: str | None
    message: str | None


def dispatched_runs(github: GitHub, workflow: str, branch: str) -> tuple[WorkflowRun, ...]:
    """Return the newest fifty runs of a workflow that were dispatched, as a branch defines it.

    Everybody who can push can dispatch a file of the same name on a branch of their own.

    Raises:
        NotFound: there is no such workflow.
        ExternalError: GitHub failed.
    """
    path = f"actions/workflows/{workflow}/runs?event=workflow_dispatch&branch={quote(branch, safe='')}&per_page=50"
    return tuple(run for run in github.rest(path, _Runs).workflow_runs if run.branch == branch)


def run_of(github: GitHub, number: int) -> WorkflowRun:
    """Return a run as it is now."""
    return github.rest(f"actions/runs/{number}", WorkflowRun)


def jobs_of(github: GitHub, number: int) -> tuple[Job, ...]:
    """Return the jobs of a run."""
    return github.rest(f"actions/runs/{number}/jobs?per_page=100", _Jobs).jobs


def has_artifact(github: GitHub, number: int, name: str) -> bool:
    """Return whether a run has uploaded an artifact."""
    return bool(github.rest(f"actions/runs/{number}/artifacts?name={name}", _Artifacts).artifacts)


def failure_of(github: GitHub, job: Job) -> str:
    """Return the first annotation of a job that says why it failed, or ""."""
    notes = github.rest(f"check-runs/{job.number}/annotations", tuple[_Annotation, ...])
    return next((note.message or "" for note in notes if note.annotation_level == "failure"), "")
