"""Decide whether a pull request can be merged without a push, which keeps its checks and approvals.

This is possible if merging the approved head into trunk gives the same tree as replaying the
entry's own commits on trunk. Both are computed in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from trunkline.context.observer import Observer
from trunkline.context.project import Project
from trunkline.context.view import View
from trunkline.domain.command import Command, same_command, task_command
from trunkline.domain.errors import Refused
from trunkline.domain.merge_choice import (
    ALWAYS,
    NEVER,
    MergeChoice,
    MergeFacts,
    MergeRules,
    described,
    reason_to_rewrite,
)
from trunkline.domain.names import Oid, short
from trunkline.domain.native import NativeStack, stack_of
from trunkline.domain.replay_plan import ReplayPreview
from trunkline.domain.stack import Stack
from trunkline.git import history, replay
from trunkline.planning import reverted_parent
from trunkline.planning.parents import open_below
from trunkline.planning.replay_plan import preview_replay


def named_method(project: Project) -> str:
    """Return the merge method from the flag or from stack.toml; "" if neither names one."""
    return project.options.method or project.stack.land.method


def default_method(rules: MergeRules) -> str:
    """Return squash if the repository allows it, else the first method that it allows."""
    return "squash" if "squash" in rules.methods or not rules.methods else rules.methods[0]


def is_enabled(stack: Stack) -> bool:
    """Return whether stack.toml allows entries to be merged without a rewrite."""
    return stack.land.rewrite != ALWAYS


class Terms(msgspec.Struct, frozen=True):
    """The terms of a merge on GitHub.

    Attributes:
        rules: the repository's rules for a merge into trunk.
        stacks: its native stacks.
    """

    rules: MergeRules
    stacks: tuple[NativeStack, ...] = ()


def terms_of(observer: Observer, stack: Stack) -> Terms | None:
    """Return the terms of a merge; None if stack.toml demands that every entry is rewritten.

    Raises:
        ExternalError: a request to GitHub failed.
    """
    return requested_terms(observer) if is_enabled(stack) else None


def requested_terms(observer: Observer) -> Terms:
    """Return the terms of a merge; errors as `terms_of`."""
    return Terms(observer.rules(), observer.native_stacks() or ())


def choose(view: View, terms: Terms) -> tuple[MergeChoice, ReplayPreview]:
    """Decide how an entry is merged, on the current trunk or on the planned one.

    Args:
        view: the entry.
        terms: the terms of a merge on GitHub.

    Returns:
        The choice, and the replay it was compared with.

    Raises:
        Refused: see `preview_replay`.
        Paused: trunk reverted a parent, and the result depends on that.
    """
    preview = preview_replay(view, trial=True)
    git, work, done = view.git, preview.work, preview.done
    reverted_parent.refuse_undecided(view, work, done)
    method = named_method(view.project) or default_method(terms.rules)
    excluded = _excluded(view, method)
    trunk = _trunk_by_then(view, work.base, excluded)
    on_trunk = preview.nothing and open_below(view) is None
    own = {commit.oid for commit in work.own}
    foreign = sum(commit.oid not in own for commit in history.reachable(git, [work.tip], excluded))
    merged = replay.automatic_merge(git, trunk, work.tip)
    stack = stack_of(terms.stacks, view.entry.pr)
    if view.options.together and stack is not None:
        return _in_group(view, preview, stack.number), preview
    facts = MergeFacts(
        method=method,
        trunk=view.tracking,
        published=work.tip == work.remote,
        on_trunk=on_trunk,
        foreign=foreign,
        conflicts=merged.conflicts,
        merged_tree=merged.tree,
        replayed_tree=None if done.conflict else git.tree(done.tip),
        native=stack.number if stack is not None else 0,
        below=open_below(view) is not None,
    )
    reason = reason_to_rewrite(facts, terms.rules)
    result = work.tip if on_trunk or reason else replay.commit_of_tree(git, merged.tree, trunk)
    return MergeChoice(work.tip, trunk, result, reason, foreign, work.own), preview


def _in_group(view: View, preview: ReplayPreview, stack: int) -> MergeChoice:
    """Decide about an entry that GitHub merges together with those below it in a native stack.

    GitHub demands a linear stack, so the head holds exactly what trunk will be.
    """
    work = preview.work
    reason = ""
    if work.tip != work.remote:
        reason = "its branch on GitHub differs from the local one"
    elif not preview.nothing:
        reason = f"GitHub merges its native stack {stack} only if it holds the tip of {work.base_name}"
    return MergeChoice(work.tip, view.world.trunk, work.tip, reason, 0, work.own)


def _trunk_by_then(view: View, base: Oid, excluded: Sequence[Oid]) -> Oid:
    """Return trunk as it will be when the entry is merged, as a commit with the base's tree."""
    if open_below(view) is None:
        return view.world.trunk
    return replay.commit_of_tree(view.git, view.git.tree(base), *excluded)


def _excluded(view: View, method: str) -> tuple[Oid, ...]:
    """Return the commits that trunk will hold when the entry is merged.

    They are trunk itself and, with merge commits, the head of the entry below.
    """
    trunk, below = view.world.trunk, open_below(view)
    if below is None or method != "merge":
        return (trunk,)
    as_is = view.decisions.as_is(below.key)
    head = as_is.head if as_is is not None else view.decisions.planned_tip(below.key)
    return (trunk, head) if head is not None else (trunk,)


def refuse_rewriting(stack: Stack, *choices: tuple[int, MergeChoice]) -> None:
    """Refuse to continue if an entry must be rewritten and stack.toml has `rewrite = "never"`.

    Args:
        stack: the stack.
        choices: pairs of a pull request number and its merge choice, bottom first.

    Raises:
        Refused: an entry must be rewritten; the error names the command that lands those below it, if there
            are any, since a rebase of it would wait for them.
    """
    rewritten = [(number, choice) for number, choice in choices if choice.reason]
    if stack.land.rewrite != NEVER or not rewritten:
        return
    listed = ", ".join(f"#{number}" for number, _ in rewritten)
    below = [number for number, _ in itertools.takewhile(lambda each: not each[1].reason, choices)]
    raise Refused(
        f"{listed} cannot be merged as {'it is' if len(rewritten) == 1 else 'they are'}",
        why="\n".join(f"#{number} would be {described(choice)}" for number, choice in rewritten)
        + '\nstack.toml has [land] rewrite = "never"; nothing was rewritten',
        next_command=_landing_up_to(below[-1]) if below else task_command("rebase", "--pr", rewritten[0][0]),
    )


def _landing_up_to(number: int) -> Command:
    """Return the current landing with another last entry."""
    return same_command({"up-to": str(number), "pr": ""}, pr=number, otherwise="land")


def message(tracking: str, choice: MergeChoice) -> str:
    """Return the message for an entry that is merged without a rewrite."""
    where = f"{short(choice.head)} on {tracking}"
    return f"nothing to rewrite: {where} gives the same result as a replay of its own commits"
