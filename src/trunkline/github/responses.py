"""What gh printed, judged: by the HTTP status line, the headers and the JSON; never by a sentence alone.

gh retries nothing, exits 1 for nearly everything and prints the reason in several places; `gh api -i` prints the
status line even on failure.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.domain.command import task_command
from trunkline.domain.errors import NotSignedIn, Refused, TransientError, TrunklineError, UsageError
from trunkline.domain.sign_in import SSO_SETTINGS
from trunkline.system import process

_MINUTE = 60.0
"""What GitHub asks for where a rate limit names no time."""
_USABLE = frozenset({200, 201, 202})
_FIRST_REFUSAL = 400
_EMPTY = 204  # HTTP No Content
_NO_CREDENTIALS = 4  # gh's exit code when no credentials are configured at all


class NotFound(UsageError):
    """GitHub has no such thing, or does not show it (404)."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer as gh printed it: status 0 where there was none."""

    status: int
    headers: Mapping[str, str]
    body: Any
    done: process.Completed

    @property
    def errors(self) -> tuple[Any, ...]:
        """What its body lists as errors: objects (GraphQL, REST) or sentences (REST); nothing where it is no list."""
        found = self.body.get("errors") if isinstance(self.body, dict) else None
        return tuple(found) if isinstance(found, list) else ()

    def absent(self, *path: str) -> bool:
        """Say whether a GraphQL answer says that something does not exist; a null alone says nothing."""
        return any(error_type(error) == "NOT_FOUND" and error.get("path") == list(path) for error in self.errors)


@contextlib.contextmanager
def understood(answer: Answer) -> Iterator[None]:
    """Turn what goes wrong while an answer is read into the failure that it is.

    Raises:
        TransientError: the answer is not what GitHub's schema says: cut off, or not GitHub's.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, UsageError) as error:
        raise TransientError(
            "GitHub's answer is not what its schema says",
            why=f"{type(error).__name__}: {error}",
            command=command_line(answer.done),
            next_command="gh api rate_limit",
        ) from error


def _shown(error: object) -> str:
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def messages(errors: Sequence[object]) -> str:
    """Return what errors say, for people; those that are no objects say nothing."""
    return "; ".join(str(error.get("message")) for error in errors if isinstance(error, dict))


def error_type(error: object) -> str:
    """Return the type of a GraphQL error, or "" where it has none."""
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def judged(done: process.Completed, *, also: frozenset[int] = frozenset()) -> Answer:
    """Return the answer of a `gh api --include` of REST that ended, if it is usable: a JSON object, or no content.

    Args:
        done: the ended gh.
        also: further HTTP statuses whose answer is usable where it has `details`.

    Raises:
        TrunklineError: it is not; of the kind that the status and the headers tell.
    """
    answer = _answer(done)
    if answer.status in also and isinstance(answer.body, dict) and "details" in answer.body:
        return answer
    if answer.status == _EMPTY and done.returncode == 0:
        return answer
    if answer.status in _USABLE and isinstance(answer.body, dict) and done.returncode == 0:
        return answer
    raise _failure(answer)


def graphql(done: process.Completed, *, absent: bool = False) -> Answer:
    """Return the answer of a `gh api graphql --include` that ended, if it has data.

    Args:
        done: the ended gh.
        absent: errors that only say that something does not exist are usable, beside data (`Answer.absent`).

    Raises:
        TrunklineError: it has none, or errors; of the kind that the status, the headers and the error types tell.
    """
    answer = _answer(done)
    if answer.status not in _USABLE or not isinstance(answer.body, dict):
        raise _failure(answer)
    refused = [error for error in answer.errors if not (absent and error_type(error) == "NOT_FOUND")]
    if refused or (done.returncode != 0 and not answer.errors):
        raise _failure(answer)
    if not isinstance(answer.body.get("data"), dict):
        raise TransientError(
            "GitHub answered without data", why="no `data`, and no reason", command=command_line(done)
        )
    return answer


def _answer(done: process.Completed) -> Answer:
    head, _, body = done.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    match = re.match(r"HTTP/[\d.]+ (\d{3})", lines[0])
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):  # no JSON, or brackets without end
        parsed = None
    return Answer(int(match[1]) if match else 0, headers, parsed, done)


def _failure(answer: Answer) -> TrunklineError:
    done = answer.done
    message = done.error_text or (str(answer.body.get("message", "")) if isinstance(answer.body, dict) else "")
    kind, what, following = _classified(answer, message)
    first = message.splitlines()[0] if message else f"exit code {done.returncode}"
    why = "; ".join([first, *(_shown(error) for error in answer.errors)])
    if issubclass(kind, TransientError):
        return kind(
            what, why=why, command=command_line(done), stderr=done.error_text, next_command=following,
            wait=_asked_wait(answer, message),
        )  # fmt: skip
    return kind(what, why=why, command=command_line(done), stderr=done.error_text, next_command=following)


def _asked_wait(answer: Answer, message: str) -> float | None:
    """Return the seconds that GitHub asked to wait: Retry-After, else the reset of a spent limit, else a minute.

    Source: docs.github.com, "Best practices for using the REST API", "Handle rate limit errors appropriately".
    None where it was no rate limit.
    """
    after = answer.headers.get("retry-after", "")
    if after.isascii() and after.isdigit():
        return float(after)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit():
        return max(float(reset) - time.time(), 1.0)
    return _MINUTE if _limited(answer, message) else None


def _limited(answer: Answer, message: str) -> bool:
    return (
        answer.status == 429  # noqa: PLR2004 -- HTTP Too Many Requests
        or "rate limit" in message.lower()
        or answer.headers.get("x-ratelimit-remaining") == "0"
    )


def _classified(answer: Answer, message: str) -> tuple[type[TrunklineError], str, str]:
    status = answer.status
    if (url := _sso(answer, message)) is not None:
        what = "GitHub wants your token authorized for this organization (SAML single sign-on)"
        return NotSignedIn, what, f"python3 -m webbrowser {shlex.quote(url or SSO_SETTINGS)}"
    not_signed_in = NotSignedIn, "you are not signed in to GitHub", "gh auth login"
    if answer.done.returncode == _NO_CREDENTIALS:
        return not_signed_in
    if _limited(answer, message):
        wait = _asked_wait(answer, message) or _MINUTE
        return TransientError, f"GitHub's rate limit is reached; it asks to wait {wait:.0f} s", "gh api rate_limit"
    refused = _refused_by_graphql(answer)
    if refused:
        return refused
    if status >= _FIRST_REFUSAL and not _is_githubs(answer):
        return TransientError, f"something between here and GitHub answered with status {status}", "gh api rate_limit"
    verdicts: dict[int, tuple[type[TrunklineError], str, str]] = {
        400: (Refused, "GitHub refused the request", task_command("checklist")),
        401: not_signed_in,
        403: (NotSignedIn, "GitHub does not let you do this", "gh auth refresh --scopes repo"),
        404: (NotFound, "GitHub has no such thing, or does not show it to you", "gh auth status"),
        405: (Refused, "GitHub does not merge it", "gh pr view --web"),
        409: (Refused, "GitHub refused: the pull request changed meanwhile", task_command("checklist")),
        422: (Refused, "GitHub refused the change", task_command("checklist")),
    }
    return verdicts.get(status, (TransientError, "GitHub could not be reached or failed", "gh auth status"))


def _is_githubs(answer: Answer) -> bool:
    """Say whether a failure is GitHub's own: a JSON object with a message. A proxy's page is HTML."""
    return isinstance(answer.body, dict) and isinstance(answer.body.get("message"), str)


def _sso(answer: Answer, message: str) -> str | None:
    """Return the address at which a token is authorized for an organization with SAML; None: it is not that.

    Source: docs.github.com, "Authenticating with SAML single sign-on" (REST: `X-GitHub-SSO: required; url=URL`;
    GraphQL: `extensions.saml_failure`).
    """
    header = answer.headers.get("x-github-sso", "")
    if header.startswith("required"):
        return header.partition("url=")[2].strip()
    extensions = (error.get("extensions") for error in answer.errors if isinstance(error, dict))
    if (
        any(isinstance(each, dict) and each.get("saml_failure") for each in extensions)
        or "SAML enforcement" in message
    ):
        return ""
    return None


def _refused_by_graphql(answer: Answer) -> tuple[type[TrunklineError], str, str] | None:
    """Judge the errors of a GraphQL answer, which comes with status 200, by their types; None: it may pass."""
    if answer.status != 200:  # noqa: PLR2004 -- HTTP OK
        return None
    verdicts = (_GRAPHQL_VERDICTS.get(error_type(error)) for error in answer.errors)
    found = next((verdict for verdict in verdicts if verdict), None)
    return found and (found[0], found[1], found[2] or task_command("checklist"))


_GRAPHQL_VERDICTS: dict[str, tuple[type[TrunklineError], str, str]] = {
    "FORBIDDEN": (NotSignedIn, "GitHub does not let you do this", "gh auth refresh --scopes repo"),
    "INSUFFICIENT_SCOPES": (NotSignedIn, "GitHub does not let you do this", "gh auth refresh --scopes repo"),
    "NOT_FOUND": (UsageError, "GitHub has no such thing, or does not show it to you", "gh auth status"),
    "UNPROCESSABLE": (Refused, "GitHub refused the change", ""),
}


def command_line(done: process.Completed) -> str:
    """Return what was typed, cut to what fits a screen."""
    return done.command_line if len(done.command_line) < 300 else done.command_line[:300] + " ..."  # noqa: PLR2004 -- fits a screen
