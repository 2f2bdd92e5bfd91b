"""Decide which titles of pull requests show a wrong position in the stack."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.names import EntryKey
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.title import fill, numbered, plain


class Titles(msgspec.Struct, frozen=True):
    """The open pull requests whose titles are not as `[submit] title` says, each with the title that it would have.

    Attributes:
        wrong: they follow the pattern, with another position or count.
        own: they do not follow the pattern: a person chose them.
    """

    wrong: tuple[tuple[PullRequest, str], ...] = ()
    own: tuple[tuple[PullRequest, str], ...] = ()


def titles_of(view: View, entries: Sequence[Entry]) -> Titles:
    """Return the titles to change, and those that stay, of some entries of the stack."""
    template, chosen = view.stack.submit.title, {entry.number for entry in entries}
    wrong, own = [], []
    for pr in view.open_pulls() if template else ():
        if pr.number not in chosen:
            continue
        title = titled(view, pr.number, pr.title)
        if plain(template, pr.title) is None:
            own.append((pr, title))
        elif title != pr.title:
            wrong.append((pr, title))
    return Titles(tuple(wrong), tuple(own))


def titled(scope: Scope, key: EntryKey, text: str) -> str:
    """Return the title of an entry's pull request: its position among all entries of stack.toml, landed ones too.

    `[land] title` counts the same way. So a landing changes no title.

    Args:
        scope: the stack.
        key: the entry.
        text: a title, with or without a position.
    """
    template, (position, count) = scope.stack.submit.title, _place(scope.stack, scope.stack.entry(key))
    return numbered(template, plain(template, text) or text, position=position, count=count)


def _place(stack: Stack, entry: Entry) -> tuple[int, int]:
    """Return the position of an entry, from 1 at the bottom, and the number of all entries."""
    return stack.entries.index(entry) + 1, len(stack.entries)


def squash_title(scope: Scope, pr: PullRequest) -> str:
    """Return the title of an entry's squash commit by `[land] title`; "" for GitHub's default.

    Its `{title}` is without the position that `[submit] title` gives.
    """
    template = scope.stack.land.title
    if not template:
        return ""
    text = plain(scope.stack.submit.title, pr.title) or pr.title
    position, count = _place(scope.stack, scope.entry)
    return fill(template, {"title": text, "number": pr.number, "position": position, "count": count})
