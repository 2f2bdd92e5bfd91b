"""Read the former tips of branches: reflogs and backup refs, each of them at most once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from trunkline.domain.names import BranchName, Oid
from trunkline.git import history, local_refs, refs
from trunkline.git.git import Git


@dataclass(frozen=True)
class EarlierTips:
    """The former tips of branches in one repository, as of the first time that each is needed.

    Every entry of a stack needs those of trunk and those of the entries below it.

    Attributes:
        git: the repository.
    """

    git: Git
    _moves: dict[str, tuple[Oid, ...]] = field(default_factory=dict, repr=False, compare=False)
    _values: dict[str, tuple[Oid, ...]] = field(default_factory=dict, repr=False, compare=False)

    def of_ref(self, ref: str) -> tuple[Oid, ...]:
        """Return the distinct values in a ref's reflog, newest first (`history.reflog_of`)."""
        return tuple(dict.fromkeys(self._moves_of(ref)))

    def values_of(self, ref: str) -> tuple[Oid, ...]:
        """Return the distinct values that a ref is known to have had, newest first (`history.values_of`)."""
        if ref not in self._values:
            self._values[ref] = history.values_of(self.git, ref, self._moves_of(ref))
        return self._values[ref]

    def _moves_of(self, ref: str) -> tuple[Oid, ...]:
        if ref not in self._moves:
            self._moves[ref] = history.moves_of(self.git, ref)
        return self._moves[ref]

    def backups_of(self, branch: BranchName) -> tuple[Oid, ...]:
        """Return every old tip of a branch that a backup ref holds."""
        return local_refs.backups_among(self._backups, branch)

    @cached_property
    def _backups(self) -> Mapping[str, Oid]:
        return refs.read_refs(self.git, f"{local_refs.BACKUPS}/")
