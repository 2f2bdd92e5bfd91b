"""Run a local Dask scheduler with workers that no other user can reach.

Dask listens on TCP, which every user of the machine can connect to, and a worker executes whatever
its scheduler sends. So both sides authenticate with a certificate created for these processes
(mutual TLS) and deleted afterwards. The workers' environment has no tokens.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from distributed.security import Security

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError
from trunkline.domain.redaction import is_secret_name
from trunkline.git.state_directory import state_home
from trunkline.rust import cargo
from trunkline.system import process
from trunkline.system.files import private_directory

_HOST = "127.0.0.1"
_BEGIN_SECONDS = 60.0
_LOOK_SECONDS = 0.02
_NEEDED = frozenset({
    *cargo.PASSED_THROUGH, "DASK_CONFIG", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "LANG",
    "MAKEFLAGS", "PYTHONPATH", "TRUNKLINE_STATE_DIR", "TZ", "XDG_CONFIG_HOME", "XDG_STATE_HOME",
})  # fmt: skip
_NEEDED_PREFIXES = ("LC_", "DASK_")


@dataclass(frozen=True)
class LocalCluster:
    """A running cluster.

    Attributes:
        address: the scheduler's address.
        security: the TLS configuration of a client.
    """

    address: str
    security: Security


@contextlib.contextmanager
def local_cluster(workers: int, resource: str) -> Iterator[LocalCluster]:
    """Run a scheduler and workers, terminated with the context or with this process.

    Args:
        workers: their number.
        resource: the resource that each worker has one of.

    Raises:
        ExternalError: the scheduler does not start.
    """
    base = private_directory(private_directory(state_home()) / "clusters")
    with contextlib.ExitStack() as ends:
        folder = Path(tempfile.mkdtemp(dir=base))  # 0700
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        flags = _certificate(folder)
        environment = worker_environment(os.environ)
        file = folder / "scheduler.json"

        def begin(program: str, *arguments: str) -> None:
            argv = [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments, *flags]
            ends.enter_context(process.background(argv, cwd=folder, env=environment, log=folder / "log"))

        begin("scheduler", "--protocol", "tls", "--host", _HOST, "--port", "0", "--no-dashboard", "--no-show",
              "--scheduler-file", str(file))  # fmt: skip
        address = _address(file, folder / "log")
        for _ in range(workers):
            begin("worker", address, "--protocol", "tls", "--host", _HOST, "--nthreads", "1", "--no-nanny",
                  "--no-dashboard", "--resources", f"{resource}=1", "--local-directory", str(folder))  # fmt: skip
        yield LocalCluster(address, _security(folder))


def worker_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return a worker's environment: an allowlist without names of secrets."""
    return {
        name: value
        for name, value in variables.items()
        if (name in _NEEDED or name.startswith(_NEEDED_PREFIXES)) and not is_secret_name(name)
    }


def _certificate(folder: Path) -> list[str]:
    """Write a key and a self-signed certificate; the key is needed to connect."""
    made = Security.temporary()
    for name, text in (("key.pem", made.tls_scheduler_key), ("cert.pem", made.tls_scheduler_cert)):
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(str(text))
    key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
    return ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]


def _security(folder: Path) -> Security:
    key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
    return Security(require_encryption=True, tls_ca_file=certificate, tls_client_cert=certificate, tls_client_key=key)


def _address(file: Path, log: Path) -> str:
    """Wait for the scheduler and return its address."""
    ends = time.monotonic() + _BEGIN_SECONDS
    while time.monotonic() < ends:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads(file.read_bytes())["address"])
        time.sleep(_LOOK_SECONDS)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""
    raise ExternalError(
        "the scheduler of this machine does not begin", stderr=tail, next_command=task_command("doctor")
    )
