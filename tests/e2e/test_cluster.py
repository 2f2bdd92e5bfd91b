"""Gates on Dask workers: the same verdicts, receipts that say where; workers and schedulers that die."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import programs
from support.gating import Held
from support.landing import NO_OP_GATES, Landing, small_stack
from support.repo import Repo
from trunkline.domain.errors import TrunklineError
from trunkline.domain.receipt import Verdict
from trunkline.domain.stack import GateOverride, GateSettings
from trunkline.gates.dask_workers import pack
from trunkline.gates.run import gate_commit
from trunkline.git.git import Git

pytestmark = [pytest.mark.gh, pytest.mark.slow]

QUICK = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s"}  # how long Dask tries to connect again
CLIPPY = '[gates.clippy]\nrun = ["true"]'
FAILING = NO_OP_GATES.replace(CLIPPY, '[gates.clippy]\nrun = ["sh", "-c", "echo error: no; exit 3"]')


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    """Return the small stack; its branches are fetched."""
    with small_stack(tmp_path / "stack", gates=FAILING) as made:
        yield made


def use(landing: Landing, *lines: str, gates: str = "") -> None:
    """Write settings into `[gates]`, and other gates instead of the failing ones."""
    path = landing.clone.path / "stack.toml"
    allowed = ["insecure = true"] if any("tcp://" in line for line in lines) else []
    text = path.read_text().replace('features = ["cpu"]\n', "\n".join(['features = ["cpu"]', *lines, *allowed, ""]))
    path.write_text(text.replace(FAILING, gates or FAILING))


class Cluster:
    """A scheduler and workers as an administrator starts them, each a process of its own."""

    def __init__(self, landing: Landing, root: Path, host: str = "127.0.0.1", **variables: str) -> None:
        self.environment = {
            **landing.environment(), "PATH": programs.path(), "DASK_DISTRIBUTED__ADMIN__LOG_LENGTH": "0", **variables,
        }  # fmt: skip
        self.root = root
        self.scheduler = self._start("scheduler", "--host", host, "--port", "0", "--no-dashboard")
        self.address = self._said(self.scheduler, r"Scheduler at:\s+(\S+)")
        self.workers: list[subprocess.Popen[str]] = []

    def worker(self, *flags: str, **variables: str) -> subprocess.Popen[str]:
        """Start a worker and wait until the scheduler has it."""
        started = self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", *flags, **variables
        )
        self._said(started, r"Registered to:\s+(\S+)")
        self.workers.append(started)
        return started

    def _start(self, *args: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + args[0], *args[1:]], cwd=self.root, text=True,
            env={**self.environment, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    @staticmethod
    def _said(process: subprocess.Popen[str], pattern: str) -> str:
        assert process.stderr is not None
        for line in process.stderr:
            if match := re.search(pattern, line):
                return match[1]
        raise AssertionError(f"ended: {process.args!r}")

    def close(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stderr is not None
            process.stderr.close()


@pytest.fixture
def cluster(landing: Landing, tmp_path: Path) -> Iterator[Cluster]:
    """Return a scheduler that has no worker yet."""
    made = Cluster(landing, tmp_path)
    yield made
    made.close()


def outcomes(landing: Landing) -> list[tuple[int, str, str, str]]:
    """Gate the whole stack; return (pull request, gate, verdict, diagnosis)."""
    ran = landing.invoke("gates", "--stack", "--fresh", "--json")
    return [
        (entry["pr"], each["gate"], each["verdict"], each["diagnosis"])
        for entry in ran.json["entries"]
        for each in entry["outcomes"]
    ]


def test_the_same_verdicts_as_here(landing: Landing) -> None:
    """Two workers made on the spot, or nox: the same verdicts and diagnoses; receipts say who ran it, and where."""
    local = outcomes(landing)
    use(landing, 'executor = "dask"', "workers = 2")
    assert outcomes(landing) == local
    assert (519, "clippy", "failed", "error: no") in local
    predicates = [each["statement"]["predicate"] for each in landing.invoke("receipts", "--json").json["receipts"]]
    ran_by = {(each["trunkline"]["executor"], each["trunkline"]["host"]) for each in predicates}
    assert ran_by == {("nox", os.uname().nodename), ("dask", os.uname().nodename)}
    again = landing.invoke("gates", "--stack")
    assert again.out.count(" passed (receipt)") == 15
    assert landing.invoke("receipts.verify").code == 0


def test_what_is_missing_is_known_before_a_worker_runs_a_gate(landing: Landing) -> None:
    """A task refuses first, as it does with gates that run here: no gate has run, no receipt is kept."""
    missing = NO_OP_GATES.replace(CLIPPY, '[gates.clippy]\nrun = ["cargo", "not-installed"]')
    use(landing, 'executor = "dask"', "workers = 1", gates=missing)
    landing.clone.git("switch", "--quiet", "feat/two")
    ran = landing.invoke("gates", "--pr", "519")
    assert ran.code == 1
    assert "; no gate was run, nothing was pushed" in ran.err
    assert landing.invoke("receipts", "--json").json["receipts"] == []


def test_a_worker_without_a_slot_is_no_worker(landing: Landing, cluster: Cluster) -> None:
    """The run does not hang: the error names the command that starts a worker for gates."""
    cluster.worker()
    use(landing, 'executor = "dask"', f'scheduler = "{cluster.address}"')
    ran = landing.invoke("gates", "--stack")
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == f"next: dask worker {cluster.address} --nthreads 1 --resources gate=1"


def test_a_worker_with_another_toolchain_gets_no_gate(landing: Landing, cluster: Cluster, tmp_path: Path) -> None:
    """The worker is named, and every receipt is from the toolchain that most workers have."""
    shim = tmp_path / "shim"
    shim.mkdir()
    rustc = shim / "rustc"
    rustc.write_text("#!/bin/sh\necho 'rustc 1.0.0 (other)'\n")
    rustc.chmod(0o755)
    for _ in range(2):
        cluster.worker("--resources", "gate=1")
    cluster.worker("--resources", "gate=1", PATH=f"{shim}:{programs.path()}")
    use(landing, 'executor = "dask"', f'scheduler = "{cluster.address}"')
    ran = landing.invoke("gates", "--stack")
    assert "has other toolchains: no gate runs there" in ran.out
    shown = landing.invoke("receipts", "--json").json["receipts"]
    rustcs = {each["statement"]["predicate"]["configuration"][2]["content"]["rustc"] for each in shown}
    assert len(shown) == 18
    assert not any("other" in rustc for rustc in rustcs)


def waiting(tmp_path: Path, *, once: bool) -> tuple[str, Path]:
    """Return gates whose clippy writes its worker's pid and its own, and waits; with `once`, only the first time."""
    began, word = tmp_path / "began", tmp_path / "word"
    os.mkfifo(began)
    os.mkfifo(word)
    marker = tmp_path / "ran-before"
    first = f"[ -e {marker} ] && exit 0; touch {marker}; " if once else ""
    script = f"{first}echo $PPID $$ > {began}; exec cat {word}"
    return NO_OP_GATES.replace(CLIPPY, f'[gates.clippy]\nrun = ["sh", "-c", "{script}"]'), began


def gating(landing: Landing) -> subprocess.Popen[str]:
    """Start gating #519, in a session of its own as a terminal's job is."""
    landing.clone.git("branch", "--quiet", "--force", "feat/two", "origin/feat/two")
    return subprocess.Popen(
        ["invoke", "gates", "--pr", "519", "--fresh"], cwd=landing.clone.path, text=True, stdin=subprocess.DEVNULL,
        env={**landing.environment(), "PATH": programs.path(), **QUICK}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_a_worker_dies_with_a_gate(landing: Landing, cluster: Cluster, tmp_path: Path) -> None:
    """A gate whose worker is killed runs again on the other worker, and the output reports it."""
    workers = [cluster.worker("--resources", "gate=1") for _ in range(2)]
    gates, began = waiting(tmp_path, once=True)
    use(landing, 'executor = "dask"', f'scheduler = "{cluster.address}"', gates=gates)
    run = gating(landing)
    owner = int(began.read_text().split()[0])  # the worker: it is the parent of the gate's shell
    (victim,) = [each for each in workers if each.pid == owner]
    victim.kill()
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 0, out
    assert "clippy runs again, on " in out
    assert "6 of 6 on" in out


def test_what_a_gate_prints_is_shown_while_it_runs(landing: Landing, cluster: Cluster, tmp_path: Path) -> None:
    """Its last line comes here, once a second at most; this gate ends only when it has."""
    cluster.worker("--resources", "gate=1")
    word = tmp_path / "word"
    os.mkfifo(word)
    script = f"echo '   Compiling core v1.0.0'; cat {word}"
    override = GateOverride(run=("sh", "-c", script), env={}, needs=())
    settings = GateSettings(executor="dask", scheduler=cluster.address, insecure=True, overrides={"build": override})
    message: list[tuple[str, str]] = []

    def printed(gate: str, line: str) -> None:
        message.append((gate, line))
        word.write_text("go\n")

    top, tip = landing.clone.path, landing.heads[519]
    (outcome,) = gate_commit(top, tip, settings, only=["build"], printed=printed)
    assert (outcome.verdict, message[0]) == (Verdict.PASSED, ("build", "Compiling core v1.0.0"))
    assert Path(outcome.log).read_text() == "   Compiling core v1.0.0\ngo\n"


def test_encrypted_and_authenticated_by_dasks_own_settings(landing: Landing, tmp_path: Path) -> None:
    """Gates run with TLS configured for Dask on both sides; without it the error names what is missing."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-subj", "/CN=trunkline", "-keyout", str(key), "-out", str(cert))
    subprocess.run(["openssl", *made, *names], check=True, capture_output=True)
    files: dict[str, Path] = {"CA_FILE": cert}
    for role in ("CLIENT", "SCHEDULER", "WORKER"):
        files |= {f"{role}__KEY": key, f"{role}__CERT": cert}
    tls = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(path) for name, path in files.items()}
    secure = Cluster(landing, tmp_path, "tls://127.0.0.1", **tls)
    try:
        secure.worker("--resources", "gate=1")
        assert secure.address.startswith("tls://")
        use(landing, 'executor = "dask"', f'scheduler = "{secure.address}"', gates=NO_OP_GATES)
        without = landing.invoke("gates", "--stack")
        assert (without.code, "has no certificates" in without.err) == (2, True), without.err
        ran = landing.invoke("gates", "--stack", cwd=None, **tls)
    finally:
        secure.close()
    assert ran.code == 0, ran.err
    assert ran.out.count(" passed (") == 18
    assert "encrypted" not in ran.out


def test_the_scheduler_dies(landing: Landing, cluster: Cluster, tmp_path: Path) -> None:
    """The gates have no verdict, nothing is claimed: exit 6, and what to type next."""
    cluster.worker("--resources", "gate=1")
    gates, began = waiting(tmp_path, once=False)
    use(landing, 'executor = "dask"', f'scheduler = "{cluster.address}"', gates=gates)
    run = gating(landing)
    began.read_text()
    cluster.scheduler.kill()
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 6, out
    assert "the scheduler is gone" in out
    assert out.splitlines()[-1] == "next: invoke continue", out
    assert "Traceback" not in out


def test_an_interrupt_ends_the_gate_on_its_worker(landing: Landing, cluster: Cluster, tmp_path: Path) -> None:
    """Ctrl-C here ends the process there; the worker lives on and takes the next gate."""
    cluster.worker("--resources", "gate=1")
    gates, began = waiting(tmp_path, once=True)
    use(landing, 'executor = "dask"', f'scheduler = "{cluster.address}"', gates=gates)
    run = gating(landing)
    pid = int(began.read_text().split()[1])
    gate = Held(pid, os.pidfd_open(pid), "the gate")
    os.kill(run.pid, signal.SIGINT)
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 130, out
    assert gate.ended()
    assert landing.invoke("gates", "--pr", "519").code == 0


def test_only_what_a_worker_lacks_is_sent(landing: Landing, tmp_path: Path) -> None:
    """A pack over what is there is smaller, and useless where that is not there."""
    git = Git(landing.clone.path)
    one, two = landing.heads[518], landing.heads[519]
    whole, over = pack(git, [two], []), pack(git, [two], [one])
    assert len(over) < len(whole) / 2
    empty = Repo.create(tmp_path / "empty")
    taking = Git(empty.path)
    with pytest.raises(TrunklineError):
        taking.scratch("index-pack", "--stdin", "--fix-thin", "--strict", stdin=over)
    taking.scratch("index-pack", "--stdin", "--fix-thin", "--strict", stdin=pack(git, [one], []))
    taking.scratch("index-pack", "--stdin", "--fix-thin", "--strict", stdin=over)
    taking.query("rev-list", "--quiet", "--objects", two)
    shutil.rmtree(empty.path)
