"""One simulator for all tests of a worker, and a repository of its own on it for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.simulated import Octo, history
from trunkline.sim.client import SimulatedGitHub, running

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedGitHub]:
    """Run a simulator."""
    with running(tmp_path_factory.mktemp("github")) as simulated:
        yield simulated


@pytest.fixture
def octo(github: SimulatedGitHub, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Octo]:
    """Return a stack on a repository that no other test uses; no fault outlives the test."""
    template = tmp_path_factory.getbasetemp() / "stack"
    if not template.exists():  # made here, not by a session fixture, so that it is made in a sealed environment
        history(template)
    yield Octo.create(github, f"octo/demo{next(_NUMBERS)}", tmp_path / "clone", template=template)
    github.clear_faults()
