"""The mutants of tests/mutants stay applicable: each patch fits the source and names tests that exist."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _program() -> ModuleType:
    """Load scripts/mutants, a program without a suffix, as a module."""
    loader = importlib.machinery.SourceFileLoader("mutants_program", str(ROOT / "scripts" / "mutants"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


PROGRAM = _program()
MUTANTS = PROGRAM.load_all()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source_and_names_tests_that_exist(mutant: object) -> None:
    """A patch that no longer applies, or whose tests were renamed, would silently prove nothing."""
    assert isinstance(mutant, PROGRAM.Mutant)
    assert PROGRAM.apply(mutant, ROOT, check=True) == ""
    for argument in mutant.tests:
        file, _, rest = argument.partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")
        if rest:
            assert f"def {rest.split('::')[-1].partition('[')[0]}(" in source, argument
    assert mutant.files


def test_a_header_without_tests_is_refused(tmp_path: Path) -> None:
    """A mutant that names no test would be counted without proving anything."""
    patch = tmp_path / "x.patch"
    patch.write_text("Removes: something\n\n--- a/x\n+++ b/x\n")
    with pytest.raises(ValueError, match="Tests"):
        PROGRAM.load(patch)
