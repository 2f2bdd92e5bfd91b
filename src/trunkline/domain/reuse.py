"""What gates may reuse of earlier runs."""

from __future__ import annotations

from enum import Enum


class Reuse(Enum):
    """What gates may reuse of earlier runs.

    Attributes:
        ALL: receipts and build output.
        DEPENDENCIES: only the build output of dependencies (`--fresh`).
        NOTHING: no receipts and no build output (`--clean`).
    """

    ALL = "all"
    DEPENDENCIES = "dependencies"
    NOTHING = "nothing"

    @classmethod
    def by_flags(cls, *, fresh: bool, clean: bool) -> Reuse:
        """Return what the flags `--fresh` and `--clean` leave."""
        if clean:
            return cls.NOTHING
        return cls.DEPENDENCIES if fresh else cls.ALL

    @property
    def receipts(self) -> bool:
        """Whether receipts may take the place of a run."""
        return self is Reuse.ALL
