"""LinkChange the entries as one of GitHub's native stacks, in this process with the simulated GitHub."""

from __future__ import annotations

import pytest

from support.racing import SLUG, Race, race
from trunkline.sim import control


def members(stack: Race) -> list[tuple[int, ...]]:
    """Return the pull requests of each native stack, bottom first."""
    return [each.members for each in stack.repository.stacks.values()]


def refuse(stack: Race, path: str, status: int) -> None:
    """Let GitHub refuse the next change of native stacks."""
    fault = {"kind": "status", "match": f"POST /repos/{SLUG}/stacks{path}", "status": status}
    control.call(stack.world, "arm", fault)


def swap(stack: Race) -> None:
    """Declare #3 below #2."""
    file = stack.clone.path / "stack.toml"
    top, *entries = file.read_text().split("\n[[entry]]")
    file.write_text("\n[[entry]]".join([top, entries[0], entries[2], entries[1]]))


@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_refusal_is_a_note(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Everything is pushed by then, so the restack is finished; the next one links the entries."""
    with race(monkeypatch) as stack:
        stack.lever("enable_stacks")
        refuse(stack, "", status)
        ran = stack("invoke restack")
        assert (ran.code, f"not linked on GitHub: gh: Server Error (HTTP {status})" in ran.out) == (0, True), ran.out
        assert members(stack) == []
        assert stack("invoke restack").code == 0
        assert members(stack) == [(1, 2, 3)]


@pytest.mark.parametrize("status", [404, 409])
def test_what_cannot_be_extended_now(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Dissolved or modified by somebody at this moment: a note, and the next restack appends."""
    with race(monkeypatch) as stack:
        number = stack.lever("stack_natively", numbers=[1, 2])
        refuse(stack, f"/{number}/add", status)
        ran = stack("invoke restack")
        assert (ran.code, "not linked on GitHub" in ran.out) == (0, True), ran.out
        assert stack("invoke restack").code == 0
        assert members(stack) == [(1, 2, 3)]


@pytest.mark.parametrize("status", [403, 409, 422])
def test_what_cannot_be_dissolved_now(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Bases cannot change before: it stops, and `continue` dissolves it, sets the bases and links the new order."""
    with race(monkeypatch) as stack:
        number = stack.lever("stack_natively", numbers=[1, 2])
        swap(stack)
        refuse(stack, f"/{number}/unstack", status)
        assert stack("invoke restack").code in {4, 5}
        assert members(stack) == [(1, 2)]
        assert stack("invoke continue").code == 0
        assert members(stack) == [(1, 3, 2)]
        assert [stack.pull(number).base for number in (1, 3, 2)] == ["main", "one", "three"]
