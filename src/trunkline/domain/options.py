"""The options of a task."""

from __future__ import annotations

import msgspec

from trunkline.domain.reuse import Reuse
from trunkline.domain.step import StepName
from trunkline.domain.submission import SubmitOptions


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a task, besides the entry; a run's first record holds them too.

    Attributes:
        skip: skipped steps.
        accept_unavailable: gates that may be unavailable.
        fork_point: the value of `--fork-point`, or "".
        fresh: ignore receipts, and rebuild the repository's own packages.
        clean: ignore all earlier build output too.
        require: the condition of a merge, `checks` or `gates`; "": as in stack.toml.
        method: the merge method; "": as in stack.toml.
        watch: wait for reviewers too, for hours.
        drop_emptied: drop commits that became empty.
        baseline: run failed gates on the base too.
        accept_flaky: gates that are accepted although they both passed and failed on the same tree.
        attest: sign and share the receipts of what is pushed.
        submit: what new pull requests get.
        stash: stash uncommitted changes before another branch is checked out.
        together: land several entries without waiting for CI in between.
        verify: each: gate the result of each merge; top: of the last one; "": as each.
    """

    skip: frozenset[StepName] = frozenset()
    accept_unavailable: frozenset[str] = frozenset()
    fork_point: str = ""
    fresh: bool = False
    require: str = ""
    method: str = ""
    watch: bool = False
    drop_emptied: bool = False
    accept_flaky: frozenset[str] = frozenset()
    baseline: bool = False
    clean: bool = False
    attest: bool = False
    submit: SubmitOptions = SubmitOptions()
    stash: bool = False
    together: bool = False
    verify: str = ""

    @property
    def reuse(self) -> Reuse:
        """The results of earlier runs that gates may reuse."""
        return Reuse.by_flags(fresh=self.fresh, clean=self.clean)
