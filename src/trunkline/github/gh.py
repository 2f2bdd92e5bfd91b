"""Run gh: requests to GitHub's REST and GraphQL APIs, with retry and throttling.

No other module starts gh.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from trunkline.domain.names import PrNumber
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import PullRequest
from trunkline.github import responses
from trunkline.github.decoding import decode
from trunkline.github.responses import Response, parsing, rest_response
from trunkline.state.change_log import Change, ChangeLog, Part
from trunkline.system import process
from trunkline.system.retry import retrying, throttle

S = TypeVar("S")
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
    # gh allocates 12 MB before it does anything. Go collects garbage several times meanwhile, which takes a quarter
    # of the CPU time of a request (51 ms, 37 with this; gh 2.103).
    "GOGC": "400",
}


@dataclass(frozen=True)
class Gh:
    """gh for one repository: requests with retry, throttling and parsing.

    Attributes:
        repository: the repository.
        cwd: the working directory of gh; it needs no checkout, since every call names the
            repository.
        reporter: receives a message before each retry.
        changes: receives what each mutation changes.
    """

    repository: Repository
    cwd: Path
    reporter: Callable[[str], None] | None = None
    changes: ChangeLog = field(default_factory=ChangeLog, repr=False, compare=False)

    def rest(self, path: str, kind: type[T], *more: str) -> T:
        """GET a path below `repos/OWNER/NAME/` and return the decoded response.

        Args:
            path: the path.
            kind: the type of the response; another value counts as a failure of GitHub and is retried.
            *more: further arguments of `gh api`.

        Raises:
            NotFound: GitHub has no such object.
            ExternalError: GitHub or the network failed, after retries, or the response cannot be
                decoded.
        """
        return retrying(lambda: self._request(path, kind, *more), reporter=self.reporter)

    @contextlib.contextmanager
    def begin_rest(self, path: str, kind: type[T]) -> Iterator[Callable[[], T]]:
        """GET a path as `rest` does; the yielded function waits for the response.

        Raises:
            NotFound: GitHub has no such object.
            ExternalError: GitHub or the network failed, after retries, or the response cannot be
                decoded.
        """
        with self._begin(self._path(path), stdin=b"") as child:
            started = [child]

            def request() -> T:
                done = started.pop().finish() if started else self._run(self._path(path), stdin=b"")
                return _decoded(rest_response(done), kind)

            yield lambda: retrying(request, reporter=self.reporter)

    def send(self, method: str, path: str, content: bytes, kind: type[T]) -> T:
        """Send one mutation below `repos/OWNER/NAME/` without a retry, and decode the response.

        Raises:
            NotFound: GitHub has no such object.
            Refused: GitHub rejects the request.
            ExternalError: GitHub or the network failed; the request may have taken effect.
        """
        return self._request(path, kind, "-X", method, "--input", "-", stdin=content)

    def change(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Any],
        kind: type[T],
        read_back: Callable[[], T | None],
    ) -> T:
        """Send a mutation below `repos/OWNER/NAME/`, with retries, and return the decoded response.

        Args:
            method: POST, PUT or PATCH.
            path: the path.
            fields: the body.
            kind: the type of the response.
            read_back: returns the result of a failed request that took effect, else None; called
                before a retry.

        Raises:
            NotFound: GitHub has no such object.
            Refused: GitHub rejects the request.
        """
        stdin = json.dumps(fields).encode()
        arguments = ("-X", method, "--input", "-")
        return self._send_mutation(lambda: self._request(path, kind, *arguments, stdin=stdin), read_back)

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
        arguments = (self._path(path), "-X", "POST", "--input", "-")
        stdin = json.dumps(fields).encode()

        def write() -> bool:
            self._api(*arguments, stdin=stdin)
            return True

        self._send_mutation(write, lambda: arrived() or None)

    def download(self, run: int, artifact: str, into: Path) -> bool:
        """Unpack an artifact of a workflow run into a directory; return whether gh succeeded."""
        argv = ["gh", "run", "download", str(run), "--name", artifact, "--dir", str(into)]
        argv += ["--repo", self.repository.argument]
        with process.begin(argv, cwd=self.cwd, env=self._environment(), timeout=SECONDS) as child:
            return child.finish().returncode == 0

    def graphql(self, query: str, variables: Mapping[str, Any], kind: type[S], read: Callable[[S], T]) -> T:
        """Run one GraphQL query and return its result; see `begin_graphql`."""
        with self.begin_graphql(query, variables, kind, read) as response:
            return response()

    @contextlib.contextmanager
    def begin_graphql(
        self, query: str, variables: Mapping[str, Any], kind: type[S], read: Callable[[S], T]
    ) -> Iterator[Callable[[], T]]:
        """Send one GraphQL query; the yielded function waits, and returns what `read` makes of its decoded `data`.

        Args:
            query: the query.
            variables: its variables.
            kind: the type of `data`.
            read: its result; an exception counts as a failure of GitHub and is retried.

        Raises:
            NotSignedIn: there are no credentials, or GitHub rejects them.
            ExternalError: GitHub or the network failed, after retries, or the response cannot be
                decoded.
            TrunklineError: GitHub responded with errors.
        """
        payload = json.dumps({"query": query, "variables": dict(variables)}).encode()
        with self._begin(*GRAPHQL, stdin=payload) as child:
            started = [child]

            def request() -> T:
                done = started.pop().finish() if started else self._run(*GRAPHQL, stdin=payload)
                return _read_data(done, kind, read)

            yield lambda: retrying(request, reporter=self.reporter)

    def _mutate_graphql(
        self, payload: bytes, kind: type[S], read: Callable[[S], T], *, shown: Callable[[T], PullRequest | None]
    ) -> T:
        """Send one GraphQL mutation, throttled and without a retry; otherwise as `graphql`.

        Args:
            payload: the mutation.
            kind: the type of `data`.
            read: its result.
            shown: returns the pull request as the response shows it, if the mutation changed nothing else.
        """
        throttle()
        answer = None
        try:
            result = _read_data(self._run(*GRAPHQL, stdin=payload), kind, read)
            answer = shown(result)
        finally:
            number = answer.number if answer else None
            self.changes.append(Change(Part.PULLS if answer else Part.REMOTE, number=number, pull_request=answer))
        return result

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

    def _request(
        self,
        path: str,
        kind: type[T],
        *more: str,
        stdin: bytes = b"",
        also: frozenset[int] = frozenset(),
        only: PrNumber | None = None,
    ) -> T:
        """Return the decoded response of one request below `repos/OWNER/NAME/`.

        Args:
            path: the path.
            kind: the type of the response.
            *more: further arguments of `gh api`.
            stdin: the body of the request.
            also: statuses of errors that are a response of this type, too.
            only: the pull request that a mutation changes, if it changes nothing else.
        """
        return _decoded(rest_response(self._run(self._path(path), *more, stdin=stdin, only=only), also=also), kind)

    def _run(self, *args: str, stdin: bytes, only: PrNumber | None = None) -> process.Completed:
        try:
            with self._begin(*args, stdin=stdin) as child:
                return child.finish()
        finally:
            if "-X" in args:
                self.changes.append(Change(Part.REMOTE if only is None else Part.PULLS, number=only))

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


def _read_data(done: process.Completed, kind: type[S], read: Callable[[S], T]) -> T:
    response = responses.graphql_response(done)
    with parsing(response):
        return read(decode(response.body["data"], kind))


def _decoded(response: Response, kind: type[T]) -> T:
    with parsing(response):
        return decode(response.body, kind)
