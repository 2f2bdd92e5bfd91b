"""docs/benchmarks.md is what scripts/bench makes of the kept results, and no bench is left out."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A library of benches, and a bench of its own: `scripts/model-scale` reads what it measures.
OTHERS = {"timed", "scale"}


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """Return scripts/bench as a module."""
    loader = importlib.machinery.SourceFileLoader("bench_script", str(ROOT / "scripts/bench"))
    spec = importlib.util.spec_from_loader("bench_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_script"] = module  # dataclasses look the module up by name
    loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(bench: ModuleType) -> None:
    """`scripts/bench --page` would write the same page."""
    results = json.loads((ROOT / "tests/bench/results.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8") == bench.page(results)


def test_every_bench_is_on_the_page(bench: ModuleType) -> None:
    """A new bench in tests/bench is a row of BENCHES."""
    files = {path.stem for path in (ROOT / "tests/bench").glob("*.py")} - OTHERS
    assert files == {each.name.partition("-")[0] for each in bench.BENCHES}


def test_every_figure_has_its_origin() -> None:
    """Machine, command and date are kept with each output."""
    results = json.loads((ROOT / "tests/bench/results.json").read_text(encoding="utf-8"))
    for name, found in results.items():
        assert all(found[key] for key in ("machine", "command", "date", "output")), name


def test_losses_are_printed(bench: ModuleType) -> None:
    """The fastest cell of a row is bold; a row in which another tool is faster is a loss."""
    lines = [
        "| median | by hand | trunkline | gt |",
        "| --- | --- | --- | --- |",
        "| `up` | 0.01 s | 0.40 s (0.38 to 0.44) | not installed |",
        "| `add` | 0.90 s | 0.50 s | 0.10 s, another result |",
    ]
    shown, losses = bench.marked(lines)
    assert shown[2:] == [
        "| `up` | **0.01 s** | 0.40 s (0.38 to 0.44) | not installed |",
        "| `add` | 0.90 s | **0.50 s** | 0.10 s, another result |",
    ]
    assert losses == ["`up`: 0.40 s, by hand 0.01 s"]
