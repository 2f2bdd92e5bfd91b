"""GraphQL nodes of commits and their checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.sim.graph.tree import Node, QueryContext, connection
from trunkline.sim.model import CheckRun

if TYPE_CHECKING:
    from trunkline.sim.bare import CommitData, Person
    from trunkline.sim.model import Annotation, Repository, Status

_FAILED = {"FAILURE", "CANCELLED", "TIMED_OUT", "ACTION_REQUIRED", "STARTUP_FAILURE", "ERROR"}


def commit_node(query_context: QueryContext, repository: Repository, oid: str) -> Node:
    """Return a commit."""
    data = query_context.world.bare(repository).commit(oid)
    url = f"https://github.com/{repository.slug}/commit/{oid}"
    return Node(
        "Commit",
        {
            "id": f"C_{repository.id}_{oid}",
            "oid": oid,
            "abbreviatedOid": oid[:7],
            "url": url,
            "commitUrl": url,
            "message": data.message,
            "messageHeadline": data.headline,
            "messageBody": data.body,
            "authoredDate": data.author.date,
            "committedDate": data.committer.date,
            "author": lambda: _git_actor(query_context, data.author),
            "committer": lambda: _git_actor(query_context, data.committer),
            "authors": lambda **page: connection(
                "GitActorConnection", [data.author], lambda person: _git_actor(query_context, person), page
            ),
            "parents": lambda **page: connection(
                "CommitConnection", data.parents, lambda parent: commit_node(query_context, repository, parent), page
            ),
            "statusCheckRollup": lambda: _rollup(repository, data),
        },
    )


def _git_actor(query_context: QueryContext, person: Person) -> Node:
    """Return the actor of a commit; GitHub finds the user by e-mail address."""
    known = [
        user
        for user in query_context.world.state.users.values()
        if person.email == f"{user.id}+{user.login}@users.noreply.github.com"
    ]
    user = Node("User", {"id": f"U_{known[0].id}", "login": known[0].login, "name": known[0].name}) if known else None
    return Node("GitActor", {"name": person.name, "email": person.email, "date": person.date, "user": user})


def rollup_state(repository: Repository, oid: str) -> str:
    """Return GraphQL's StatusState over all checks and statuses of a commit, or ""."""
    states = [run.conclusion or run.status for run in repository.checks.get(oid, ())]
    states += [status.state for status in repository.statuses.get(oid, ())]
    if any(state in _FAILED for state in states):
        return "FAILURE"
    settled = {"SUCCESS", "NEUTRAL", "SKIPPED"}
    return "" if not states else "SUCCESS" if settled.issuperset(states) else "PENDING"


def _rollup(repository: Repository, data: CommitData) -> Node | None:
    """Return the rollup; null for a commit without checks, as on GitHub."""
    state = rollup_state(repository, data.oid)
    if not state:
        return None
    runs, statuses = repository.checks.get(data.oid, ()), repository.statuses.get(data.oid, ())
    contexts: list[CheckRun | Status] = [*runs, *statuses]
    extra = {
        "checkRunCount": len(runs),
        "checkRunCountsByState": _counts("CheckRunStateCount", [run.conclusion or run.status for run in runs]),
        "statusContextCount": len(statuses),
        "statusContextCountsByState": _counts("StatusContextStateCount", [status.state for status in statuses]),
    }

    def page(**arguments: Any) -> Node:
        return connection(
            "StatusCheckRollupContextConnection",
            contexts,
            lambda context: _context(repository, context),
            arguments,
            extra,
        )

    return Node("StatusCheckRollup", {"id": f"SCR_{repository.id}_{data.oid}", "state": state, "contexts": page})


def _counts(typename: str, states: list[str]) -> list[Node]:
    return [Node(typename, {"state": state, "count": states.count(state)}) for state in dict.fromkeys(states)]


def _context(repository: Repository, context: CheckRun | Status) -> Node:
    if isinstance(context, CheckRun):
        return check_run_node(repository, context)
    return _status_node(repository, context)


def _status_node(repository: Repository, status: Status) -> Node:
    return Node(
        "StatusContext",
        {
            "id": f"SC_{repository.id}_{status.commit}_{status.context}",
            "context": status.context,
            "state": status.state,
            "description": status.description,
            "targetUrl": status.target_url or None,
            "createdAt": status.created_at,
            "isRequired": lambda **_: False,
        },
    )


def check_run_node(repository: Repository, run: CheckRun) -> Node:
    """Return a check run."""
    url = f"https://github.com/{repository.slug}/actions/runs/{run.id}/job/{run.id}"
    workflow = Node("Workflow", {"id": f"W_{run.workflow}", "name": run.workflow})
    workflow_run = Node("WorkflowRun", {"id": f"WFR_{run.id}", "event": "pull_request", "workflow": workflow})
    return Node(
        "CheckRun",
        {
            "id": f"CR_{run.id}",
            "databaseId": run.id,
            "name": run.name,
            "status": run.status,
            "conclusion": run.conclusion or None,
            "startedAt": run.started_at or None,
            "completedAt": run.completed_at or None,
            "detailsUrl": url,
            "url": url,
            "permalink": url,
            "isRequired": lambda **_: False,
            "checkSuite": Node("CheckSuite", {"id": f"CS_{run.id}", "workflowRun": workflow_run}),
            "annotations": lambda **page: connection("CheckAnnotationConnection", run.annotations, _annotation, page),
        },
    )


def _annotation(annotation: Annotation) -> Node:
    return Node(
        "CheckAnnotation",
        {
            "message": annotation.message,
            "title": annotation.title or None,
            "path": annotation.path,
            "annotationLevel": annotation.level.upper(),
        },
    )
