"""GraphQL requests that edit a field of several pull requests at once."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from trunkline.domain.snapshot import PullRequest

LARGEST = 20
"""Most pull requests to edit in one request: GitHub aborts a request after 10 s.

Source: docs.github.com, "Rate limits and query limits for the GraphQL API".
"""


class Field(msgspec.Struct, frozen=True):
    """A field of a pull request that can be edited.

    Attributes:
        name: its name in GitHub's schema.
        operation: the name of the request.
    """

    name: str
    operation: str

    def of(self, pr: PullRequest) -> str:
        """Return the field's value as last read."""
        values = {"body": pr.body, "baseRefName": pr.base, "title": pr.title}
        return values[self.name]

    def request(self, edits: Sequence[tuple[PullRequest, str]]) -> bytes:
        """Return the request that edits the field, with an alias for each pull request."""
        declared = ", ".join(f"$id{pr.number}: ID!, $value{pr.number}: String!" for pr, _ in edits)
        fields = "\n".join(
            f"pr{pr.number}: updatePullRequest(input:"
            f" {{pullRequestId: $id{pr.number}, {self.name}: $value{pr.number}}})"
            f" {{ pullRequest {{ {self.name} }} }}"
            for pr, _ in edits
        )
        ids = {f"id{pr.number}": pr.node_id for pr, _ in edits}
        values = {f"value{pr.number}": value for pr, value in edits}
        query = f"mutation {self.operation}({declared}) {{ {fields} }}"
        return json.dumps({"query": query, "variables": ids | values}).encode()


BODY = Field("body", "ReviewerNotes")
BASE = Field("baseRefName", "Retarget")
TITLE = Field("title", "Retitle")
