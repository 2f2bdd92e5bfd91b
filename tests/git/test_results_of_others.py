"""A machine that runs gates for us answers with names that are not its own to choose."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, cast

import pytest

from support.repo import Repo
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import GateSettings
from trunkline.gates.catalogue import catalogue
from trunkline.gates.executor import GateJob, RemoteResult, accepted
from trunkline.git.git import Git
from trunkline.github.client import GitHub
from trunkline.github.decoding import decode
from trunkline.github.workflow_runs import dispatched_runs
from trunkline.state.receipt_store import Store

LOG = b"all is well\n"
DIGEST = hashlib.sha256(LOG).hexdigest()


@pytest.fixture
def answer(repo: Repo) -> Callable[..., tuple[GateOutcome, Store]]:
    """Return a function that accepts a machine's answer about the gate `build`, with some fields changed."""
    commit = repo.commit("start", {"a.txt": "0\n"})
    repo.git("remote", "add", "origin", "git@github.com:octo/tiny.git")
    git, settings = Git(repo.path), GateSettings()
    gate = catalogue(settings)[0]
    job = GateJob(git, commit, (gate,), settings, Reuse.NOTHING, print, print, print)

    def answers(outcome_of: str = gate.name, **changes: Any) -> tuple[GateOutcome, Store]:
        values = {"log": f"{DIGEST[:32]}.log", "log_sha256": DIGEST, **changes}
        receipt = Receipt(
            gate.name, commit, git.tree(commit), gate.argv, dict(gate.env), (), Toolchain("rustc 1.95.0", "cargo"),
            "", "none", "2026-01-01T00:00:00+00:00", 1.0, 0, **values,
        )  # fmt: skip
        result = RemoteResult(GateOutcome(outcome_of, Verdict.PASSED), receipt, LOG, "elsewhere")
        return accepted(job, gate, result, None), Store(git.state_dir())

    return answers


def test_a_log_that_would_replace_another_receipt(answer: Callable[..., tuple[GateOutcome, Store]]) -> None:
    """The machine names the files that its log and its sources are written to; ours have names of ours."""
    _, store = answer()
    (honest,) = store.directory.glob("*.json")
    before = honest.read_bytes()
    outcome, _ = answer(log=honest.name, sources=f"{honest.name}.sig")
    assert outcome.verdict is Verdict.PASSED
    assert honest.read_bytes() == before
    assert {path.suffix for path in store.directory.iterdir()} == {".json", ".log"}


def test_a_log_of_another_content_replaces_none(answer: Callable[..., tuple[GateOutcome, Store]]) -> None:
    """The machine names the log of another run, with a hash that does not fit."""
    _, store = answer()
    answer(log_sha256="0" * 64)
    assert (store.directory / f"{DIGEST[:32]}.log").read_bytes() == LOG


def test_an_answer_about_another_gate(answer: Callable[..., tuple[GateOutcome, Store]]) -> None:
    """The outcome is always one of the gate that was sent."""
    outcome, store = answer(outcome_of="test")
    assert (outcome.gate, outcome.verdict) == ("build", Verdict.INTERRUPTED)
    assert not store.directory.exists()


def test_a_run_of_a_workflow_on_another_branch() -> None:
    """Everybody who can push can dispatch a workflow of the same name and title on another branch."""
    asked = []

    class Fake:
        def rest(self, path: str, kind: type[Any]) -> Any:
            asked.append(path)
            run = {"display_title": "gates of 1234567", "status": "queued", "html_url": ""}
            branches = ("main", "evil", None)
            listed = [{**run, "id": number, "head_branch": branch} for number, branch in enumerate(branches)]
            return decode({"workflow_runs": listed}, kind)

    found = dispatched_runs(cast("GitHub", Fake()), "trunkline.yml", "main")
    assert [run.number for run in found] == [0]
    assert "&branch=main&" in asked[0]
