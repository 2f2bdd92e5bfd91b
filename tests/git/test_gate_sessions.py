"""The gates of one nox process: what the first session determines is not determined again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.repo import Repo
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import GateOverride, GateSettings
from trunkline.gates import request, session
from trunkline.gates.catalogue import catalogue
from trunkline.git.git import Git
from trunkline.system import process

NAMES = ("fmt", "clippy", "doc")
NOTHING = GateOverride(run=("true",), env={}, needs=())
SETTINGS = GateSettings(overrides=dict.fromkeys(NAMES, NOTHING), sandbox=False)


def _sessions(repo: Repo, patch: pytest.MonkeyPatch, *, fresh: bool = False) -> list[Counter[str]]:
    """Run the sessions of three gates that do nothing; return the processes of each."""
    gates = tuple(gate for gate in catalogue(SETTINGS) if gate.name in NAMES)
    asked = request.Request(str(repo.path), ".", gates, trust=request.trust_of(SETTINGS))
    run = request.new_run(Git(repo.path).common_dir())
    found: list[Counter[str]] = []
    real = process.run

    def counting(argv: Sequence[str], **options: Any) -> process.Completed:
        found[-1][Path(argv[0]).name] += 1
        return real(argv, **options)

    patch.setattr(process, "run", counting)
    patch.setattr(session, "_end_with_parent", lambda _head: None)
    patch.setenv(request.HEAD_VARIABLE, f"{run}:{os.getpid()}")
    for gate in gates:
        found.append(Counter())
        said: list[str] = []
        options: dict[str, Any] = {"commit": "", "reuse": Reuse.by_flags(fresh=fresh, clean=False), "chosen": NAMES}
        assert session.run_session(asked, gate.name, run, say=said.append, **options) == ""
        found[-1]["receipt"] = said[-1].count("passed (receipt)")
    patch.undo()
    return found


def test_gates_that_receipts_prove_need_no_work_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first session checks the receipts of all; ten processes for each took half of a second for six."""
    repo = Repo.create(tmp_path / "repo")
    repo.commit("start", {"Cargo.toml": "", "Cargo.lock": ""})
    with monkeypatch.context() as patch:
        first = _sessions(repo, patch)
    with monkeypatch.context() as patch:
        _, *others = _sessions(repo, patch)
    with monkeypatch.context() as patch:
        fresh = _sessions(repo, patch, fresh=True)
    assert [each["receipt"] for each in (*first, *fresh)] == [0] * 6
    assert others == [Counter(git=1, receipt=1)] * 2
