"""Publish a modified stack within its run: close, push, create, retarget and retitle pull requests."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from trunkline.commands import submit
from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain.commits import Commit
from trunkline.domain.errors import WrongFlag
from trunkline.domain.modify import WantedEntry, WantedStack
from trunkline.domain.names import EntryKey, Oid
from trunkline.domain.rewrite import NewCommit, Rewrite
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Plan, Step, StepKey, StepName
from trunkline.domain.submission import Words
from trunkline.engine import StepContext, StepFunction
from trunkline.operations import native_link
from trunkline.operations.publish import Update
from trunkline.planning import renamed
from trunkline.steps import close, create, push, retarget, retitle


def is_wanted(view: View) -> bool:
    """Return whether the run publishes: not with `--no-push`."""
    return StepName.PUSH not in view.options.skip


def refuse_contradiction(view: View, *, closes: bool) -> None:
    """Check that `--close` and `--no-push` are not both given.

    Raises:
        WrongFlag: they are.
    """
    if closes and not is_wanted(view):
        raise WrongFlag(
            "--close and --no-push exclude each other",
            why="closing a pull request publishes; nothing was changed",
            flags={"no-push": ""},
            otherwise=({"close": ""},),
        )


def published(entries: Iterable[Entry], created: Collection[EntryKey]) -> tuple[Entry, ...]:
    """Return the entries to publish, bottom first, up to the first whose pull request this run does not create.

    Args:
        entries: the open entries, bottom first.
        created: the entries without a pull request whose pull request the run creates.
    """
    return tuple(itertools.takewhile(lambda entry: entry.number is not None or entry.branch in created, entries))


def plan(
    context: Context, view: View, stack: WantedStack, rewrites: Sequence[Rewrite], new: Collection[EntryKey]
) -> tuple[Step, ...]:
    """Plan the steps that publish a stack after its branches have moved.

    Args:
        context: the run's context.
        view: the stack as it is observed, with the decisions of the rewrite.
        stack: the stack as it shall be.
        rewrites: the branches that move.
        new: the entries that the run adds.
    """
    entries = published((each.entry for each in stack.entries), new)
    if not entries:
        return ()
    moved: Mapping[EntryKey, Oid] = {each.pr: each.result.new for each in rewrites}
    first, kept = view, tuple(entry for entry in view.stack.entries if entry not in stack.removed)
    view = replace(view, project=replace(view.project, stack=structs.replace(view.stack, entries=kept)))
    commits = {each.entry.key: each for each in stack.entries}
    creates = [
        create.plan(view.of(entry), None, words=_words(first, commits[entry.key], moved[entry.key], stack.removed))
        for entry in entries
        if entry.number is None
    ]
    updates = [update for entry in entries if (update := _update(view.of(entry), moved)) is not None]
    return (
        push.plan_updates(view, updates),
        *creates,
        retarget.plan(view, native_link.stacks_of(context.observer, context.stack), entries),
        *retitle.plan(view, entries),
    )


def plan_closing(stack: WantedStack) -> tuple[Step, ...]:
    """Plan the steps that close the pull requests of removed entries.

    They come before the push: a push of commits that an adjacent entry took over would mark an open pull
    request as merged.
    """
    return tuple(close.plan(entry) for entry in stack.removed if entry.number is not None)


def _update(view: View, moved: Mapping[EntryKey, Oid]) -> Update | None:
    local = view.local
    new = moved.get(view.entry.key) or local.local
    return None if new is None or new == local.remote else Update(view.entry, local.remote, new)


def _words(view: View, wanted: WantedEntry, tip: Oid, removed: Sequence[Entry]) -> Words:
    was = renamed.replaced(view, tip, removed)
    found = renamed.words(view, was) if was is not None else None
    return found or create.words(view.of(wanted.entry), [_as_commit(new) for new in wanted.commits], tip)


def _as_commit(new: NewCommit) -> Commit:
    return new.source if new.message is None else structs.replace(new.source, message=new.message)


def step_functions(context: Context, intended: Plan) -> dict[StepKey, StepFunction]:
    """Return the functions of the steps that publish, except those that close.

    Args:
        context: the context of the run's first entry; its stack has the removed entries, too.
        intended: the run's plan.
    """
    created = tuple(step.pr for step in intended.steps if step.name is StepName.CREATE and step.pr is not None)

    def entries(now: Context) -> tuple[Entry, ...]:
        return published(now.view().open_entries(), created)

    def push_all(step_context: StepContext) -> Outcome:
        return push.run_entries(context, step_context, entries(submit.current(context)))

    def set_bases(step_context: StepContext) -> Outcome:
        now = submit.current(context)
        return retarget.run(now, step_context, entries(now))

    def set_titles(step_context: StepContext) -> Outcome:
        now = submit.current(context)
        return retitle.run(now.view(), step_context, entries(now))

    observed = create.observing(context, created, lambda: submit.current(context))

    def creation(key: EntryKey) -> StepFunction:
        return lambda step_context: create.run(observed(), key, step_context, first=context)

    whole: Mapping[StepName, StepFunction] = {
        StepName.PUSH: push_all,
        StepName.RETARGET: set_bases,
        StepName.RETITLE: set_titles,
    }
    found = {step.key: whole[step.name] for step in intended.steps if step.name in whole}
    return found | {(StepName.CREATE, key): creation(key) for key in created}
