"""All tasks that count receipts agree: none counts a receipt as a pass that another rejects."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support import needs
from support.gating import FILES
from support.keys import ssh_key
from support.repo import Repo, lead_ssh_to
from support.templates import copied
from trunkline.commands import receipts as receipts_command
from trunkline.commands import report, status
from trunkline.config import validation
from trunkline.context import project as context_module
from trunkline.context.loading import open_context
from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain.checklist import LineState
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid, PrNumber
from trunkline.domain.options import Options
from trunkline.domain.proof import UNKNOWN_SIGNER, UNSIGNED
from trunkline.domain.receipt import Receipt, Toolchain, Verdict
from trunkline.domain.snapshot import PrState, PullRequest, Snapshot
from trunkline.domain.stack import Stack
from trunkline.domain.statement import receipt_of
from trunkline.domain.step import Outcome, Step
from trunkline.gates.run import gate_commit
from trunkline.git import signing
from trunkline.git.git import Git
from trunkline.operations.note_template import template_of, written
from trunkline.planning.baseline import with_base
from trunkline.planning.verification import gates_beside_base, gates_for, require_gates
from trunkline.report import html
from trunkline.report.stack import stack_data
from trunkline.state.receipt_store import Store
from trunkline.steps import checklist, gates, note, wait

GATES = ("build", "test", "clippy", "fmt", "doc", "msrv")
STACK = 'schema = 1\n\n[gates]\nfeatures = []\n{more}\n{gates}\n[[entry]]\npr = 1\nbranch = "feat/one"\n'
NO_OPS = "".join(f'[gates.{name}]\nrun = ["true"]\nenv = {{}}\n' for name in GATES)


class Quiet:
    """Receives events and prints nothing."""

    @contextlib.contextmanager
    def working(self, step: Step) -> Iterator[None]:  # noqa: ARG002
        yield

    def outcome(self, outcome: Outcome) -> None:
        pass

    def command(self, typed: str) -> None:
        pass

    def progress(self, text: str) -> None:
        pass

    def ask(self, _question: str) -> bool:
        return False

    def ask_person(self, _question: str) -> bool:
        return False

    def require_approval(self, *publishes: str) -> None:
        pass

    def running(self, gates: Mapping[str, float], lines: Mapping[str, str]) -> None:
        pass

    def gates_ended(self, seconds: float) -> None:
        pass


@dataclass
class Hub:
    """GitHub as far as these tasks read it: one open pull request that can be merged."""

    head: Oid
    body: str = ""

    @contextlib.contextmanager
    def reading_stack(self, numbers: list[PrNumber], **_: Any) -> Iterator[Callable[[], Snapshot]]:
        """Answer the stack's query."""
        pull = PullRequest(
            PrNumber(1), "One", "u", PrState.OPEN, draft=False, body=self.body, base="main", head="feat/one",
            head_oid=self.head, head_repository="octo/tiny", mergeable="MERGEABLE", merge_state="CLEAN",
        )  # fmt: skip
        yield lambda: Snapshot(dict.fromkeys(numbers, pull))


@dataclass
class GateWorkspace:
    """A repository whose six gates have passed on the entry's tree, and the receipt of `test` to tamper with."""

    repo: Repo
    hub: Hub

    @property
    def store(self) -> Store:
        return Store(Git(self.repo.path).state_dir())

    @property
    def path(self) -> Path:
        """The receipt of the gate `test`."""
        (path,) = self.store.directory.glob("*-test-*.json")
        return path

    @property
    def receipt(self) -> Receipt:
        return receipt_of(json.loads(self.path.read_bytes()))

    def put(self, **changes: Any) -> Path:
        """Write a receipt of `test`, changed."""
        return self.store.write(replace(self.receipt, **changes), b"")

    def instead(self, **changes: Any) -> Path:
        """Write a changed receipt of `test` in the place of the real one."""
        receipt = self.receipt
        self.path.unlink()
        return self.store.write(replace(receipt, **changes), b"")

    def stack(self, more: str = "", gates: str = NO_OPS) -> None:
        """Write stack.toml."""
        (self.repo.path / "stack.toml").write_text(STACK.format(more=more, gates=gates))

    def context(self, **options: Any) -> Context:
        """Return a fresh context: nothing is remembered from an earlier task."""
        return open_context("1", stack="", options=Options(**options), reporter=Quiet(), cwd=self.repo.path)


def _build(root: Path) -> None:
    """Gate the entry: its tree, and so its receipts, are the same in every test."""
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(root / "bare")], check=True)
    repo = Repo.create(root / "repo")
    repo.git("remote", "add", "origin", str(root / "bare"))
    repo.commit("start", {**FILES, ".gitignore": "stack.toml\nkey*\n", "signers": "nobody\n"})
    repo.git("switch", "--quiet", "-c", "feat/one")
    tip = repo.commit("one", {"src/one.rs": "//! One.\n"})
    repo.git("push", "--quiet", "origin", "main", "feat/one")
    repo.git("remote", "set-url", "origin", "git@github.com:octo/tiny.git")
    (repo.path / "stack.toml").write_text(STACK.format(more="", gates=NO_OPS))
    gate_commit(repo.path, tip, validation.load(repo.path / "stack.toml")[0].gates)


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GateWorkspace:
    """Return an entry whose gates have all passed, each with a receipt."""
    copied(_build, tmp_path)
    repo = Repo(tmp_path / "repo")
    lead_ssh_to(tmp_path / "bare", monkeypatch)
    hub = Hub(repo.head())
    monkeypatch.setattr(context_module, "GitHub", lambda *_: hub)
    return GateWorkspace(repo, hub)


def key(ground: GateWorkspace, name: str) -> Path:
    """Make an SSH key beside the repository."""
    return ssh_key(ground.repo.path / name)


def unsigned(ground: GateWorkspace) -> None:
    """The receipt has no signature, and stack.toml demands one."""
    _signing(ground)
    signing.signature_path(ground.path).unlink()


def foreign(ground: GateWorkspace) -> None:
    """Return a receipt that is signed with an untrusted key."""
    _signing(ground)
    assert signing.sign(ground.path, str(key(ground, "key2"))) == ""


def _signing(ground: GateWorkspace) -> None:
    """Let every receipt be signed by somebody who is trusted."""
    own = key(ground, "key")
    signers = ground.repo.path / "key.signers"
    signers.write_text(f"tess {Path(f'{own}.pub').read_text()}")
    ground.stack(f'sign = "{own}"\nsigners = "{signers}"')
    for path in ground.store.directory.glob("*.json"):
        assert signing.sign(path, str(own)) == ""


def other_toolchain(ground: GateWorkspace) -> None:
    """Another compiler gave the verdict."""
    ground.instead(toolchain=Toolchain("rustc 1.0.0 (a59de37e9 2015-05-13)", "cargo 1.0.0"))


def other_config(ground: GateWorkspace) -> None:
    """Cargo was configured otherwise."""
    ground.instead(config_sha256="0" * 64)


def newer_failure(ground: GateWorkspace) -> None:
    """The same question failed later on."""
    ground.put(exit_code=1, started=ground.receipt.started.replace("+00:00", "999+00:00"))


def older_failure(ground: GateWorkspace) -> None:
    """The same question failed before."""
    ground.put(exit_code=1, started="2020-01-01T00:00:00+00:00")


def only_failure(ground: GateWorkspace) -> None:
    """A failure."""
    ground.instead(exit_code=1)


def from_the_future(ground: GateWorkspace) -> None:
    """A time of start that has not come yet."""
    ground.instead(started="2099-01-01T00:00:00+00:00")


def corrupt(ground: GateWorkspace) -> None:
    """A bit of the file has flipped."""
    ground.path.write_bytes(ground.path.read_bytes().replace(b"PASSED", b"PASSEd"))


def other_command(ground: GateWorkspace) -> None:
    """stack.toml has another command now."""
    ground.stack(gates=NO_OPS.replace('[gates.test]\nrun = ["true"]', '[gates.test]\nrun = ["true", "now"]'))


def other_environment(ground: GateWorkspace) -> None:
    """stack.toml has another environment now."""
    ground.stack(
        gates=NO_OPS.replace(
            '[gates.test]\nrun = ["true"]\nenv = {}', '[gates.test]\nrun = ["true"]\nenv = {A = "1"}'
        )
    )


def other_tree(ground: GateWorkspace) -> None:
    """A receipt of another tree."""
    ground.instead(tree="1" * 40)


WRONG: dict[Callable[[GateWorkspace], None], str | None] = {
    unsigned: "stale", foreign: "stale", other_toolchain: "stale", other_config: "stale", newer_failure: "flaky",
    older_failure: "flaky", only_failure: "failed", from_the_future: None, corrupt: None, other_command: "stale",
    other_environment: "stale", other_tree: None,
}  # fmt: skip


def _note_of(view: View) -> str:
    """Return the note that the step would write."""
    return written(note.facts_of(view), template_of(view))


@pytest.mark.parametrize("tamper", WRONG, ids=lambda tamper: str(tamper.__name__))
def test_no_task_takes_a_bad_receipt_for_a_pass(
    ground: GateWorkspace, tamper: Callable[[GateWorkspace], None]
) -> None:
    """Push, note, checklist, status, land, report, receipts and gates: the same verdict, never a pass."""
    tamper(ground)
    verdict = WRONG[tamper]
    tip = ground.repo.head()

    with pytest.raises(Refused, match="the gates have not passed") as refused:
        require_gates(ground.context().view(), tip)
    with pytest.raises(Refused, match="the gates have not passed"):
        wait.run(ground.context(require="gates"))
    assert [line.split(":")[0] for line in refused.value.why.splitlines()[:-1]] == ["test"]
    assert "test: " + (verdict or "not run") in refused.value.why

    text = _note_of(ground.context().view())
    assert "- [ ] **test**" in text
    assert text.count("- [x] **") == 5

    line = next(each for each in checklist.evaluate(ground.context().view()) if "gates" in each.text)
    assert (line.state, set(line.receipts)) == (LineState.OPEN, set(GATES) - {"test"})
    assert f"test {verdict or 'not run'}" in line.evidence

    (entry,) = stack_data(status.observe(ground.context(), offline=True))["entries"]
    assert entry["gates"] == {**dict.fromkeys(GATES, "passed"), "test": verdict}

    (reported,) = html.data(report.gather(ground.context(), offline=True))["evidence"]
    message = {each["name"]: each["outcome"]["verdict"] if each["outcome"] else None for each in reported["gates"]}
    assert message == entry["gates"]

    listed = receipts_command.listed(ground.context().git, ground.context().stack)
    proving = {each.receipt.gate for each in listed if each.receipt and each.standing == "passed"}
    assert proving == set(GATES) - {"test"}

    settings = ground.context().stack.gates
    gated, kept = gate_commit(ground.repo.path, tip, settings, only=("test", "fmt"))
    assert not gated.reused or gated.verdict is Verdict.FLAKY
    assert kept.reused


def test_every_task_takes_good_receipts(ground: GateWorkspace) -> None:
    """The control of the test above: untouched, the same receipts are a pass everywhere."""
    tip = ground.repo.head()
    require_gates(ground.context().view(), tip)
    assert wait.run(ground.context(require="gates")).label == "ready to land"
    assert _note_of(ground.context().view()).count("- [x] **") == 6
    line = next(each for each in checklist.evaluate(ground.context().view()) if "gates" in each.text)
    assert line.state is LineState.DONE
    (row,) = status.observe(ground.context(), offline=True).entries
    assert {outcome.verdict for _, outcome in row.gates if outcome} == {Verdict.PASSED}
    listed = receipts_command.listed(ground.context().git, ground.context().stack)
    assert {each.standing for each in listed} == {"passed"}
    assert all(each.reused for each in gate_commit(ground.repo.path, tip, ground.context().stack.gates))


def test_a_flaky_gate_counts_where_it_is_accepted_by_name(ground: GateWorkspace) -> None:
    """`--accept-flaky test` settles it for the push; a gate that only ever failed cannot be accepted so."""
    older_failure(ground)
    require_gates(ground.context(accept_flaky=frozenset({"test"})).view(), ground.repo.head())
    for path in ground.store.directory.glob("*-test-*.json"):
        if receipt_of(json.loads(path.read_bytes())).passed:
            path.unlink()
    with pytest.raises(Refused, match="have not passed"):
        require_gates(ground.context(accept_flaky=frozenset({"test"})).view(), ground.repo.head())


def test_verify_names_what_lacks_a_trusted_signature(ground: GateWorkspace) -> None:
    """An unsigned receipt and one that a stranger signed are problems, each by file."""
    unsigned(ground)
    problems = {each.path: each.problem for each in receipts_command.listed(*_of(ground)) if each.problem}
    assert problems == {ground.path: UNSIGNED}
    assert signing.sign(ground.path, str(key(ground, "key2"))) == ""
    problems = {each.path: each.problem for each in receipts_command.listed(*_of(ground)) if each.problem}
    assert problems == {ground.path: UNKNOWN_SIGNER}


def test_with_a_key_alone_only_its_own_signatures_count(ground: GateWorkspace) -> None:
    """`sign` without `signers`: receipts that this key signed count, no others."""
    own = key(ground, "key")
    ground.stack(f'sign = "{own}"')
    for path in ground.store.directory.glob("*.json"):
        assert signing.sign(path, str(own)) == ""
    require_gates(ground.context().view(), ground.repo.head())
    assert signing.sign(ground.path, str(key(ground, "key2"))) == ""
    with pytest.raises(Refused, match="have not passed"):
        require_gates(ground.context().view(), ground.repo.head())


def test_signers_in_the_repository_are_trunks(ground: GateWorkspace) -> None:
    """A relative `signers` is read from trunk: a key that an entry adds to the file is not trusted."""
    own = key(ground, "key")
    ground.stack(f'sign = "{own}"\nsigners = "signers"')
    for path in ground.store.directory.glob("*.json"):
        assert signing.sign(path, str(own)) == ""
    line = f"tess {Path(f'{own}.pub').read_text()}"
    (ground.repo.path / "signers").write_text(line)
    with pytest.raises(Refused, match="have not passed"):
        require_gates(ground.context().view(), ground.repo.head())
    ground.repo.git("stash", "--quiet")
    ground.repo.git("switch", "--quiet", "main")
    ground.repo.commit("trust tess", {"signers": line})
    ground.repo.git("push", "--quiet", "origin", "main")
    ground.repo.git("switch", "--quiet", "feat/one")
    require_gates(ground.context().view(), ground.repo.head())


@pytest.mark.parametrize("name", ["not-there", "/not/there", "../signers"])
def test_a_file_of_signers_that_is_missing_is_an_error_of_stack_toml(ground: GateWorkspace, name: str) -> None:
    """Exit code 2 in every task that counts receipts: without the file no signer is trusted."""
    ground.stack(f'signers = "{name}"')
    tip, stack = ground.repo.head(), ground.context().stack
    for count in (
        lambda: require_gates(ground.context().view(), tip),
        lambda: status.observe(ground.context(), offline=True),
        lambda: receipts_command.listed(*_of(ground)),
        lambda: receipts_command.pull(*_of(ground)),
        lambda: gate_commit(ground.repo.path, tip, stack.gates),
    ):
        with pytest.raises(UsageError, match=r"gates\.signers: .* cannot be read") as refused:
            count()
        assert refused.value.code == 2


def _of(ground: GateWorkspace) -> tuple[Git, Stack]:
    context = ground.context()
    return context.git, context.stack


@needs.rustup
def test_the_toolchain_that_the_tree_names_is_the_one_that_counts(ground: GateWorkspace) -> None:
    """rust-toolchain.toml in the entry's tree chooses what compiles now, whatever is checked out."""
    tip = ground.repo.commit("pin", {"rust-toolchain.toml": '[toolchain]\nchannel = "no-such-toolchain"\n'})
    tree = Git(ground.repo.path).tree(tip)
    ground.put(tree=tree, commit=tip)
    ground.repo.git("switch", "--quiet", "--detach", "main")
    ((_, outcome),) = [
        each
        for each in gates_for(ground.context().project, ground.context().observer.machine(), tip)
        if each[0] == "test"
    ]
    assert outcome is not None
    assert (outcome.verdict, "now it is no toolchain" in outcome.diagnosis) == (Verdict.STALE, True)


SAME = {"diagnosis": "a lint", "cause": "compile-error", "cause_key": "compile-error:src/lib.rs:1:1"}
OTHER = {"diagnosis": "another lint", "cause": "compile-error", "cause_key": "compile-error:src/one.rs:9:9"}


def fails_on_both(ground: GateWorkspace, on_base: dict[str, str]) -> None:
    """Let `test` fail on the entry, and on trunk with some cause."""
    trunk = ground.repo.head("main")
    receipt = ground.receipt
    ground.instead(exit_code=1, failure=SAME)
    on_trunk = replace(receipt, exit_code=1, failure=on_base, commit=trunk, tree=Git(ground.repo.path).tree(trunk))
    ground.store.write(on_trunk, b"")


def test_a_gate_that_fails_on_the_base_too_is_marked(ground: GateWorkspace) -> None:
    """By the receipt of the base's tree, without asking: in the refusal, the note and the JSON; it still stops."""
    fails_on_both(ground, SAME)
    tip, trunk = ground.repo.head(), ground.repo.head("main")
    message = f"also fails on main ({trunk[:7]}), for the same cause"
    with pytest.raises(Refused) as refused:
        require_gates(ground.context().view(), tip)
    assert message in refused.value.why
    assert "**test** failed since " in _note_of(ground.context().view())
    assert message in _note_of(ground.context().view())
    ((_, outcome),) = [each for each in gates_beside_base(ground.context().view(), tip) if each[0] == "test"]
    assert outcome is not None
    assert (outcome.to_json()["inherited"], outcome.to_json()["on_base"]) == (True, message)


@pytest.mark.parametrize(("on_base", "accepted"), [(SAME, True), (OTHER, False), ({}, False)])
def test_inherited_failures_are_accepted_where_stack_toml_says_so(
    ground: GateWorkspace,
    on_base: dict[str, str],
    accepted: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """`inherited = "allow"` accepts a gate that fails on the base for the same cause, and no other."""
    fails_on_both(ground, on_base)
    ground.stack('inherited = "allow"')
    text = _note_of(ground.context().view())
    assert ("(accepted as inherited)" in text) is accepted
    assert "- [ ] **test**" in text
    if accepted:
        require_gates(ground.context().view(), ground.repo.head())
        return
    with pytest.raises(Refused, match="have not passed"):
        require_gates(ground.context().view(), ground.repo.head())


def test_a_failing_gate_is_run_on_the_base_on_request(ground: GateWorkspace) -> None:
    """Without a receipt of the base's tree nothing is known of it; on request the gate runs there."""
    only_failure(ground)
    tip = ground.repo.head()
    failed = [each for _, each in gates_beside_base(ground.context().view(), tip) if each and each.gate == "test"]
    assert failed[0].on_base == ""
    context = ground.context()
    on_base = partial(gates.run_on_base, context.project, progress=lambda _: None)
    (compared,) = with_base(context.view(), failed, on_base)
    assert (compared.on_base, compared.inherited) == (f"passed on main ({ground.repo.head('main')[:7]})", False)
