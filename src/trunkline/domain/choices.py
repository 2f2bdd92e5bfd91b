"""Names that a person gives by flag: each is one of those that are known, or an error that says the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from trunkline.domain.errors import WrongFlag


def listed(text: str) -> tuple[str, ...]:
    """Return the names of a list separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like one, or "" if none is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def require_known(flag: str, given: Collection[str], known: Collection[str], noun: str) -> None:
    """See that every name given to a flag is known.

    Args:
        flag: its name without dashes.
        given: the names.
        known: those that it takes, in the order in which they are listed.
        noun: what they name: `step`, `gate or check`.

    Raises:
        WrongFlag: one is not; the same command with the nearest name is what to type next.
    """
    for name in given:
        if name in known:
            continue
        like = nearest(name, known)
        mended = (like if each == name else each for each in given)
        raise WrongFlag(
            f"--{flag} {name}: there is no {noun} of that name",
            why=(f"did you mean {like}? " if like else "") + f"Known: {', '.join(dict.fromkeys(known))}",
            flags={flag: ",".join(dict.fromkeys(each for each in mended if each))},
        )
