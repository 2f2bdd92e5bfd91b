"""Find the state that an entry's own changes are relative to, whether or not it has been rebased."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from msgspec import structs

from trunkline.context.view import View
from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import Oid
from trunkline.gates import check_receipts
from trunkline.git import history
from trunkline.git import replay as merging
from trunkline.git.git import Git
from trunkline.planning import journal_queries
from trunkline.planning.known_heads import heads_of, refs_of
from trunkline.planning.replay_plan import own_commits

_NOBODY = "trunkline <> 0 +0000"
"""Author and committer of a merge that no branch holds: the same two parents give the same commit."""


def subject_of(view: View, tip: Oid) -> check_receipts.Subject:
    """Return the subject of the entry's checks: a tip, and the base of its own commits."""
    return check_receipts.Subject(view.git, tip, own_base_of(view, tip), view.stack.gates)


def own_base_of(view: View, tip: Oid) -> Oid:
    """Return the commit whose difference to a tip is what the entry's own commits change.

    It is the base in the journal if a replay of ours made the tip, else the fork point. If the branch contains
    a merge of trunk or of an entry below, it is a merge of both that no branch holds.
    """
    replayed = journal_queries.base_of(view, tip)
    if replayed is not None:
        return replayed
    try:
        found = own_commits(_whole(view), tip)
    except TrunklineError:  # the task that needs the answer reports the error
        return nearest_head(view, tip)
    return _together(view.git, found.roots()) if found.own else tip


def _whole(view: View) -> View:
    """Return the view of an entry in its stack; in a task of one entry, the other heads are those on GitHub."""
    if view.stacked:
        return view
    pulls = {each.branch: pr for each in view.stack.entries if (pr := view.world.snapshot.pr(each.key)) is not None}
    branches = {
        name: structs.replace(state, remote=pulls[name].head_oid) if state.remote is None and name in pulls else state
        for name, state in view.world.branches.items()
    }
    return replace(view, stacked=True, world=structs.replace(view.world, branches=branches))


def nearest_head(view: View, tip: Oid) -> Oid:
    """Return the head of the nearest entry below that a tip contains by object id, else the merge base with trunk."""
    git, trunk, known = view.git, view.world.trunk, refs_of(view.git, view.stack)
    pulls = view.world.snapshot.pr
    below = [
        head
        for each in reversed(view.stack.below(view.entry))
        for head in heads_of(known, view.stack.remote, each, pulls(each.key))
        if head != tip
    ]
    contained = (head for head in history.present(git, below) if history.is_ancestor(git, head, tip))
    found = next((head for head in contained if not history.is_ancestor(git, head, trunk)), None)
    return found or history.merge_base(git, trunk, tip) or trunk


def _together(git: Git, roots: Sequence[Oid]) -> Oid:
    """Return the one commit that contains all others, else the automatic merge of all, with any conflict markers."""
    tips = list(_not_contained(git, roots))
    found = tips[0]
    for other in tips[1:]:
        merge = merging.automatic_merge(git, found, other)
        found = merging.write_merge(git, merge.tree, (found, other), b"", by=_NOBODY)
    return found


def _not_contained(git: Git, names: Sequence[Oid]) -> Iterable[Oid]:
    """Yield the commits that no other one contains."""
    return (one for one in names if not any(other != one and history.is_ancestor(git, one, other) for other in names))
