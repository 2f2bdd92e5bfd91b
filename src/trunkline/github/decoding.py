"""Decode GitHub's responses: one struct for each object of its GraphQL schema and of REST that a request names.

Unknown fields are ignored. A missing field, null where GitHub's schema has none, or a value of another type is
refused with its place: "Expected `str`, got `null` - at `$.repository.pullRequest.title`".
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

import msgspec

from trunkline.domain.names import MAX_NUMBER, Id, PrNumber

T = TypeVar("T")
Number = Annotated[PrNumber, msgspec.Meta(ge=1, le=MAX_NUMBER)]
GHOST = "ghost"
"""GitHub's name for a deleted account, whose objects have a null author."""


class Resource(msgspec.Struct, frozen=True):
    """An object of REST."""


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """An object of GraphQL, whose fields have camelCase names."""


class Connection(Node, Generic[T], frozen=True):
    """A list of GraphQL; null stands for an object that GitHub hides from this user."""

    nodes: tuple[T | None, ...]

    @property
    def visible(self) -> tuple[T, ...]:
        """The objects that GitHub shows."""
        return tuple(node for node in self.nodes if node is not None)


class Commit(Node, frozen=True):
    """A commit."""

    oid: Id


class Actor(Node, frozen=True):
    """An account."""

    login: str


class HeadRepository(Node, frozen=True):
    """The repository that holds a head branch."""

    name_with_owner: str


class Branch(Resource, frozen=True):
    """The base or the head of a pull request."""

    ref: str


def login(author: Actor | None) -> str:
    """Return the login of an author."""
    return GHOST if author is None else author.login


def decode(value: Any, kind: type[T]) -> T:
    """Decode a JSON value.

    Raises:
        msgspec.ValidationError: the value does not match; the message names the place.
    """
    return msgspec.convert(value, kind)
