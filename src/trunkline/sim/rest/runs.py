"""The REST routes of workflow runs: dispatch, watch, cancel, artifacts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trunkline.sim import running
from trunkline.sim.model import Job, WorkflowRun
from trunkline.sim.refused import GitHubRefusal, RefusalKind
from trunkline.sim.rest.reply import Call, Reply, paged
from trunkline.sim.rest.shapes import API

FILES = "/_sim-files"
"""Path of archives, which needs no token, as in GitHub's blob storage."""


def dispatch(call: Call) -> Reply:
    """POST a workflow dispatch: 204, without the run's id."""
    body = call.body("ref", "inputs")
    inputs = {str(name): str(value) for name, value in (body.get("inputs") or {}).items()}
    running.dispatch(call.world, call.repository, call.parameters["file"], str(body.get("ref", "")), inputs)
    return Reply(204)


def _run(call: Call) -> WorkflowRun:
    found = call.repository.workflow_runs.get(call.parameters["run"])
    if found is None:
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
    return found


def _path(call: Call, tail: str) -> str:
    return f"/repos/{call.repository.slug}/actions/{tail}"


def listed(call: Call) -> Reply:
    """GET a workflow's runs, newest first."""
    options = call.options("per_page", "page", "event", "branch")
    file, event = call.parameters["file"], options.get("event", "workflow_dispatch")
    chosen = [run for run in call.repository.workflow_runs.values() if run.file == file]
    if not chosen and not running.known(call.world, call.repository, file):
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
    branch = options.get("branch", "")
    chosen = [run for run in chosen if event == "workflow_dispatch" and branch in {"", run.branch}]
    result_message = [_json(call, run) for run in reversed(chosen)]
    page = paged(call, result_message, _path(call, f"workflows/{file}/runs"))
    return replace(page, body={"total_count": len(result_message), "workflow_runs": page.body})


def one(call: Call) -> Reply:
    """GET a run."""
    return Reply(200, _json(call, _run(call)))


def jobs(call: Call) -> Reply:
    """GET a run's jobs, on one page."""
    call.options("per_page", "page", "filter")
    run = _run(call)
    page = paged(call, [_job(call, run, job) for job in run.jobs], _path(call, f"runs/{run.id}/jobs"))
    return replace(page, body={"total_count": len(run.jobs), "jobs": page.body})


def cancel(call: Call) -> Reply:
    """POST a run's cancellation."""
    running.cancel(call.world, call.repository, _run(call))
    return Reply(202, {})


def artifacts(call: Call) -> Reply:
    """GET a run's artifacts."""
    call.options("per_page", "page", "name")
    run = _run(call)
    result_message = [_artifact(call, name, number) for name, number in run.artifacts.items()]
    page = paged(call, result_message, _path(call, f"runs/{run.id}/artifacts"))
    return replace(page, body={"total_count": len(result_message), "artifacts": page.body})


def archive(call: Call) -> Reply:
    """GET an artifact's archive: a redirect to its location."""
    number = call.parameters["id"]
    if not running.archive(call.world, number).is_file():
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
    return Reply(302, None, {"Location": f"{API}{FILES}/{number}.zip"})


def _json(call: Call, run: WorkflowRun) -> dict[str, Any]:
    web = f"https://github.com/{call.repository.slug}/actions/runs/{run.id}"
    return {
        "id": run.id, "name": run.title, "display_title": run.title, "event": "workflow_dispatch",
        "path": f"{running.FOLDER}/{run.file}", "head_branch": run.branch, "head_sha": run.commit,
        "status": run.status, "conclusion": run.conclusion or None, "html_url": web,
        "url": f"{API}{_path(call, f'runs/{run.id}')}", "created_at": run.at,
    }  # fmt: skip


def _job(call: Call, run: WorkflowRun, job: Job) -> dict[str, Any]:
    return {
        "id": job.id, "run_id": run.id, "name": job.name, "head_sha": run.commit, "head_branch": run.branch,
        "status": job.status, "conclusion": job.conclusion or None,
        "html_url": f"https://github.com/{call.repository.slug}/actions/runs/{run.id}/job/{job.id}",
        "check_run_url": f"{API}/repos/{call.repository.slug}/check-runs/{job.id}",
    }  # fmt: skip


def _artifact(call: Call, name: str, number: int) -> dict[str, Any]:
    where = f"{API}{_path(call, f'artifacts/{number}')}"
    return {
        "id": number, "name": name, "size_in_bytes": running.archive(call.world, number).stat().st_size, "url": where,
        "archive_download_url": f"{where}/zip", "expired": False,
    }  # fmt: skip
