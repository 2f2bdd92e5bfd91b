"""Choose which results of earlier runs gates may reuse."""

from __future__ import annotations

from enum import Enum


class Reuse(Enum):
    """The results of earlier runs that gates may reuse.

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
        """Return the results that the flags `--fresh` and `--clean` leave reusable."""
        if clean:
            return cls.NOTHING
        return cls.DEPENDENCIES if fresh else cls.ALL

    @property
    def receipts(self) -> bool:
        """Return whether receipts may take the place of a run."""
        return self is Reuse.ALL
