"""Build stacks from a line of commits, replay them, and compare with `git rebase --onto`.

Entries are consecutive commits. The lowest ones are merged, trunk moves, and a parent is changed in
some way (`VARIANTS`). The owner of each commit is known by construction, so git itself is the
oracle.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from support.inprocess import Quiet
from trunkline.context.earlier_tips import EarlierTips
from trunkline.context.observation import World
from trunkline.context.project import Project
from trunkline.context.view import View
from trunkline.domain.commits import Commit
from trunkline.domain.decisions import Decisions
from trunkline.domain.errors import Paused, TrunklineError
from trunkline.domain.names import Oid, branch_name, branch_ref, oid, pr_number
from trunkline.domain.options import Options
from trunkline.domain.replay_plan import ReplayPreview
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import ForcePush, LocalState, PrState, PullRequest, Snapshot
from trunkline.domain.stack import Entry, Stack
from trunkline.gates.proof import Surroundings
from trunkline.git import history
from trunkline.git.git import Git
from trunkline.planning import heads as entry_heads
from trunkline.planning.heads import entry_tip
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import own_commits
from trunkline.steps import replay

METHODS = ("squash", "rebase", "merge")
VARIANTS = (
    "plain", "amended", "reworded", "grown", "squash with more", "rebased by others", "out of order",
    "trunk reverted it", "dragged along", "dropped", "child's commit pushed to it",
)  # fmt: skip
ASKED = frozenset({"dropped", "child's commit pushed to it"})
"""Variants in which a commit was removed from a parent, so the user must be asked."""


class Result(Enum):
    """The result of a stack compared with git."""

    RIGHT = "right"
    PAUSED = "paused rightly"
    REFUSED = "refused rightly"
    NEEDLESS = "needlessly refused"
    WRONG = "wrong"


@dataclass(frozen=True)
class Comparison:
    """The result of comparing a stack with git, with details."""

    plan: Plan
    result: Result
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """The parameters of a stack.

    Attributes:
        name: unique; its branches begin with it.
        entries: each entry's own commits, bottom first.
        merged: the number of merged entries, from the bottom.
        method: the merge method.
        variant: what happens to a parent.
        later: a commit that is added to trunk meanwhile, or None.
        seed: the seed of all other choices.
    """

    name: str
    entries: tuple[tuple[Commit, ...], ...]
    merged: int
    method: str
    variant: str
    later: Commit | None
    seed: int

    def __str__(self) -> str:
        cut = ", ".join(f"{own[0].oid[:8]}^..{own[-1].oid[:8]}" for own in self.entries)
        return f"{self.name}: {self.variant}, {self.merged} merged by {self.method}, entries {cut}, seed {self.seed}"


class Unfit(Exception):
    """The commits cannot be used for the plan, because of an unwanted conflict."""


@dataclass
class Workshop:
    """A scratch repository that borrows objects, with a work tree for the oracle."""

    path: Path
    clock: int = 1_800_000_000

    @classmethod
    def over(cls, path: Path, source: Path) -> Workshop:
        """Create one that borrows the objects of a repository."""
        made = cls(path)
        subprocess.run(["git", "init", "--quiet", path], check=True)
        shared = subprocess.run(
            ["git", "rev-parse", "--path-format=absolute", "--git-path", "objects"], cwd=source, check=True,
            capture_output=True, text=True,
        ).stdout  # fmt: skip
        (path / ".git/objects/info/alternates").write_text(shared)
        return made

    def git(self, *args: str, stdin: str = "", ok: Sequence[int] = (0,)) -> str:
        """Run git and return its output."""
        self.clock += 60
        date = {"GIT_AUTHOR_DATE": f"@{self.clock} +0000", "GIT_COMMITTER_DATE": f"@{self.clock} +0000"}
        done = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", *args], cwd=self.path, input=stdin, capture_output=True,
            check=False, env={**os.environ, **date}, encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
        if done.returncode not in ok:
            raise AssertionError(f"git {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def commit(self, tree: str, *parents: str, message: str) -> Oid:
        """Write a commit."""
        return oid(self.git("commit-tree", tree, *(f"-p{parent}" for parent in parents), stdin=message))

    def merged(self, ours: str, theirs: str, base: str) -> str:
        """Return the tree of a three-way merge.

        Raises:
            Unfit: it conflicts.
        """
        ours_on_base = self.commit(f"{ours}^{{tree}}", base, message="merge base\n")
        done = self.git("merge-tree", "--write-tree", "--no-messages", ours_on_base, theirs, ok=(0, 1)).split("\n")
        if len(done) > 1:
            raise Unfit
        return done[0]

    def picked(self, commits: Sequence[Commit], replay: Oid) -> Oid:
        """Cherry-pick commits onto another as another committer, and return the last one.

        Raises:
            Unfit: one conflicts.
        """
        for commit in commits:
            tree = self.merged(replay, commit.oid, commit.parents[0])
            replay = self.again(commit, tree=tree, parent=replay)
        return replay

    def again(self, commit: Commit, *, tree: str, parent: Oid, message: bytes | None = None) -> Oid:
        """Write a commit with another parent, but the same author and message."""
        encoding = f"encoding {commit.encoding}\n".encode() if commit.encoding else b""
        self.clock += 60
        head = f"tree {tree}\nparent {parent}\n".encode() + b"author " + commit.author
        head += f"\ncommitter O <o@example.invalid> {self.clock} +0000\n".encode() + encoding + b"\n"
        raw = head + (commit.message if message is None else message)
        made = subprocess.run(
            ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"], cwd=self.path, input=raw,
            capture_output=True, check=True,
        )  # fmt: skip
        return oid(made.stdout.decode().strip())

    def read(self, name: Oid) -> Commit:
        """Return a commit as the program reads it."""
        return history.read_commits(Git(self.path), [name])[0]

    def with_file(self, revision: str, name: str) -> str:
        """Return the tree of a commit with one more file."""
        blob = self.git("hash-object", "-w", "--stdin", stdin=f"{revision} {name}\n")
        listed = [
            line
            for line in self.git("ls-tree", "-z", revision).split("\0")
            if line and not line.endswith(f"\t{name}")
        ]
        return self.git(
            "mktree", "-z", stdin="".join(f"{line}\0" for line in [*listed, f"100644 blob {blob}\t{name}"])
        )


@dataclass
class Made:
    """A stack in the scratch repository.

    Attributes:
        trunk: its tip.
        tips: the head of each entry's branch.
        old: earlier heads of an entry.
        merges: the merge commits of merged entries.
        own: each entry's own commits on its branch, oldest first.
    """

    plan: Plan
    trunk: Oid
    tips: list[Oid]
    own: list[tuple[Commit, ...]]
    old: dict[int, list[Oid]] = field(default_factory=dict)
    merges: dict[int, Oid] = field(default_factory=dict)


def cut(git: Git, tip: str, *, count: int, seed: int) -> Iterator[Plan]:
    """Yield plans for stacks of three or four entries with one to four consecutive commits each.

    Args:
        git: the repository.
        tip: the newest commit of the history.
        count: the number of plans.
        seed: the seed of the plans.
    """
    chosen = random.Random(seed)  # noqa: S311 -- reproducible, not secret
    listed = git.query(
        "rev-list", "--first-parent", "--topo-order", "--reverse", "--end-of-options", tip
    ).text.split()
    commits = history.read_commits(git, [oid(name) for name in listed])
    for number in range(count):
        sizes = [chosen.randint(1, 4) for _ in range(chosen.randint(3, 4))]
        for _ in range(200):
            first = chosen.randrange(1, max(2, len(commits) - sum(sizes) - 1))
            run = commits[first : first + sum(sizes)]
            if len(run) == sum(sizes) and all(len(commit.parents) == 1 for commit in run):
                break
        else:
            continue
        entries, rest = [], list(run)
        for size in sizes:
            entries.append(tuple(rest[:size]))
            del rest[:size]
        after = commits[first + len(run) : first + len(run) + 8]
        later = chosen.choice([None, *after]) if all(len(each.parents) == 1 for each in after) else None
        merged = chosen.randint(0, len(sizes) - 1)
        yield Plan(
            f"s{number}", tuple(entries), merged, chosen.choice(METHODS), VARIANTS[number % len(VARIANTS)], later,
            chosen.randrange(1 << 30),
        )  # fmt: skip


def make(shop: Workshop, git: Git, plan: Plan) -> Made:
    """Build a plan's stack: changed parents, merges and trunk.

    Raises:
        Unfit: a commit conflicts.
    """
    start = plan.entries[0][0].parents[0]
    made = Made(plan, start, [own[-1].oid for own in plan.entries], list(plan.entries))
    try:
        made.trunk = shop.picked([plan.later] if plan.later else [], start)
    except Unfit:
        made.trunk = start
    if made.trunk == start:
        made.trunk = shop.commit(shop.with_file(start, "trunk-moves.txt"), start, message="trunk moves\n")
    merged = plan.merged
    if plan.variant == "out of order":
        merged = 0
        _move_out(shop, git, made)
    elif plan.variant in _CHANGES:
        at = random.Random(plan.seed).randrange(len(plan.entries) - 1)  # noqa: S311 -- reproducible, not secret
        _CHANGES[plan.variant](shop, made, max(at, merged - 1))
    for index in range(merged):
        _merge(shop, git, made, index)
    if plan.variant == "trunk reverted it" and merged:
        tree = shop.git("rev-parse", f"{made.merges[merged - 1]}^1^{{tree}}")
        made.trunk = shop.commit(tree, made.trunk, message=f"Revert\n\nThis reverts commit {made.trunk}.\n")
    if plan.variant == "dragged along" and merged:
        _drag(shop, git, made, merged)
    return made


def _amend(shop: Workshop, made: Made, at: int) -> None:
    *rest, tip = made.own[at]
    new = shop.again(
        tip, tree=shop.with_file(made.tips[at], "amended.txt"), parent=tip.parents[0], message=b"other\n"
    )
    _replace(made, at, new, [*rest, shop.read(new)])


def _reword(shop: Workshop, made: Made, at: int) -> None:
    *rest, tip = made.own[at]
    new = shop.again(tip, tree=tip.tree, parent=tip.parents[0], message=b"reworded\n")
    _replace(made, at, new, [*rest, shop.read(new)])


def _grow(shop: Workshop, made: Made, at: int) -> None:
    made.tips[at] = shop.commit(shop.with_file(made.tips[at], "grown.txt"), made.tips[at], message="grown\n")
    made.own[at] = (*made.own[at], shop.read(made.tips[at]))


def _drop(_shop: Workshop, made: Made, at: int) -> None:
    if len(made.own[at]) == 1:
        raise Unfit
    _replace(made, at, made.own[at][-2].oid, made.own[at][:-1])


def _mistake(shop: Workshop, made: Made, at: int) -> None:
    """Push the child's first commit to its parent, then remove it and amend the parent."""
    if len(made.own[at + 1]) == 1:
        raise Unfit
    made.old[at] = [made.own[at + 1][0].oid]
    before = made.old[at]
    _amend(shop, made, at)
    made.old[at] = [*before, *made.old[at]]


def _replace(made: Made, at: int, new: Oid, own: Sequence[Commit] = ()) -> None:
    """Force-push an entry's branch; the entries above are unchanged."""
    made.old[at] = [made.tips[at]]
    made.tips[at], made.own[at] = new, tuple(own)


def _rebase_lowest(shop: Workshop, made: Made, _at: int) -> None:
    new = shop.picked(made.own[0], made.trunk)
    _replace(made, 0, new, history.chain(Git(shop.path), made.trunk, new))


_CHANGES: dict[str, Callable[[Workshop, Made, int], None]] = {
    "amended": _amend,
    "reworded": _reword,
    "grown": _grow,
    "dropped": _drop,
    "child's commit pushed to it": _mistake,
    "rebased by others": _rebase_lowest,
}


def _merge(shop: Workshop, git: Git, made: Made, index: int) -> None:
    """Merge an entry into trunk, as GitHub's button does."""
    head = made.tips[index]
    base = history.merge_base(git, made.trunk, head)
    assert base is not None
    if made.plan.method == "rebase":
        own = history.chain(git, base, head)
        held = set(git.query("rev-list", made.trunk, "--not", base).text.split())
        done = {git.commits[oid(name)].identity for name in held if oid(name) in git.commits}
        made.trunk = shop.picked([each for each in own if each.identity not in done or index == 0], made.trunk)
    else:
        tree = shop.merged(made.trunk, head, base)
        parents = (made.trunk, head) if made.plan.method == "merge" else (made.trunk,)
        made.trunk = shop.commit(tree, *parents, message=f"#{index + 1} (#{index + 1})\n")
        if made.plan.variant == "squash with more":
            made.trunk = shop.commit(shop.with_file(made.trunk, "more.txt"), *_parents(shop, made), message="more\n")
    made.merges[index] = made.trunk


def _parents(shop: Workshop, made: Made) -> list[str]:
    return shop.git("rev-parse", f"{made.trunk}^@").split()


def _move_out(shop: Workshop, git: Git, made: Made) -> None:
    """Move the second entry to trunk by force-push, and squash-merge it before the first."""
    new = shop.picked(made.own[1], made.trunk)
    _replace(made, 1, new)
    tree = shop.git("rev-parse", f"{new}^{{tree}}")
    made.trunk = shop.commit(tree, made.trunk, message="#2 (#2)\n")
    made.merges[1] = made.trunk
    history.read_commits(git, [made.trunk])


def _drag(shop: Workshop, git: Git, made: Made, at: int) -> None:
    """Rebase the lowest open entry by hand, together with the merged entries' commits.

    The new base is the trunk commit before the merges.
    """
    before = oid(shop.git("rev-parse", f"{made.merges[0]}^1"))
    if made.plan.method != "squash":
        raise Unfit
    below = [commit for own in made.own[:at] for commit in own]
    fork = shop.picked(below, before)
    tip = shop.picked(made.own[at], fork)
    made.tips[at], made.own[at] = tip, history.chain(git, fork, tip)


@dataclass
class Oracle:
    """The results of `git rebase --onto`, entry by entry."""

    shop: Workshop
    place: Path

    @classmethod
    def of(cls, shop: Workshop, place: Path) -> Oracle:
        """Create one with its own work tree."""
        root = shop.commit(shop.git("mktree"), message="nothing\n")
        shop.git("worktree", "add", "--quiet", "--detach", str(place), root)
        return cls(shop, place)

    def rebase(self, own: Sequence[Commit], base: Oid) -> tuple[Oid, Oid | None]:
        """Return the rebased tip on a base, and the commit that conflicts or None."""
        work_tree = replace(self.shop, path=self.place)
        options = ("-c", "rerere.enabled=false", "rebase", "--quiet", "--empty=keep", "--reapply-cherry-picks")
        fork, tip = own[0].parents[0], own[-1].oid
        work_tree.git("checkout", "--quiet", "--force", "--detach", tip)
        work_tree.git("clean", "-ffdxq")
        done = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", *options, "--no-fork-point", "--onto", base, fork, tip],
            cwd=self.place, capture_output=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        head = oid(work_tree.git("rev-parse", "HEAD"))
        if not done.returncode:
            return head, None
        stopped = work_tree.git("rev-parse", "--verify", "--quiet", "REBASE_HEAD", ok=(0, 1))
        work_tree.git("rebase", "--abort")
        return head, oid(stopped)

    def trees(self, base: Oid, tip: Oid) -> list[str]:
        """Return the trees of the commits between base and tip, oldest first."""
        return self.shop.git("log", "--reverse", "--topo-order", "--format=%T", f"{base}..{tip}").split()


def view_of(shop: Workshop, made: Made) -> View:
    """Return the view of a restack of the stack, with a complete observation."""
    name = made.plan.name
    entries = tuple(Entry(pr_number(str(n + 1)), branch_name(f"{name}/e{n}")) for n in range(len(made.tips)))
    trunk = branch_name(f"{name}/main")
    stack = Stack(trunk, "origin", entries, lockfile="conflict")
    written = {f"refs/remotes/origin/{trunk}": made.trunk}
    written |= {branch_ref(entry.branch): tip for entry, tip in zip(entries, made.tips, strict=True)}
    shop.git("update-ref", "--stdin", stdin="".join(f"create {ref} {tip}\n" for ref, tip in written.items()))
    local = {
        entry.branch: LocalState(entry.branch, tip, tip, checked_out=False)
        for entry, tip in zip(entries, made.tips, strict=True)
    }
    snapshot = Snapshot({entry.pr: _shown(made, n, entries, trunk) for n, entry in enumerate(entries)})
    remote = {branch_ref(branch): state.remote for branch, state in local.items() if state.remote}
    world = World(snapshot, made.trunk, {branch_ref(trunk): made.trunk, **remote}, local)
    project = Project(Git(shop.path), stack, Repository("github.com", "octo", "tiny"), Options(), Quiet())
    earlier = EarlierTips(project.git)
    return View(project, entries[0], True, world, Surroundings(project.git), Decisions(), earlier)


def _shown(made: Made, n: int, entries: Sequence[Entry], trunk: str) -> PullRequest:
    below = next((entries[m].branch for m in range(n - 1, -1, -1) if m not in made.merges), trunk)
    heads = [*made.old.get(n, []), made.tips[n]]
    pushes = tuple(ForcePush(old, new) for old, new in itertools.pairwise(heads))
    merged = n in made.merges
    return PullRequest(
        number=entries[n].pr, title="", url="", body="", draft=False,
        state=PrState.MERGED if merged else PrState.OPEN,
        base=trunk if merged else below, head=entries[n].branch, head_oid=made.tips[n], head_repository="octo/tiny",
        merged_at="2026-01-01" if merged else "", merge_commit=made.merges.get(n), force_pushes=pushes,
    )  # fmt: skip


def compare(shop: Workshop, oracle: Oracle, made: Made) -> Comparison:
    """Replay a stack as `restack` does, and compare it with git entry by entry."""
    view = view_of(shop, made)
    try:
        return _compare_view(oracle, made, view)
    finally:
        names = [f"refs/remotes/origin/{view.stack.trunk}", *(branch_ref(e.branch) for e in view.stack.entries)]
        shop.git("update-ref", "--stdin", stdin="".join(f"delete {name}\n" for name in names))


def _compare_view(oracle: Oracle, made: Made, view: View) -> Comparison:
    plan = made.plan
    open_ = [n for n in range(len(made.tips)) if n not in made.merges]
    entries = [view.stack.entries[n] for n in open_]
    try:
        entry_heads.load(view)
        for entry in entries:
            _, view = replay.forecast(view.of(entry))
        replay.check_predictions(view, entries)
    except OwnCommitsUnknown as question:
        if plan.variant not in ASKED or view.options.fork_point:
            return Comparison(plan, Result.NEEDLESS, f"{question}\n{question.why}")
        answered = _compare_view(oracle, made, _answered(view, entries, plan.variant))
        fine = answered.result in {Result.RIGHT, Result.PAUSED}
        return replace(answered, result=Result.REFUSED if fine else answered.result)
    except Paused as question:
        if plan.variant != "trunk reverted it" or view.options.fork_point:
            return Comparison(plan, Result.NEEDLESS, f"{question}\n{question.why}")
        given = f"{entries[0].pr}={made.own[open_[0]][0].parents[0]}"
        project = replace(view.project, options=Options(fork_point=given))
        answered = _compare_view(oracle, made, replace(view, decisions=Decisions(), project=project))
        return replace(answered, result=Result.REFUSED if answered.result is Result.PAUSED else answered.result)
    except TrunklineError as error:
        return Comparison(plan, Result.NEEDLESS, f"{error}\n{error.why}")
    return _replayed(oracle, made, view, dict(zip(open_, entries, strict=True)))


def _replayed(oracle: Oracle, made: Made, view: View, entries: Mapping[int, Entry]) -> Comparison:
    """Compare the predicted replays with git's results, bottom first."""
    plan, base = made.plan, made.trunk
    bases: dict[int, Oid] = {}
    for n, entry in entries.items():
        bases[n] = base
        preview = view.decisions.replays[entry.pr]
        tip, conflict = oracle.rebase(made.own[n], base)
        wrong = _difference(view.git, preview, made.own[n], oracle.trees(base, tip), conflict)
        if wrong:
            return Comparison(plan, Result.WRONG, f"#{entry.pr}: {wrong}")
        if conflict:
            return Comparison(plan, Result.PAUSED)
        base = tip
    if plan.variant in ASKED and not view.options.fork_point and not _either_way(oracle, made, bases):
        return Comparison(plan, Result.WRONG, "a person should have been asked")
    return Comparison(plan, Result.RIGHT)


def _either_way(oracle: Oracle, made: Made, bases: Mapping[int, Oid]) -> bool:
    """Return whether git makes the same tree with and without the commit that a parent lost.

    Both are rebased onto the base of the entry above. If they agree, no question is needed.
    """
    ((at, heads),) = made.old.items()
    lost, base = oracle.shop.read(heads[0]), bases[at + 1]
    rest = [commit for commit in made.own[at + 1] if commit.oid != lost.oid]
    (kept, stopped), (without, conflict) = (oracle.rebase(own, base) for own in ([lost, *rest], rest))
    return not stopped and not conflict and oracle.shop.read(kept).tree == oracle.shop.read(without).tree


def _answered(view: View, entries: Sequence[Entry], variant: str) -> View:
    """Return the view with the right value of `--fork-point`, which leaves out what a parent dropped."""
    right = -1 if variant == "dropped" else 0
    view = replace(view, decisions=Decisions())
    found = {entry.pr: own_commits(view.of(entry), entry_tip(view.of(entry)).oid) for entry in entries}
    given = ",".join(f"{pr}={each.answers[right].oid}" for pr, each in found.items() if each.questions)
    return replace(view, project=replace(view.project, options=Options(fork_point=given)))


def _difference(
    git: Git, preview: ReplayPreview, own: Sequence[Commit], trees: Sequence[str], conflict: Oid | None
) -> str:
    """Return how one entry's replay differs from git's, or ""."""
    work, done = preview.work, preview.done
    if [commit.oid for commit in work.own] != [commit.oid for commit in own]:
        return f"own commits {[c.subject for c in work.own]}, right were {[c.subject for c in own]}"
    met = done.conflict[0].oid if done.conflict else None
    if met != conflict:
        return f"conflict in {met}, git's in {conflict}"
    if preview.nothing:
        return "" if [commit.tree for commit in own] == list(trees) else "left where it was; git moves it"
    new = history.read_commits(git, [made for _, made in done.mapped])
    if [commit.tree for commit in new] != list(trees)[: len(new)] or (not conflict and len(new) != len(own)):
        return "other trees than git's"
    same = all(now.same_as(old) and now.encoding == old.encoding for old, now in zip(own, new, strict=False))
    return "" if same else "another author, message or encoding"


_TRIES = 5
"""The number of plans for each stack: commits that conflict with each other make no stack."""


def run(source: Path, scratch: Path, *, count: int, seed: int) -> tuple[Counter[Result], list[Comparison]]:
    """Compare stacks from a repository; return counts by result, and every wrong stack."""
    shop = Workshop.over(scratch, source)
    oracle = Oracle.of(shop, scratch.parent / f"{scratch.name}-oracle")
    counts: Counter[Result] = Counter()
    odd: list[Comparison] = []
    tip = subprocess.run(["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True).stdout
    for plan in cut(Git(scratch), tip.strip(), count=_TRIES * count, seed=seed):
        if counts.total() == count:
            break
        git = Git(scratch)
        try:
            made = make(shop, git, plan)
        except Unfit:
            continue
        comparison = compare(shop, oracle, made)
        counts[comparison.result] += 1
        if comparison.result in {Result.WRONG, Result.NEEDLESS}:
            odd.append(comparison)
    return counts, odd
