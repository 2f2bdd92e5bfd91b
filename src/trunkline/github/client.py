"""The only module that spells `gh`: one GraphQL read for a whole stack, and the few writes that we make."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, TransientError, TrunklineError, UsageError
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_ref, oid
from trunkline.domain.snapshot import PullRequest, Snapshot
from trunkline.github import responses
from trunkline.github.pull_request_nodes import ENTRY, MERGING, TRUNK, pull_request
from trunkline.github.responses import Answer, NotFound, command_line, judged, messages, understood
from trunkline.system import process
from trunkline.system.retry import retrying, sleep, throttle

T = TypeVar("T")
_POLLS = (0.5, 1.0, 2.0, 4.0, *[5.0] * 20)
"""Seconds between the questions whether a merge has ended: under two minutes in all."""
SECONDS = 60.0
_GRAPHQL = ("graphql", "--input", "-")
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
class Edited:
    """A pull request's description, base and state, as GitHub has them after a change."""

    body: str
    base: str
    state: str

    @classmethod
    def of(cls, held: Mapping[str, Any]) -> Edited:
        """Return them from REST's pull request."""
        body = held["body"]
        if body is not None and not isinstance(body, str):
            raise TypeError("the description is no text")
        return cls(body or "", str(held["base"]["ref"]), str(held["state"]))


_EDITS = 20
"""How many descriptions one request changes: GitHub ends a request that takes more than 10 s (docs.github.com,
"Rate limits and query limits for the GraphQL API")."""


def _update_bodies(edits: Sequence[tuple[PullRequest, str]]) -> bytes:
    """Return the GraphQL request that changes descriptions, an alias for each pull request."""
    declared = ", ".join(f"$id{pr.number}: ID!, $body{pr.number}: String!" for pr, _ in edits)
    fields = "\n".join(
        f"pr{pr.number}: updatePullRequest(input: {{pullRequestId: $id{pr.number}, body: $body{pr.number}}})"
        " { pullRequest { body } }"
        for pr, _ in edits
    )
    variables = {f"id{pr.number}": pr.node_id for pr, _ in edits} | {f"body{pr.number}": body for pr, body in edits}
    return json.dumps(
        {"query": f"mutation ReviewerNotes({declared}) {{ {fields} }}", "variables": variables}
    ).encode()


def _edited_meanwhile(number: PrNumber) -> Refused:
    return Refused(
        f"the description of #{number} was edited at the same moment",
        why="a write of ours failed, and what stands there now is neither what we saw nor what we wrote",
        next_command=task_command("continue"),
    )


_MERGE_STATES = frozenset({"pending", "merged", "enqueued", "failed"})


@dataclass(frozen=True)
class _Merging:
    """An answer of merge-async: a state, and what belongs to it (OpenAPI description, merge-async)."""

    status: str
    commit: str = ""
    message: str = ""
    request: str = ""

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> _Merging:
        """Return it from REST's answer."""
        status, details = str(result["status"]), dict(result.get("details") or {})
        if status not in _MERGE_STATES:
            raise ValueError(f"a merge that is {status!r}")
        commit = str(oid(details["sha"])) if status == "merged" else ""
        request = str(details["uuid"]) if status == "pending" else ""
        if request and not _UUID.fullmatch(request):
            raise ValueError(f"a merge request called {request!r}")
        return cls(status, commit, str(details.get("message", "")), request)


_UUID = re.compile(r"[0-9A-Za-z_-]{1,100}")


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
    def reading_stack(
        self, numbers: Sequence[PrNumber], *, merging: bool = False, trunk: BranchName | None = None
    ) -> Iterator[Callable[[], Snapshot]]:
        """Read every pull request of a stack, its checks and its force-push history, in one round trip.

        One query with an alias a PR: 12 PRs took 243 ms against 1,377 ms for 12 `gh pr view` (measured). The
        question is sent on entering; what the context gives is called for the answer. In between, git can work.

        Args:
            numbers: of the pull requests.
            merging: ask also what a merge needs to know: review and mergeability.
            trunk: ask also for the tip of this branch.

        Raises:
            NotSignedIn: no credentials, or they are not accepted.
            UsageError: GitHub has no such repository for us.
            ExternalError: GitHub or the network failed.
        """
        fields = "...entry ...merging" if merging else "...entry"
        aliases = "\n".join(f"pr{number}: pullRequest(number: {number}) {{ {fields} }}" for number in numbers)
        declared, wanted = (", $trunk: String!", TRUNK) if trunk else ("", "")
        query = (
            f"query Stack($owner: String!, $name: String!{declared}) {{ viewer {{ login }}"
            " rateLimit { remaining resetAt }"
            f" repository(owner: $owner, name: $name) {{ nameWithOwner {wanted} {aliases} }} }}"
            + ENTRY
            + (MERGING if merging else "")
        )
        variables = {"owner": self.repository.owner, "name": self.repository.name}
        if trunk:
            variables["trunk"] = branch_ref(trunk)
        payload = json.dumps({"query": query, "variables": variables}).encode()
        with self._begin(*_GRAPHQL, stdin=payload) as child:
            begun = [child]

            def ask() -> Snapshot:
                done = begun.pop().finish() if begun else self._run(*_GRAPHQL, stdin=payload)
                return self._snapshot(responses.graphql(done, absent=True), numbers)

            yield lambda: retrying(ask, reporter=self.waiting)

    def rest(self, path: str, read: Callable[[Mapping[str, Any]], T], *more: str) -> T:
        """Read below `repos/OWNER/NAME/` and return what `read` makes of the answer, a JSON object.

        Args:
            path: what follows.
            read: takes what it needs; what it raises for another shape is GitHub's failure, and read again.
            *more: further arguments of `gh api`.

        Raises:
            NotFound: there is no such thing.
            ExternalError: GitHub or the network failed, after retries, or the answer cannot be read.
        """
        return retrying(lambda: self._read(path, read, *more), reporter=self.waiting)

    def post(self, path: str, fields: Mapping[str, Any], *, arrived: Callable[[], bool]) -> None:
        """Write below `repos/OWNER/NAME/`.

        Args:
            path: what follows.
            fields: the body.
            arrived: says whether a write that failed did arrive; asked before it is repeated.

        Raises:
            NotFound: there is no such thing.
            Refused: GitHub does not take it.
        """
        stdin = json.dumps(fields).encode()
        write = ("-X", "POST", self._path(path), "--input", "-")
        self._insist(lambda: bool(self._api(*write, stdin=stdin)), lambda: arrived() or None)

    def download(self, run: int, artifact: str, into: Path) -> bool:
        """Unpack an artifact of a workflow run into a directory; False: gh could not, and it may not be there."""
        argv = ["gh", "run", "download", str(run), "--name", artifact, "--dir", str(into)]
        argv += ["--repo", self.repository.argument]
        with process.begin(argv, cwd=self.cwd, env=self._environment(), timeout=SECONDS) as child:
            return child.finish().returncode == 0

    def graphql(self, query: str, variables: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T:
        """Ask one GraphQL query and return what `read` makes of its `data`.

        Raises:
            NotSignedIn: no credentials, or they are not accepted.
            ExternalError: GitHub or the network failed, after retries, or the answer cannot be read.
            TrunklineError: GitHub answered with errors.
        """
        payload = json.dumps({"query": query, "variables": dict(variables)}).encode()

        def ask() -> T:
            answer = responses.graphql(self._run(*_GRAPHQL, stdin=payload))
            with understood(answer):
                return read(answer.body["data"])

        return retrying(ask, reporter=self.waiting)

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
        payload = json.dumps({"query": mutation + ENTRY, "variables": {"id": pr.node_id}}).encode()

        def write() -> PullRequest:
            throttle()
            answer = responses.graphql(self._run(*_GRAPHQL, stdin=payload))
            with understood(answer):
                return pull_request(answer.body["data"][name]["pullRequest"])

        def written() -> PullRequest | None:
            with self.reading_stack([pr.number]) as answer:
                held = answer().pr(pr.number)
            return held if held is not None and held.draft is draft else None

        return self._insist(write, written)

    def edit(self, number: PrNumber, *, seen_body: str | None = None, **fields: str) -> Edited:
        """Change `body`, `base` or `state` of a pull request and return these as GitHub now has them.

        REST: one request instead of gh pr edit's three, and gh before 2.82 fails there on classic projects.

        Args:
            number: of the pull request.
            seen_body: the description that a new one was made from: where a failed write is repeated, it must be
                that still.
            **fields: what changes.

        Raises:
            Refused: GitHub does not take the change (422): a closed pull request, a base that is not there.
        """
        path = f"pulls/{number}"

        def write() -> Edited:
            stdin = json.dumps(fields).encode()
            return self._read(path, Edited.of, "-X", "PATCH", "--input", "-", stdin=stdin)

        def written() -> Edited | None:
            held = self._read(path, Edited.of)
            if all(getattr(held, name) == value for name, value in fields.items()):
                return held
            if seen_body is not None and held.body != seen_body:
                raise _edited_meanwhile(number)
            return None

        return self._insist(write, written)

    def edit_bodies(self, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        """Change the descriptions of several pull requests and return them as GitHub now has them.

        One is changed by REST, several by one GraphQL request for each `_EDITS` of them: aliases of one mutation,
        which GitHub runs in order.

        Args:
            edits: each pull request as it was seen, and its new description.

        Raises:
            Refused: GitHub does not take a change, or a description was edited at the same moment.
        """
        if len(edits) == 1:
            ((pr, body),) = edits
            return {pr.number: self.edit(pr.number, seen_body=pr.body, body=body).body}
        held: dict[PrNumber, str] = {}
        for start in range(0, len(edits), _EDITS):
            held |= self._edit_together(edits[start : start + _EDITS])
        return held

    def _edit_together(self, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        left = list(edits)
        held: dict[PrNumber, str] = {}

        def write() -> dict[PrNumber, str]:
            throttle()
            answer = responses.graphql(self._run(*_GRAPHQL, stdin=_update_bodies(left)))
            with understood(answer):
                data = answer.body["data"]
                return held | {pr.number: str(data[f"pr{pr.number}"]["pullRequest"]["body"]) for pr, _ in left}

        def arrived() -> dict[PrNumber, str] | None:
            with self.reading_stack([pr.number for pr, _ in left]) as answer:
                now = answer()
            for pr, body in tuple(left):
                found = now.pr(pr.number)
                if found is not None and found.body == body:
                    held[pr.number] = body
                    left.remove((pr, body))
                elif found is not None and found.body != pr.body:
                    raise _edited_meanwhile(pr.number)
            return None if left else held

        return self._insist(write, arrived)

    def create_branch(self, branch: BranchName, tip: Oid) -> None:
        """Create a branch at a commit that the repository on GitHub has; one that is there by now is an error.

        REST, not a push: the commit need not be here.

        Raises:
            Refused: there is such a branch, or no such commit.
        """
        path = self._path("git/refs")
        stdin = json.dumps({"ref": branch_ref(branch), "sha": tip}).encode()

        def written() -> bool | None:
            try:
                held = self._read(f"git/ref/heads/{branch}", lambda body: str(body["object"]["sha"]))
            except NotFound:
                return None
            return True if held == tip else None

        self._insist(lambda: bool(self._api("-X", "POST", path, "--input", "-", stdin=stdin).body), written)

    def statuses(self, commit: Oid) -> dict[str, tuple[str, str]]:
        """Return the newest status of each context of a commit: (state, description)."""

        def read(body: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
            return {
                str(each["context"]): (str(each["state"]), str(each.get("description") or ""))
                for each in body["statuses"]
            }

        return self.rest(f"commits/{commit}/status", read)

    def set_status(self, commit: Oid, name: str, result: str) -> None:
        """Write a commit status that says success; the same twice is one, for whoever looks.

        Raises:
            Refused: there is no such commit.
        """
        fields = {"state": "success", "context": name, "description": result}
        path = self._path(f"statuses/{commit}")
        stdin = json.dumps(fields).encode()
        retrying(lambda: self._api("-X", "POST", path, "--input", "-", stdin=stdin), reporter=self.waiting)

    def native_stack(self, number: PrNumber) -> str:
        """Return the number of GitHub's native stack that a pull request is in, or "".

        Only REST tells (preview since 2026-07-30; OpenAPI description, pull-request-stack).
        """

        def read(body: Mapping[str, Any]) -> str:
            stack = body.get("stack")
            return str(stack.get("number", "?")) if isinstance(stack, dict) else ""

        return self.rest(f"pulls/{number}", read)

    def merge(self, number: PrNumber, *, head: Oid, method: str, title: str = "", message: str | None = None) -> str:
        """Merge a pull request, if its head is still `head`, and return its merge commit; "": a merge queue has it.

        By merge-async, GitHub's recommended way, then polled; where the host has none, by the synchronous call, to
        which `gh pr merge --match-head-commit` comes down too.

        Args:
            number: the pull request.
            head: what its head must be.
            method: merge, squash or rebase.
            title: the title of the merge commit; "": GitHub's default.
            message: its body; None: GitHub's default.

        Raises:
            Refused: GitHub does not merge it: the head moved, a rule blocks it, it conflicts; its words are told.
            TransientError: it did not end in time; whether it merged must be looked at.
        """
        fields = {"sha": str(head), "merge_method": method, **({"commit_title": title} if title else {})}
        fields |= {} if message is None else {"commit_message": message}
        path = f"pulls/{number}/merge"
        put = ("-X", "PUT", "--input", "-")
        stdin = json.dumps(fields).encode()

        def ask() -> _Merging:
            # Pinned to a head, asking again is safe: 409 says that our first request still runs.
            return self._read(f"{path}-async", _Merging.of, *put, stdin=stdin, also=frozenset({400, 409}))

        try:
            result = retrying(ask, reporter=self.waiting)
        except NotFound:
            return self._read(path, lambda body: oid(body["sha"]), *put, stdin=stdin)
        return self._merged(path, number, result)

    def _merged(self, path: str, number: PrNumber, result: _Merging) -> str:
        """Poll an asynchronous merge until it has ended."""
        for pause in _POLLS:
            if result.status == "merged":
                return result.commit
            if result.status == "enqueued":
                return ""
            if result.status == "failed":
                raise Refused(
                    f"GitHub did not merge #{number}",
                    why=result.message,
                    next_command=(task_command("continue"), f"gh pr view {number} --web"),
                )
            sleep(pause)
            result = self.rest(f"{path}-async/{result.request}", _Merging.of)
        raise TransientError(f"the merge of #{number} did not end in time", next_command=task_command("continue"))

    def _insist(self, write: Callable[[], T], written: Callable[[], T | None]) -> T:
        """Write; after a failure that may pass, read first whether the write arrived, and only then repeat it."""
        failed = False

        def attempt() -> T:
            nonlocal failed
            if failed and (found := written()) is not None:
                return found
            failed = True
            return write()

        return retrying(attempt, reporter=self.waiting)

    def _snapshot(self, answer: Answer, numbers: Sequence[PrNumber]) -> Snapshot:
        """Return the pull requests of an answer; only what GitHub says does not exist is absent."""
        with understood(answer):
            data = answer.body["data"]
            repository = data["repository"]
        if repository is None and answer.absent("repository"):
            raise self._no_repository(answer)
        with understood(answer):
            pulls: dict[PrNumber, PullRequest | None] = {}
            for number in numbers:
                node = repository[f"pr{number}"]
                if node is None and not answer.absent("repository", f"pr{number}"):
                    raise ValueError(f"pull request {number} is null, without a reason")
                pulls[number] = None if node is None else pull_request(node)
            viewer = str((data.get("viewer") or {}).get("login", ""))
            tip = (repository.get("trunk") or {}).get("target")
            trunk = oid(tip["oid"]) if tip else None
            return Snapshot(pulls, viewer, str(repository["nameWithOwner"]), trunk)

    def _no_repository(self, answer: Answer) -> TrunklineError:
        return UsageError(
            f"GitHub shows you no repository {self.repository.slug}",
            why=messages(answer.errors) or "it does not exist, or is private",
            command=command_line(answer.done),
            next_command="gh auth status",
        )

    def _api(self, *args: str, stdin: bytes) -> Answer:
        return judged(self._run(*args, stdin=stdin))

    def _read(
        self,
        path: str,
        read: Callable[[Mapping[str, Any]], T],
        *more: str,
        stdin: bytes = b"",
        also: frozenset[int] = frozenset(),
    ) -> T:
        """Return what `read` makes of one answer below `repos/OWNER/NAME/`."""
        answer = judged(self._run(self._path(path), *more, stdin=stdin), also=also)
        with understood(answer):
            return read(answer.body)

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
        env.pop("GH_HOST", None)  # it would send a call elsewhere than where the remote is
        return env

    def _path(self, tail: str) -> str:
        return f"repos/{self.repository.slug}/{tail}".removesuffix("/")
