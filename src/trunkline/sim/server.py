"""The simulator's HTTP server: authentication, faults, GraphQL or REST, the request log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from trunkline.domain.errors import TrunklineError
from trunkline.sim import actions, control, faults, merging, pushes, rules, running
from trunkline.sim.faults import Fault, FaultKind
from trunkline.sim.graph import engine
from trunkline.sim.graph.root import LIMIT, root
from trunkline.sim.graph.tree import QueryContext
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError
from trunkline.sim.rest import routes
from trunkline.sim.rest.reply import DOCS, Call, Reply, refusal
from trunkline.sim.rest.runs import FILES
from trunkline.sim.world import World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CONTROL = "/_sim/"


@dataclass(frozen=True)
class IncomingRequest:
    """One complete request to GitHub."""

    method: str
    path: str
    query: str
    token: str
    accept: str
    content: bytes

    @property
    def graphql(self) -> dict[str, Any] | None:
        """The GraphQL payload; None for a REST call."""
        if (self.method, self.path) != ("POST", "/graphql"):
            return None
        try:
            payload = json.loads(self.content)
        except ValueError:
            payload = None
        return payload if isinstance(payload, dict) else {}


def _public(path: str) -> str:
    """Map a path of an enterprise server to github.com's (docs.github.com, "Endpoints")."""
    if path == "/api/graphql":
        return "/graphql"
    if path.startswith("/api/v3/"):
        own = path.removeprefix("/api/v3")
        return f"{own}-is-not-on-this-server" if "/merge-async" in own else own
    return path


@dataclass
class Server:
    """The ASGI application; it handles requests one after the other, so the world needs no lock."""

    world: World
    used: int = 0
    started: float = field(default_factory=time.time)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        content = await request.body()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = scheme.lower() in {"token", "bearer"}
        incoming = IncomingRequest(
            request.method,
            _public(request.url.path),
            request.url.query,
            token if known else "",
            request.headers.get("accept", ""),
            content,
        )
        if incoming.path.startswith(CONTROL):
            await _response(self._control(incoming))(scope, receive, send)
            return
        if incoming.path.startswith(f"{FILES}/"):
            file = running.archive(self.world, int(Path(incoming.path).stem))
            await FileResponse(file, media_type="application/zip")(scope, receive, send)
            return
        reply = self._respond(incoming)
        if reply is None:
            await _drop(send)
        else:
            await _response(reply)(scope, receive, send)

    def _control(self, incoming: IncomingRequest) -> Reply:
        try:
            value = control.call(
                self.world, incoming.path.removeprefix(CONTROL), json.loads(incoming.content or b"{}")
            )
            self.world.save()
        except (TrunklineError, TypeError, KeyError, ValueError) as error:
            return Reply(400, {"message": f"{type(error).__name__}: {error}"})
        return Reply(200, {"value": value})

    def _respond(self, incoming: IncomingRequest) -> Reply | None:
        """Return the response; None: drop the connection."""
        self.used += 1
        pushes.sync(self.world)
        merging.run_pending(self.world)
        rules.count_request(self.world)
        payload = incoming.graphql
        operation = engine.operation_of(str(payload.get("query", ""))) if payload is not None else ""
        fault = self._fault(operation, f"{incoming.method} {incoming.path}")
        if fault is not None and fault.kind is FaultKind.CLOSE:
            self._close(fault)
        reply: Reply | None
        if fault is not None and fault.kind is FaultKind.DROP:
            reply = None
        elif fault is not None and fault.kind not in {FaultKind.LOSE_REPLY, FaultKind.CLOSE}:
            reply = Reply(*_reordered(faults.response_of(fault, self._request_id())))
        else:
            reply = self._perform(incoming, payload)
        self.world.save()
        self._log(incoming, operation, reply, fault)
        lost = fault is not None and fault.kind is FaultKind.LOSE_REPLY
        return None if reply is None or lost else self._with_headers(reply)

    def _perform(self, incoming: IncomingRequest, payload: dict[str, Any] | None) -> Reply:
        login = self.world.viewer(incoming.token)
        if not login:
            # docs.github.com, "Authenticating to the REST API": a bad token is 401; for GraphQL a
            # missing one too.
            return Reply(401, {"message": "Bad credentials", "documentation_url": DOCS, "status": "401"})
        try:
            if payload is not None:
                query_context = QueryContext(self.world, login)
                query, variables = str(payload.get("query", "")), payload.get("variables") or {}
                return Reply(200, engine.execute(root(query_context, self.used), query_context, query, variables))
            _check_media_type(incoming.accept)
            handler, parameters = routes.find(incoming.method, incoming.path)
            return handler(Call(self.world, login, parameters, dict(parse_qsl(incoming.query)), incoming.content))
        except GitHubRefusal as error:
            return refusal(error)
        except NotSimulatedError as error:
            return Reply(501, {"message": str(error), "status": "501"})

    def _fault(self, operation: str, route: str) -> Fault | None:
        for fault in self.world.state.faults:
            if fault.applies_to(operation, route):
                fault.count_hit()
                self.world.touch()
                return fault
        return None

    def _close(self, fault: Fault) -> None:
        repository = self.world.repository(fault.repository)
        if repository is not None and fault.number in repository.pulls:
            with contextlib.suppress(GitHubRefusal):  # merged meanwhile, so it cannot be closed
                actions.close(self.world, repository, repository.pulls[fault.number], repository.owner)

    def _request_id(self) -> str:
        return f"5117:1:{self.used:06X}"

    def _with_headers(self, reply: Reply) -> Reply:
        headers = {
            "X-GitHub-Request-Id": self._request_id(),
            "X-GitHub-Media-Type": "github.v4; format=json",
            "X-OAuth-Scopes": "read:org, repo",
            "X-RateLimit-Limit": str(LIMIT),
            "X-RateLimit-Remaining": str(max(LIMIT - self.used, 0)),
            "X-RateLimit-Reset": str(int(self.started) + 3600),
            "X-RateLimit-Resource": "core",
            "X-RateLimit-Used": str(self.used),
        }
        return Reply(reply.status, reply.body, {**headers, **reply.headers})

    def _log(self, incoming: IncomingRequest, operation: str, reply: Reply | None, fault: Fault | None) -> None:
        line = {
            "method": incoming.method, "path": incoming.path, "query": incoming.query, "operation": operation,
            "status": reply.status if reply else 0, "fault": fault.kind.value if fault else "",
        }  # fmt: skip
        with (self.world.root / "requests.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def _check_media_type(accept: str) -> None:
    """Refuse media types other than JSON, for example a diff or a patch.

    Raises:
        NotSimulatedError: another media type is requested (docs.github.com, "Media types").
    """
    for wanted in filter(None, (part.partition(";")[0].strip() for part in accept.split(","))):
        if not wanted.endswith(("json", "/*", "-preview")):
            raise NotSimulatedError(f"media type {wanted}")


def _reordered(answer: tuple[int, dict[str, str], object]) -> tuple[int, object, dict[str, str]]:
    status, headers, body = answer
    return status, body, headers


def _response(reply: Reply) -> Response:
    if reply.body is None:
        return Response(status_code=reply.status, headers=reply.headers)
    content = json.dumps(reply.body, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return Response(content, reply.status, reply.headers, media_type="application/json; charset=utf-8")


async def _drop(send: Send) -> None:
    """Close the connection without a response, through uvicorn's request cycle behind `send`."""
    cycle = send.__self__  # type: ignore[attr-defined]
    cycle.transport.abort()
    while not cycle.disconnected:  # noqa: ASYNC110 -- uvicorn offers a flag, no event
        await asyncio.sleep(0)
