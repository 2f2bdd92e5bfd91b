"""Query the newest review of a pull request, for the head that reviewers have seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.domain.names import PrNumber, oid
from trunkline.domain.own_diff import Reviewed
from trunkline.github.client import GitHub

_QUERY = """
query($owner: String!, $name: String!, $number: Int!) { repository(owner: $owner, name: $name) {
  pullRequest(number: $number) {
    author { login }
    reviews(last: 50) { nodes { author { login } state submittedAt commit { oid } } }
  }
} }
"""


def last_review(github: GitHub, number: PrNumber) -> Reviewed | None:
    """Return the newest review by somebody else than the author; None if there is none.

    Reviews whose commit GitHub no longer has are passed over.

    Raises:
        ExternalError: GitHub or the network failed, after retries.
    """
    variables = {"owner": github.repository.owner, "name": github.repository.name, "number": int(number)}
    return github.graphql(_QUERY, variables, _newest)


def _newest(data: Mapping[str, Any]) -> Reviewed | None:
    pull = data["repository"]["pullRequest"]
    own = _login(pull)
    submitted = [
        Reviewed(_login(node), str(node["state"]), str(node["submittedAt"]), oid(node["commit"]["oid"]))
        for node in pull["reviews"]["nodes"]
        if node and node["submittedAt"] and node["commit"] and node["state"] != "PENDING" and _login(node) != own
    ]
    return max(submitted, key=lambda review: review.at, default=None)


def _login(node: Mapping[str, Any]) -> str:
    return str((node["author"] or {}).get("login", "ghost"))
