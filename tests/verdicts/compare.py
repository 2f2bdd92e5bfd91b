"""Compares the verdicts of gates, on one persistent work tree, with those of the typed commands in fresh clones."""

from __future__ import annotations

import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from support.gating import host
from support.repo import Repo
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.stack import GateOverride, GateSettings
from trunkline.gates.catalogue import Gate, catalogue
from trunkline.gates.run import gate_commit
from verdicts.changes import ALL, CHANGES, Change
from verdicts.changes_pairs import PAIRS
from verdicts.workspace import File, Tree, World, base_tree

_WHOLE = ("cargo", "test", "--locked", "--workspace", "--no-default-features", "--features", "cpu")
NOTHING = Change("nothing", (), ALL, sample=("test", "fmt"))
_WROTE = ("sources were written to", "cargo wrote it anew")


@dataclass(frozen=True)
class Comparison:
    """One gate on one commit, both ways.

    Attributes:
        change: the change's name.
        before: the name of the change that was gated just before on the same work tree.
        gate: the gate.
        ours: our outcome.
        typed: the exit code of the typed command in a fresh clone.
        output: the end of what that printed.
    """

    change: str
    before: str
    gate: str
    ours: GateOutcome
    typed: int
    output: str

    @property
    def kind(self) -> str:
        """Result of the comparison: equal, by design, stale pass or stale failure."""
        passed = self.ours.verdict is Verdict.PASSED
        if passed == (self.typed == 0):
            return "equal"
        if passed:
            return "stale pass"
        return "by design" if any(each in self.ours.diagnosis for each in _WROTE) else "stale failure"

    def __str__(self) -> str:
        message = self.ours.diagnosis or self.ours.fix
        return (
            f"{self.kind}: {self.gate} after {self.before!r}, then {self.change!r}: ours {self.ours.verdict.value} "
            f"({message}), typed exit code {self.typed}\n{self.output}"
        )


@dataclass
class Contest:
    """A repository with a commit for each change, and where its fresh clones go.

    Attributes:
        repo: the repository.
        clones: a directory for clones; each is removed when its command has ended.
        cargo_home: a CARGO_HOME whose configuration the changes may set.
        tree: the workspace in which all gates pass, with its lock file.
    """

    repo: Repo
    clones: Path
    cargo_home: Path
    tree: Tree = field(default_factory=dict)

    @classmethod
    def create(cls, root: Path) -> Contest:
        """Make the repository; the environment's CARGO_HOME becomes one of its own."""
        repo = Repo.create(root / "repo")
        home = root / "cargo"
        home.mkdir()
        os.environ["CARGO_HOME"] = str(home)
        made = cls(repo, root / "clones", home)
        made.clones.mkdir()
        made.tree = made.locked(base_tree())
        return made

    def locked(self, tree: Tree) -> Tree:
        """Return a tree with the lock file that follows its manifests."""
        with tempfile.TemporaryDirectory(dir=self.clones) as folder:
            _write(Path(folder), tree)
            subprocess.run(["cargo", "generate-lockfile", "--offline", "--quiet"], cwd=folder, check=True)
            return {**tree, "Cargo.lock": File((Path(folder) / "Cargo.lock").read_bytes())}

    def committed(self, message: str, tree: Tree) -> Oid:
        """Commit a tree and return the commit; nothing is checked out, so no attribute acts."""
        lines = [b"commit refs/heads/made\n", b"committer Ada <ada@example.invalid> 1763500000 +0000\n"]
        lines += [f"data {len(message.encode())}\n{message}\n".encode(), b"deleteall\n"]
        for path, file in sorted(tree.items()):
            lines += [f"M {file.mode} inline {path}\ndata {len(file.content)}\n".encode(), file.content, b"\n"]
        argv = ["git", "fast-import", "--quiet", "--force"]
        subprocess.run(argv, cwd=self.repo.path, input=b"".join(lines), check=True)
        return self.repo.head("refs/heads/made")

    def world(self, change: Change) -> World:
        """Return what a change makes of the workspace."""
        world = World(copy.deepcopy(self.tree))
        for edit in (*change.first, *change.edits):
            edit(world)
        named = host()
        for path, file in world.tree.items():
            if path.startswith(".cargo/"):
                world.tree[path] = replace(file, content=file.content.replace(b"HOST", named.encode()))
        world.outer = world.outer.replace("ELSEWHERE", str(self.clones / "elsewhere"))
        if change.relock:
            world.tree = self.locked(world.tree)
        return world

    def paths(self, change: Change) -> set[str]:
        """Return the paths in which a change differs from the base."""
        tree = self.world(change).tree
        return {path for path in {*tree, *self.tree} if tree.get(path) != self.tree.get(path)}

    def compare(self, change: Change, before: str) -> Iterator[Comparison]:
        """Gate a change both ways."""
        world = self.world(change)
        commit = self.committed(change.name, world.tree)
        settings = settings_of(world)
        gates = [gate for gate in catalogue(settings) if gate.name in change.gates]
        (self.cargo_home / "config.toml").write_text(world.outer)
        with ThreadPoolExecutor(1) as beside, self.configured(world):
            typed = [beside.submit(self.typed, commit, gate, world) for gate in gates]
            shutil.rmtree(self.repo.path / ".git/trunkline", ignore_errors=True)  # no receipt stands for a run
            outcomes = gate_commit(self.repo.path, commit, settings, only=change.gates)
            ours = {outcome.gate: outcome for outcome in outcomes}
            for gate, each in zip(gates, typed, strict=True):
                code, output = each.result()
                yield Comparison(change.name, before, gate.name, ours[gate.name], code, output)

    def typed(self, commit: Oid, gate: Gate, world: World) -> tuple[int, str]:
        """Type a gate's command in a fresh clone; return its exit code and the end of its output."""
        clone = Path(tempfile.mkdtemp(dir=self.clones))
        shutil.rmtree(self.clones / "elsewhere", ignore_errors=True)  # a target directory that clones would share
        settings = [part for name, value in world.git.items() for part in ("-c", f"{name}={value}")]
        try:
            subprocess.run(
                ["git", "clone", "--quiet", "--shared", "--no-checkout", *settings, str(self.repo.path), str(clone)],
                check=True,
            )  # fmt: skip
            subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=clone, check=True)
            env = {**os.environ, **gate.env}
            done = subprocess.run(
                gate.argv, cwd=clone, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, check=False, timeout=600,
            )  # fmt: skip
            return done.returncode, done.stdout.decode("utf-8", "replace")[-2000:]
        finally:
            shutil.rmtree(clone, ignore_errors=True)

    def configured(self, world: World) -> _Configured:
        """Set the repository's settings as long as the context lasts."""
        return _Configured(self.repo, world.git)


@dataclass(frozen=True)
class _Configured:
    repo: Repo
    settings: dict[str, str]

    def __enter__(self) -> None:
        for name, value in self.settings.items():
            self.repo.git("config", name, value)

    def __exit__(self, *_: object) -> None:
        for name in self.settings:
            self.repo.git("config", "--unset-all", name)


def settings_of(world: World) -> GateSettings:
    """Return the `[gates]` table of a world: the six gates, and one that runs every test."""
    overrides = {"whole": GateOverride(run=_WHOLE, env=dict(world.env))}
    if world.env:
        defaults = {gate.name: dict(gate.env) for gate in catalogue(GateSettings())}
        overrides |= {name: GateOverride(env={**env, **world.env}) for name, env in defaults.items()}
    return replace(GateSettings(), overrides=overrides)


def _write(folder: Path, tree: Tree) -> None:
    for path, file in tree.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.mode == "120000":
            place.symlink_to(file.content.decode())
        else:
            place.write_bytes(file.content)


def sequence(seed: int, changes: Iterable[Change]) -> list[Change]:
    """Return changes in an order that a seed decides, the base commit between some of them."""
    chance = random.Random(seed)  # noqa: S311 -- an order, not a secret
    found: list[Change] = []
    for change in chance.sample(list(changes), len(list(changes))):
        found += [change, NOTHING] if chance.random() < 0.1 else [change]
    return found


def run(contest: Contest, changes: Iterable[Change]) -> Iterator[Comparison]:
    """Gate changes one after the other on one persistent work tree, and yield every comparison."""
    before = "base"
    for change in changes:
        if change.before is not None:
            yield from contest.compare(change.before, before)
            before = change.before.name
        yield from contest.compare(change, before)
        before = change.name


def summary(found: Iterable[Comparison]) -> str:
    """Return how many comparisons came out how."""
    listed = list(found)
    kinds = Counter(each.kind for each in listed)
    failing = sum(each.typed != 0 for each in listed)
    return f"{len(listed)} verdicts of {len({e.change for e in listed})} changes, {failing} of them failures: " + (
        ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    )


def main() -> None:
    """Compare all changes with the seed given; used while a rule is worked on."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    named = sys.argv[2:]
    chosen = [change for change in (*CHANGES, *PAIRS) if not named or any(part in change.name for part in named)]
    with tempfile.TemporaryDirectory(prefix="verdicts-", ignore_cleanup_errors=True) as folder:
        contest = Contest.create(Path(folder))
        found = []
        for comparison in run(contest, sequence(seed, chosen)):
            found.append(comparison)
            print(comparison if comparison.kind != "equal" else f"equal: {comparison.gate}: {comparison.change}")
        print(summary(found))


if __name__ == "__main__":
    main()
