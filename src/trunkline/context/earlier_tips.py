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
    _reflogs: dict[str, tuple[Oid, ...]] = field(default_factory=dict, repr=False, compare=False)

    def of_ref(self, ref: str) -> tuple[Oid, ...]:
        """Return the distinct values in a ref's reflog, newest first (`history.reflog_of`)."""
        if ref not in self._reflogs:
            self._reflogs[ref] = history.reflog_of(self.git, ref)
        return self._reflogs[ref]

    def backups_of(self, branch: BranchName) -> tuple[Oid, ...]:
        """Return every old tip of a branch that a backup ref holds."""
        return local_refs.backups_among(self._backups, branch)

    @cached_property
    def _backups(self) -> Mapping[str, Oid]:
        return refs.read_refs(self.git, f"{local_refs.BACKUPS}/")
