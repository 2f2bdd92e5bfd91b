"""REST requests, responses and error messages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from trunkline.sim.model import PullRequest, Repository
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError, RefusalKind
from trunkline.sim.world import World

DOCS = "https://docs.github.com/rest"


@dataclass(frozen=True)
class Call:
    """One REST request: user, route parameters, query string and JSON body."""

    world: World
    login: str
    parameters: dict[str, Any]
    query: dict[str, str]
    content: bytes

    @property
    def repository(self) -> Repository:
        """The repository that the route names.

        Raises:
            GitHubRefusal: 404.
        """
        found = self.world.repository(f"{self.parameters['owner']}/{self.parameters['name']}")
        if found is None:
            raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
        return found

    @property
    def pull(self) -> PullRequest:
        """The pull request that the route names.

        Raises:
            GitHubRefusal: 404.
        """
        found = self.repository.pulls.get(self.parameters["number"])
        if found is None:
            raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
        return found

    def body(self, *known: str) -> dict[str, Any]:
        """Return the JSON body.

        Raises:
            GitHubRefusal: 400, it is no JSON object.
            NotSimulatedError: it names a field that is not known here.
        """
        try:
            given = json.loads(self.content or b"{}")
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise GitHubRefusal(RefusalKind.BAD_REQUEST, "Problems parsing JSON")
        if unknown := sorted(given.keys() - set(known)):
            raise NotSimulatedError(f"body field {', '.join(unknown)}")
        return given

    def options(self, *known: str) -> dict[str, str]:
        """Return the query string's parameters.

        Raises:
            NotSimulatedError: it names one that is not known here.
        """
        if unknown := sorted(self.query.keys() - set(known)):
            raise NotSimulatedError(f"query parameter {', '.join(unknown)}")
        return self.query


@dataclass(frozen=True)
class Reply:
    """A REST response; a body of None is empty."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def refusal(error: GitHubRefusal) -> Reply:
    """Return the response of a refusal; 422 has a list `errors`.

    Source: docs.github.com, "Troubleshooting the REST API", validation failed.
    """
    status = error.no.value
    if error.no is not RefusalKind.INVALID or not error.code:
        return Reply(status, {"message": error.message, "documentation_url": DOCS, "status": str(status)})
    detail = {"resource": "PullRequest", "code": error.code}
    if error.field:
        detail["field"] = error.field
    if error.message:
        detail["message"] = error.message
    body = {"message": "Validation Failed", "errors": [detail], "documentation_url": DOCS, "status": str(status)}
    return Reply(status, body)


def paged(call: Call, items: list[Any], path: str) -> Reply:
    """Return one page of a list, with GitHub's Link header.

    Source: docs.github.com, "Using pagination in the REST API".
    """
    size, page = min(int(call.query.get("per_page", "30")), 100), int(call.query.get("page", "1"))
    last = max((len(items) + size - 1) // size, 1)
    kept = "".join(f"&{key}={value}" for key, value in call.query.items() if key not in {"per_page", "page"})

    def link(number: int, name: str) -> str:
        return f'<https://api.github.com{path}?per_page={size}&page={number}{kept}>; rel="{name}"'

    links = [link(page - 1, "prev")] if page > 1 else []
    if page < last:
        links += [link(page + 1, "next"), link(last, "last")]
    if page > 1:
        links.append(link(1, "first"))
    headers = {"Link": ", ".join(links)} if links else {}
    return Reply(200, items[(page - 1) * size : page * size], headers)
