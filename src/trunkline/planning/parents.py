"""Find the base of an entry: trunk, or the branch of the nearest open entry below."""

from __future__ import annotations

import msgspec

from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, Oid
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry


class Base(msgspec.Struct, frozen=True):
    """The base of an entry.

    Attributes:
        name: the name as a user writes it: `origin/main`, `feat/one`.
        branch: the branch that the pull request targets.
        oid: its tip, the parent of the entry's own commits.
        entry: the open entry below; None for trunk.
    """

    name: str
    branch: BranchName
    oid: Oid
    entry: Entry | None = None


def nearest_open(view: View) -> Entry | None:
    """Return the nearest entry below that is open or has no pull request; skip closed ones.

    The pull request must not be merged before that entry, in a task of one entry too (`open_below` skips it there).
    """
    below = reversed(view.stack.below(view.entry))
    return next((each for each in below if each.number is None or view.known(each.pr).state is PrState.OPEN), None)


def open_below(view: View) -> Entry | None:
    """Return the nearest unmerged entry below; None if the entry is based on trunk.

    An entry without a pull request is unmerged.

    Raises:
        Refused: an entry below was closed without being merged.
        UsageError: GitHub has no such pull request.
    """
    if not view.stacked:
        return None
    for entry in reversed(view.stack.below(view.entry)):
        if entry.number is None:
            return entry
        pr = view.known(entry.pr)
        if pr.state is PrState.CLOSED:
            raise Refused(
                f"{entry.label} below was closed without being merged",
                why=f"so it is not known what {view.entry.label} is to sit on: {pr.url}",
                next_command=(
                    task_command("rescue", "--pr", entry.key),
                    "${EDITOR:-vi} stack.toml   # or take the entry out",
                ),
            )
        if pr.state is PrState.OPEN:
            return entry
    return None


def base_of(view: View) -> Base:
    """Return the base of the entry, current or, while a plan is made, as planned."""
    below = open_below(view)
    world = view.world
    if below is None:
        return Base(view.tracking, view.stack.trunk, world.trunk)
    planned = view.decisions.planned_tip(below.key)
    if planned is not None:
        return Base(below.branch, below.branch, planned, below)
    under = view.of(below)
    local = under.local
    tip = local.local or local.remote
    if tip is None:
        raise under.no_branch()
    return Base(below.branch, below.branch, tip, below)
