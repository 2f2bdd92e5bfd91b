"""Kill the program at chosen points, and restore a prepared stack quickly.

A process that has imported everything forks for each task (`python -m support.killing`). The child
replaces two functions of the program from outside, and then runs the installed
program. For every kill point, a kept copy of the prepared stack is copied back to the same paths.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import itertools
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trunkline
from support.landing import Landing, Ran, small_stack
from support.repo import Repo
from support.soak import sample
from trunkline.domain.errors import ExternalError
from trunkline.sim import client
from trunkline.sim.client import SimulatedGitHub
from trunkline.system import process as programs

MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- the names below it are random
TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Kill:
    """The point at which a task is killed.

    Attributes:
        what: "record": a journal record; "process": a program that is run to its end; else a
            program with this word among its arguments.
        when: before, after, or torn: half of the record is written; full: no kill, but the disk is
            full from then on. For a program, without a kill: timeout: it does not run and times
            out; lost: it runs and times out; wrong: it does not run and exits with 42.
        number: its number, from 0.
    """

    what: str
    when: str
    number: int

    def __str__(self) -> str:
        """Return the point's name, as a test id."""
        return f"{self.when}-{self.what}-{self.number}"


NO_KILL = Kill("", "", -1)


def records(count: int) -> list[Kill]:
    """Return the points before and after each of the first records.

    The point before a record is usually equal to the point after the previous one. So every sixth
    point is enough, except for `make soak`, which runs all of them.
    """
    before = sample(range(count), 6)
    return [
        Kill("record", when, number)
        for number in range(count)
        for when in ("before", "after")
        if when == "after" or number in before
    ]


def unchanged(_landing: Landing) -> None:
    """Leave the stack as it was opened."""


def _pipes(folder: str, names: list[str]) -> list[str]:
    """Name the pipes in a directory: those that a gate's jobserver left cannot be copied."""
    return [name for name in names if Path(folder, name).is_fifo()]


@dataclass
class Yard:
    """A prepared stack in its current state (`box`) and in its original state (`kept`)."""

    root: Path
    server: subprocess.Popen[bytes]
    landing: Landing | None = None

    @property
    def box(self) -> Path:
        """The directory of the stack and of everything that it writes."""
        return self.root / "box"

    @contextlib.contextmanager
    def prepared(
        self, name: str, prepare: Callable[[Landing], None] = unchanged, *, merged: bool = False
    ) -> Iterator[YardLanding]:
        """Yield the stack as `prepare` leaves it, with a running simulator.

        It is prepared once per session and per combination of name and function.
        """
        kept = self.root / f"{prepare.__module__}.{prepare.__qualname__} {name}"
        if not kept.exists():
            self._make(kept, prepare, merged=merged)
        shutil.rmtree(self.box, ignore_errors=True)
        shutil.copytree(kept, self.box, symlinks=True)
        with self._serving() as github:
            heads = json.loads((self.box / "heads.json").read_text())
            clone, author = Repo(self.box / "clone"), Repo(self.box / "author", clock=1_763_700_000)
            landing = Landing(github, clone, author, {int(number): head for number, head in heads.items()})
            yield replace_environment(landing, self)

    def _make(self, kept: Path, prepare: Callable[[Landing], None], *, merged: bool) -> None:
        shutil.rmtree(self.box, ignore_errors=True)
        with small_stack(self.box, merged=merged) as landing:
            home = self.box / "home"
            home.mkdir()
            shutil.copy(Path(os.environ["HOME"]) / "gitconfig", home / "gitconfig")
            prepare(replace_environment(landing, self))
            (self.box / "heads.json").write_text(json.dumps(landing.heads))
        shutil.copytree(self.box, kept, symlinks=True, ignore=_pipes)

    @contextlib.contextmanager
    def _serving(self) -> Iterator[SimulatedGitHub]:
        root = (self.box / "github").resolve()
        scratch = Path(tempfile.mkdtemp(prefix="sim-"))
        try:
            path = scratch / "s"
            client._write_shell_side(root, path)
            pid = self.ask({"serve": ["serve", "--root", str(root), "--socket", str(path)]})["pid"]
            try:
                client._await(str(path), root / "server.log", lambda: None)
                yield SimulatedGitHub(root, str(path))
            finally:
                self.ask({"end": pid})
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def run(self, args: Sequence[str], *, cwd: Path, env: Mapping[str, str], at: Kill = NO_KILL) -> Ran:
        """Run the program in a forked process, and kill it at a point; the exit code is -9 if it got there."""
        out, err = self.root / "out", self.root / "err"
        done = self.ask({
            "argv": list(args), "cwd": str(cwd), "env": dict(env),
            "out": str(out), "err": str(err), "kill": [at.what, at.when, at.number],
        })  # fmt: skip
        return Ran(done["code"], out.read_text(), err.read_text())

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the forking process, and return its response."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(request).encode() + b"\n")
        self.server.stdin.flush()
        answer: dict[str, Any] = json.loads(self.server.stdout.readline())
        return answer


@dataclass
class YardLanding(Landing):
    """A stack whose tasks run in forks of a process that has imported everything."""

    yard: Yard | None = None

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the environment of a shell in the clone, with home and state in this directory."""
        assert self.yard is not None
        home = self.yard.box / "home"
        own = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "GIT_CONFIG_GLOBAL": str(home / "gitconfig")}
        return {**super().environment(**extra), **own, **extra}

    def invoke(self, *args: str, cwd: Path | None = None, **extra: str) -> Ran:
        """Run the program in the clone, in a forked process."""
        return self.kill(NO_KILL, *args, cwd=cwd, **extra)

    def kill(self, at: Kill, *args: str, cwd: Path | None = None, **extra: str) -> Ran:
        """Run the program in the clone and kill it at a point; the exit code is -9 if it got there."""
        assert self.yard is not None
        return self.yard.run(args, cwd=cwd or self.clone.path, env=self.environment(**extra), at=at)


def replace_environment(landing: Landing, yard: Yard) -> YardLanding:
    """Return the landing with tasks that run in forked processes."""
    return YardLanding(landing.github, landing.clone, landing.author, landing.heads, yard)


@contextlib.contextmanager
def yard(root: Path) -> Iterator[Yard]:
    """Start the forking process; it ends with the context.

    Every ref and record is fsynced: in a memory file system that takes a third of the time.
    """
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), "LC_ALL": "C.UTF-8"}
    with (
        subprocess.Popen(
            [sys.executable, "-m", "support.killing"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server,
        tempfile.TemporaryDirectory(prefix="yard-", dir=MEMORY or root) as place,
    ):
        yield Yard(Path(place), server)


def _serve_requests() -> None:
    """Handle requests, one JSON object per line, until standard input ends."""
    for found in pkgutil.walk_packages(trunkline.__path__, "trunkline."):
        if not found.name.endswith("__main__") and "dask" not in found.name:
            importlib.import_module(found.name)
    for name in ("trunkline.sim.__main__", "tenacity", "rich.progress", "rich.status"):
        importlib.import_module(name)
    importlib.import_module("trunkline.sim.graph.engine").schema()
    gc.collect()
    gc.freeze()  # otherwise a collection in a child copies every page of the parent
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if "end" in request:
            os.kill(request["end"], signal.SIGKILL)
            os.waitpid(request["end"], 0)
            answer: dict[str, int] = {}
        elif "serve" in request:
            answer = {"pid": _forked(lambda asked: _simulate(asked["serve"]), request)}
        else:
            _, status = os.waitpid(_forked(_task, request), 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _forked(body: Callable[[dict[str, Any]], int], request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 -- needed until the process ends
        code = body(request)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _simulate(argv: list[str]) -> int:
    from trunkline.sim.__main__ import main  # noqa: PLC0415 -- imported by the parent

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return main(argv)


def _task(request: dict[str, Any]) -> int:
    from trunkline.tasks.program import main  # noqa: PLC0415 -- imported by the parent

    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    _arm(Kill(*request["kill"]))
    sys.argv = ["invoke", *request["argv"]]
    main()
    return 0


def _arm(kill: Kill) -> None:
    """Replace the functions that write records and run programs by ones that count and kill."""
    if kill.what == "record":
        _arm_records(kill)
    elif kill.what:
        _arm_programs(kill)


def _arm_records(kill: Kill) -> None:
    from trunkline.state import journal  # noqa: PLC0415 -- in the child only
    from trunkline.system import files  # noqa: PLC0415

    numbers = itertools.count()

    def append_line(path: Path, line: bytes) -> None:
        number = next(numbers)
        here = number == kill.number
        if kill.when == "full":
            if number >= kill.number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            here = False
        if here and kill.when == "torn":
            with path.open("ab") as stream:
                stream.write(line[: len(line) // 2])
        _die(here and kill.when != "after")
        files.append_line(path, line)
        _die(here)

    vars(journal)["append_line"] = append_line


def _arm_programs(kill: Kill) -> None:
    from trunkline.system import logged_process, process  # noqa: PLC0415 -- in the child only

    numbers = itertools.count()

    def is_it(argv: Sequence[str]) -> bool:
        return kill.what in {"process", *argv} and next(numbers) == kill.number

    def counting(run: Callable[..., process.Completed]) -> Callable[..., process.Completed]:
        def counted_run(*args: Any, **kwargs: Any) -> process.Completed:
            here = is_it(args[0])
            _die(here and kill.when == "before")
            if here and kill.when in {"timeout", "wrong"}:
                return _odd(kill.when, args[0])
            done = run(*args, **kwargs)
            if here and kill.when in ODD:
                return _odd(kill.when, args[0])
            _die(here)
            return done

        return counted_run

    begin = process.begin

    @contextlib.contextmanager
    def counted_begin(*args: Any, **kwargs: Any) -> Iterator[_Dying]:
        here = is_it(args[0])
        _die(here and kill.when == "before")
        with begin(*args, **kwargs) as running:
            yield _Dying(running, here, kill.when)

    reporter = process.Coprocess.send

    def counted_tell(coprocess: process.Coprocess, said: bytes, answers: int) -> tuple[bytes, ...]:
        here = is_it(coprocess.argv)
        _die(here and kill.when == "before")
        if here and kill.when in {"timeout", "wrong"}:
            return tuple(_odd(kill.when, coprocess.argv).stdout.splitlines())
        heard = reporter(coprocess, said, answers)
        if here and kill.when in ODD:
            return tuple(_odd(kill.when, coprocess.argv).stdout.splitlines())
        _die(here)
        return heard

    vars(process).update({"run": counting(process.run), "begin": counted_begin})
    process.Coprocess.send = counted_tell  # type: ignore[assignment,method-assign]  # as above
    vars(logged_process)["run_logged"] = counting(logged_process.run_logged)


@dataclass(frozen=True)
class _Dying:
    """A started program, at whose end the process may be killed."""

    running: programs.Running
    here: bool
    when: str

    def finish(self) -> programs.Completed:
        done = self.running.finish()
        if self.here and self.when in ODD:
            return _odd(self.when, self.running.argv)
        _die(self.here)
        return done


ODD = ("timeout", "lost", "wrong")


def _odd(when: str, argv: Sequence[str]) -> programs.Completed:
    """Return an abnormal result of a program."""
    if when == "wrong":
        return programs.Completed(tuple(argv), 42, b"", b"fatal: injected\n", 0.0)
    raise ExternalError(f"{argv[0]} did not end within 0 s", command=" ".join(argv))


def _die(now: bool) -> None:  # noqa: FBT001 -- the condition
    if now:
        os.kill(os.getpid(), signal.SIGKILL)


def warm(landing: Landing, *, delete: str = "web") -> None:
    """Merge the parent, and run the gates once on the tree of the landing.

    The receipts are kept; branch, remote and pull requests are unchanged.
    """
    landing.merge_parent(delete=delete)
    first = landing.invoke("rebase", "--pr", "519", "--no-push")
    assert first.code == 0, first.out + first.err
    clone = landing.clone
    for ref in clone.refs():
        if ref.startswith("refs/trunkline/"):
            clone.git("update-ref", "-d", ref)
    clone.git("branch", "--quiet", "-D", "feat/two")
    shutil.rmtree(clone.path / ".git/trunkline/runs")


if __name__ == "__main__":
    _serve_requests()
