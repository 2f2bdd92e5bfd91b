"""Query who is signed in, and what they may do in the repository."""

from __future__ import annotations

import msgspec

from trunkline.github.client import GitHub
from trunkline.github.decoding import Actor, Node

_QUERY = """
query Account($owner: String!, $name: String!) {
  viewer { login }
  repository(owner: $owner, name: $name) { nameWithOwner viewerPermission isArchived }
}
"""


class Account(msgspec.Struct, frozen=True):
    """The account that is signed in.

    Attributes:
        login: its name.
        permission: GraphQL's RepositoryPermission, or "" if it has none.
        archived: the repository is archived.
    """

    login: str
    permission: str
    archived: bool


class _Repository(Node, frozen=True):
    viewer_permission: str | None
    is_archived: bool


class _Answer(Node, frozen=True):
    viewer: Actor
    repository: _Repository


def account_of(github: GitHub) -> Account:
    """Return the account that is signed in, with one GraphQL query.

    Raises:
        NotSignedIn: there are no credentials, or GitHub rejects them.
        ExternalError: GitHub or the network failed, after retries, or the response cannot be
            decoded.
    """
    variables = {"owner": github.repository.owner, "name": github.repository.name}
    return github.graphql(_QUERY, variables, _Answer, _account)


def _account(answer: _Answer) -> Account:
    repository = answer.repository
    return Account(answer.viewer.login, repository.viewer_permission or "", repository.is_archived)
