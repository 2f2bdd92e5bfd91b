"""GitHub's native stacks: their members, and what links a chain of pull requests as one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec

from trunkline.domain.names import PrNumber

LEAST, MOST = 2, 100
"""GitHub's limits on the pull requests of a native stack."""


class Member(msgspec.Struct, frozen=True):
    """A pull request of a native stack.

    Attributes:
        open: it is neither merged nor closed.
        merged: it is merged.
    """

    number: PrNumber
    open: bool
    merged: bool = False


class NativeStack(msgspec.Struct, frozen=True):
    """A native stack: its number on GitHub, its base branch, and its members, bottom first."""

    number: int
    base: str
    members: tuple[Member, ...]

    @property
    def open(self) -> tuple[PrNumber, ...]:
        """The open members, bottom first."""
        return tuple(member.number for member in self.members if member.open)

    def position(self, number: PrNumber) -> int:
        """Return a member's position; 1 is the bottom, 0 means that it is no member."""
        numbers = [member.number for member in self.members]
        return numbers.index(number) + 1 if number in numbers else 0

    def upto(self, number: PrNumber) -> tuple[PrNumber, ...]:
        """Return the open members up to and including one: what a merge of it takes."""
        below = self.members[: self.position(number)]
        return tuple(member.number for member in below if member.open)


class Place(msgspec.Struct, frozen=True):
    """The place of a pull request in a native stack: the stack's number, position and size."""

    stack: int
    position: int
    size: int

    def __str__(self) -> str:
        return f"{self.position} of {self.size} in native stack {self.stack}"


def stack_of(stacks: Sequence[NativeStack], number: PrNumber) -> NativeStack | None:
    """Return the native stack of a pull request; None if it is in none."""
    return next((stack for stack in stacks if stack.position(number)), None)


def place_of(stacks: Sequence[NativeStack], number: PrNumber | None) -> Place | None:
    """Return the place of a pull request in a native stack; None if it is in none."""
    stack = stack_of(stacks, number) if number is not None else None
    if stack is None or number is None:
        return None
    return Place(stack.number, stack.position(number), len(stack.members))


class Link(Enum):
    """The change that links the open entries as one native stack on GitHub."""

    NONE = "there is nothing to link"
    LINKED = "linked"
    CREATE = "not linked"
    EXTEND = "linked in part"
    REBUILD = "linked otherwise"
    TOO_MANY = "too many to link"


class LinkPlan(msgspec.Struct, frozen=True):
    """The change that links the open entries.

    Attributes:
        link: its kind.
        stack: the stack to extend, or the one that is linked already; 0: none.
        numbers: the pull requests to send: those of the new stack, or those to append.
        dissolve: stacks to dissolve first.
    """

    link: Link
    stack: int = 0
    numbers: tuple[PrNumber, ...] = ()
    dissolve: tuple[int, ...] = ()


def plan_link(wanted: Sequence[PrNumber], stacks: Sequence[NativeStack]) -> LinkPlan:
    """Plan how to link the open entries as one native stack.

    GitHub has no insert, reorder or remove: another order means to dissolve and to create again.

    Args:
        wanted: the open entries, bottom first.
        stacks: the native stacks of the repository.
    """
    order = tuple(wanted)
    involved = [stack for stack in stacks if set(stack.open) & set(order)]
    if not involved:
        if len(order) < LEAST:
            return LinkPlan(Link.NONE)
        return LinkPlan(Link.TOO_MANY if len(order) > MOST else Link.CREATE, numbers=order)
    first = involved[0]
    if len(involved) == 1 and first.open == order:
        return LinkPlan(Link.LINKED, first.number)
    if len(order) > MOST:
        return LinkPlan(Link.TOO_MANY, numbers=order)
    known = len(first.open)
    blocked = any(not member.open and not member.merged for member in first.members)
    if len(involved) == 1 and first.open == order[:known] and not blocked:
        return LinkPlan(Link.EXTEND, first.number, order[known:])
    dissolve = tuple(stack.number for stack in involved)
    return LinkPlan(Link.REBUILD, numbers=order if len(order) >= LEAST else (), dissolve=dissolve)
