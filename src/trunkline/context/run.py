"""The context of a step: its entry, and the state of the run that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from trunkline.context.earlier_tips import EarlierTips
from trunkline.context.observation import World
from trunkline.context.observer import Observer
from trunkline.context.project import Project
from trunkline.context.scope import Scope
from trunkline.context.view import View, verified_commit, waivers
from trunkline.domain.decisions import Decisions, InitialTips
from trunkline.domain.names import EntryKey, Oid, branch_ref
from trunkline.domain.replay_plan import ReplayPreview
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome
from trunkline.domain.waivers import Waivers
from trunkline.engine import StepContext
from trunkline.git import refs
from trunkline.state.change_log import Part


@dataclass
class RunState:
    """The mutable state of a run, shared by the contexts of all its entries.

    Attributes:
        observer: holds the observation.
        decisions: the decisions so far.
        planned: the replays that the plan computed; a step reuses one whose inputs are unchanged.
    """

    observer: Observer
    decisions: Decisions = field(default_factory=Decisions)
    planned: Mapping[EntryKey, ReplayPreview] = field(default_factory=dict)

    def begin(self, planned: Decisions, initial_tips: Mapping[EntryKey, InitialTips]) -> None:
        """Take over the decisions of a plan; from here on, bases are the branches themselves.

        Args:
            planned: the decisions of the plan; empty for a run that is resumed.
            initial_tips: the tips of the branches when the run began.
        """
        self.planned = planned.replays
        self.decisions = replace(planned, replays={}, rewritten={}, initial_tips=initial_tips)


@dataclass(frozen=True)
class Context(Scope):
    """The context of a step: its entry, and the state of its run."""

    run: RunState = field(repr=False)

    @property
    def observer(self) -> Observer:
        """Holds the observation."""
        return self.run.observer

    def over_the_stack(self) -> Context:
        """Return the context for tasks of the whole stack."""
        return open_run_context(self.project, self.entry, stacked=True)

    def world(self, fresh: Part = Part.NOTHING) -> World:
        """Return the world as observed now (`Observer.observe`)."""
        return self.observer.observe(fresh)

    def view(self, fresh: Part = Part.NOTHING) -> View:
        """Return the entry as observed now (`Observer.observe`), with the decisions so far."""
        world, machine = self.world(fresh), self.observer.machine()
        earlier = EarlierTips(self.git)
        return View(
            self.project,
            self.entry,
            self.stacked,
            world,
            machine,
            self.run.decisions,
            earlier,
            self.observer.pulls_of,
        )

    def local_tip(self) -> Oid:
        """Return the local branch's tip, as last observed; needs no request to GitHub.

        Raises:
            UsageError: there is no local branch yet.
        """
        ref = branch_ref(self.entry.branch)
        tip = self.observer.last_tip(self.entry.branch) or refs.read_ref(self.git, ref)
        if tip is None:
            raise self.no_local_branch()
        return tip

    def verified_commit(self) -> Oid:
        """Return the commit that gates and checks run on; see `verified_commit`.

        Raises:
            UsageError: there is no local branch yet.
        """
        return verified_commit(self.run.decisions, self.entry.key, self.local_tip())

    @property
    def waivers(self) -> Waivers:
        """The verdicts that are waived by name."""
        return waivers(self, self.run.decisions)


def observing(
    function: Callable[[View, StepContext], Outcome], fresh: Part = Part.NOTHING
) -> Callable[[Context, StepContext], Outcome]:
    """Return a step that observes once, when it begins, for a function that needs no more.

    Args:
        function: takes the entry as observed, and the step's arguments.
        fresh: parts that are observed again in any case, because others may have changed them.
    """
    return lambda context, step_context: function(context.view(fresh), step_context)


def open_run_context(project: Project, entry: Entry, *, stacked: bool) -> Context:
    """Return the context of an entry, or of the stack, before anything was observed or decided."""
    return Context(project, entry, stacked, RunState(Observer(Scope(project, entry, stacked))))
