"""`land --together` in this process: what must hold right before the first merge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import STACK, Desk, desk, refusal
from trunkline.commands import land
from trunkline.config import location, trust
from trunkline.domain.errors import CheckFailed, Refused, WrongFlag
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.step import StepName
from trunkline.engine import RunResult
from trunkline.git import signing
from trunkline.github import branch_rules
from trunkline.operations import attestation, attested_push
from trunkline.planning import verification
from trunkline.steps import gates

SKIP = frozenset({StepName.FMT, StepName.CHECKS, StepName.NOTE, StepName.CHECKLIST})


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the small stack in this process."""
    with desk(monkeypatch) as made:
        yield made


class Gate:
    """A gate that passes on every tree but those that hold a file."""

    def __init__(self, stack: Desk, patch: pytest.MonkeyPatch, bad: str) -> None:
        """Take the place of cargo's gates."""
        self.stack, self.bad = stack, bad
        self.ran: dict[str, GateOutcome] = {}
        patch.setattr(gates, "gate_commit", self._run)
        patch.setattr(verification, "gates_beside_base", self._known)

    def _tree(self, commit: Oid) -> str:
        return self.stack.clone.git("rev-parse", f"{commit}^{{tree}}")

    def _run(self, _cwd: object, commit: Oid, *_: object, **__: object) -> tuple[GateOutcome, ...]:
        listed = self.stack.clone.git("ls-tree", "--name-only", commit).split()
        verdict = Verdict.FAILED if self.bad in listed else Verdict.PASSED
        self.ran[self._tree(commit)] = GateOutcome("msrv", verdict)
        return (self.ran[self._tree(commit)],)

    def _known(self, _view: object, commit: Oid) -> tuple[tuple[str, GateOutcome | None], ...]:
        return (("msrv", self.ran.get(self._tree(commit))),)


def land_together(stack: Desk, **options: object) -> RunResult:
    """Run `land --together`."""
    return land.run(stack.stack_context(skip=SKIP, together=True, **options))


@pytest.mark.parametrize("native", [(), (1, 2, 3)], ids=["one by one", "native"])
def test_a_result_that_fails_lands_nothing(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, native: tuple[int, ...]
) -> None:
    """Every result passed; then trunk gets a commit on which the gate fails: no merge is requested."""
    stack.hub.native = native
    gate = Gate(stack, monkeypatch, "bad.txt")
    mark = stack.hub.set_draft

    def trunk_moves_last(pr: PullRequest, *, draft: bool) -> PullRequest:
        if pr.number == 3:
            stack.trunk_commits("bad", {"bad.txt": "bad\n"})
        return mark(pr, draft=draft)

    monkeypatch.setattr(stack.hub, "set_draft", trunk_moves_last)
    error = refusal(lambda: land_together(stack))
    if native:
        assert isinstance(error, Refused)
        assert "only if it holds the tip of origin/main" in error.why
    else:
        assert isinstance(error, CheckFailed)
    assert len(gate.ran) == (3 if native else 4)
    assert stack.hub.merged == []


@pytest.mark.parametrize(("verify", "gated"), [("", 3), ("each", 3), ("top", 1)])
def test_which_results_are_gated(stack: Desk, monkeypatch: pytest.MonkeyPatch, verify: str, gated: int) -> None:
    """Each one by default, or the last one only."""
    stack.hub.mergeable = True
    gate = Gate(stack, monkeypatch, "bad.txt")
    error = refusal(lambda: land_together(stack, verify=verify))
    assert error.what == "the fake GitHub merges nothing"
    assert len(gate.ran) == gated
    assert stack.hub.merged == [1]


@pytest.mark.parametrize("place", [0, 1])
def test_an_abort_names_what_stays_in_the_merge_queue(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """With the command that takes it out; it is only said of a pull request that is there."""
    stack.hub.mergeable = True
    Gate(stack, monkeypatch, "bad.txt")
    refusal(lambda: land_together(stack))
    monkeypatch.setattr(branch_rules, "read_rules", lambda *_: branch_rules.BranchRules(place, True, ()))
    outcome = stack.abort()
    assert outcome is not None
    named = [line for line in outcome.details if line.startswith("#1 one is in the merge queue")]
    assert len(named) == place
    assert all("gh api graphql -f id=" in line and "dequeuePullRequest" in line for line in named)


def test_a_native_stack_with_others_is_not_merged(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge takes everything below: exit 5 before anything moves."""
    stack.hub.pulls[4] = stack.hub.pulls[3]
    stack.hub.native = (4, 1, 2, 3)
    Gate(stack, monkeypatch, "bad.txt")
    error = refusal(lambda: land_together(stack))
    assert isinstance(error, Refused)
    assert "merging #3 in native stack 9 takes #4 #1 #2 #3" in error.why
    assert stack.hub.merged == []


def test_options_that_contradict_each_other(stack: Desk) -> None:
    """`--verify` without `--together` is exit 2; a stack that is always rewritten cannot land together."""
    error = refusal(lambda: land.run(stack.stack_context(skip=SKIP, verify="top")))
    assert isinstance(error, WrongFlag)
    file = stack.root / "stack.toml"
    file.write_text(STACK + '\n[land]\nrewrite = "always"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(location.VARIABLE, str(file))
        patch.setenv(trust.VARIABLE, "checkout")
        assert "contradict each other" in refusal(lambda: land_together(stack)).what
    assert stack.hub.merged == []


@pytest.mark.parametrize("together", [False, True])
def test_receipts_are_shared_although_nothing_is_pushed(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    """`--attest`: those of the head, and of the result of the merge, on which the gates ran."""
    trunk = stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    Gate(stack, monkeypatch, "bad.txt")
    signed: list[str] = []
    monkeypatch.setattr(attested_push, "key_of", lambda _: "key")
    monkeypatch.setattr(signing, "signers_of", lambda *_: ())
    monkeypatch.setattr(attestation, "sign_all", lambda _git, tree, *_: signed.append(tree))
    monkeypatch.setattr(attestation, "lines_of", lambda *_: ())
    monkeypatch.setattr(attestation, "share", lambda *_: True)
    stack.hub.mergeable = True
    context = stack.stack_context(skip=SKIP, together=together, attest=True)
    assert "push the receipts of one to origin as git notes" in land.forecast(context).plan.publishes
    error = refusal(lambda: land.run(stack.stack_context(skip=SKIP, together=together, attest=True)))
    assert error.what == "the fake GitHub merges nothing"
    merged = stack.clone.git("merge-tree", "--write-tree", trunk, "one")
    assert set(signed[:2]) == {merged, stack.clone.git("rev-parse", "one^{tree}")}
    assert len(signed) == (6 if together else 2)
