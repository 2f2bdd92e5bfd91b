"""Check that each entry of a stack holds its own commits, once, in order, on its base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from support.landing import SLUG, STACK, Landing
from support.repo import Repo

OWN = {
    518: ("feat/one", ["arena 1", "arena 2", "arena 3"]),
    519: ("feat/two", ["entry struct", "use the arena"]),
    520: ("feat/three", ["evict"]),
}


@dataclass(frozen=True)
class Held:
    """The commits of one entry over its base, and its pull request."""

    branch: str
    base: str
    subjects: list[str]


def stacked(landing: Landing, *entries: tuple[int, list[str]]) -> list[Held]:
    """Return the commits of entries on the remote, bottom first, each over the previous one.

    Asserts that the base is contained, that local and remote branches agree, and that the pull
    request is open with that base.
    """
    remote = Repo(landing.github.bare(SLUG))
    below, found = "main", []
    for number, _ in entries:
        pull = landing.pr(number)
        branch = pull["head"]
        assert (number, pull["state"], pull["base"]) == (number, "OPEN", below)
        assert remote.git("merge-base", below, branch) == remote.git("rev-parse", below), (branch, below)
        tip = landing.clone.refs().get(f"refs/heads/{branch}")
        assert tip == landing.remote_head(branch) == pull["head_oid"]
        found.append(Held(branch, below, remote.subjects(f"{below}..{branch}")))
        below = branch
    return found


def assert_stacked(landing: Landing, *entries: tuple[int, list[str]]) -> None:
    """Assert that each entry holds exactly these commits, on top of the previous entry."""
    found = stacked(landing, *entries)
    assert [held.subjects for held in found] == [subjects for _, subjects in entries]


def write_stack(landing: Landing, numbers: Sequence[tuple[int, str]]) -> None:
    """Write the checkout's stack.toml with these entries and the same gates."""
    path = landing.clone.path / "stack.toml"
    gates = path.read_text().partition("[gates]")[2].partition("[[entry]]")[0]
    head = STACK.partition("[gates]")[0]
    entries = "".join(f'[[entry]]\npr = {number}\nbranch = "{branch}"\n\n' for number, branch in numbers)
    path.write_text(f"{head}[gates]{gates}{entries}")
