"""The git processes of a restack grow with the entries, not with the pairs of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from support.inprocess import Desk, desk
from trunkline.git.local_refs import BACKUPS
from trunkline.system import process


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned."""
    with desk(monkeypatch) as place:
        yield place


def test_entries_are_compared_in_memory(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process per pair of heads, and the backups are read once for all parents of an entry.

    Otherwise 50 entries took 11 s instead of 1 s.
    """
    stack.trunk_commits("trunk moves on", {"trunk.txt": "1\n"})
    commands: list[tuple[str, ...]] = []
    real = process.run

    def recorded(argv: Sequence[str], **options: Any) -> process.Completed:
        commands.append(tuple(argv))
        return real(argv, **options)

    monkeypatch.setattr(process, "run", recorded)
    assert stack.restack().error is None
    assert commands
    assert [argv for argv in commands if "--is-ancestor" in argv] == []
    backups = [argv for argv in commands if "for-each-ref" in argv and f"{BACKUPS}/" in argv]
    assert len(backups) <= 2 * len(stack.hub.pulls)
