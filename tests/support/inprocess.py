"""A stack of three pull requests for landing with the real commands in this process.

Git, the remote, the journal and the lock are real; GitHub is a few dictionaries. A scenario takes a
second or two, a tenth of the time with the simulator, gh and a process per task.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from support.killing import MEMORY
from support.repo import Repo, lead_ssh_to
from support.templates import copied
from trunkline.commands import abort, land, rebase, restack, resume, undo
from trunkline.context import open_run
from trunkline.context import project as context_module
from trunkline.context.loading import open_context, open_stack
from trunkline.context.run import Context
from trunkline.domain.errors import Refused, TrunklineError
from trunkline.domain.names import BranchName, Oid, PrNumber, oid, pr_number
from trunkline.domain.options import Options
from trunkline.domain.records import Record
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import ForcePush, PrState, PullRequest, Snapshot
from trunkline.domain.step import Outcome, Step, StepName
from trunkline.engine import RunResult
from trunkline.github.decoding import decode
from trunkline.github.responses import NotFound
from trunkline.github.rest_objects import EditedPullRequest
from trunkline.state import journal
from trunkline.state.change_log import Change, ChangeLog, Part
from trunkline.state.journal import Run
from trunkline.state.lock import RepositoryLock

S = TypeVar("S")
T = TypeVar("T")
ENTRIES = {1: "one", 2: "two", 3: "three"}
NO_CARGO = frozenset({StepName.FMT, StepName.GATES, StepName.CHECKS, StepName.NOTE, StepName.CHECKLIST})
"""Steps that run cargo, or that report its results."""
STACK = 'schema = 1\ntrunk = "main"\nremote = "origin"\n' + "".join(
    f'\n[[entry]]\npr = {number}\nbranch = "{branch}"\n' for number, branch in ENTRIES.items()
)


@dataclass
class Quiet:
    """A reporter that keeps what it receives, and answers no."""

    lines: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def working(self, step: Step) -> Iterator[None]:  # noqa: ARG002
        """Do nothing around the step."""
        yield

    def outcome(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        self.lines += [f"{outcome.label} {outcome.message}", *outcome.details]

    def command(self, typed: str) -> None:
        """Ignore a command."""

    def progress(self, text: str) -> None:
        """Keep a line of progress."""
        self.lines.append(text)

    def ask(self, _question: str) -> bool:
        """Answer no."""
        return False

    def ask_person(self, _question: str) -> bool:
        """Answer no: there is no interactive user."""
        return False

    def require_approval(self, *publishes: str) -> None:
        """Approve everything."""

    def running(self, gates: Mapping[str, float], lines: Mapping[str, str]) -> None:
        """Ignore the running gates."""

    def gates_ended(self, seconds: float) -> None:
        """Ignore the end of the gates."""


@dataclass
class Pull:
    """A pull request in the fake GitHub."""

    number: PrNumber
    head: str
    base: str
    state: PrState = PrState.OPEN
    draft: bool = True
    body: str = "Words.\n"
    merge_commit: Oid | None = None
    merged_head: Oid | None = None
    pushes: list[ForcePush] = field(default_factory=list)
    earlier_bases: list[str] = field(default_factory=list)

    def target(self, base: str) -> None:
        """Change the base."""
        self.earlier_bases += [self.base] if base != self.base else []
        self.base = base


@dataclass
class Hub:
    """A fake GitHub with the requests that the commands make.

    Attributes:
        bare: the repository behind it.
        pulls: by number.
        down: the error that every request raises, or None.
        requests: the number of requests.
        added: what was added to pull requests: path and fields of each request.
        titles: the titles of those that were created or retitled; of others it is the branch.
        native: the numbers of the pull requests of its native stack; empty: it has none.
        merged: the numbers of the pull requests that it was sent a merge for.
        mergeable: whether it shows pull requests as mergeable; until then it computes that.
        changes: receives what each mutation changes, as of the real one.
    """

    bare: Repo
    pulls: dict[int, Pull]
    down: TrunklineError | None = None
    requests: int = 0
    added: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    titles: dict[int, str] = field(default_factory=dict)
    native: tuple[int, ...] = ()
    merged: list[int] = field(default_factory=list)
    mergeable: bool = False
    repository: Repository = field(default_factory=lambda: Repository("github.com", "octo", "tiny"))
    changes: ChangeLog = field(default_factory=ChangeLog)

    def opened(self, _repository: Repository, _cwd: Path, _reporter: object, changes: ChangeLog) -> Hub:
        """Return itself in place of the real one, with the change log of its caller."""
        self.changes = changes
        return self

    @contextlib.contextmanager
    def reading_stack(
        self,
        numbers: Sequence[PrNumber],
        *,
        merging: bool = False,  # noqa: ARG002
        trunk: BranchName | None = None,
    ) -> Iterator[Callable[[], Snapshot]]:
        """Return a response to the stack's query."""
        self._answer()
        tip = oid(found) if trunk and (found := self.tip(trunk)) else None
        yield lambda: Snapshot({number: self._shown(number) for number in numbers}, trunk=tip)

    def set_draft(self, pr: PullRequest, *, draft: bool) -> PullRequest:
        """Change the draft state."""
        self._answer()
        self.pulls[pr.number].draft = draft
        shown = self._shown(pr.number)
        self.changes.append(Change(Part.PULLS, number=pr.number, pull_request=shown))
        return shown

    def edit(self, number: PrNumber, *, seen_body: str | None = None, **fields: str) -> EditedPullRequest:  # noqa: ARG002
        """Change base, body, state or title."""
        self._answer()
        self.changes.append(Change(Part.PULLS, number=number))
        pull = self.pulls[number]
        pull.target(fields.get("base", pull.base))
        pull.body = fields.get("body", pull.body)
        if title := fields.get("title"):
            self.titles[number] = title
        if state := fields.get("state"):
            pull.state = PrState(state.upper())
        shown = "closed" if pull.state is PrState.CLOSED else "open"
        return EditedPullRequest(pull.body, pull.base, shown, self._title(pull))

    def edit_bodies(self, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        """Change the descriptions of several pull requests."""
        return {pr.number: self.edit(pr.number, body=body).body for pr, body in edits}

    def edit_bases(self, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        """Change the bases of several pull requests."""
        return {pr.number: self.edit(pr.number, base=base).base for pr, base in edits}

    def edit_titles(self, edits: Sequence[tuple[PullRequest, str]]) -> dict[PrNumber, str]:
        """Change the titles of several pull requests."""
        return {pr.number: self.edit(pr.number, title=title).title for pr, title in edits}

    @contextlib.contextmanager
    def begin_rest(self, _path: str, kind: type[T]) -> Iterator[Callable[[], T]]:
        """Respond with the native stack, or as a repository without native stacks."""

        def stacks() -> T:
            if not self.native:
                raise NotFound("GitHub has no such object")
            members = [
                {"number": n, "state": "open" if self.pulls[n].state is PrState.OPEN else "closed", "merged_at": None}
                for n in self.native
            ]
            return decode([{"number": 9, "base": {"ref": "main"}, "pull_requests": members}], kind)

        self._answer()
        yield stacks

    def merge(self, number: PrNumber, **_: Any) -> str:
        """Note the request, and refuse it."""
        self.changes.append(Change(Part.REMOTE))
        self.merged.append(number)
        raise Refused("the fake GitHub merges nothing")

    def graphql(self, query: str, variables: Mapping[str, Any], kind: type[S], read: Callable[[S], T]) -> T:
        """Return the open pull requests of branches, or a response without rules."""
        self._answer()
        if "OpenOfBranches" in query or "OpenOnBranches" in query:
            role = "head" if "OpenOfBranches" in query else "base"
            named = {name: branch for name, branch in variables.items() if name not in {"owner", "name"}}
            repository = {name: {"nodes": self._open_by(role, branch)} for name, branch in named.items()}
            return read(decode({"repository": repository}, kind))
        if "PullsOfBranch" in query:
            nodes = [self._whole(number) for number in self.pulls if self.pulls[number].head == variables["branch"]]
            return read(decode({"repository": {"pullRequests": {"nodes": nodes}}}, kind))
        if "query OpenThreads" in query:
            threads: dict[str, Any] = {f"pr{number}": {"reviewThreads": {"nodes": []}} for number in self.pulls}
            return read(decode({"repository": threads}, kind))
        if "query Rules" in query:
            rules = {"isInMergeQueue": False, "isMergeQueueEnabled": False, "mergeQueueEntry": None, "baseRef": None}
            return read(decode({"repository": {"pullRequest": rules}}, kind))
        allowed = dict.fromkeys(("mergeCommitAllowed", "squashMergeAllowed", "rebaseMergeAllowed"), True)
        words = {"squashMergeCommitTitle": "PR_TITLE", "squashMergeCommitMessage": "PR_BODY"}
        return read(decode({"repository": {**allowed, **words, "ref": None}}, kind))

    @contextlib.contextmanager
    def begin_graphql(
        self, query: str, variables: Mapping[str, Any], kind: type[S], read: Callable[[S], T]
    ) -> Iterator[Callable[[], T]]:
        """Return a response as `graphql` does."""
        yield lambda: self.graphql(query, variables, kind, read)

    def change(
        self,
        _method: str,
        path: str,
        fields: Mapping[str, Any],
        kind: type[T],
        _read_back: Callable[[], T | None],
    ) -> T:
        """Create a pull request, or keep what is added to one."""
        self._answer()
        self.changes.append(Change(Part.REMOTE))
        if path != "pulls":
            self.added.append((path, dict(fields)))
            return decode({}, kind)
        number = pr_number(max(self.pulls, default=0) + 1)
        pull = Pull(number, fields["head"], fields["base"], draft=fields["draft"], body=fields["body"])
        self.pulls[number] = pull
        self.bare.git("update-ref", f"refs/pull/{number}/head", self.tip(pull.head))
        self.titles[number] = fields["title"]
        created = {**self._node(pull), "html_url": self._url(pull), "base": {"ref": pull.base}, "draft": pull.draft}
        return decode(created, kind)

    def _open_by(self, role: str, branch: str) -> list[dict[str, Any]]:
        opened = (pull for pull in self.pulls.values() if pull.state is PrState.OPEN)
        return [self._node(pull) for pull in opened if getattr(pull, role) == branch]

    def _node(self, pull: Pull) -> dict[str, Any]:
        about = {"baseRefName": pull.base, "isDraft": pull.draft, "isCrossRepository": False}
        return {"number": pull.number, "url": self._url(pull), **about}

    def _whole(self, number: int) -> dict[str, Any]:
        """Return a pull request as the fragment `entry` queries it."""
        pr = self._shown(pr_number(number))
        merge = {"oid": pr.merge_commit, "parents": {"nodes": []}} if pr.merge_commit else None
        pushed = [
            {
                f"{side}Commit": {"oid": oid} if oid else None
                for side, oid in (("before", each.before), ("after", each.after))
            }
            for each in pr.force_pushes
        ]
        return {
            "id": "", "number": pr.number, "title": pr.title, "url": "", "state": pr.state.value, "isDraft": pr.draft,
            "body": pr.body, "baseRefName": pr.base, "headRefName": pr.head, "headRefOid": pr.head_oid,
            "headRepository": {"nameWithOwner": pr.head_repository}, "isCrossRepository": False,
            "mergedAt": pr.merged_at, "mergeCommit": merge,
            "timelineItems": {"nodes": pushed}, "commits": {"totalCount": 0, "nodes": []},
        }  # fmt: skip

    def _title(self, pull: Pull) -> str:
        return self.titles.get(pull.number, pull.head)

    def _url(self, pull: Pull) -> str:
        return f"https://github.com/octo/tiny/pull/{pull.number}"

    def tip(self, branch: str) -> str:
        """Return a branch's tip on the remote, or ""."""
        return self.bare.refs().get(f"refs/heads/{branch}", "")

    def _answer(self) -> None:
        self.requests += 1
        if self.down is not None:
            raise self.down

    def _shown(self, number: PrNumber) -> PullRequest:
        pull = self.pulls[number]
        head = pull.merged_head or oid(self.tip(pull.head) or self.bare.refs()[f"refs/pull/{number}/head"])
        merged = "2025-11-19" if pull.state is PrState.MERGED else ""
        parents = self.bare.git("log", "-1", "--format=%P", pull.merge_commit).split() if pull.merge_commit else []
        return PullRequest(
            number=number, title=self._title(pull), url="", state=pull.state, draft=pull.draft, body=pull.body,
            base=pull.base, head=pull.head, head_oid=head, head_repository="octo/tiny", merged_at=merged,
            merge_commit=pull.merge_commit, merge_parents=tuple(map(oid, parents)),
            force_pushes=tuple(pull.pushes), earlier_bases=tuple(pull.earlier_bases),
            mergeable="MERGEABLE" if self.mergeable else "UNKNOWN",
            merge_state="CLEAN" if self.mergeable else "UNKNOWN",
        )  # fmt: skip


@dataclass
class Desk:
    """The clones of the user and of the author, and the commands that a user can run."""

    root: Path
    author: Repo
    clone: Repo
    hub: Hub
    quiet: Quiet = field(default_factory=Quiet)

    # -- commands of the user
    # ------------------------------------------------------------------------------------

    def restack(self) -> RunResult:
        """Run `restack`."""
        return restack.run(self.stack_context())

    def rebase(self, pr: int, task: str = rebase.WHOLE) -> RunResult:
        """Run `rebase --pr N`, or one of its steps."""
        return rebase.run(self.entry_context(pr), task)

    def land(self) -> RunResult:
        """Run `land` without the steps that run cargo."""
        return land.run(self.stack_context(skip=NO_CARGO))

    def resume(self, *, skip: bool = False) -> RunResult | None:
        """Run `continue` or `skip`; return None if no run is open."""
        begun = abort.find_begun(self.quiet, self.clone.path)
        if begun is not None:
            abort.abort(*begun)
            return RunResult({})
        found = resume.find(self.quiet, self.clone.path)
        return None if found is None else resume.resume(*found, skip=skip)

    def abort(self, *, local: bool = False) -> Outcome | None:
        """Run `abort`; return None if no run is open."""
        found = abort.find(self.quiet, self.clone.path)
        return None if found is None else abort.abort(*found, local=local)

    def undo(self) -> RunResult | None:
        """Run `undo`; return None if there is nothing to undo."""
        found = undo.find(self.quiet, cwd=self.clone.path)
        return undo.run(found) if found is not None and found.changes else None

    def stack_context(self, **options: Any) -> Context:
        """Return the context of a task of the whole stack."""
        return open_stack(stack="", options=Options(**options), reporter=self.quiet, cwd=self.clone.path)

    def entry_context(self, pr: int, skip: frozenset[StepName] = NO_CARGO) -> Context:
        """Return the context of a task of one entry."""
        return open_context(str(pr), stack="", options=Options(skip=skip), reporter=self.quiet, cwd=self.clone.path)

    def own_stack(self, patch: pytest.MonkeyPatch, *without: int) -> None:
        """Use a stack.toml that git does not track, in which these entries have no pull request yet.

        Their pull requests and their remote branches are taken away.
        """
        path = self.root / "stack.toml"
        text = path.read_text() if path.exists() else STACK
        for number in without:
            text = text.replace(f"pr = {number}\n", "")
            del self.hub.pulls[number]
            self.hub.bare.git("update-ref", "-d", f"refs/heads/{ENTRIES[number]}")
        for pull in self.hub.pulls.values():
            pull.base = pull.base if self.hub.tip(pull.base) else "main"
        path.write_text(text)
        patch.setenv("TRUNKLINE_STACK_FILE", str(path))
        self.clone.git("fetch", "--quiet", "--prune")

    def refuse_pushes(self) -> None:
        """Install a pre-push hook of the user that rejects every push."""
        hook = self.root / "hooks/pre-push"
        hook.parent.mkdir()
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        self.clone.git("config", "core.hooksPath", str(hook.parent))

    def allow_pushes(self) -> None:
        """Remove that hook."""
        self.clone.git("config", "--unset", "core.hooksPath")

    # -- actions of others
    # --------------------------------------------------------------------------------------

    def trunk_commits(self, message: str, files: dict[str, str | None]) -> Oid:
        """Push a commit to trunk as another person."""
        return self.push_commit("main", message, files)

    def push_commit(self, branch: str, message: str, files: dict[str, str | None]) -> Oid:
        """Push a commit to a remote branch as another person."""
        self.author.git("fetch", "--quiet", "origin")
        self.author.git("switch", "--quiet", "--detach", f"origin/{branch}")
        made = self.author.commit(message, files, author="Mallory")
        self.author.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        return made

    def merge(self, pr: int, *, delete: bool = True) -> None:
        """Squash-merge a pull request on the web."""
        pull = self.hub.pulls[pr]
        head = oid(self.hub.tip(pull.head))
        self.author.git("fetch", "--quiet", "origin")
        self.author.git("switch", "--quiet", "--detach", "origin/main")
        self.author.git("merge", "--quiet", "--squash", head)
        pull.merge_commit = self.author.commit(f"{pull.head} (#{pr})")
        self.author.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
        pull.state, pull.merged_head = PrState.MERGED, head
        self.hub.bare.git("update-ref", f"refs/pull/{pr}/head", head)
        if delete:
            self.hub.bare.git("update-ref", "-d", f"refs/heads/{pull.head}")
            for other in self.hub.pulls.values():
                other.target("main" if other.base == pull.head else other.base)

    def conflict(self, pr: int) -> None:
        """Add to trunk the file that an entry's first commit adds, with another content."""
        self.trunk_commits(f"trunk takes {ENTRIES[pr]}", {f"{ENTRIES[pr]}.txt": "trunk's own\n"})

    # -- state
    # --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """The directory of the journals."""
        return self.clone.path / ".git/trunkline"

    def open_run(self) -> Run | None:
        """Return the open run."""
        return open_run.open_run(self.state)

    def newest(self) -> Run:
        """Return the newest run."""
        return next(iter(journal.runs(self.state)))

    def tree(self) -> Repo:
        """Return the work tree of the unresolved conflict."""
        run = self.open_run()
        assert run is not None
        assert run.pause is not None
        return Repo(Path(run.pause.worktree))

    def resolve(self, *, text: str = "both\n") -> None:
        """Resolve the conflict: edit and add the file."""
        tree = self.tree()
        for name in tree.git("diff", "--name-only", "--diff-filter=U").splitlines():
            (tree.path / name).write_text(text)
        tree.git("add", "--all")

    def tips(self) -> dict[str, str]:
        """Return the local branches of the stack."""
        refs = self.clone.refs()
        return {branch: refs[f"refs/heads/{branch}"] for branch in ENTRIES.values() if f"refs/heads/{branch}" in refs}

    def remote_tips(self) -> dict[str, str]:
        """Return the remote's branches of the stack."""
        return {branch: tip for branch in ENTRIES.values() if (tip := self.hub.tip(branch))}

    def contains(self, tip: str, below: str) -> bool:
        """Return whether a commit contains another, both on the remote."""
        return self.hub.bare.git("merge-base", tip, below) == below

    def contains_here(self, branch: str, below: str) -> bool:
        """Return whether a local branch contains another."""
        return self.clone.git("merge-base", branch, below) == self.clone.head(below)

    def assert_stacked(self) -> None:
        """Assert that on the remote every open entry contains the open entry below it."""
        below = ""
        for number, branch in ENTRIES.items():
            if self.hub.pulls[number].state is PrState.OPEN and (tip := self.hub.tip(branch)):
                assert not below or self.contains(tip, below), f"{branch} does not contain the entry below"
                below = tip


@contextlib.contextmanager
def desk(patch: pytest.MonkeyPatch, *, branches: bool = True) -> Iterator[Desk]:
    """Yield a copy of the stack, with its pull requests open and cloned.

    Args:
        patch: replaces GitHub, and restores it afterwards.
        branches: the clone has the stack's branches already.
    """
    root = Path(tempfile.mkdtemp(prefix="desk-", dir=MEMORY))
    try:
        copied(_build, root)
        lead_ssh_to(root / "bare", patch)
        author, clone = Repo(root / "author", 1_763_700_000), Repo(root / "clone", 1_763_800_000)
        author.git("remote", "set-url", "origin", str(root / "bare"))
        pulls = {
            number: Pull(pr_number(str(number)), branch, ENTRIES.get(number - 1, "main"))
            for number, branch in ENTRIES.items()
        }
        hub = Hub(Repo(root / "bare"), pulls)
        patch.setattr(context_module, "GitHub", hub.opened)
        if branches:
            for branch in ENTRIES.values():
                clone.git("branch", "--quiet", branch, f"origin/{branch}")
        yield Desk(root, author, clone, hub)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _build(root: Path) -> None:
    """Build the repositories."""
    author = Repo.create(root / "author")
    author.commit("start", {"stack.toml": STACK, "a.txt": "0\n"})
    for branch in ENTRIES.values():
        author.git("switch", "--quiet", "-c", branch)
        for number, name in enumerate((f"{branch}.txt", f"{branch}-more.txt"), 1):
            author.commit(f"{branch} {number}", {name: f"{branch}\n"}, author="Grace")
    author.git("clone", "--quiet", "--bare", ".", str(root / "bare"))
    Repo(root / "bare").git("symbolic-ref", "HEAD", "refs/heads/main")
    for number, branch in ENTRIES.items():
        Repo(root / "bare").git("update-ref", f"refs/pull/{number}/head", f"refs/heads/{branch}")
    author.git("remote", "add", "origin", str(root / "bare"))
    author.git("clone", "--quiet", "--branch=main", str(root / "bare"), str(root / "clone"))
    Repo(root / "clone").git("remote", "set-url", "origin", "git@github.com:octo/tiny.git")


def refusal(do: Callable[[], object]) -> TrunklineError:
    """Return the error of a call, raised or returned."""
    try:
        done = do()
    except TrunklineError as error:
        return error
    assert isinstance(done, RunResult), done
    assert done.error is not None
    return done.error


def fail_at(step: str, stack: Desk, do: Callable[[], object]) -> None:
    """Make a run stop at one of its steps."""
    from trunkline.commands.rebase import _RUNNERS_IN_REBASE  # noqa: PLC0415 -- patched here only

    def fails(*_: object) -> Outcome:
        raise Refused("as the test wants", next_command="invoke continue")

    name = StepName(step)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_RUNNERS_IN_REBASE, name, fails)
        assert refusal(do).what == "as the test wants"
    assert stack.open_run() is not None


class Killed(BaseException):
    """The process ends here."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int, do: Callable[[], object]) -> bool:
    """Run something that is killed before a record; return whether it was."""
    count = 0
    real = journal.Journal.append

    def append(self: journal.Journal, lock: RepositoryLock, record: Record) -> None:
        nonlocal count
        if count == number:
            raise Killed
        count += 1
        real(self, lock, record)

    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "append", append)
        try:
            do()
        except Killed:
            return True
    return False


__all__ = ["ENTRIES", "NO_CARGO", "Desk", "Hub", "Pull", "Quiet", "Refused", "desk", "fail_at", "kill_at", "refusal"]
