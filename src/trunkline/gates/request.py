"""What the sessions of one nox run are asked: the gates, the tree, where outcomes go. JSON in the run's directory.

The sessions of `nox -j` are processes of their own: they read this instead of stack.toml and its schema, and gate
the same commit even when the checkout changes meanwhile.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trunkline.domain.receipt import Toolchain
from trunkline.domain.stack import DEFAULT_REMOTE, DEFAULT_TRUNK, GateSettings
from trunkline.gates.catalogue import Gate
from trunkline.git.state_directory import work_dir
from trunkline.system.files import private_directory, replace_bytes

VARIABLE = "TRUNKLINE_GATES_RUN"
HEAD_VARIABLE = "TRUNKLINE_GATES_NOX"
"""RUN:PID, the process id of the nox whose sessions these are."""
UNITS_VARIABLE = "TRUNKLINE_GATES_UNITS"
"""Set where whoever started the run reads the lines of `report_units`."""
OUTCOMES_VARIABLE = "TRUNKLINE_OUTCOMES"
"""A directory where sessions leave their outcomes too."""
_KEPT_RUNS = 20
_UNITS_LINE = "\x1eunits "
_REPORT_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """One nox run's question.

    Attributes:
        top: the top of the checkout.
        root: the Cargo workspace's directory inside it.
        gates: the gates.
        commit: what is gated; "" where the sessions decide (HEAD, or the checkout as it is).
        fresh: run whatever the receipts say, the repository's own packages compiled anew.
        clean: nothing that was compiled before is used.
        strict: see GateSettings.
        toolchains: gate name -> what compiles for it, where whoever asks has looked.
        common_dir: the repository's git directory; "": to be asked for.
        tree: the commit's tree; "": to be asked for.
        trust: of the `[gates]` table, what decides which receipts count (`trust_of`).
    """

    top: str
    root: str
    gates: tuple[Gate, ...]
    commit: str = ""
    fresh: bool = False
    clean: bool = False
    strict: bool = False
    toolchains: Mapping[str, Toolchain] = field(default_factory=dict)
    common_dir: str = ""
    tree: str = ""
    trust: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> GateSettings:
        """The `[gates]` table as far as it decides which receipts count."""
        known = self.trust
        return GateSettings(
            sign=known.get("sign", ""), signers=known.get("signers", ""),
            remote=known.get("remote", DEFAULT_REMOTE), trunk=known.get("trunk", DEFAULT_TRUNK), strict=self.strict,
        )  # fmt: skip

    def gate(self, name: str) -> Gate:
        """Return a gate by name."""
        return next(gate for gate in self.gates if gate.name == name)


def report_units(name: str) -> Callable[[int], None]:
    """Return a function that reports a gate's compiled units to whoever started the run, a few times a second."""
    if UNITS_VARIABLE not in os.environ:
        return lambda _: None
    last = float("-inf")

    def report(units: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_SECONDS:
            last = time.monotonic()
            os.write(1, f"{_UNITS_LINE}{name} {units}\n".encode())  # one write: sessions share the pipe

    return report


def reported_units(line: bytes) -> tuple[str, int] | None:
    """Return the gate and the units of a line of `report_units`; None: it is another line."""
    words = line.decode("utf-8", "replace").removeprefix(_UNITS_LINE).split()
    if not line.startswith(_UNITS_LINE.encode()) or len(words) != 2 or not words[1].isdecimal():  # noqa: PLR2004
        return None
    return words[0], int(words[1])


_TRUST = ("sign", "signers", "remote", "trunk")


def trust_of(settings: GateSettings) -> dict[str, str]:
    """Return what of the `[gates]` table decides which receipts count."""
    return {name: str(getattr(settings, name)) for name in _TRUST}


def new_run(common_dir: Path) -> Path:
    """Make the directory of a new run."""
    base = private_directory(work_dir(common_dir) / "runs")
    _prune(base)
    return private_directory(base / f"{os.getpid()}-{secrets.token_hex(4)}")


def _prune(base: Path) -> None:
    """Keep the newest of the runs that left something to read; a run whose process lives is left alone."""
    over = sorted(base.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT_RUNS:]
    for path in over:
        if not _lives(path.name.partition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)


def _lives(pid: str) -> bool:
    """Say whether a process lives; what is no number is no process."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True  # somebody else's
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    return True


def write(run: Path, request: Request) -> None:
    """Write the question into a run's directory."""
    replace_bytes(run / "request.json", json.dumps(asdict(request)).encode())


def is_written(run: Path) -> bool:
    """Say whether a run has been asked something."""
    return (run / "request.json").exists()


def read(run: Path) -> Request:
    """Read the question from a run's directory."""
    raw = json.loads((run / "request.json").read_bytes())
    gates = tuple(Gate.from_json(each) for each in raw["gates"])
    toolchains = {name: Toolchain(**each) for name, each in raw["toolchains"].items()}
    kept = {
        name: raw[name]
        for name in ("top", "root", "commit", "fresh", "clean", "strict", "common_dir", "tree", "trust")
    }
    return Request(**kept, gates=gates, toolchains=toolchains)
