"""Find the entry that a new entry replaces under another branch name."""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.context.view import View
from trunkline.domain.names import Oid
from trunkline.domain.note import block_of
from trunkline.domain.stack import Entry
from trunkline.domain.submission import Words


def replaced(view: View, tip: Oid, removed: Iterable[Entry]) -> Entry | None:
    """Return the removed entry whose branch has the same tree as the new entry's tip; None if there is none."""
    tree = view.git.tree(tip)
    for entry in removed:
        local = view.of(entry).local
        held = local.local or local.remote
        if held is not None and view.git.tree(held) == tree:
            return entry
    return None


def words(view: View, entry: Entry) -> Words | None:
    """Return the title and description for the pull request that replaces an entry's; None if it has none.

    The reviewer note is left out: it describes commits of the replaced one.
    """
    pr = view.world.snapshot.pr(entry.key)
    if pr is None:
        return None
    block = block_of(pr.body)
    body = pr.body.replace(block, "") if block is not None else pr.body
    return Words(pr.title, f"{body.rstrip()}\n\nReplaces #{pr.number}.\n".lstrip())
