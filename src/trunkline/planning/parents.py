"""What an entry sits on: trunk, or the nearest open entry below."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, Oid
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry


@dataclass(frozen=True)
class Base:
    """Where an entry belongs.

    Attributes:
        name: as people write it: `origin/main`, `feat/one`.
        branch: what the pull request targets.
        oid: its tip: what the entry's own commits follow.
        entry: the open entry below; None: it is trunk.
    """

    name: str
    branch: BranchName
    oid: Oid
    entry: Entry | None = None


def open_below(context: Context) -> Entry | None:
    """Return the nearest entry below that is not merged, where entries below may be open; None: it sits on trunk.

    Raises:
        Refused: one below was closed without being merged.
        UsageError: GitHub has no such pull request.
    """
    if not context.stacked:
        return None
    for entry in reversed(context.stack.below(context.entry)):
        pr = context.known(entry.pr)
        if pr.state is PrState.CLOSED:
            raise Refused(
                f"#{entry.pr} below was closed without being merged",
                why=f"so it is not known what #{context.entry.pr} is to sit on: {pr.url}",
                next_command=(
                    task_command("rescue", "--pr", entry.pr),
                    "${EDITOR:-vi} stack.toml   # or take the entry out",
                ),
            )
        if pr.state is PrState.OPEN:
            return entry
    return None


def base_of(context: Context) -> Base:
    """Return what the entry belongs on, as it is now or, while a plan is made, as it will be by then."""
    below = open_below(context)
    world = context.world()
    if below is None:
        return Base(context.tracking, context.stack.trunk, world.trunk)
    planned = context.cache.planned.get(below.pr)
    if planned is not None:
        return Base(below.branch, below.branch, planned, below)
    under = context.of(below)
    local = under.world().local
    tip = local.local or local.remote
    if tip is None:
        raise under.no_branch()
    return Base(below.branch, below.branch, tip, below)
