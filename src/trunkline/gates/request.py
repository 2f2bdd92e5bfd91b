"""Pass a run's gates, commit and options to its nox sessions, as JSON in the run's directory.

The sessions of `nox -j` are separate processes. They read this file instead of stack.toml and its
schema, and use the same commit even if the checkout changes meanwhile.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from trunkline.domain.receipt import Toolchain
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import DEFAULT_REMOTE, DEFAULT_TRUNK, GateSettings
from trunkline.gates.catalogue import Gate
from trunkline.git.state_directory import work_dir
from trunkline.system.files import private_directory, replace_bytes

VARIABLE = "TRUNKLINE_GATES_RUN"
HEAD_VARIABLE = "TRUNKLINE_GATES_NOX"
"""RUN:PID, the process id of the nox that runs the sessions."""
UNITS_VARIABLE = "TRUNKLINE_GATES_UNITS"
"""Set if the process that started the run reads the lines of `report_units`."""
OUTCOMES_VARIABLE = "TRUNKLINE_OUTCOMES"
"""A directory for additional copies of the outcomes."""
_KEPT_RUNS = 20
_UNITS_LINE = "\x1eunits "
_REPORT_SECONDS = 0.2


class Request(msgspec.Struct, frozen=True):
    """The gates and options of one nox run.

    Attributes:
        top: the top of the checkout.
        root: the Cargo workspace's directory inside it.
        gates: the gates.
        commit: the commit; "": the sessions choose (HEAD, or a snapshot of the checkout).
        reuse: the results of earlier runs that may be reused.
        strict: see GateSettings.
        toolchains: gate name -> its toolchain, if the caller has determined it.
        common_dir: the repository's git directory; "": unknown.
        tree: the commit's tree; "": unknown.
        trust: the settings of the `[gates]` table that decide which receipts count (`trust_of`).
        is_default: there is no stack.toml, so these are the default gates.
    """

    top: str
    root: str
    gates: tuple[Gate, ...]
    commit: str = ""
    reuse: Reuse = Reuse.ALL
    strict: bool = False
    toolchains: Mapping[str, Toolchain] = msgspec.field(default_factory=dict)
    common_dir: str = ""
    tree: str = ""
    trust: Mapping[str, str] = msgspec.field(default_factory=dict)
    is_default: bool = False

    @property
    def settings(self) -> GateSettings:
        """The part of the `[gates]` table that decides which receipts count."""
        known = self.trust
        return GateSettings(
            sign=known.get("sign", ""), signers=known.get("signers", ""),
            revoked=known.get("revoked", ""),
            remote=known.get("remote", DEFAULT_REMOTE), trunk=known.get("trunk", DEFAULT_TRUNK), strict=self.strict,
        )  # fmt: skip

    def gate(self, name: str) -> Gate:
        """Return a gate by name."""
        return next(gate for gate in self.gates if gate.name == name)


def report_units(name: str) -> Callable[[int], None]:
    """Return a function that regularly reports a gate's compiled units to the parent."""
    if UNITS_VARIABLE not in os.environ:
        return lambda _: None
    last = float("-inf")

    def report(units: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_SECONDS:
            last = time.monotonic()
            os.write(1, f"{_UNITS_LINE}{name} {units}\n".encode())  # one write: the sessions share the pipe

    return report


def reported_units(line: bytes) -> tuple[str, int] | None:
    """Parse a line of `report_units` into gate and units; None: another line."""
    words = line.decode("utf-8", "replace").removeprefix(_UNITS_LINE).split()
    if not line.startswith(_UNITS_LINE.encode()) or len(words) != 2 or not words[1].isdecimal():  # noqa: PLR2004
        return None
    return words[0], int(words[1])


_TRUST = ("sign", "signers", "revoked", "remote", "trunk")


def trust_of(settings: GateSettings) -> dict[str, str]:
    """Return the settings of the `[gates]` table that decide which receipts count."""
    return {name: str(getattr(settings, name)) for name in _TRUST}


def new_run(common_dir: Path) -> Path:
    """Create the directory of a new run."""
    base = private_directory(work_dir(common_dir) / "runs")
    _prune(base)
    return private_directory(base / f"{os.getpid()}-{secrets.token_hex(4)}")


def _prune(base: Path) -> None:
    """Delete all but the newest runs; runs of a living process are kept."""
    over = sorted(base.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT_RUNS:]
    for path in over:
        if not _is_alive(path.name.partition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    """Return whether a process lives; False if the name is not a number."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True  # another user's process
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    return True


def write(run: Path, request: Request) -> None:
    """Write the request into a run's directory."""
    replace_bytes(run / "request.json", json.dumps(msgspec.to_builtins(request)).encode())


def is_written(run: Path) -> bool:
    """Return whether a run has a request."""
    return (run / "request.json").exists()


def read(run: Path) -> Request:
    """Read the request from a run's directory."""
    raw = json.loads((run / "request.json").read_bytes())
    gates = tuple(Gate.from_json(each) for each in raw["gates"])
    toolchains = {name: Toolchain(**each) for name, each in raw["toolchains"].items()}
    kept = {
        name: raw[name] for name in ("top", "root", "commit", "strict", "common_dir", "tree", "trust", "is_default")
    }
    return Request(**kept, reuse=Reuse(raw["reuse"]), gates=gates, toolchains=toolchains)
