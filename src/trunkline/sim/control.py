"""Control functions for tests and demos: repositories, merges, checks, faults."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.domain.errors import UsageError
from trunkline.sim import actions, copying, forks, merging, pushes, renaming, rules, running, stacks, updating
from trunkline.sim.faults import OF_PUSHES, Fault, FaultKind
from trunkline.sim.model import (
    Annotation,
    CheckRun,
    Ci,
    Comment,
    Deletion,
    MergeMethod,
    MergeRequest,
    Repository,
    Review,
    Rule,
    Settings,
    Thread,
)
from trunkline.sim.refused import GitHubRefusal

if TYPE_CHECKING:
    from trunkline.sim.world import World

# The annotation of a job that Actions did not start; its only reliable sign (community discussions
# on billing).
BILLING = (
    "The job was not started because recent account payments have failed or your spending limit needs to be"
    " increased. Please check the 'Billing & plans' section in your settings"
)


@dataclass(frozen=True)
class Control:
    """Control functions; all arguments and results are JSON, so they also work over the socket."""

    world: World

    def create_repository(self, owner: str, name: str, default_branch: str = "main") -> str:
        """Create an empty repository and return the path of its bare repository."""
        return str(self.world.create_repository(owner, name, default_branch=default_branch))

    def open_pull_request(
        self,
        repository: str,
        head: str,
        base: str,
        title: str,
        body: str = "",
        author: str = "",
        number: int = 0,
        *,
        draft: bool = False,
    ) -> int:
        """Open a pull request and return its number, which may be given."""
        found = self._repository(repository)
        author = author or found.owner
        self.world.add_user(author)
        pull = actions.open_pull(
            self.world, found, author, head=head, base=base, title=title, body=body, draft=draft, number=number
        )
        return pull.number

    def merge(
        self, repository: str, number: int, method: str = "squash", delete_branch: str = "keep", actor: str = ""
    ) -> str:
        """Merge as the web page does; return the merge commit.

        Args:
            repository: `owner/name`.
            number: the pull request.
            method: merge, squash or rebase.
            delete_branch: keep; rest: close children, as `gh --delete-branch` does; web: retarget
                children, as the button and delete_branch_on_merge do.
            actor: the user; default: the repository's owner.
        """
        found = self._repository(repository)
        if found.stack_of(number) is not None:
            request = MergeRequest(
                "", number, actor or found.owner, method, "direct_merge", found.pulls[number].head_oid
            )
            return merging.merge_stack(self.world, found, request).merge_commit
        pull = merging.merge(
            self.world, found, found.pulls[number], actor or found.owner, method=MergeMethod[method.upper()],
            deletion=Deletion(delete_branch),
        )  # fmt: skip
        return pull.merge_commit

    def tally(self, repository: str) -> dict[str, int]:
        """Return the numbers of CI runs, dismissed approvals and force pushes."""
        return rules.tally(self._repository(repository))

    def configure(self, repository: str, **settings: bool | str) -> None:
        """Change a repository's settings, by the names of `model.Settings`."""
        found = self._repository(repository)
        found.settings = Settings(**{**asdict(found.settings), **settings})
        self.world.touch()

    def add_check_run(
        self,
        repository: str,
        commit: str,
        name: str,
        conclusion: str = "SUCCESS",
        status: str = "COMPLETED",
        annotations: list[str] | None = None,
        workflow: str = "CI",
    ) -> int:
        """Add a check run to a commit and return its id; it has a conclusion only if COMPLETED."""
        found = self._repository(repository)
        completed = status == "COMPLETED"
        notes = tuple(Annotation(message) for message in annotations or ())
        run = CheckRun(
            self.world.new_id(), name, commit, status, conclusion if completed else "", self.world.now(),
            self.world.now() if completed else "", workflow, notes,
        )  # fmt: skip
        found.checks[commit] = (*found.checks.get(commit, ()), run)
        return run.id

    def add_billing_failure(self, repository: str, commit: str, names: list[str] | None = None) -> list[int]:
        """Add failed checks with the annotation of a billing failure; return their ids."""
        return [
            self.add_check_run(repository, commit, name, "FAILURE", annotations=[BILLING])
            for name in names or ["build", "test"]
        ]

    def add_status(
        self, repository: str, commit: str, context: str, state: str, description: str = "", target_url: str = ""
    ) -> None:
        """Add a commit status, replacing one with the same context."""
        actions.add_status(
            self.world, self._repository(repository), commit,
            context=context, state=state, description=description, target_url=target_url,
        )  # fmt: skip

    def review(
        self,
        repository: str,
        number: int,
        author: str,
        state: str = "APPROVED",
        body: str = "",
        threads: int = 0,
    ) -> None:
        """Add a review of a pull request's head; state is GraphQL's PullRequestReviewState.

        Each thread begins with the review's text.
        """
        found = self._repository(repository)
        pull = found.pulls[number]
        self.world.add_user(author)
        review = Review(self.world.new_id(), author, state, body, self.world.now(), pull.head_oid)
        waiting = tuple(login for login in pull.review_requests if login != author)
        opened = (
            *pull.threads,
            *(
                Thread("README.md", line, (Comment(self.world.new_id(), author, body or "Why?", self.world.now()),))
                for line in range(1, threads + 1)
            ),
        )
        changed = replace(pull, reviews=(*pull.reviews, review), review_requests=waiting, threads=opened)
        self.world.put(found, changed)

    def ask_for_review(self, repository: str, number: int, *logins: str) -> None:
        """Request reviews."""
        found = self._repository(repository)
        pull = found.pulls[number]
        for login in logins:
            self.world.add_user(login)
        requested = tuple(dict.fromkeys((*pull.review_requests, *logins)))
        self.world.put(found, replace(pull, review_requests=requested))

    def add_milestone(self, repository: str, title: str) -> None:
        """Add an open milestone."""
        found = self._repository(repository)
        found.milestones = (*found.milestones, title)

    def comment(self, repository: str, number: int, author: str, body: str) -> None:
        """Add a comment."""
        found = self._repository(repository)
        self.world.add_user(author)
        self.world.comment(found, found.pulls[number], author, body)

    def set_lag(self, repository: str, requests: int) -> None:
        """Delay the processing of pushes by a number of requests.

        On GitHub it can take many seconds.
        """
        self._repository(repository).lag = requests
        self.world.touch()

    def protect(
        self, repository: str, branch: str, name: str, checks: list[str] | None = None, **demands: Any
    ) -> None:
        """Add a ruleset to a branch, with the field names of `model.Rule`; see `sim.rules`."""
        self._repository(repository).rules[branch] = Rule(name, checks=tuple(checks or ()), **demands)
        self.world.touch()

    def hold_queue(self, repository: str, requests: int) -> None:
        """Delay merges by the merge queue by a number of requests."""
        self._repository(repository).queue_requests = requests
        self.world.touch()

    def leave_queue(self, repository: str, number: int, reason: str) -> None:
        """Remove a pull request from the merge queue without a merge, with those stacked on it."""
        merging.eject(self._repository(repository), number, reason)
        self.world.touch()

    def fork(self, repository: str, owner: str) -> str:
        """Create a user's fork; return its `owner/name`."""
        self.world.add_user(owner)
        return forks.create(self.world, self._repository(repository), owner).slug

    def delete_fork(self, repository: str) -> None:
        """Delete a fork; its pull requests stay."""
        forks.delete(self.world, self._repository(repository))

    def update_branch(self, repository: str, number: int, method: str = "merge", actor: str = "") -> None:
        """Press "Update branch", or "Update with rebase", on the page of a pull request."""
        found = self._repository(repository)
        updating.update(
            self.world, found, found.pulls[number], actor or found.owner,
            method=updating.UpdateMethod(method.upper()),
        )  # fmt: skip

    def rename_branch(self, repository: str, branch: str, new: str, actor: str = "") -> None:
        """Rename a branch."""
        found = self._repository(repository)
        renaming.rename(self.world, found, actor or found.owner, branch, new)

    def set_ready(self, repository: str, number: int) -> None:
        """Mark a pull request ready for review."""
        found = self._repository(repository)
        actions.set_draft(self.world, found, found.pulls[number], found.owner, draft=False)

    def enable_stacks(self, repository: str) -> None:
        """Give a repository native stacks."""
        self._repository(repository).native = True
        self.world.touch()

    def stack_natively(self, repository: str, numbers: list[int]) -> int:
        """Create a native stack of pull requests, bottom first; return its number."""
        self.enable_stacks(repository)
        return stacks.create(self.world, self._repository(repository), tuple(numbers)).number

    def modify_stack(self, repository: str, number: int, *, busy: bool) -> None:
        """Begin or end the modification of a native stack by another request."""
        found = self._repository(repository)
        found.stacks[number] = replace(found.stacks[number], busy=busy)
        self.world.touch()

    def pass_time(self, repository: str, seconds: int) -> None:  # noqa: ARG002 -- every control function has a repository
        """Advance the simulated clock."""
        self.world.state.ticks += seconds
        self.world.touch()

    def run_ci(
        self, repository: str, names: list[str], requests: int = 2, conclusion: str = "SUCCESS", seconds: int = 0
    ) -> None:
        """Start these checks for every new head, and complete them; see `model.Ci`."""
        self._repository(repository).ci = Ci(tuple(names), requests, seconds, conclusion)
        self.world.touch()

    def set_mergeability_lag(self, repository: str, requests: int) -> None:
        """Keep the mergeability of a new head unknown for a number of requests."""
        self._repository(repository).mergeability_lag = requests
        self.world.touch()

    def cap_pushes(self, repository: str, refs: int) -> None:
        """Limit the refs of a push, as some organisations do."""
        path = self.world.bare(self._repository(repository)).path / "ref-cap"
        path.write_text(f"{refs}\n", encoding="utf-8")

    def arm(self, kind: str, **fields: Any) -> None:
        """Add a fault, by the fields of `faults.Fault`.

        Faults of pushes are stored for the ssh replacement.
        """
        fault = Fault(FaultKind(kind), **fields)
        self.world.state.faults.append(fault)
        self.world.touch()
        if fault.kind in OF_PUSHES:
            with (self.world.root / "push-faults").open("a", encoding="utf-8") as stream:
                stream.write(f"{kind} {fault.repository or '-'} {fault.branch or '-'}\n" * fault.times)

    def hits(self) -> int:
        """Return the number of times that faults were triggered."""
        met = self.world.root / "push-faults.met"
        of_pushes = len(met.read_text(encoding="utf-8").splitlines()) if met.exists() else 0
        return of_pushes + sum(fault.hits for fault in self.world.state.faults)

    def clear_faults(self) -> None:
        """Remove all faults and their hit counts."""
        self.world.state.faults.clear()
        for name in ("push-faults", "push-faults.met"):
            (self.world.root / name).unlink(missing_ok=True)
        self.world.touch()

    def place(self, repository: str, objects: str, refs: dict[str, str], pulls: list[dict[str, Any]]) -> None:
        """Fill an empty repository with a copy of a real one; see `copying.place`."""
        copying.place(self.world, self._repository(repository), objects=objects, refs=refs, pulls=pulls)

    def runs(self, repository: str) -> list[dict[str, Any]]:
        """Return dispatched workflow runs as `model.WorkflowRun` fields, oldest first."""
        return [asdict(run) for run in self._repository(repository).workflow_runs.values()]

    def begin_job(self, repository: str, run: int, name: str) -> int:
        """Start a job of a workflow run and return its id."""
        return running.begin(self.world, self._repository(repository), run, name).id

    def end_job(
        self, repository: str, run: int, name: str, conclusion: str = "success", annotations: list[str] | None = None
    ) -> None:
        """End a job of a workflow run, started or not; conclusion is REST's."""
        found, notes = self._repository(repository), tuple(annotations or ())
        running.end(self.world, found, run, name, conclusion=conclusion, annotations=notes)

    def finish_run(self, repository: str, run: int) -> None:
        """End a workflow run; its conclusion follows from its jobs."""
        running.finish(self.world, self._repository(repository), run)

    def upload(self, repository: str, run: int, name: str, archive: str) -> int:
        """Store a zip file as an artifact of a workflow run, and return its id."""
        return running.upload(self.world, self._repository(repository), run, name, Path(archive))

    def run_by_the_clock(self, repository: str) -> None:  # noqa: ARG002 -- every control function has a repository
        """Use the machine's clock from now on."""
        self.world.state.start = ""
        self.world.touch()

    def adopt(self, repository: str) -> None:
        """Register refs that were written to the bare repository without a push."""
        pushes.adopt(self.world, self._repository(repository))

    def state(self) -> dict[str, Any]:
        """Return the whole state."""
        pushes.sync(self.world)
        return self.world.dump()

    def _repository(self, slug: str) -> Repository:
        found = self.world.repository(slug)
        if found is None:
            raise UsageError(f"the simulated GitHub has no {slug}")
        return found


def call(world: World, name: str, arguments: dict[str, Any]) -> Any:
    """Call a control function by name.

    Raises:
        UsageError: the function does not exist, or GitHub would refuse.
    """
    lever = getattr(Control(world), name, None) if not name.startswith("_") and name != "world" else None
    pushes.sync(world)
    if lever is None:
        raise UsageError(f"the simulator has no lever {name!r}")
    try:
        return lever(**arguments)
    except GitHubRefusal as refusal:
        raise UsageError(f"GitHub would refuse {name}", why=refusal.message or f"bad {refusal.field}") from refusal
