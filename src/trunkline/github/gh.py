"""Run gh: requests to GitHub's REST and GraphQL APIs, with retry and throttling.

No other module starts gh.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from trunkline.domain.repository import Repository
from trunkline.github import responses
from trunkline.github.responses import Response, parsing, rest_response
from trunkline.system import process
from trunkline.system.retry import retrying, throttle

T = TypeVar("T")
SECONDS = 60.0
GRAPHQL = ("graphql", "--input", "-")
_ENV = {
    "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GH_NO_EXTENSION_UPDATE_NOTIFIER": "1",
    "GH_SPINNER_DISABLED": "1",
    "GH_TELEMETRY": "0",
    "GH_PAGER": "cat",
    "NO_COLOR": "1",
    "LC_ALL": "C",
}


@dataclass(frozen=True)
class Gh:
    """gh for one repository: requests with retry, throttling and parsing.

    Attributes:
        repository: the repository.
        cwd: the working directory of gh; it needs no checkout, since every call names the
            repository.
        reporter: receives a message before each retry.
    """

    repository: Repository
    cwd: Path
    reporter: Callable[[str], None] | None = None

    def rest(self, path: str, read: Callable[[Any], T], *more: str) -> T:
        """GET a path below `repos/OWNER/NAME/` and return the parsed response, a JSON object or array.

        Args:
            path: the path.
            read: parses it; an exception counts as a failure of GitHub and is retried.
            *more: further arguments of `gh api`.

        Raises:
            NotFound: GitHub has no such object.
            ExternalError: GitHub or the network failed, after retries, or the response cannot be
                parsed.
        """
        return retrying(lambda: self._read(path, read, *more), reporter=self.reporter)

    @contextlib.contextmanager
    def listing(self, path: str, read: Callable[[Sequence[Any]], T]) -> Iterator[Callable[[], T]]:
        """GET a JSON array below `repos/OWNER/NAME/`; the yielded function waits for the response.

        Raises:
            NotFound: GitHub has no such object.
            ExternalError: GitHub or the network failed, after retries, or the response cannot be
                parsed.
        """
        with self._begin(self._path(path), stdin=b"") as child:
            started = [child]

            def request() -> T:
                done = started.pop().finish() if started else self._run(self._path(path), stdin=b"")
                response = rest_response(done, kind=list)
                with parsing(response):
                    return read(response.body)

            yield lambda: retrying(request, reporter=self.reporter)

    def send(self, method: str, path: str, content: bytes, read: Callable[[Any], T]) -> T:
        """Send one mutation below `repos/OWNER/NAME/` without a retry, and parse the response.

        Raises:
            NotFound: GitHub has no such object.
            Refused: GitHub rejects the request.
            ExternalError: GitHub or the network failed; the request may have taken effect.
        """
        return self._read(path, read, "-X", method, "--input", "-", stdin=content)

    def change(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Any],
        read: Callable[[Any], T],
        read_back: Callable[[], T | None],
        *,
        kind: type[dict[Any, Any] | list[Any]] = dict,
    ) -> T:
        """Send a mutation below `repos/OWNER/NAME/`, with retries, and return the parsed response.

        Args:
            method: POST, PUT or PATCH.
            path: the path.
            fields: the body.
            read: parses the response.
            read_back: returns the result of a failed request that took effect, else None; called
                before a retry.
            kind: the kind of the response.

        Raises:
            NotFound: GitHub has no such object.
            Refused: GitHub rejects the request.
        """
        stdin = json.dumps(fields).encode()

        def write() -> T:
            response = rest_response(
                self._run(self._path(path), "-X", method, "--input", "-", stdin=stdin), kind=kind
            )
            with parsing(response):
                return read(response.body)

        return self._send_mutation(write, read_back)

    def post(self, path: str, fields: Mapping[str, Any], *, arrived: Callable[[], bool]) -> None:
        """POST to a path below `repos/OWNER/NAME/`.

        Args:
            path: the path.
            fields: the body.
            arrived: returns whether a failed request took effect; called before a retry.

        Raises:
            NotFound: GitHub has no such object.
            Refused: GitHub rejects the request.
        """
        self.change("POST", path, fields, lambda _: True, lambda: arrived() or None)

    def download(self, run: int, artifact: str, into: Path) -> bool:
        """Unpack an artifact of a workflow run into a directory; return whether gh succeeded."""
        argv = ["gh", "run", "download", str(run), "--name", artifact, "--dir", str(into)]
        argv += ["--repo", self.repository.argument]
        with process.begin(argv, cwd=self.cwd, env=self._environment(), timeout=SECONDS) as child:
            return child.finish().returncode == 0

    def graphql(self, query: str, variables: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T:
        """Run one GraphQL query and return its parsed `data`.

        Raises:
            NotSignedIn: there are no credentials, or GitHub rejects them.
            ExternalError: GitHub or the network failed, after retries, or the response cannot be
                parsed.
            TrunklineError: GitHub responded with errors.
        """
        payload = json.dumps({"query": query, "variables": dict(variables)}).encode()

        def request() -> T:
            response = responses.graphql_response(self._run(*GRAPHQL, stdin=payload))
            with parsing(response):
                return read(response.body["data"])

        return retrying(request, reporter=self.reporter)

    def _send_mutation(self, write: Callable[[], T], read_back: Callable[[], T | None]) -> T:
        """Send a mutation; before a retry, read back whether the failed attempt took effect."""
        failed = False

        def attempt() -> T:
            nonlocal failed
            if failed and (found := read_back()) is not None:
                return found
            failed = True
            return write()

        return retrying(attempt, reporter=self.reporter)

    def _api(self, *args: str, stdin: bytes) -> Response:
        return rest_response(self._run(*args, stdin=stdin))

    def _read(
        self,
        path: str,
        read: Callable[[Any], T],
        *more: str,
        stdin: bytes = b"",
        also: frozenset[int] = frozenset(),
    ) -> T:
        """Return the parsed response of one request below `repos/OWNER/NAME/`."""
        response = rest_response(self._run(self._path(path), *more, stdin=stdin), also=also)
        with parsing(response):
            return read(response.body)

    def _run(self, *args: str, stdin: bytes) -> process.Completed:
        with self._begin(*args, stdin=stdin) as child:
            return child.finish()

    def _begin(self, *args: str, stdin: bytes) -> AbstractContextManager[process.Running]:
        host = () if self.repository.host == "github.com" else ("--hostname", self.repository.host)
        if "-X" in args:
            throttle()
        argv = ["gh", "api", "--include", *host, *args]
        return process.begin(argv, cwd=self.cwd, env=self._environment(), timeout=SECONDS, stdin=stdin)

    @staticmethod
    def _environment() -> dict[str, str]:
        env = process.environment(tokens=True, extra=_ENV)
        env.pop("GH_HOST", None)  # it would send the request to another host than the remote's
        return env

    def _path(self, tail: str) -> str:
        return f"repos/{self.repository.slug}/{tail}".removesuffix("/")
