"""A work tree at a commit, where gates run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from trunkline.domain.names import Oid
from trunkline.domain.stack import GateSettings
from trunkline.gates.invalidation import Reset
from trunkline.gates.refusal import Place
from trunkline.gates.slots import Slot, refuse_links
from trunkline.gates.workplace import Workplace
from trunkline.git import submodules
from trunkline.git.git import Git


class GateWorkspace(msgspec.Struct, frozen=True):
    """A work tree slot at a commit, where gates run.

    Attributes:
        git: the repository.
        slot: the locked work tree.
        root: the Cargo workspace's directory inside it.
        run: the run's own directory, with the job pool and logs.
        settings: the `[gates]` table: signing key, and which receipts count.
        executor: what runs the gates: nox, dask or actions.
        on_line: receives each line that a gate prints.
        least: the least part of the build output to rebuild.
        on_units: receives the number of compiled units of the gate's command, fresh ones included,
            on each change.
    """

    git: Git
    slot: Slot
    root: str
    run: Path
    settings: GateSettings = msgspec.field(default_factory=GateSettings)
    executor: str = "nox"
    on_line: Callable[[bytes], None] | None = None
    least: Reset = Reset.SOME
    on_units: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        """Refuse a directory outside the tree (`slots.refuse_links`)."""
        refuse_links(self.git, self.slot.commit, self.root)

    @property
    def cwd(self) -> Path:
        """The gates' working directory."""
        return self.slot.tree / self.root

    @property
    def tree(self) -> Oid:
        """The commit's tree."""
        return self.git.tree(self.slot.commit)

    @property
    def workplace(self) -> Workplace:
        """The work tree of the gate's group."""
        return Workplace(self.git, self.slot, self.root)

    @property
    def place(self) -> Place:
        """The gates' working directory, for messages."""
        return Place(self.slot.tree, self.root, self.cwd / "target", submodules.missing(self.slot.tree))
