"""Decide whether a pull request can be merged without a push, which keeps its checks and approvals.

This is possible if merging the approved head into trunk gives the same tree as replaying the
entry's own commits on trunk. Both are computed in memory.
"""

from __future__ import annotations

from trunkline.context import native
from trunkline.context.project import Context
from trunkline.domain.command import task_command
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
from trunkline.domain.native import stack_of
from trunkline.git import history, replay
from trunkline.github import branch_rules
from trunkline.planning.parents import open_below
from trunkline.planning.replay_plan import ReplayPreview, preview_replay


def rules_of(context: Context) -> MergeRules:
    """Return the repository's rules for a merge into trunk; cached for the session.

    Raises:
        ExternalError: the request to GitHub failed.
    """
    if context.cache.rules is None:
        context.cache.rules = branch_rules.merge_rules(context.github, context.stack.trunk)
    return context.cache.rules


def method_of(context: Context) -> str:
    """Return the merge method: from the flag, from stack.toml, else squash if it is allowed."""
    chosen = context.options.method or context.stack.land.method
    if chosen:
        return chosen
    allowed = rules_of(context).methods
    return "squash" if "squash" in allowed or not allowed else allowed[0]


def is_enabled(context: Context) -> bool:
    """Return whether stack.toml allows entries to be merged without a rewrite."""
    return context.stack.land.rewrite != ALWAYS


def choose(context: Context) -> tuple[MergeChoice, ReplayPreview]:
    """Decide how an entry is merged, on the current trunk or on the planned one.

    Returns:
        The choice, which is also cached for later steps, and the replay it was compared with.

    Raises:
        Refused: see `preview_replay`.
        ExternalError: the request to GitHub failed.
    """
    foreseen = preview_replay(context, trial=True)
    choice = _choice(context, foreseen)
    context.cache.merges[context.entry.key] = choice
    return choice, foreseen


def _choice(context: Context, foreseen: ReplayPreview) -> MergeChoice:
    git, work, done = context.git, foreseen.work, foreseen.done
    trunk = _trunk_by_then(context, work.base)
    on_trunk = foreseen.nothing and open_below(context) is None
    own = {commit.oid for commit in work.own}
    foreign = sum(commit.oid not in own for commit in history.reachable(git, [work.tip], _excluded(context)))
    merged = replay.automatic_merge(git, trunk, work.tip)
    stack = stack_of(native.stacks_of(context) or (), context.entry.pr)
    facts = MergeFacts(
        method=method_of(context),
        trunk=context.tracking,
        published=work.tip == work.remote,
        on_trunk=on_trunk,
        foreign=foreign,
        conflicts=merged.conflicts,
        merged_tree=merged.tree,
        replayed_tree=None if done.conflict else git.tree(done.tip),
        native=stack.number if stack is not None else 0,
        below=open_below(context) is not None,
    )
    reason = reason_to_rewrite(facts, rules_of(context))
    result = work.tip if on_trunk or reason else replay.commit_of_tree(git, merged.tree, trunk)
    return MergeChoice(work.tip, trunk, result, reason, foreign, work.own)


def _trunk_by_then(context: Context, base: Oid) -> Oid:
    """Return trunk as it will be when the entry is merged, as a commit with the base's tree."""
    if open_below(context) is None:
        return context.world().trunk
    return replay.commit_of_tree(context.git, context.git.tree(base), *_excluded(context))


def _excluded(context: Context) -> tuple[Oid, ...]:
    """Return the commits that trunk will hold when the entry is merged.

    They are trunk itself and, with merge commits, the head of the entry below.
    """
    trunk, below = context.world().trunk, open_below(context)
    if below is None or method_of(context) != "merge":
        return (trunk,)
    choice = context.cache.merges.get(below.key)
    as_is = choice is not None and not choice.reason
    head = choice.head if choice is not None and as_is else context.cache.planned.get(below.key)
    return (trunk, head) if head is not None else (trunk,)


def refuse_rewriting(context: Context, *choices: tuple[int, MergeChoice]) -> None:
    """Refuse to continue if an entry must be rewritten and stack.toml has `rewrite = "never"`.

    Args:
        context: the stack's context.
        choices: pairs of a pull request number and its merge choice.

    Raises:
        Refused: an entry must be rewritten.
    """
    rewritten = [(number, choice) for number, choice in choices if choice.reason]
    if context.stack.land.rewrite != NEVER or not rewritten:
        return
    listed = ", ".join(f"#{number}" for number, _ in rewritten)
    raise Refused(
        f"{listed} cannot be merged as {'it is' if len(rewritten) == 1 else 'they are'}",
        why="\n".join(f"#{number} would be {described(choice)}" for number, choice in rewritten)
        + '\nstack.toml has [land] rewrite = "never"; nothing was rewritten',
        next_command=task_command("rebase", "--pr", rewritten[0][0]),
    )


def message(context: Context, choice: MergeChoice) -> str:
    """Return the message for an entry that is merged without a rewrite."""
    where = f"{short(choice.head)} on {context.tracking}"
    return f"nothing to rewrite: {where} comes to the same result as its own commits"
