"""A hostile scheduler or another local user cannot run code in the client, or read keys and tokens."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import distributed
import pytest
from distributed.security import Security

from trunkline.domain.errors import ExternalError, Refused, UsageError
from trunkline.domain.redaction import is_secret_name
from trunkline.gates import dask_client, dask_replies, dask_worker
from trunkline.gates.dask_local import LocalCluster, local_cluster, worker_environment
from trunkline.gates.dask_workers import call_workers

pytestmark = pytest.mark.slow
NOBODY = 65534
PRELOAD = """\
import os, pickle
from distributed.protocol import Serialized, serialize
from distributed.protocol.serialize import ToPickle

class Evil:
    def __reduce__(self):
        return os.system, ("touch MARK",)

def answer():
    return {
        "a pickled exception": pickle.dumps(Evil()),
        "a pickled error": {"status": "error", "exception": pickle.dumps(Evil()), "traceback": None},
        "an object in the answer": {"status": "OK", "result": ToPickle(Evil())},
        "a serialized object": {"status": "OK", "result": Serialized(*serialize(Evil()))},
        "a warning": {"status": "OK", "result": "nothing"},
    }["KIND"]

async def dask_setup(scheduler):
    async def broadcast(workers=(), **_):
        if "KIND" == "a warning":
            scheduler.log_event("warn", {"message": pickle.dumps("m"), "category": pickle.dumps(Evil())})
            printed = {"args": ("\\x1b[2J printed",), "sep": None, "end": None, "file": 1, "flush": True}
            scheduler.log_event("print", printed)
        return {address: answer() for address in workers}
    scheduler.handlers["broadcast"] = broadcast
"""  # fmt: skip
KINDS = re.findall(r'^        "(a[^"]+)":', PRELOAD, re.MULTILINE)


@contextlib.contextmanager
def hostile(tmp_path: Path, kind: str) -> Iterator[str]:
    """Run a scheduler that answers every question with an object that runs a command; yield its address."""
    preload = tmp_path / "preload.py"
    preload.write_text(PRELOAD.replace("KIND", kind).replace("MARK", str(tmp_path / "attacked")))
    argv = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
            "--no-dashboard", "--preload", str(preload)]  # fmt: skip
    with subprocess.Popen(argv, cwd=tmp_path, text=True, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            addresses = (re.search(r"Scheduler at:\s+(\S+)", line) for line in process.stderr)
            yield next(match[1] for match in addresses if match)
        finally:
            process.kill()


@pytest.mark.parametrize("kind", KINDS)
def test_a_scheduler_that_answers_with_an_object(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The pickled command runs in Dask's client; ours raises ExternalError, and prints nothing of the scheduler."""
    mark = tmp_path / "attacked"
    ask = "import sys, distributed as d; c = d.Client(sys.argv[1], timeout=20); c.run(print, workers=['w'])"
    with hostile(tmp_path, kind) as address:
        subprocess.run([sys.executable, "-c", ask, address], capture_output=True, check=False, timeout=120)
        assert mark.exists(), "the attack itself does not work"
        mark.unlink()
        client = dask_client.connect(address)
        try:
            with pytest.raises(ExternalError):
                call_workers(client, dask_replies.WorkerInfo, dask_worker.worker_info, "key", workers=["w"])
        finally:
            client.close()
    assert not mark.exists()
    assert "printed" not in capfd.readouterr().out


class Evil:
    """An object that runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.system, (f"touch {self.mark}",)


def test_every_way_by_which_dask_unpickles(tmp_path: Path) -> None:
    """Each of Dask's unpickling functions refuses classes and reads plain data; `pickle` itself is unchanged."""
    dask_client.disable_unpickling()
    content = pickle.dumps(Evil(tmp_path / "attacked"))
    for loads in (distributed.client.loads, distributed.protocol.pickle.loads):
        with pytest.raises(pickle.UnpicklingError):
            loads(content)
        assert loads(pickle.dumps({"a": [1, "b"]})) == {"a": [1, "b"]}
    _, error, _ = distributed.core.clean_exception(content, None)
    assert isinstance(error, Exception)
    assert not (tmp_path / "attacked").exists()
    pickle.loads(content)  # noqa: S301 -- our own
    assert (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    "text",
    [
        None, 7, b"{}", "", "null", "[]", '{"answer": {}}', '{"answer": {"version": 1, "host": "h", "heads": []}}',
        '{"answer": {"version": "1", "host": "h", "heads": ["--upload-pack=evil"]}}',
        '{"answer": {"version": "1", "host": "h", "heads": [], "more": 1}}', "[" * 100_000,
        '{"failed": "no"}', "NaN",
    ],
)  # fmt: skip
def test_an_answer_that_is_none(text: object) -> None:
    """An answer that does not fit the schema is an error with exit code 6."""
    with pytest.raises(ExternalError):
        dask_replies.decoded(dask_replies.WorkerInfo, text, "tcp://w")


def test_a_scheduler_without_tls() -> None:
    """An unencrypted address is refused, also on this machine; `insecure = true` allows it, with a warning."""
    said: list[str] = []
    for address in ("tcp://127.0.0.1:8786", "tcp://10.0.0.1:8786", "ws://localhost:8786", "ucx://h:1"):
        with pytest.raises(Refused, match="neither encrypted nor authenticated"):
            dask_client.require_encryption(address, insecure=False, say=said.append)
        assert said == []
        for _ in range(2):
            dask_client.require_encryption(address, insecure=True, say=said.append)
        assert len(said) == 2
        said.clear()
    with pytest.raises(UsageError, match="no certificates"):
        dask_client.require_encryption("tls://h:1", insecure=True, say=said.append)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Return a local cluster that was started with tokens in the environment."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TRUNKLINE_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patched.setenv("GH_TOKEN", "CANARY-of-github")
        patched.setenv("DASK_GATEWAY__AUTH__PASSWORD", "CANARY-of-dask")
        patched.setenv("SSH_AUTH_SOCK", "/CANARY")
        with local_cluster(1, "gate") as made:
            yield made


def ports(cluster: LocalCluster) -> list[int]:
    """Return the ports of the scheduler and of its worker."""
    client = dask_client.connect(cluster.address, cluster.security)
    try:
        client.wait_for_workers(1)
        addresses = [cluster.address, *client.scheduler_info(n_workers=-1)["workers"]]
    finally:
        client.close()
    assert {urlsplit(address).hostname for address in addresses} == {"127.0.0.1"}
    return [urlsplit(address).port or 0 for address in addresses]


def test_a_neighbour_connects_to_the_local_cluster(cluster: LocalCluster) -> None:
    """Connections without TLS, without a certificate or with a foreign one fail."""
    for port in ports(cluster):
        for address, security in (
            (f"tcp://127.0.0.1:{port}", None), (f"tls://127.0.0.1:{port}", Security.temporary()),
        ):  # fmt: skip
            with pytest.raises(OSError, match=r".+"):
                distributed.Client(address, security=security, timeout=3)
        assert not listens_to_strangers(port)


def listens_to_strangers(port: int) -> bool:
    """Return whether a TLS connection without a certificate gets an answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain) as wrapped,
        ):
            return bool(wrapped.recv(1))  # Dask speaks first
    except OSError:
        return False


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user")
def test_another_user_reads_the_key_of_the_local_cluster(cluster: LocalCluster) -> None:
    """The key lies in a directory that is the user's alone."""
    key = Path(cluster.security.tls_client_key)
    become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    for argv in (("cat", str(key)), ("ls", str(key.parent))):
        assert subprocess.run([*become, *argv], capture_output=True, check=False).returncode != 0
        assert subprocess.run(argv, capture_output=True, check=False).returncode == 0
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_gate_reads_a_token_in_the_environment_of_its_worker(cluster: LocalCluster) -> None:
    """Local workers get only the variables of an allowlist."""
    client = dask_client.connect(cluster.address, cluster.security)
    try:
        client.wait_for_workers(1)
        found = {
            name: next(iter(client.run(os.getenv, name).values()))
            for name in ("GH_TOKEN", "DASK_GATEWAY__AUTH__PASSWORD", "SSH_AUTH_SOCK", "HOME")
        }
    finally:
        client.close()
    assert found.pop("HOME")
    assert set(found.values()) == {None}


def test_what_is_named_as_a_secret_is_none_of_a_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with a secret's name is left out, even if the allowlist has its prefix."""
    for name in ("DASK_SECRET", "LC_TOKEN", "DASK_API_KEY", "CARGO_REGISTRY_TOKEN", "ANYTHING"):
        monkeypatch.setenv(name, "CANARY")
    kept = worker_environment(os.environ)
    assert "PATH" in kept
    assert "CANARY" not in kept.values()
    assert not any(is_secret_name(name) for name in kept)
