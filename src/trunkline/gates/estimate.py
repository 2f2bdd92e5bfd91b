"""Estimate a gate's duration and compilation units from receipts on earlier trees."""

from __future__ import annotations

import contextlib
import itertools
import statistics

import msgspec

from trunkline.domain.receipt import Receipt
from trunkline.git.git import Git
from trunkline.state.receipt_store import Store, read_receipt

_NEWEST = 5
_READ = 50  # the glob also matches failures and gates with a longer name


class Estimate(msgspec.Struct, frozen=True):
    """An estimate for a gate.

    Attributes:
        seconds: wall time; 0: unknown.
        units: compilation units, fresh ones included; 0: unknown.
    """

    seconds: float = 0.0
    units: int = 0


def estimate(git: Git, name: str) -> Estimate:
    """Return the median time of a gate's newest passes, and the units of the last one.

    Args:
        git: the repository.
        name: the gate.
    """
    found = []
    for path in Store(git.state_dir()).directory.glob(f"*-{name}-*.json"):
        with contextlib.suppress(OSError):
            found.append((path.stat().st_mtime_ns, path))
    receipts = (read_receipt(path) for _, path in sorted(found, reverse=True)[:_READ])
    sound = (each for each in receipts if isinstance(each, Receipt) and each.gate == name and each.passed)
    passes = list(itertools.islice(sound, _NEWEST))
    if not passes:
        return Estimate()
    return Estimate(statistics.median(each.seconds for each in passes), passes[0].units)
