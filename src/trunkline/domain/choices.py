"""Validate names in flags; an unknown name is an error that suggests the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from trunkline.domain.errors import WrongFlag


def listed(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most similar, or ""; upper and lower case do not count."""
    folded = {each.casefold(): each for each in known}
    return next((folded[like] for like in difflib.get_close_matches(name.casefold(), list(folded), n=1)), "")


def require_known(flag: str, given: Collection[str], known: Collection[str], noun: str) -> None:
    """Check that every name in a flag's value is known.

    Args:
        flag: its name without dashes.
        given: the names.
        known: the allowed names, in the order of the message.
        noun: the kind of name: `step`, `gate or check`.

    Raises:
        WrongFlag: a name is unknown; the next command has the nearest name instead.
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
