"""Find an entry whose branch was pushed with commits of entries above: landing it would land them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

import msgspec

from trunkline.context.earlier_tips import EarlierTips
from trunkline.context.view import View
from trunkline.domain.errors import Refused
from trunkline.domain.names import EntryKey, Oid, branch_ref, short
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.words import listing
from trunkline.git import history, refs
from trunkline.git.git import Git


class Misplaced(msgspec.Struct, frozen=True):
    """An entry whose branch on the remote holds commits of entries above it.

    Attributes:
        entry: the entry.
        head: the tip of its branch.
        above: the entries whose commits it holds, bottom first.
        before: its newest known head without them.
        remote: the remote's name.
        merged: those above that GitHub shows as merged into the branch.
    """

    entry: Entry
    head: Oid
    above: tuple[Entry, ...]
    before: Oid
    remote: str
    merged: tuple[Entry, ...] = ()

    @property
    def what(self) -> str:
        """The problem, as a sentence."""
        return f"{self.entry.full_label} holds commits of {listing(each.label for each in self.above)}"

    @property
    def command(self) -> str:
        """The command that moves the branch back."""
        ref = branch_ref(self.entry.branch)
        return shlex.join(
            ["git", "push", f"--force-with-lease={ref}:{self.head}", self.remote, f"{self.before}:{ref}"]
        )

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands to choose from.

        A push of commits looks like a merge of a pull request into the branch by fast-forward.
        """
        if not self.merged:
            return (self.command,)
        what = listing(each.label for each in self.merged)
        return f"{self.command}   # if that was a mistake", f"${{EDITOR:-vi}} stack.toml   # or take {what} out"


def find(
    git: Git, stack: Stack, pull: Callable[[EntryKey], PullRequest | None], earlier: EarlierTips
) -> Misplaced | None:
    """Return the lowest open entry that holds commits of entries above it; None if there is none.

    After two entries swapped places, one also contains the other's head. The upper one then never
    sat on an earlier head of the lower one, so they are not reported.

    Args:
        git: the repository.
        stack: the stack.
        pull: returns the pull request with a number as GitHub shows it.
        earlier: former tips of branches, read once for all entries.
    """
    for index, entry in enumerate(stack.entries):
        pr = pull(entry.key)
        if pr is None or pr.state is not PrState.OPEN:
            continue
        containing = []
        for upper in stack.entries[index + 1 :]:
            other = pull(upper.key)
            if other is None or not _is_unlanded(other, stack) or _has_merge_commit(other):
                continue
            if _contains(git, pr.head_oid, other.head_oid):
                containing.append((upper, other.head_oid))
        if not containing:
            continue
        before = next(_heads_below(git, stack, entry, pr, containing[0][1], earlier), None)
        if before is not None:
            above = tuple(upper for upper, _ in containing)
            merged = tuple(upper for upper in above if (at := pull(upper.key)) and at.state is PrState.MERGED)
            return Misplaced(entry, pr.head_oid, above, before, stack.remote, merged)
    return None


def _is_unlanded(pr: PullRequest, stack: Stack) -> bool:
    """Return whether a pull request is open, or shown as merged into a base other than trunk."""
    return pr.state is PrState.OPEN or (pr.state is PrState.MERGED and pr.base != stack.trunk)


def _has_merge_commit(pr: PullRequest) -> bool:
    """Return whether a merge commit of its own brought a pull request's head into its base.

    A push of the commits makes GitHub show a pull request as merged too, but not through such a commit.
    """
    return pr.state is PrState.MERGED and pr.head_oid in pr.merge_parents[1:]


def _contains(git: Git, head: Oid, other: Oid) -> bool:
    return not history.missing(git, [head, other]) and history.is_ancestor(git, other, head)


def _heads_below(
    git: Git, stack: Stack, entry: Entry, pr: PullRequest, upper: Oid, earlier: EarlierTips
) -> Iterator[Oid]:
    """Yield earlier heads of an entry, newest first, that the entry above builds on."""
    local, tracking = branch_ref(entry.branch), refs.tracking_ref(stack.remote, entry.branch)
    trunk_ref = refs.tracking_ref(stack.remote, stack.trunk)
    now = refs.read_refs(git, local, tracking, trunk_ref)
    known = [*pr.historical_heads, *(tip for ref, tip in now.items() if ref != trunk_ref)]
    known += [*earlier.of_ref(local), *earlier.of_ref(tracking), *earlier.backups_of(entry.branch)]
    absent = history.missing(git, known)
    for head in dict.fromkeys(known):
        if head in absent or head in {pr.head_oid, upper} or not history.is_ancestor(git, head, upper):
            continue
        if trunk_ref not in now or not history.is_ancestor(git, head, now[trunk_ref]):
            yield head


def refuse(view: View) -> None:
    """Check that no open entry holds commits of entries above it.

    Raises:
        Refused: one does; the error names it and the command that moves its branch back.
    """
    found = find(view.git, view.stack, view.world.snapshot.pr, view.earlier)
    if found is None:
        return
    raise Refused(
        found.what,
        why=f"{view.stack.remote}/{found.entry.branch} was at {short(found.before)}, it was pushed to"
        f" {short(found.head)}. Landing {found.entry.label} would land them too; nothing was changed",
        next_command=found.commands,
    )
