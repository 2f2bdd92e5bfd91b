"""Link the open entries as one of GitHub's native stacks, where the repository has them.

GitHub can create a stack and append to it. Any other change means to dissolve it, and to create it
again once the bases are right.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from trunkline.context.observer import Observer
from trunkline.context.project import Project
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.errors import NotSignedIn, Refused
from trunkline.domain.names import PrNumber
from trunkline.domain.native import LEAST, Link, LinkPlan, NativeStack, plan_link, stack_of
from trunkline.domain.stack import Stack
from trunkline.engine import StepContext
from trunkline.github import native_stacks
from trunkline.github.responses import NotFound

_CHANGES = frozenset({Link.CREATE, Link.EXTEND, Link.REBUILD})


class LinkChange(msgspec.Struct, frozen=True):
    """The change that links the open entries.

    Attributes:
        plan: the change.
        notes: why a stack is not changed, or not created, for the user.
    """

    plan: LinkPlan
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """The link changes something on GitHub."""
        return self.plan.link in _CHANGES

    @property
    def commands(self) -> tuple[str, ...]:
        """The requests, as a user would type them."""
        plan, of = self.plan, "gh api -X POST repos/{owner}/{repo}/stacks"
        sent = "".join(f" -F 'pull_requests[]={number}'" for number in plan.numbers)
        dissolved = tuple(f"{of}/{stack}/unstack" for stack in plan.dissolve)
        if not plan.numbers or not self.changes:
            return dissolved
        return (*dissolved, f"{of}/{plan.stack}/add{sent}" if plan.link is Link.EXTEND else f"{of}{sent}")

    @property
    def publishes(self) -> tuple[str, ...]:
        """The changes that others will see, a line for each."""
        plan, listed = self.plan, " ".join(f"#{number}" for number in self.plan.numbers)
        lines = tuple(f"dissolve GitHub's native stack {stack}" for stack in plan.dissolve)
        if not plan.numbers or not self.changes:
            return lines
        new = f"append {listed} to GitHub's native stack {plan.stack}"
        return (*lines, new if plan.link is Link.EXTEND else f"link {listed} as a native stack on GitHub")


def stacks_of(observer: Observer, stack: Stack) -> tuple[NativeStack, ...] | None:
    """Return the repository's native stacks; None if it has none or stack.toml does not use them.

    Raises:
        ExternalError: the request to GitHub failed.
    """
    return observer.native_stacks() if stack.publish.native == "auto" else None


def linking(view: View, stacks: tuple[NativeStack, ...] | None, retargeted: Collection[PrNumber] = ()) -> LinkChange:
    """Plan the native stack of the open entries, from stack.toml and GitHub's native stacks.

    Args:
        view: the stack.
        stacks: GitHub's native stacks (`stacks_of`).
        retargeted: pull requests whose base changes first; GitHub refuses that in a native stack.
    """
    if stacks is None:
        return LinkChange(LinkPlan(Link.NONE))
    entries = ((pr, view.stack.entry(pr.number)) for pr in view.open_pulls())
    # What sits above an entry without a pull request joins once `submit` has made that.
    order = tuple(pr.number for pr, entry in entries if view.stack.unsubmitted_below(entry) is None)
    plan = plan_link(order, stacks)
    fixed = [stack.number for number in retargeted if (stack := stack_of(stacks, number)) is not None]
    if fixed:
        numbers = order if len(order) >= LEAST else ()
        plan = LinkPlan(Link.REBUILD, 0, numbers, tuple(dict.fromkeys((*plan.dissolve, *fixed))))
    return _without_foreign(view.project, plan, stacks)


def _without_foreign(project: Project, plan: LinkPlan, stacks: tuple[NativeStack, ...]) -> LinkChange:
    """Leave stacks alone that hold open pull requests which stack.toml does not have."""
    own = {entry.pr for entry in project.stack.entries}
    notes = []
    for stack in stacks:
        foreign = [f"#{number}" for number in stack.open if number not in own]
        if stack.number in plan.dissolve and foreign:
            notes.append(
                f"GitHub's native stack {stack.number} is left alone: it also holds {', '.join(foreign)},"
                " which stack.toml does not have"
            )
    if plan.link is Link.TOO_MANY:
        notes.append("not linked on GitHub: a native stack holds 100 pull requests at most")
    return LinkChange(LinkPlan(Link.NONE), tuple(notes)) if notes else LinkChange(plan)


def dissolve(view: View, step_context: StepContext, found: LinkChange) -> None:
    """Log the intent, and dissolve the stacks that must be created again.

    Raises:
        Refused: GitHub rejects it: they are being merged.
    """
    if not found.changes:
        return
    view.reporter.require_approval(*found.publishes)
    step_context.log_intent(
        records.NativeStackLinked(
            *step_context.about(view.stack.entry(view.open_pulls()[-1].number)),
            stack=found.plan.stack, numbers=found.plan.numbers, dissolved=found.plan.dissolve,
        )
    )  # fmt: skip
    for stack in found.plan.dissolve:
        view.reporter.command(f"gh api -X POST repos/{view.repository.slug}/stacks/{stack}/unstack")
        native_stacks.unstack(view.github, stack)


def link(project: Project, found: LinkChange) -> LinkChange:
    """Create or extend the native stack, after `dissolve` and once every base is right.

    GitHub's refusal is a note, as is a missing permission: the entries are pushed and targeted as
    they should be.
    """
    plan = found.plan
    if not found.changes or not plan.numbers:
        return found
    project.reporter.command(found.commands[-1].replace("{owner}/{repo}", project.repository.slug))
    try:
        if plan.link is Link.EXTEND:
            made = native_stacks.add(project.github, plan.stack, plan.numbers)
        else:
            made = native_stacks.create(project.github, plan.numbers)
    except (Refused, NotFound, NotSignedIn) as refused:
        return replace(found, notes=(*found.notes, f"not linked on GitHub: {refused.why or refused.what}"))
    listed = " ".join(f"#{number}" for number in made.open)
    return replace(found, notes=(*found.notes, f"GitHub's native stack {made.number}: {listed}"))
