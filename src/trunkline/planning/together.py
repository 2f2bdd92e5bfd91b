"""Decide whether several entries can land without a push between their merges.

With one of GitHub's native stacks, one request merges all of them. Otherwise each head must be
mergeable as it is on top of the result of the one below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.decisions import Decisions
from trunkline.domain.errors import Refused
from trunkline.domain.merge_choice import MergeChoice, described
from trunkline.domain.names import PrNumber
from trunkline.domain.native import NativeStack, stack_of
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.planning import merge_as_is
from trunkline.planning.merge_as_is import Terms

EACH, TOP = "each", "top"
"""Values of `--verify`: gate every resulting tree, or the last one only."""


def open_of(view: View) -> tuple[Entry, ...]:
    """Return the entries of the landing that are not merged yet, bottom first.

    An entry that was closed is included: the step that needs it reports it.
    """
    entries = (view.stack.entry(key) for key in view.decisions.landing)
    return tuple(entry for entry in entries if view.known(entry.pr).state is not PrState.MERGED)


def is_gated(scope: Scope, decisions: Decisions) -> bool:
    """Return whether the gates run on the result of an entry's own merge."""
    landing = decisions.landing
    return scope.options.verify != TOP or not landing or scope.entry.key == landing[-1]


def is_outdated(view: View, stacks: Sequence[NativeStack]) -> bool:
    """Return whether an open entry is merged or closed by now, as its native stack shows.

    GitHub returns the two in different responses.
    """
    shown = (entry.pr for entry in open_of(view) if view.known(entry.pr).state is PrState.OPEN)
    held = ((number, stack_of(stacks, number)) for number in shown)
    return any(stack is not None and number not in stack.open for number, stack in held)


def native_stack(stacks: Sequence[NativeStack], entries: Sequence[Entry]) -> NativeStack | None:
    """Return the native stack that holds the entries; None if none of them is in one.

    Raises:
        Refused: a merge of the last one would take other pull requests, or not all of the entries.
    """
    numbers = [entry.pr for entry in entries]
    found = {stack.number: stack for number in numbers if (stack := stack_of(stacks, number)) is not None}
    if not found:
        return None
    stack = found[min(found)]
    taken = stack.upto(numbers[-1])
    if len(found) == 1 and list(taken) == numbers:
        return stack
    raise Refused(
        "the entries cannot be landed together as GitHub's native stacks are",
        why=f"merging #{numbers[-1]} in native stack {stack.number} takes {_listed(taken) or 'nothing of it'};"
        f" stack.toml lands {_listed(numbers)}; nothing was merged",
        next_command=task_command("restack"),
    )


def decide(view: View, terms: Terms) -> View:
    """Decide how each open entry is merged on those below, and return the view with the decisions.

    The decisions hold each choice, and what trunk will hold after each merge.

    Raises:
        Refused: an entry must be rewritten, or GitHub's native stack holds other pull requests.
        OwnCommitsUnknown: the user must decide which commits are an entry's own.
    """
    entries, landing = open_of(view), view.decisions.landing
    if entries:
        native_stack(terms.stacks, entries)
    kept = {key: preview for key, preview in view.decisions.replays.items() if key not in landing}
    view = replace(view, decisions=structs.replace(view.decisions, replays=kept))
    for entry in entries:
        choice, replayed = merge_as_is.choose(view.of(entry), terms)
        if choice.reason:
            raise _impossible(entry, choice, entries, terms)
        view = view.of(entry).with_merge(choice).with_replay(replayed)
    return view


def _impossible(entry: Entry, choice: MergeChoice, entries: Sequence[Entry], terms: Terms) -> Refused:
    below = entries[: entries.index(entry)]
    fewer = (task_command("land", "--together", "--up-to", below[-1].key),) if below else ()
    rewritten = task_command("restack", comment="one push for all; CI runs again on what moves")
    linked = stack_of(terms.stacks, entry.pr) is not None
    return Refused(
        f"{entry.label} cannot be landed together with the others",
        why=f"it would be {described(choice)}; nothing was merged",
        next_command=(*fewer, rewritten if linked else task_command("land")),
    )


def words(scope: Scope, decisions: Decisions) -> str:
    """Return the note's sentence about the verification of entries that land together; "" for a single one."""
    landing = decisions.landing
    if not scope.options.together or len(landing) < 2:  # noqa: PLR2004 -- alone, there is nothing to say
        return ""
    listed = _listed([scope.stack.entry(key).pr for key in landing])
    if scope.options.verify == TOP:
        return f"Landed together: {listed}. The gates ran on the last result only, not on each one below it."
    return f"Landed together: {listed}. The gates ran on the result of each merge."


def _listed(numbers: Sequence[PrNumber]) -> str:
    return " ".join(f"#{number}" for number in numbers)
