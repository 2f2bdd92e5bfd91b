"""GraphQL nodes of a pull request's timeline events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.sim.graph.commits import commit_node
from trunkline.sim.graph.tree import Node, QueryContext, connection
from trunkline.sim.model import Event, EventKind, PullRequest, Repository
from trunkline.sim.refused import NotSimulatedError

if TYPE_CHECKING:
    from collections.abc import Callable


def timeline(query_context: QueryContext, repository: Repository, pull: PullRequest) -> Callable[..., Node]:
    """Return the resolver of PullRequest.timelineItems.

    Without `itemTypes` GitHub also lists commits, comments and reviews. These are not simulated, so
    `itemTypes` is required.
    """

    def items(item_types: list[str] | None = None, **page: Any) -> Node:
        known = {kind.value for kind in EventKind}
        unknown = sorted(set(item_types or ["every type"]) - known)
        if item_types is None or unknown:
            raise NotSimulatedError(f"timelineItems of {', '.join(unknown)}")
        chosen = [event for event in pull.events if event.kind.value in item_types]
        return connection(
            "PullRequestTimelineItemsConnection",
            chosen,
            lambda event: _event_node(query_context, repository, pull, event),
            page,
            {"filteredCount": len(chosen)},
        )

    return items


def _event_node(query_context: QueryContext, repository: Repository, pull: PullRequest, event: Event) -> Node:
    def commit(oid: str) -> Node | None:
        return commit_node(query_context, repository, oid) if oid else None

    special: dict[EventKind, dict[str, Any]] = {
        EventKind.HEAD_REF_FORCE_PUSHED: {
            "beforeCommit": lambda: commit(event.before),
            "afterCommit": lambda: commit(event.after),
        },
        EventKind.MERGED: {"commit": lambda: commit(event.after), "mergeRefName": pull.base},
        EventKind.BASE_REF_CHANGED: {"previousRefName": event.before, "currentRefName": event.after},
        EventKind.AUTOMATIC_BASE_CHANGE_SUCCEEDED: {"oldBase": event.before, "newBase": event.after},
        EventKind.BASE_REF_DELETED: {"baseRefName": event.before},
        EventKind.HEAD_REF_DELETED: {"headRefName": event.before},
    }
    typename = "".join(word.title() for word in event.kind.value.split("_"))
    actor = query_context.world.add_user(event.actor)
    index = pull.events.index(event)
    return Node(
        typename,
        {
            "id": f"EV_{repository.id}_{pull.number}_{index}",
            "createdAt": event.at,
            "actor": Node("User", {"id": f"U_{actor.id}", "login": actor.login, "name": actor.name}),
            **special.get(event.kind, {}),
        },
    )
