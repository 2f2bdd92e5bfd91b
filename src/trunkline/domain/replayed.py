"""The result of a replay that went into its branch: the commits before and after, as later runs need them."""

from __future__ import annotations

import msgspec

from trunkline.domain.names import BranchName, Oid


class Replayed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finished replay of an entry.

    Attributes:
        branch: the entry's branch.
        tip: the commit that was replayed.
        new: the commit that it became.
        base: the commit that it was replayed onto.
        fork: the fork point of `tip`.
        remote: the remote branch at that time; None: there was none.
        mapped: each commit with the one that it became, bottom first; empty: no commit was written, or unknown.
        dropped: the commits that were left out because they change nothing any more.
        skipped: the commits that `skip` left out.
        resolved: the commits whose conflict a person resolved.
        confirmed: the commits that a person's answer kept as the entry's own, and what they became.
    """

    branch: BranchName
    tip: Oid
    new: Oid
    base: Oid
    fork: Oid
    remote: Oid | None
    mapped: tuple[tuple[Oid, Oid], ...] = ()
    dropped: tuple[Oid, ...] = ()
    skipped: tuple[Oid, ...] = ()
    resolved: tuple[Oid, ...] = ()
    confirmed: tuple[Oid, ...] = ()
