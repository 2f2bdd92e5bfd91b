"""Query the newest review of a pull request, for the head that reviewers have seen."""

from __future__ import annotations

from trunkline.domain.names import PrNumber
from trunkline.domain.own_diff import Reviewed
from trunkline.github.client import GitHub
from trunkline.github.decoding import Actor, Commit, Connection, Node, login

_QUERY = """
query($owner: String!, $name: String!, $number: Int!) { repository(owner: $owner, name: $name) {
  pullRequest(number: $number) {
    author { login }
    reviews(last: 50) { nodes { author { login } state submittedAt commit { oid } } }
  }
} }
"""


class _Review(Node, frozen=True):
    author: Actor | None
    state: str
    submitted_at: str | None
    commit: Commit | None


class _PullRequest(Node, frozen=True):
    author: Actor | None
    reviews: Connection[_Review]


class _Repository(Node, frozen=True):
    pull_request: _PullRequest


class _Answer(Node, frozen=True):
    repository: _Repository


def last_review(github: GitHub, number: PrNumber) -> Reviewed | None:
    """Return the newest review by somebody else than the author; None if there is none.

    Reviews whose commit GitHub no longer has are skipped.

    Raises:
        ExternalError: GitHub or the network failed, after retries.
    """
    variables = {"owner": github.repository.owner, "name": github.repository.name, "number": int(number)}
    return github.graphql(_QUERY, variables, _Answer, _newest)


def _newest(answer: _Answer) -> Reviewed | None:
    pull = answer.repository.pull_request
    own = login(pull.author)
    submitted = [
        Reviewed(login(review.author), review.state, review.submitted_at, review.commit.oid)
        for review in pull.reviews.visible
        if review.submitted_at and review.commit and review.state != "PENDING" and login(review.author) != own
    ]
    return max(submitted, key=lambda review: review.at, default=None)
