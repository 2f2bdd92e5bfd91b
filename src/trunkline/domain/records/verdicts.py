"""Records of gates and checks that have no receipt."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.domain.names import Id
from trunkline.domain.records.base import EntryRecord


class Verdicts(EntryRecord, frozen=True, kw_only=True):
    """The verdicts of a step on a commit that no receipt holds.

    `unavailable` names what could not run, each with its fix; `accepted` what was accepted by name.
    """

    commit: Id
    unavailable: Mapping[str, str]
    accepted: tuple[str, ...]


class GateVerdicts(Verdicts, frozen=True, kw_only=True, tag="gated"):
    """The gates that could not run on a commit, each with its fix, and those whose verdict was accepted by name.

    Written: after the gates ran.
    Resume: counts the former as unavailable and the latter as accepted.
    Undo: ignores it.
    """


class CheckVerdicts(Verdicts, frozen=True, kw_only=True, tag="checked"):
    """The checks that could not run on a commit, each with its fix, and those whose verdict was accepted by name.

    Written: after the checks ran.
    Resume: counts the former as unavailable and the latter as accepted.
    Undo: ignores it.
    """
