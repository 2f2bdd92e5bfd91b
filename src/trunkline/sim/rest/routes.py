"""The REST routes and their handlers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.convertors import Convertor
from starlette.routing import compile_path

from trunkline.sim import actions, heads, merging
from trunkline.sim.graph.commits import rollup_state
from trunkline.sim.model import CheckRun, Job, Label, PullState
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError, RefusalKind
from trunkline.sim.rest import branches, merges, runs, shapes, stacks
from trunkline.sim.rest.reply import Call, Reply, paged

Handler = Callable[[Call], Reply]


def meta(_: Call) -> Reply:
    """GET /, of which gh auth status reads the scopes in the headers."""
    return Reply(200, {"current_user_url": f"{shapes.API}/user"})


def user(call: Call) -> Reply:
    """GET /user."""
    return Reply(200, shapes.user(call.world, call.login))


def repository(call: Call) -> Reply:
    """GET a repository."""
    return Reply(200, shapes.repository_json(call.world, call.repository))


def pull_get(call: Call) -> Reply:
    """GET a pull request."""
    return Reply(200, shapes.pull_details(call.world, call.repository, call.pull))


def pull_list(call: Call) -> Reply:
    """GET pull requests: open ones by default, newest first."""
    options = call.options("state", "head", "base", "sort", "direction", "per_page", "page")
    if options.get("sort", "created") != "created":
        raise NotSimulatedError(f"pulls?sort={options['sort']}")
    state, head = options.get("state", "open"), options.get("head", "")
    chosen = [
        pull
        for pull in call.repository.pulls.values()
        if state in {"all", "open" if pull.state is PullState.OPEN else "closed"}
        and head in {"", heads.label(call.repository, pull)}
        and options.get("base", pull.base) == pull.base
    ]
    descending = options.get("direction", "desc") == "desc"
    chosen.sort(key=lambda pull: (pull.created_at, pull.number), reverse=descending)
    listed = [shapes.pull_json(call.world, call.repository, pull) for pull in chosen]
    return paged(call, listed, f"/repos/{call.repository.slug}/pulls")


def pull_create(call: Call) -> Reply:
    """POST a pull request."""
    body = call.body("title", "head", "base", "body", "draft", "maintainer_can_modify")
    for name in ("title", "head", "base"):
        if not body.get(name):
            raise GitHubRefusal(RefusalKind.INVALID, "", field=name, code="missing_field")
    pull = actions.open_pull(
        call.world, call.repository, call.login, head=body["head"], base=body["base"], title=body["title"],
        body=body.get("body") or "", draft=bool(body.get("draft")),
    )  # fmt: skip
    return Reply(201, shapes.pull_details(call.world, call.repository, pull))


def pull_edit(call: Call) -> Reply:
    """PATCH a pull request: title, body, base, state; the old state decides about the base."""
    body = call.body("title", "body", "base", "state", "maintainer_can_modify")
    world, where, pull = call.world, call.repository, call.pull
    state = body.get("state")
    if state not in {None, "open", "closed"}:
        raise GitHubRefusal(RefusalKind.INVALID, f"{state} is not a valid state", field="state")
    text = body.get("body") if body.get("body") is not None or "body" not in body else ""
    stacked = body.get("base") is not None and where.stack_of(pull.number) is not None
    base = None if stacked else body.get("base")
    pull = actions.edit(world, where, pull, call.login, title=body.get("title"), body=text, base=base)
    if stacked:  # not atomic: the other changes are made (measured on github.com)
        raise GitHubRefusal(
            RefusalKind.INVALID, "Cannot change the base branch of a stacked pull request.", field="base"
        )
    if state == "closed" and pull.state is PullState.OPEN:
        pull = actions.close(world, where, pull, call.login)
    elif state == "open":
        pull = actions.reopen(world, where, pull, call.login)
    return Reply(200, shapes.pull_details(world, where, pull))


def pull_merge(call: Call) -> Reply:
    """PUT merge, synchronously."""
    body = call.body("commit_title", "commit_message", "sha", "merge_method")
    merging.refuse_stacked(call.repository, call.pull)
    method = merges.method_of(body.get("merge_method", "merge"))
    merged = merging.merge(
        call.world, call.repository, call.pull, call.login, method=method, expected_head=body.get("sha", ""),
        headline=body.get("commit_title"), body=body.get("commit_message"),
    )  # fmt: skip
    result_message = {"sha": merged.merge_commit, "merged": True, "message": "Pull Request successfully merged"}
    return Reply(200, result_message)


def nowhere(_: Call) -> Reply:
    """Respond 404, as a server without this route."""
    raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")


def _run(call: Call) -> CheckRun | Job:
    found: list[CheckRun | Job] = [run for listed in call.repository.checks.values() for run in listed]
    found += [job for run in call.repository.workflow_runs.values() for job in run.jobs]
    for each in found:
        if each.id == call.parameters["id"]:
            return each
    raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")


def run_annotations(call: Call) -> Reply:
    """GET a check run's annotations."""
    listed = [
        {
            "path": note.path, "start_line": note.line, "end_line": note.line, "start_column": None,
            "end_column": None, "annotation_level": note.level, "title": note.title, "message": note.message,
            "raw_details": "",
        }
        for note in _run(call).annotations
    ]  # fmt: skip
    call.options("per_page", "page")
    return paged(call, listed, f"/repos/{call.repository.slug}/check-runs/{call.parameters['id']}/annotations")


def _commit(call: Call) -> str:
    """Return the commit that a route's ref names: a full object id or a branch."""
    ref = str(call.parameters["ref"])
    oid = call.repository.refs.get(ref.removeprefix("heads/"), ref)
    if not call.world.bare(call.repository).exists(oid):
        raise GitHubRefusal(RefusalKind.INVALID, f"No commit found for SHA: {ref}", code="")
    return oid


def check_runs(call: Call) -> Reply:
    """GET a commit's check runs, on one page."""
    call.options("per_page", "page", "filter")
    runs = call.repository.checks.get(_commit(call), ())
    listed = [shapes.check_run_json(call.repository, run) for run in runs]
    page = paged(call, listed, f"/repos/{call.repository.slug}/commits/{call.parameters['ref']}/check-runs")
    return replace(page, body={"total_count": len(runs), "check_runs": page.body})


def combined_status(call: Call) -> Reply:
    """GET a commit's combined status: `pending` if it has none.

    Source: docs.github.com, "Get the combined status".
    """
    call.options("per_page", "page")
    oid = _commit(call)
    statuses = call.repository.statuses.get(oid, ())
    bare = replace(call.repository, checks={})
    state = rollup_state(bare, oid).lower() or "pending"
    listed = [shapes.status_json(call.repository, status) for status in statuses]
    page = paged(call, listed, f"/repos/{call.repository.slug}/commits/{oid}/status")
    return replace(page, body={"state": state, "statuses": page.body, "sha": oid, "total_count": len(statuses)})


def status_create(call: Call) -> Reply:
    """POST a commit status (docs.github.com, "Create a commit status")."""
    body = call.body("state", "context", "description", "target_url")
    if body.get("state") not in {"error", "failure", "pending", "success"}:
        raise GitHubRefusal(RefusalKind.INVALID, "State is not included in the list", field="state")
    if len(str(body.get("description") or "")) > 140:  # noqa: PLR2004 -- GitHub's limit
        raise GitHubRefusal(
            RefusalKind.INVALID, "description is too long (maximum is 140 characters)", field="description"
        )
    status = actions.add_status(
        call.world, call.repository, _commit(call), context=str(body.get("context") or "default"),
        state=str(body["state"]).upper(), description=str(body.get("description") or ""),
        target_url=str(body.get("target_url") or ""),
    )  # fmt: skip
    return Reply(201, shapes.status_json(call.repository, status))


def ref_delete(call: Call) -> Reply:
    """DELETE a branch."""
    actions.delete_branch(call.world, call.repository, call.login, call.parameters["branch"])
    return Reply(204)


def ref_create(call: Call) -> Reply:
    """POST a branch."""
    body = call.body("ref", "sha")
    ref = str(body.get("ref", ""))
    if not ref.startswith("refs/heads/"):
        raise NotSimulatedError(f"creating the ref {ref!r}")
    actions.create_branch(call.world, call.repository, call.login, ref.removeprefix("refs/heads/"), body["sha"])
    return Reply(201, {"ref": ref, "object": {"type": "commit", "sha": body["sha"]}})


def ref_get(call: Call) -> Reply:
    """GET a branch's ref."""
    branch = call.parameters["branch"]
    if branch not in call.repository.refs:
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
    oid = call.repository.refs[branch]
    return Reply(200, {"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": oid}})


def workflow_runs(call: Call) -> Reply:
    """GET workflow runs: none, because only their checks are simulated."""
    call.options("per_page", "page", "branch", "exclude_pull_requests")
    if call.repository.checks:
        raise NotSimulatedError("workflow runs of a repository that has check runs")
    return Reply(200, {"total_count": 0, "workflow_runs": []})


def issue_labels(call: Call) -> Reply:
    """POST labels of an issue: labels that the repository lacks are created."""
    where, names = call.repository, tuple(map(str, call.body("labels").get("labels") or ()))
    for name in names:
        where.labels.setdefault(name, Label(name))
    return Reply(200, shapes.labels_json(where, actions.add_labels(call.world, where, call.pull, names)))


def issue_assignees(call: Call) -> Reply:
    """POST assignees of an issue."""
    logins = map(str, call.body("assignees").get("assignees") or ())
    known = tuple(dict.fromkeys((*call.pull.assignees, *(call.world.add_user(login).login for login in logins))))
    changed = call.world.put(call.repository, replace(call.pull, assignees=known))
    return Reply(201, shapes.issue_json(call.world, call.repository, changed))


def issue_edit(call: Call) -> Reply:
    """PATCH an issue: its milestone, by number."""
    number, known = call.body("milestone").get("milestone"), call.repository.milestones
    if not isinstance(number, int) or not 1 <= number <= len(known):
        raise GitHubRefusal(RefusalKind.INVALID, "", field="milestone")
    changed = call.world.put(call.repository, replace(call.pull, milestone=known[number - 1]))
    return Reply(200, shapes.issue_json(call.world, call.repository, changed))


def milestones(call: Call) -> Reply:
    """GET milestones; all are open."""
    call.options("state", "per_page", "page")
    listed = [shapes.milestone_json(call.repository, title) for title in call.repository.milestones]
    return paged(call, listed, f"/repos/{call.repository.slug}/milestones")


def review_requests(call: Call) -> Reply:
    """POST requested reviewers; the author cannot be one (docs.github.com, "Request reviewers")."""
    body = call.body("reviewers", "team_reviewers")
    if body.get("team_reviewers"):
        raise NotSimulatedError("review requests of teams")
    logins = tuple(map(str, body.get("reviewers") or ()))
    if call.pull.author in logins:
        raise GitHubRefusal(RefusalKind.INVALID, "Review cannot be requested from pull request author.", code="")
    for login in logins:
        call.world.add_user(login)
    requested = tuple(dict.fromkeys((*call.pull.review_requests, *logins)))
    changed = call.world.put(call.repository, replace(call.pull, review_requests=requested))
    return Reply(201, shapes.pull_json(call.world, call.repository, changed))


_REPO = "/repos/{owner}/{name}"
TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", meta),
    ("GET", "/user", user),
    ("GET", _REPO, repository),
    ("GET", _REPO + "/pulls", pull_list),
    ("POST", _REPO + "/pulls", pull_create),
    ("GET", _REPO + "/pulls/{number:int}", pull_get),
    ("PATCH", _REPO + "/pulls/{number:int}", pull_edit),
    ("POST", _REPO + "/pulls/{number:int}/requested_reviewers", review_requests),
    ("GET", _REPO + "/milestones", milestones),
    ("PATCH", _REPO + "/issues/{number:int}", issue_edit),
    ("POST", _REPO + "/issues/{number:int}/labels", issue_labels),
    ("POST", _REPO + "/issues/{number:int}/assignees", issue_assignees),
    ("PUT", _REPO + "/pulls/{number:int}/merge", pull_merge),
    ("PUT", _REPO + "/pulls/{number:int}/update-branch", branches.update),
    ("PUT", _REPO + "/pulls/{number:int}/merge-async", merges.request),
    ("PUT", _REPO + "/pulls/{number:int}/merge-async-is-not-on-this-server", nowhere),
    ("GET", _REPO + "/pulls/{number:int}/merge-async/{uuid}", merges.result),
    ("GET", _REPO + "/stacks", stacks.listed),
    ("POST", _REPO + "/stacks", stacks.create),
    ("GET", _REPO + "/stacks/{stack:int}", stacks.one),
    ("POST", _REPO + "/stacks/{stack:int}/add", stacks.add),
    ("POST", _REPO + "/stacks/{stack:int}/unstack", stacks.unstack),
    ("GET", _REPO + "/check-runs/{id:int}/annotations", run_annotations),
    ("GET", _REPO + "/commits/{ref:path}/check-runs", check_runs),
    ("GET", _REPO + "/commits/{ref:path}/status", combined_status),
    ("POST", _REPO + "/statuses/{ref}", status_create),
    ("POST", _REPO + "/forks", branches.fork),
    ("POST", _REPO + "/branches/{branch:path}/rename", branches.rename),
    ("POST", _REPO + "/git/refs", ref_create),
    ("GET", _REPO + "/git/ref/heads/{branch:path}", ref_get),
    ("DELETE", _REPO + "/git/refs/heads/{branch:path}", ref_delete),
    ("GET", _REPO + "/actions/runs", workflow_runs),
    ("POST", _REPO + "/actions/workflows/{file}/dispatches", runs.dispatch),
    ("GET", _REPO + "/actions/workflows/{file}/runs", runs.listed),
    ("GET", _REPO + "/actions/runs/{run:int}", runs.one),
    ("GET", _REPO + "/actions/runs/{run:int}/jobs", runs.jobs),
    ("POST", _REPO + "/actions/runs/{run:int}/cancel", runs.cancel),
    ("GET", _REPO + "/actions/runs/{run:int}/artifacts", runs.artifacts),
    ("GET", _REPO + "/actions/artifacts/{id:int}/zip", runs.archive),
)
_ROUTES = tuple((method, *compile_path(path)[::2], handler) for method, path, handler in TABLE)


def find(method: str, path: str) -> tuple[Handler, dict[str, Any]]:
    """Return the handler of a request and the route's parameters.

    Raises:
        NotSimulatedError: no such route here.
    """
    for wanted, pattern, convertors, handler in _ROUTES:
        match = pattern.match(path)
        if method == wanted and match:
            return handler, {key: _converted(convertors, key, text) for key, text in match.groupdict().items()}
    raise NotSimulatedError(f"{method} {path}")


def _converted(convertors: dict[str, Convertor[Any]], key: str, text: str) -> Any:
    return convertors[key].convert(text)
