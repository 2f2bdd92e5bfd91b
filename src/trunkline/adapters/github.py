"""The only module that spells `gh`: one GraphQL read for a whole stack, and the few writes that we make.

gh retries nothing, exits 1 for nearly everything and prints the reason in several places, so answers are judged
by the HTTP status line that `gh api -i` prints even on failure, by the headers and by the JSON; never by a sentence
alone.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from trunkline.adapters.patience import patiently
from trunkline.domain.errors import NotSignedIn, OutsideFailed, Refused, Transient, TrunklineError, UsageError
from trunkline.domain.names import Oid, PrNumber, oid, pr_number
from trunkline.domain.snapshot import CheckRun, ForcePush, PrState, PullRequest, Snapshot
from trunkline.kernel import proc

T = TypeVar("T")
SECONDS = 60.0
_MINUTE = 60.0
"""What GitHub asks for where a rate limit names no time."""
_GRAPHQL = ("graphql", "--input", "-")
_NO_CREDENTIALS = 4  # gh's exit code when no credentials are configured at all
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
# host:owner/name in the three shapes that git accepts for a GitHub remote (gitprotocol and gh's own parser).
_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/]+@)?(?P<host>[^/:]+)(?::\d+)?/|(?:[^@/]+@)?(?P<scp>[^/:]+):)"
    r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?"
)
_ENTRY = """
fragment entry on PullRequest {
  id number title url state isDraft body baseRefName headRefName headRefOid
  reviewDecision mergeable mergeStateStatus isInMergeQueue
  headRepository { nameWithOwner }
  mergedAt mergeCommit { oid parents(first: 3) { nodes { oid } } }
  timelineItems(last: 100, itemTypes: [HEAD_REF_FORCE_PUSHED_EVENT]) {
    nodes { ... on HeadRefForcePushedEvent { beforeCommit { oid } afterCommit { oid } } }
  }
  commits(last: 1) { totalCount nodes { commit { statusCheckRollup { contexts(first: 100) { nodes {
    ... on CheckRun { name status conclusion annotations(first: 5) { nodes { message } } }
    ... on StatusContext { context state }
  } } } } } }
}
"""


@dataclass(frozen=True)
class Repository:
    """A repository on a GitHub host."""

    host: str
    owner: str
    name: str

    @property
    def slug(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def argument(self) -> str:
        """What gh's `--repo` takes; the host only where it is not the default one."""
        return self.slug if self.host == "github.com" else f"{self.host}/{self.slug}"


def repository_of(url: str) -> Repository:
    """Return the repository that a git remote's URL names.

    Raises:
        UsageError: it is not a GitHub-like URL.
    """
    match = _REMOTE.fullmatch(url)
    if not match:
        raise UsageError(
            f"the remote {url} is not on GitHub",
            why="expected git@HOST:OWNER/NAME.git or https://HOST/OWNER/NAME",
            next_command="git remote -v",
        )
    host = (match["host"] or match["scp"]).lower()
    return Repository("github.com" if host == "ssh.github.com" else host, match["owner"], match["name"])


@dataclass(frozen=True)
class Answer:
    """One HTTP answer as gh printed it: status 0 where there was none."""

    status: int
    headers: Mapping[str, str]
    body: Any
    done: proc.Completed


@dataclass(frozen=True)
class GitHub:
    """One repository on GitHub, asked through gh.

    Attributes:
        repository: which.
        cwd: where gh runs; it needs no checkout, since every call names the repository.
        waiting: told when GitHub is asked again after a failure.
    """

    repository: Repository
    cwd: Path
    waiting: Callable[[str], None] | None = None

    @contextlib.contextmanager
    def reading_stack(self, numbers: Sequence[PrNumber]) -> Iterator[Callable[[], Snapshot]]:
        """Read every pull request of a stack, its checks and its force-push history, in one round trip.

        One query with an alias a PR: 12 PRs took 243 ms against 1,377 ms for 12 `gh pr view` (measured). The
        question is sent on entering; what the context gives is called for the answer. In between, git can work.

        Raises:
            NotSignedIn: no credentials, or they are not accepted.
            UsageError: GitHub has no such repository for us.
            OutsideFailed: GitHub or the network failed.
        """
        aliases = "\n".join(f"pr{number}: pullRequest(number: {number}) {{ ...entry }}" for number in numbers)
        query = (
            "query Stack($owner: String!, $name: String!) { viewer { login } rateLimit { remaining resetAt }"
            f" repository(owner: $owner, name: $name) {{ nameWithOwner {aliases} }} }}" + _ENTRY
        )
        variables = {"owner": self.repository.owner, "name": self.repository.name}
        payload = json.dumps({"query": query, "variables": variables}).encode()
        with self._begin(*_GRAPHQL, stdin=payload) as child:
            begun = [child]

            def ask() -> Answer:
                done = begun.pop().finish() if begun else self._run(*_GRAPHQL, stdin=payload)
                return _judged(done, partial=True)

            yield lambda: self._snapshot(patiently(ask, tell=self.waiting), numbers)

    def graphql(self, query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask one GraphQL query and return its `data`.

        Raises:
            NotSignedIn: no credentials, or they are not accepted.
            OutsideFailed: GitHub or the network failed, after retries.
            TrunklineError: GitHub answered with errors.
        """
        payload = json.dumps({"query": query, "variables": dict(variables)}).encode()
        answer = patiently(lambda: _judged(self._run(*_GRAPHQL, stdin=payload)), tell=self.waiting)
        return dict(answer.body["data"])

    def set_draft(self, pr: PullRequest, *, draft: bool) -> PullRequest:
        """Mark a pull request ready for review, or a draft again, and return it as GitHub now has it.

        What `gh pr ready` does (REST cannot), in one request instead of its two, and the answer is the fresh look
        that whoever writes the description next needs.

        Raises:
            Refused: GitHub does not take the change.
        """
        name = "convertPullRequestToDraft" if draft else "markPullRequestReadyForReview"
        operation = "ConvertPullRequestToDraft" if draft else "PullRequestReadyForReview"  # as gh calls them
        mutation = (
            f"mutation {operation}($id: ID!)"
            f" {{ {name}(input: {{pullRequestId: $id}}) {{ pullRequest {{ ...entry }} }} }}"
        )
        payload = json.dumps({"query": mutation + _ENTRY, "variables": {"id": pr.node_id}}).encode()

        def write() -> PullRequest:
            answer = _judged(self._run(*_GRAPHQL, stdin=payload))
            return _pull_request(answer.body["data"][name]["pullRequest"])

        def written() -> PullRequest | None:
            with self.reading_stack([pr.number]) as answer:
                held = answer().pr(pr.number)
            return held if held is not None and held.draft is draft else None

        return self._insist(write, written)

    def edit(self, number: PrNumber, *, seen_body: str | None = None, **fields: str) -> Mapping[str, Any]:
        """Change `body` or `base` of a pull request and return it as GitHub now has it.

        REST: one request instead of gh pr edit's three, and gh before 2.82 fails there on classic projects.

        Args:
            number: of the pull request.
            seen_body: the description that a new one was made from: where a failed write is repeated, it must be
                that still.
            **fields: what changes.

        Raises:
            Refused: GitHub does not take the change (422): a closed pull request, a base that is not there.
        """
        path = f"repos/{self.repository.slug}/pulls/{number}"

        def write() -> Mapping[str, Any]:
            answer = self._api("-X", "PATCH", path, "--input", "-", stdin=json.dumps(fields).encode())
            return dict(answer.body)

        def written() -> Mapping[str, Any] | None:
            held = self._pull(number)
            now = {"body": held.get("body") or "", "base": (held.get("base") or {}).get("ref")}
            if all(now[name] == value for name, value in fields.items()):
                return held
            if seen_body is not None and now["body"] != seen_body:
                raise Refused(
                    f"the description of #{number} was edited at the same moment",
                    why="a write of ours failed, and what stands there now is neither what we saw nor what we wrote",
                    next_command="invoke continue",
                )
            return None

        return self._insist(write, written)

    def _pull(self, number: PrNumber) -> Mapping[str, Any]:
        return dict(self._api(f"repos/{self.repository.slug}/pulls/{number}", stdin=b"").body)

    def _insist(self, write: Callable[[], T], written: Callable[[], T | None]) -> T:
        """Write; after a failure that may pass, read first whether the write arrived, and only then repeat it."""
        failed = False

        def attempt() -> T:
            nonlocal failed
            if failed and (found := written()) is not None:
                return found
            failed = True
            return write()

        return patiently(attempt, tell=self.waiting)

    def _snapshot(self, answer: Answer, numbers: Sequence[PrNumber]) -> Snapshot:
        data = answer.body.get("data") or {}
        repository = data.get("repository")
        if repository is None:
            raise self._no_repository(answer)
        unexpected = [e for e in answer.body.get("errors", ()) if e.get("type") != "NOT_FOUND"]
        if unexpected:
            raise OutsideFailed(
                "GitHub answered the stack's query with errors",
                why="; ".join(str(error.get("message")) for error in unexpected),
                command=_typed(answer.done),
            )
        try:
            found = {n: _pull_request(node) if (node := repository.get(f"pr{n}")) else None for n in numbers}
            viewer = str((data.get("viewer") or {}).get("login", ""))
            return Snapshot(found, viewer, str(repository["nameWithOwner"]))
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise OutsideFailed(
                "GitHub's answer is not what its schema says",
                why=f"{type(error).__name__}: {error}",
                command=_typed(answer.done),
            ) from error

    def _no_repository(self, answer: Answer) -> TrunklineError:
        return UsageError(
            f"GitHub shows you no repository {self.repository.slug}",
            why="; ".join(str(e.get("message")) for e in answer.body.get("errors", ()))
            or "it does not exist, or is private",
            command=_typed(answer.done),
            next_command="gh auth status",
        )

    def _api(self, *args: str, stdin: bytes) -> Answer:
        return _judged(self._run(*args, stdin=stdin))

    def _run(self, *args: str, stdin: bytes) -> proc.Completed:
        with self._begin(*args, stdin=stdin) as child:
            return child.finish()

    def _begin(self, *args: str, stdin: bytes) -> AbstractContextManager[proc.Running]:
        host = () if self.repository.host == "github.com" else ("--hostname", self.repository.host)
        # GH_REPO and GH_HOST would send a call elsewhere than where the remote is.
        env = proc.environment(tokens=True, extra=_ENV)
        for name in ("GH_REPO", "GH_HOST", "GH_DEBUG"):
            env.pop(name, None)
        argv = ["gh", "api", "--include", *host, *args]
        return proc.begin(argv, cwd=self.cwd, env=env, timeout=SECONDS, stdin=stdin)


def _judged(done: proc.Completed, *, partial: bool = False) -> Answer:
    answer = _answer(done)
    usable = answer.status == 200 and isinstance(answer.body, dict)  # noqa: PLR2004 -- HTTP OK
    if usable and (done.returncode == 0 or (partial and answer.body.get("data"))):
        return answer
    raise _failure(answer)


def _answer(done: proc.Completed) -> Answer:
    head, _, body = done.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    match = re.match(r"HTTP/[\d.]+ (\d{3})", lines[0])
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    return Answer(int(match[1]) if match else 0, headers, parsed, done)


def _failure(answer: Answer) -> TrunklineError:
    done = answer.done
    told = done.error_text or (str(answer.body.get("message", "")) if isinstance(answer.body, dict) else "")
    detail = [str(error) for error in answer.body.get("errors", ())] if isinstance(answer.body, dict) else []
    kind, what, following = _classified(answer, told)
    why = "; ".join([told.splitlines()[0] if told else f"exit code {done.returncode}", *detail])
    if issubclass(kind, Transient):
        return kind(
            what, why=why, command=_typed(done), stderr=done.error_text, next_command=following,
            wait=_asked_wait(answer, told),
        )  # fmt: skip
    return kind(what, why=why, command=_typed(done), stderr=done.error_text, next_command=following)


def _asked_wait(answer: Answer, told: str) -> float | None:
    """Return the seconds that GitHub asked to wait: Retry-After, else the reset of a spent limit, else a minute.

    Source: docs.github.com, "Best practices for using the REST API", "Handle rate limit errors appropriately".
    None where it was no rate limit.
    """
    after = answer.headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(float(reset) - time.time(), 1.0)
    return _MINUTE if _limited(answer, told) else None


def _limited(answer: Answer, told: str) -> bool:
    return (
        answer.status == 429  # noqa: PLR2004 -- HTTP Too Many Requests
        or "rate limit" in told.lower()
        or answer.headers.get("x-ratelimit-remaining") == "0"
    )


def _classified(answer: Answer, told: str) -> tuple[type[TrunklineError], str, str]:
    status = answer.status
    if answer.done.returncode == _NO_CREDENTIALS or status == 401:  # noqa: PLR2004 -- HTTP Unauthorized
        return NotSignedIn, "you are not signed in to GitHub", "gh auth login"
    if _limited(answer, told):
        wait = _asked_wait(answer, told) or _MINUTE
        return Transient, f"GitHub's rate limit is reached; it asks to wait {wait:.0f} s", "gh api rate_limit"
    refused = _refused_by_graphql(answer)
    if refused:
        return refused
    verdicts: dict[int, tuple[type[TrunklineError], str, str]] = {
        403: (NotSignedIn, "GitHub does not let you do this", "gh auth refresh --scopes repo"),
        404: (UsageError, "GitHub has no such thing, or does not show it to you", "gh auth status"),
        409: (Refused, "GitHub refused: the pull request changed meanwhile", "invoke checklist"),
        422: (Refused, "GitHub refused the change", "invoke checklist"),
    }
    return verdicts.get(status, (Transient, "GitHub could not be reached or failed", "gh auth status"))


def _refused_by_graphql(answer: Answer) -> tuple[type[TrunklineError], str, str] | None:
    """Judge the errors of a GraphQL answer, which comes with status 200, by their types; None: it may pass."""
    errors = answer.body.get("errors", ()) if answer.status == 200 and isinstance(answer.body, dict) else ()  # noqa: PLR2004 -- HTTP OK
    for error in errors:
        verdict = _GRAPHQL_VERDICTS.get(str(error.get("type")) if isinstance(error, dict) else "")
        if verdict:
            return verdict
    return None


_GRAPHQL_VERDICTS: dict[str, tuple[type[TrunklineError], str, str]] = {
    "FORBIDDEN": (NotSignedIn, "GitHub does not let you do this", "gh auth refresh --scopes repo"),
    "INSUFFICIENT_SCOPES": (NotSignedIn, "GitHub does not let you do this", "gh auth refresh --scopes repo"),
    "NOT_FOUND": (UsageError, "GitHub has no such thing, or does not show it to you", "gh auth status"),
    "UNPROCESSABLE": (Refused, "GitHub refused the change", "invoke checklist"),
}


def _typed(done: proc.Completed) -> str:
    return done.typed if len(done.typed) < 300 else done.typed[:300] + " ..."  # noqa: PLR2004 -- fits a screen


def _pull_request(node: Mapping[str, Any]) -> PullRequest:
    merge = node["mergeCommit"]
    last = node["commits"]["nodes"]
    rollup = last[0]["commit"]["statusCheckRollup"] if last else None
    return PullRequest(
        node_id=node["id"],
        review=node["reviewDecision"] or "",
        mergeable=node["mergeable"],
        merge_state=node["mergeStateStatus"],
        queued=node["isInMergeQueue"],
        number=pr_number(node["number"]),
        title=node["title"],
        url=node["url"],
        state=PrState(node["state"]),
        draft=node["isDraft"],
        body=node["body"],
        base=node["baseRefName"],
        head=node["headRefName"],
        head_oid=oid(node["headRefOid"]),
        head_repository=(node["headRepository"] or {}).get("nameWithOwner", ""),
        merged_at=node["mergedAt"] or "",
        merge_commit=oid(merge["oid"]) if merge else None,
        merge_parents=tuple(oid(parent["oid"]) for parent in merge["parents"]["nodes"]) if merge else (),
        commit_count=node["commits"]["totalCount"],
        force_pushes=tuple(
            ForcePush(_oid_of(event.get("beforeCommit")), _oid_of(event.get("afterCommit")))
            for event in node["timelineItems"]["nodes"]
            if event
        ),
        checks=tuple(_check(context) for context in (rollup["contexts"]["nodes"] if rollup else ()) if context),
    )


def _oid_of(commit: Mapping[str, Any] | None) -> Oid | None:
    return oid(commit["oid"]) if commit else None


def _check(context: Mapping[str, Any]) -> CheckRun:
    if "context" in context:
        return CheckRun(context["context"], "COMPLETED", context["state"])
    notes = (context.get("annotations") or {}).get("nodes") or ()
    return CheckRun(
        name=context["name"],
        status=context["status"],
        conclusion=context["conclusion"] or "",
        annotations=tuple(str(note["message"]) for note in notes if note),
    )
