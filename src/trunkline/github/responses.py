"""Parse gh's output and classify failures by HTTP status, headers and JSON.

gh never retries, exits with 1 for nearly every error, and prints the reason in varying places. `gh
api --include` prints the status line and the headers also on failure, so the classification does
not depend on the wording of a message alone.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from trunkline.domain.command import task_command
from trunkline.domain.errors import NotSignedIn, Refused, TransientError, TrunklineError, UsageError
from trunkline.domain.sign_in import SSO_SETTINGS
from trunkline.system import process
from trunkline.system.environment import token_variable

_MINUTE = 60.0
"""Wait after a rate limit that names no time, as GitHub recommends."""
_USABLE = frozenset({200, 201, 202})
_FIRST_REFUSAL = 400
_EMPTY = 204  # HTTP No Content
_NO_CREDENTIALS = 4  # gh's exit code if no credentials are configured


class NotFound(UsageError):
    """GitHub has no such object, or hides it from this user (404)."""


class Response(msgspec.Struct, frozen=True):
    """One HTTP response as printed by gh; status 0: there was none."""

    status: int
    headers: Mapping[str, str]
    body: Any
    done: process.Completed

    @property
    def errors(self) -> tuple[Any, ...]:
        """The errors in the body: objects (GraphQL, REST) or sentences (REST).

        () unless it is a list.
        """
        found = self.body.get("errors") if isinstance(self.body, dict) else None
        return tuple(found) if isinstance(found, list) else ()

    def is_absent(self, *path: str) -> bool:
        """Return whether a GraphQL response reports NOT_FOUND for a path.

        Null alone proves nothing.
        """
        return any(error_type(error) == "NOT_FOUND" and error.get("path") == list(path) for error in self.errors)


@contextlib.contextmanager
def parsing(response: Response) -> Iterator[None]:
    """Turn exceptions of a decoder into a TransientError.

    Raises:
        TransientError: the response does not match GitHub's schema: truncated, or not from GitHub.
    """
    try:
        yield
    except (LookupError, ValueError) as error:
        raise TransientError(
            "GitHub's response does not match its schema",
            why=f"{type(error).__name__}: {error}",
            command=command_line(response.done),
            next_command="gh api rate_limit",
        ) from error


def _error_text(error: object) -> str:
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def messages(errors: Sequence[object]) -> str:
    """Return the messages of errors that are objects, for people."""
    return "; ".join(str(error.get("message")) for error in errors if isinstance(error, dict))


def error_type(error: object) -> str:
    """Return the type of a GraphQL error, or "" if it has none."""
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def rest_response(done: process.Completed, *, also: frozenset[int] = frozenset()) -> Response:
    """Return the response of a `gh api --include` of REST: a JSON object, an array, or no content.

    Args:
        done: the finished gh process.
        also: further HTTP statuses that are accepted if the body has `details`.

    Raises:
        TrunklineError: the request failed; the class depends on the status and the headers.
    """
    response = _response(done)
    if response.status in also and isinstance(response.body, dict) and "details" in response.body:
        return response
    if response.status == _EMPTY and done.returncode == 0:
        return response
    if response.status in _USABLE and isinstance(response.body, (dict, list)) and done.returncode == 0:
        return response
    raise _failure(response)


def graphql_response(done: process.Completed, *, absent: bool = False) -> Response:
    """Return the response of a `gh api graphql --include`, with data.

    Args:
        done: the finished gh process.
        absent: accept NOT_FOUND errors beside data (see `Response.is_absent`).

    Raises:
        TrunklineError: it has no data, or errors; the class depends on status, headers and error
            types.
    """
    response = _response(done)
    if response.status not in _USABLE or not isinstance(response.body, dict):
        raise _failure(response)
    refused = [error for error in response.errors if not (absent and error_type(error) == "NOT_FOUND")]
    if refused or (done.returncode != 0 and not response.errors):
        raise _failure(response)
    if not isinstance(response.body.get("data"), dict):
        raise TransientError(
            "GitHub's response has no data", why="it has no `data` and no error", command=command_line(done)
        )
    return response


def _response(done: process.Completed) -> Response:
    head, _, body = done.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    match = re.match(r"HTTP/[\d.]+ (\d{3})", lines[0])
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, or nested too deeply
        parsed = None
    return Response(int(match[1]) if match else 0, headers, parsed, done)


def _failure(response: Response) -> TrunklineError:
    done = response.done
    message = done.error_text or (str(response.body.get("message", "")) if isinstance(response.body, dict) else "")
    kind, what, following = _classified(response, message)
    first = message.splitlines()[0] if message else f"exit code {done.returncode}"
    why = "; ".join([first, *(_error_text(error) for error in response.errors)])
    if issubclass(kind, TransientError):
        return kind(
            what, why=why, command=command_line(done), stderr=done.error_text, next_command=following,
            wait=_requested_wait(response, message),
        )  # fmt: skip
    return kind(what, why=why, command=command_line(done), stderr=done.error_text, next_command=following)


def _requested_wait(response: Response, message: str) -> float | None:
    """Return the seconds to wait after a rate limit; None: the failure was no rate limit.

    Retry-After, else the reset time of an exhausted limit, else a minute. Source: docs.github.com,
    "Best practices for using the REST API", "Handle rate limit errors appropriately".
    """
    after = response.headers.get("retry-after", "")
    if after.isascii() and after.isdigit():
        return float(after)
    reset = response.headers.get("x-ratelimit-reset", "")
    if response.headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit():
        return max(float(reset) - time.time(), 1.0)
    return _MINUTE if _limited(response, message) else None


def _limited(response: Response, message: str) -> bool:
    return (
        response.status == 429  # noqa: PLR2004 -- HTTP Too Many Requests
        or "rate limit" in message.lower()
        or response.headers.get("x-ratelimit-remaining") == "0"
    )


_MORE_RIGHTS = 'gh auth refresh --hostname "${GH_HOST:-github.com}" --scopes repo'
"""Without a terminal, gh demands the host."""
_ARCHIVED = Refused, "the repository is archived: GitHub takes no change of it", "gh repo unarchive"
"""Source: GitHub's message "Repository was archived so is read-only."."""


def _classified(response: Response, message: str) -> tuple[type[TrunklineError], str, str]:
    status = response.status
    if (url := _sso(response, message)) is not None:
        what = "GitHub requires a token that is authorized for this organization (SAML single sign-on)"
        return NotSignedIn, what, f"python3 -m webbrowser {shlex.quote(url or SSO_SETTINGS)}"
    variable = token_variable()  # while it is set, `gh auth login` and `gh auth refresh` refuse
    clear = f"unset {variable}   # GitHub does not accept the token in it; then: gh auth login"
    not_signed_in = NotSignedIn, "you are not signed in to GitHub", clear if variable else "gh auth login"
    if response.done.returncode == _NO_CREDENTIALS:
        return not_signed_in
    if _limited(response, message):
        wait = _requested_wait(response, message) or _MINUTE
        return TransientError, f"GitHub's rate limit is reached; it asks to wait {wait:.0f} s", "gh api rate_limit"
    archived = "archived so is read-only" in " ".join((message, *map(_error_text, response.errors)))
    refused = _ARCHIVED if archived else _refused_by_graphql(response)
    if refused:
        return refused[0], refused[1], _with_rights(refused[2], variable)
    if status >= _FIRST_REFUSAL and not _is_githubs(response):
        return TransientError, f"a proxy, not GitHub, responded with status {status}", "gh api rate_limit"
    verdicts: dict[int, tuple[type[TrunklineError], str, str]] = {
        400: (Refused, "GitHub refused the request", task_command("status")),
        401: not_signed_in,
        403: (NotSignedIn, "GitHub does not let you do this", _with_rights(_MORE_RIGHTS, variable)),
        404: (NotFound, "GitHub has no such object, or does not show it to you", "gh auth status"),
        405: (Refused, "GitHub does not allow it", task_command("status")),
        409: (Refused, "GitHub refused: the pull request changed meanwhile", task_command("status")),
        422: (Refused, "GitHub refused the change", task_command("status")),
    }
    failed = f"GitHub failed with status {status}" if status else "GitHub could not be reached"
    return verdicts.get(status, (TransientError, failed, "gh api rate_limit   # succeeds once it responds"))


def _with_rights(command: str, variable: str) -> str:
    """Return a command, or for `gh auth refresh` the page of the token that a variable holds."""
    if command != _MORE_RIGHTS or not variable:
        return command
    return f"python3 -m webbrowser {SSO_SETTINGS}   # the token in {variable} needs the scope repo"


def _is_githubs(response: Response) -> bool:
    """Return whether GitHub itself sent an error: a JSON object with a message.

    Proxies send HTML.
    """
    return isinstance(response.body, dict) and isinstance(response.body.get("message"), str)


def _sso(response: Response, message: str) -> str | None:
    """Return the URL where a token is authorized for a SAML organization; None: another failure.

    Source: docs.github.com, "Authenticating with SAML single sign-on" (REST: `X-GitHub-SSO:
    required; url=URL`; GraphQL: `extensions.saml_failure`).
    """
    header = response.headers.get("x-github-sso", "")
    if header.startswith("required"):
        return header.partition("url=")[2].strip()
    extensions = (error.get("extensions") for error in response.errors if isinstance(error, dict))
    if (
        any(isinstance(each, dict) and each.get("saml_failure") for each in extensions)
        or "SAML enforcement" in message
    ):
        return ""
    return None


def _refused_by_graphql(response: Response) -> tuple[type[TrunklineError], str, str] | None:
    """Classify the errors of a GraphQL response with status 200 by their types; None: transient."""
    if response.status != 200:  # noqa: PLR2004 -- HTTP OK
        return None
    verdicts = (_GRAPHQL_VERDICTS.get(error_type(error)) for error in response.errors)
    found = next((verdict for verdict in verdicts if verdict), None)
    return found and (found[0], found[1], found[2] or task_command("status"))


_GRAPHQL_VERDICTS: dict[str, tuple[type[TrunklineError], str, str]] = {
    "FORBIDDEN": (NotSignedIn, "GitHub does not let you do this", _MORE_RIGHTS),
    "INSUFFICIENT_SCOPES": (NotSignedIn, "GitHub does not let you do this", _MORE_RIGHTS),
    "NOT_FOUND": (UsageError, "GitHub has no such object, or does not show it to you", "gh auth status"),
    "UNPROCESSABLE": (Refused, "GitHub refused the change", ""),
}


def command_line(done: process.Completed) -> str:
    """Return the command line, truncated to fit a screen."""
    return done.command_line if len(done.command_line) < 300 else done.command_line[:300] + " ..."  # noqa: PLR2004 -- fits a screen
