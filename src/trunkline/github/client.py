"""Query and change the pull requests, branches and commit statuses of one repository on GitHub."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, TransientError, TrunklineError, UsageError
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_ref
from trunkline.domain.snapshot import PullRequest, Snapshot
from trunkline.github import bulk_edits, responses
from trunkline.github.bulk_edits import Field
from trunkline.github.decoding import decode
from trunkline.github.gh import GRAPHQL, Gh
from trunkline.github.pull_request_nodes import (
    ENTRY,
    MERGING,
    TRUNK,
    EditedField,
    EditedNode,
    PullRequestNode,
    StackAnswer,
    StackRepository,
)
from trunkline.github.responses import NotFound, Response, command_line, messages, parsing
from trunkline.github.rest_objects import EditedPullRequest, Merged, MergeState, PullRequestObject, Ref, Statuses
from trunkline.system.retry import retrying, sleep

_POLLS = (0.5, 1.0, 2.0, 4.0, *[5.0] * 20)
"""Seconds between polls of an asynchronous merge: under two minutes in all."""


def _edited_meanwhile(number: PrNumber) -> Refused:
    return Refused(
        f"the description of #{number} was edited at the same moment",
        why="a write of ours failed, and what stands there now is neither what we saw nor what we wrote",
        next_command=task_command("continue"),
    )


@dataclass(frozen=True)
class GitHub(Gh):
    """The pull requests, branches and commit statuses of one repository on GitHub."""

    @contextlib.contextmanager
    def reading_stack(
        self, numbers: Sequence[PrNumber], *, merging: bool = False, trunk: BranchName | None = None
    ) -> Iterator[Callable[[], Snapshot]]:
        """Query every pull request of a stack with its checks and force pushes, in one round trip.

        One query with an alias for each pull request takes 243 ms for 12 of them; 12 calls of `gh
        pr view` take 1,377 ms (measured). The request is sent on entering the context; the function
        that the context yields waits for the response. Meanwhile git can work.

        Args:
            numbers: the pull requests; may be empty.
            merging: also query what a merge needs: reviews and mergeability.
            trunk: also query the tip of this branch.

        Raises:
            NotSignedIn: there are no credentials, or GitHub rejects them.
            UsageError: the repository does not exist or is not visible.
            ExternalError: GitHub or the network failed.
        """
        fields = "...entry ...merging" if merging else "...entry"
        aliases = "\n".join(f"pr{number}: pullRequest(number: {number}) {{ {fields} }}" for number in numbers)
        declared, trunk_field = (", $trunk: String!", TRUNK) if trunk else ("", "")
        query = (
            f"query Stack($owner: String!, $name: String!{declared}) {{ viewer {{ login }}"
            " rateLimit { remaining resetAt }"
            f" repository(owner: $owner, name: $name) {{ nameWithOwner {trunk_field} {aliases} }} }}"
            + (ENTRY + (MERGING if merging else "") if numbers else "")  # GitHub refuses unused fragments
        )
        variables = {"owner": self.repository.owner, "name": self.repository.name}
        if trunk:
            variables["trunk"] = branch_ref(trunk)
        payload = json.dumps({"query": query, "variables": variables}).encode()
        with self._begin(*GRAPHQL, stdin=payload) as child:
            started = [child]

            def request() -> Snapshot:
                done = started.pop().finish() if started else self._run(*GRAPHQL, stdin=payload)
                return self._snapshot(responses.graphql_response(done, absent=True), numbers)

            yield lambda: retrying(request, reporter=self.reporter)

    def set_draft(self, pr: PullRequest, *, draft: bool) -> PullRequest:
        """Mark a pull request ready for review, or as a draft, and return it as GitHub now has it.

        This is `gh pr ready` (REST cannot do it) with one request instead of two. The response
        contains the current description, which the step that edits it next needs.

        Raises:
            Refused: GitHub rejects the change.
        """
        name = "convertPullRequestToDraft" if draft else "markPullRequestReadyForReview"
        operation = "ConvertPullRequestToDraft" if draft else "PullRequestReadyForReview"  # as gh names them
        mutation = (
            f"mutation {operation}($id: ID!)"
            f" {{ {name}(input: {{pullRequestId: $id}}) {{ pullRequest {{ ...entry }} }} }}"
        )
        payload = json.dumps({"query": mutation + ENTRY, "variables": {"id": pr.node_id}}).encode()

        def write() -> PullRequest:
            edited = dict[str, EditedNode]
            return self._mutate_graphql(
                payload, edited, lambda data: data[name].pull_request.of_domain(), shown=_itself
            )

        def read_back() -> PullRequest | None:
            with self.reading_stack([pr.number]) as response:
                current = response().pr(pr.number)
            return current if current is not None and current.draft is draft else None

        return self._send_mutation(write, read_back)

    def edit(self, number: PrNumber, *, seen_body: str | None = None, **fields: str) -> EditedPullRequest:
        """Edit `body`, `base`, `state` or `title` of a pull request; return them as GitHub now has them.

        REST needs one request; gh pr edit needs three, and before gh 2.82 it fails in repositories
        with classic projects.

        Args:
            number: the pull request.
            seen_body: the description that a new one was derived from; before a retry, the current
                description must still equal it.
            **fields: the new values.

        Raises:
            Refused: GitHub rejects the change (422): the pull request is closed, or the base does
                not exist.
        """
        path = f"pulls/{number}"

        def write() -> EditedPullRequest:
            stdin = json.dumps(fields).encode()
            patch = ("-X", "PATCH", "--input", "-")
            return self._request(path, PullRequestObject, *patch, stdin=stdin, only=number).of_domain()

        def read_back() -> EditedPullRequest | None:
            current = self._request(path, PullRequestObject).of_domain()
            if all(getattr(current, name) == value for name, value in fields.items()):
                return current
            if seen_body is not None and current.body != seen_body:
                raise _edited_meanwhile(number)
            return None

        return self._send_mutation(write, read_back)

    def edit_bodies(self, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        """Edit the descriptions of several pull requests; return them as GitHub now has them.

        Args:
            edits: each pull request as last read, and its new description.

        Raises:
            Refused: GitHub rejects a change, or a description was edited at the same moment.
        """
        return self._edit_several(bulk_edits.BODY, edits)

    def edit_bases(self, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        """Edit the bases of several pull requests; return them as GitHub now has them.

        Args:
            edits: each pull request as last read, and its new base.

        Raises:
            Refused: GitHub rejects a change.
        """
        return self._edit_several(bulk_edits.BASE, edits)

    def edit_titles(self, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        """Edit the titles of several pull requests; return them as GitHub now has them.

        Args:
            edits: each pull request as last read, and its new title.

        Raises:
            Refused: GitHub rejects a change.
        """
        return self._edit_several(bulk_edits.TITLE, edits)

    def _edit_several(self, field: Field, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        """Edit a field: a single one by REST, several by one GraphQL mutation for each `LARGEST`.

        GitHub runs the aliased fields of a mutation in order.
        """
        if len(edits) == 1:
            ((pr, value),) = edits
            if field is bulk_edits.BODY:
                return {pr.number: self.edit(pr.number, seen_body=pr.body, body=value).body}
            if field is bulk_edits.TITLE:
                return {pr.number: self.edit(pr.number, title=value).title}
            return {pr.number: self.edit(pr.number, base=value).base}
        current: dict[PrNumber, str] = {}
        for start in range(0, len(edits), bulk_edits.LARGEST):
            current |= self._edit_together(field, edits[start : start + bulk_edits.LARGEST])
        return current

    def _edit_together(self, field: Field, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        left = list(edits)
        current: dict[PrNumber, str] = {}

        def write() -> dict[PrNumber, str]:
            def read(data: dict[str, EditedField]) -> dict[PrNumber, str]:
                return current | {pr.number: data[f"pr{pr.number}"].pull_request[field.name] for pr, _ in left}

            request = field.request(left)
            return self._mutate_graphql(request, dict[str, EditedField], read, shown=lambda _: None)

        def arrived() -> dict[PrNumber, str] | None:
            with self.reading_stack([pr.number for pr, _ in left]) as response:
                now = response()
            for pr, value in tuple(left):
                found = now.pr(pr.number)
                if found is not None and field.of(found) == value:
                    current[pr.number] = value
                    left.remove((pr, value))
                elif field is bulk_edits.BODY and found is not None and found.body != pr.body:
                    raise _edited_meanwhile(pr.number)
            return None if left else current

        return self._send_mutation(write, arrived)

    def create_branch(self, branch: BranchName, tip: Oid) -> None:
        """Create a branch at a commit that the repository on GitHub has.

        REST is used instead of a push, because the local repository may lack the commit.

        Raises:
            Refused: the branch exists, or the commit does not.
        """
        path = self._path("git/refs")
        stdin = json.dumps({"ref": branch_ref(branch), "sha": tip}).encode()

        def read_back() -> bool | None:
            try:
                current = self._request(f"git/ref/heads/{urllib.parse.quote(branch)}", Ref).object.sha
            except NotFound:
                return None
            return True if current == tip else None

        self._send_mutation(lambda: bool(self._api("-X", "POST", path, "--input", "-", stdin=stdin).body), read_back)

    def statuses(self, commit: Oid) -> dict[str, tuple[str, str]]:
        """Return the newest status of each context of a commit, the first hundred: (state, description)."""
        found = self.rest(f"commits/{commit}/status?per_page=100", Statuses).statuses
        return {each.context: (each.state, each.description or "") for each in found}

    def set_status(self, commit: Oid, name: str, result: str) -> None:
        """Set a commit status to success; setting the same status twice has the effect of one.

        Raises:
            Refused: the commit does not exist.
        """
        fields = {"state": "success", "context": name, "description": result}
        path = self._path(f"statuses/{commit}")
        stdin = json.dumps(fields).encode()
        retrying(lambda: self._api("-X", "POST", path, "--input", "-", stdin=stdin), reporter=self.reporter)

    def merge(self, number: PrNumber, *, head: Oid, method: str, title: str = "", message: str | None = None) -> str:
        """Merge a pull request if its head is still `head`; return its merge commit, "" if queued.

        This uses merge-async, which GitHub recommends, and polls it. A host without merge-async
        gets the synchronous call, which `gh pr merge --match-head-commit` uses too.

        Args:
            number: the pull request.
            head: the expected head.
            method: merge, squash or rebase.
            title: the title of the merge commit; "": GitHub's default.
            message: its body; None: GitHub's default.

        Raises:
            Refused: GitHub does not merge it (the head moved, a rule blocks it, it conflicts); the
                error quotes GitHub.
            TransientError: it did not finish in time; the caller must check whether it merged.
        """
        fields = {"sha": str(head), "merge_method": method, **({"commit_title": title} if title else {})}
        fields |= {} if message is None else {"commit_message": message}
        path = f"pulls/{number}/merge"
        put = ("-X", "PUT", "--input", "-")
        stdin = json.dumps(fields).encode()

        def request() -> MergeState:
            # The request names the head, so a retry is safe: 409 means that the first request is
            # still running.
            return self._request(f"{path}-async", MergeState, *put, stdin=stdin, also=frozenset({400, 409}))

        try:
            try:
                result = retrying(request, reporter=self.reporter)
            except NotFound:
                return self._request(path, Merged, *put, stdin=stdin).sha
        except Refused as error:
            error.what = f"#{number} is not merged: {error.what}"
            error.next_commands = (task_command("continue"), task_command("open", "--pr", number))
            raise
        return self._merged(path, number, result)

    def _merged(self, path: str, number: PrNumber, result: MergeState) -> str:
        """Poll an asynchronous merge until it has finished."""
        for pause in _POLLS:
            if result.commit is not None and result.status == "merged":
                return result.commit
            if result.status == "enqueued":
                return ""
            if result.status == "failed":
                raise Refused(
                    f"GitHub did not merge #{number}",
                    why=result.message,
                    next_command=(task_command("continue"), task_command("open", "--pr", number)),
                )
            sleep(pause)
            result = self.rest(f"{path}-async/{result.request}", MergeState)
        raise TransientError(f"the merge of #{number} did not end in time", next_command=task_command("continue"))

    def _snapshot(self, response: Response, numbers: Sequence[PrNumber]) -> Snapshot:
        """Decode a response into pull requests.

        Only those that GitHub reports as not found are None.
        """
        with parsing(response):
            data = decode(response.body["data"], StackAnswer)
        repository = data.repository
        if repository is None and response.is_absent("repository"):
            raise self._no_repository(response)
        with parsing(response):
            if repository is None:
                raise ValueError("the repository is null, without a reason")
            pulls: dict[PrNumber, PullRequest | None] = {}
            for number in numbers:
                node = repository[f"pr{number}"]
                if node is None and not response.is_absent("repository", f"pr{number}"):
                    raise ValueError(f"pull request {number} is null, without a reason")
                pulls[number] = None if node is None else decode(node, PullRequestNode).of_domain()
            shown = decode(repository, StackRepository)
        trunk = shown.trunk.target.oid if shown.trunk and shown.trunk.target else None
        return Snapshot(pulls, data.viewer.login if data.viewer else "", shown.name_with_owner, trunk)

    def _no_repository(self, response: Response) -> TrunklineError:
        return UsageError(
            f"GitHub shows you no repository {self.repository.slug}",
            why=messages(response.errors) or "it does not exist, or is private",
            command=command_line(response.done),
            next_command="gh auth status",
        )


def _itself(pull: PullRequest) -> PullRequest:
    return pull
