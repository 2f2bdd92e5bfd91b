"""GraphQL nodes: a type name and the values of its fields; an absent field raises."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.sim.refused import NotSimulatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trunkline.sim.world import World

_T = TypeVar("_T")
_PAGE = 100  # docs.github.com, "Rate limits and query limits": first and last take 1 to 100


class GraphError(Exception):
    """A GraphQL error with GitHub's type and message.

    Args:
        kind: GitHub's `type`, like NOT_FOUND; empty if GitHub gives none.
        message: GitHub's message.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True)
class QueryContext:
    """Context of a query: the world and the user's login."""

    world: World
    login: str


@dataclass(frozen=True)
class Node:
    """An object of a GraphQL type; a field is a value, or a callable that computes it.

    A callable receives the field's arguments, with names in snake case.
    """

    typename: str
    fields: Mapping[str, Any]


def snake(name: str) -> str:
    """Return a GraphQL name in snake case."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def connection(
    typename: str,
    items: Sequence[_T],
    view: Callable[[_T], Node],
    page: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
) -> Node:
    """Return one page of a Relay connection.

    Errors follow docs.github.com, "Forming calls with GraphQL": nodes without `first` or `last`, or
    more than 100.

    Args:
        typename: the connection's type.
        items: all items.
        view: returns the node of an item.
        page: the given arguments among `first`, `last`, `after`, `before`.
        extra: fields of this connection beyond Relay's.

    Raises:
        NotSimulatedError: `page` has another argument.
    """
    if unknown := sorted(page.keys() - {"first", "last", "after", "before"}):
        raise NotSimulatedError(f"{typename}({', '.join(unknown)})")
    chosen = range(_position(page["after"]) + 1 if "after" in page else 0, len(items))
    chosen = chosen[: max(_position(page["before"]) - chosen.start, 0)] if "before" in page else chosen
    chosen = chosen[: page["first"]] if "first" in page else chosen
    chosen = chosen[-page["last"] :] if page.get("last") else chosen

    def bounded() -> range:
        _check_bounds(typename, page)
        return chosen

    return Node(
        typename,
        {
            "totalCount": len(items),
            "nodes": lambda: [view(items[index]) for index in bounded()],
            "edges": lambda: [_edge(typename, index, view(items[index])) for index in bounded()],
            "pageInfo": lambda: _page_info(chosen, len(items)),
            **(extra or {}),
        },
    )


def _check_bounds(typename: str, page: Mapping[str, Any]) -> None:
    name = typename.removesuffix("Connection")
    name = name[:1].lower() + name[1:]
    if not page.keys() & {"first", "last"}:
        message = f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
        raise GraphError("MISSING_PAGINATION_BOUNDARIES", message)
    for word in ("first", "last"):
        if page.get(word, 0) > _PAGE:
            message = f"Requesting {page[word]} records on the `{name}` connection"
            raise GraphError("EXCESSIVE_PAGINATION", f"{message} exceeds the `{word}` limit of {_PAGE} records.")


def _edge(typename: str, index: int, node: Node) -> Node:
    return Node(typename.replace("Connection", "Edge"), {"node": node, "cursor": _cursor(index)})


def _page_info(chosen: range, total: int) -> Node:
    return Node(
        "PageInfo",
        {
            "hasNextPage": chosen.stop < total,
            "hasPreviousPage": chosen.start > 0,
            "startCursor": _cursor(chosen[0]) if chosen else None,
            "endCursor": _cursor(chosen[-1]) if chosen else None,
        },
    )


def _cursor(index: int) -> str:
    return base64.b64encode(f"cursor:{index}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("cursor:"))
    except ValueError:
        raise GraphError("INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor.") from None
