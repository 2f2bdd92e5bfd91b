"""`attest` and `verify` as a person types them, and every command that they print."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from junitparser import JUnitXml

from support.attesting import NO_OPS, Attesting, Typing, address, attesting
from support.inprocess import Hub, Pull
from support.keys import ssh_key
from trunkline.commands import verify_status
from trunkline.context import project
from trunkline.domain.names import pr_number


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Attesting]:
    """Return the repositories, without receipts."""
    made = attesting(monkeypatch)
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


@pytest.fixture
def ada(place: Attesting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typing:
    """Return Ada, who is in the signers file and approves what is published."""
    monkeypatch.setenv("TRUNKLINE_SIGN", place.key("ada"))
    monkeypatch.setenv("TRUNKLINE_YES", "1")
    return Typing(monkeypatch, capsys)


def test_gates_attest_push_verify_in_a_second_clone(place: Attesting, ada: Typing) -> None:
    """`verify` refuses until `attest` ran; then it passes in a shallow second clone, also without network."""
    refused = ada(place.clone, "trunkline verify")
    assert refused.code == 1
    assert "build: there is no receipt of this tree" in refused.err
    attested = ada.follow(place.clone, refused, "trunkline attest")
    assert attested.code == 0, attested
    assert "6 gates attested" in attested.out
    assert "origin: pushed" in attested.out
    assert ada(place.clone, "trunkline verify").code == 0

    second = place.second_clone(depth=1)
    unfetched = ada(second, "trunkline verify")
    assert unfetched.code == 2
    verified = ada.follow(second, unfetched, "trunkline verify --fetch")
    assert verified.code == 0, verified
    assert verified.out.count(address("ada")) == 6
    place.bare.path.rename(place.root / "gone")
    assert ada(second, "trunkline verify").code == 0
    summary = ada(second, "trunkline verify --markdown").out
    assert "| ✓ | build |" in summary


def test_the_merge_result_is_attested(place: Attesting, ada: Typing) -> None:
    """The gates run on the merge with trunk. After trunk moved, the merge has another tree and is not attested."""
    place.set_policy('gates = ["fmt"]', files={"other.txt": "1\n"})
    attested = ada(place.clone, "trunkline attest --merged")
    assert attested.code == 0, attested
    second = place.second_clone()
    assert ada(second, "trunkline verify --fetch --merged").code == 0
    alone = ada(second, "trunkline verify")
    assert "there is no receipt of this tree" in alone.err
    place.set_policy('gates = ["fmt"]', files={"other.txt": "2\n"})
    moved = ada(second, "trunkline verify --fetch --merged")
    assert moved.code == 1
    assert "--merged" in moved.next[0]


def test_a_gate_fails(place: Attesting, ada: Typing) -> None:
    """After a failed gate no receipt is shared. After the policy is corrected, the printed command attests."""
    place.set_policy('gates = ["fmt"]', gates=NO_OPS.replace('fmt]\nrun = ["true"]', 'fmt]\nrun = ["false"]'))
    failed = ada(place.clone, "trunkline attest")
    assert failed.code == 1
    assert "1 gate not attested" in failed.err
    assert "refs/notes/trunkline" not in place.bare.refs()
    place.set_policy('gates = ["fmt"]')
    assert ada.follow(place.clone, failed, "trunkline attest").code == 0


def test_a_gate_is_waived(place: Attesting, ada: Typing) -> None:
    """A signer whom the policy names may waive a gate, with a reason that `verify` shows; others may not."""
    place.set_policy(f'gates = ["msrv"]\nwaive = {{ msrv = ["{address("ada")}"] }}')
    wrong = ada(place.clone, "trunkline attest --waive msrv")
    assert wrong.code == 2
    waived = ada.follow(place.clone, wrong)
    assert waived.code == 0, waived
    assert "1 gate attested, 1 of them waived" in waived.out
    assert "WHY" in ada(place.clone, "trunkline verify").out
    place.set_policy(f'gates = ["msrv"]\nwaive = {{ msrv = ["{address("bob")}"] }}')
    refused = ada(place.clone, "trunkline verify")
    assert "may not waive it: [attest] waive names bob@example.invalid" in refused.err
    assert ada(place.clone, "trunkline attest --waive msrv --reason other").code == 5


def test_an_independent_signer_attests(place: Attesting, ada: Typing, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `independent`, `attest` refuses the author before any gate runs; another signer may attest."""
    place.clone.commit("mine", {"src/two.rs": "//! Two.\n"}, author="Ada")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", address("ada"))
    place.clone.git("commit", "--quiet", "--amend", "--reset-author", "--no-edit")
    place.set_policy('gates = ["fmt"]\nindependent = true')
    refused = ada(place.clone, "trunkline attest")
    assert refused.code == 5
    assert "is an author of the commits (ada@example.invalid): another person must sign" in refused.err
    assert refused.next[0].endswith("trunkline attest")
    monkeypatch.setenv("TRUNKLINE_SIGN", place.key("bob"))
    assert ada(place.clone, "trunkline attest").code == 0
    shallow = place.second_clone(depth=1)
    assert ada(shallow, "trunkline verify --fetch").code == 5


def test_what_was_typed_wrongly(place: Attesting, ada: Typing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each usage error prints a command that works, or fails for another reason."""
    both = ada(place.clone, "trunkline verify --commit HEAD --pr 1")
    assert (both.code, ada.follow(place.clone, both).code) == (2, 1)
    bare = ada(place.clone, f"trunkline verify {place.clone.head()}")
    assert (bare.code, ada.follow(place.clone, bare, "trunkline verify --commit").code) == (2, 1)
    unknown = ada(place.clone, "trunkline attest --pr 9")
    assert (unknown.code, unknown.next) == (2, ["trunkline status"])
    place.clone.git("switch", "--quiet", "--detach")
    place.clone.git("branch", "--quiet", "-D", "feat/one")
    absent = ada(place.clone, "trunkline attest --pr 1")
    assert (absent.code, absent.next) == (2, ["trunkline switch --pr 1"])
    place.clone.git("update-ref", "-d", "refs/remotes/origin/feat/one")
    missing = ada(place.clone, "trunkline verify --pr 1")
    assert (missing.code, ada.follow(place.clone, missing).code) == (2, 1)
    monkeypatch.delenv("TRUNKLINE_SIGN")
    keyless = ada(place.clone, "trunkline attest")
    assert (keyless.code, keyless.next) == (2, ["trunkline attest --sign '~/.ssh/id_ed25519'"])
    place.clone.git("remote", "rename", "origin", "up")
    place.clone.git("remote", "add", "other", "git@github.com:octo/other.git")
    remoteless = ada(place.clone, "trunkline verify")
    assert remoteless.code == 2
    assert remoteless.next == ["trunkline verify --remote other"]


def test_the_workflow_is_written_and_checked(place: Attesting, ada: Typing) -> None:
    """`--check` names the command that writes it; a flag without --attested is an error."""
    place.clone.git("switch", "--quiet", "main")
    checked = ada(place.clone, "trunkline ci.workflow --attested --check")
    assert checked.code == 1
    assert ada.follow(place.clone, checked, "trunkline ci.workflow --attested").code == 0
    assert ada(place.clone, "trunkline ci.workflow --attested --check").code == 0
    alone = ada(place.clone, "trunkline ci.workflow --merged --check")
    assert alone.code == 2
    assert alone.next == ["trunkline ci.workflow --check --merged --attested"]
    assert ada(place.clone, "trunkline ci.workflow --attested --fallback walk").code == 2
    (place.clone.path / "stack.toml").unlink()
    place.set_policy(signers="")
    assert ada(place.clone, "trunkline ci.workflow --attested").code == 2


def test_a_push_attests(place: Attesting, ada: Typing, monkeypatch: pytest.MonkeyPatch) -> None:
    """`push --attest` shares the receipts; a key that is no signer's is refused before the push."""
    hub = Hub(place.bare, {1: Pull(pr_number(1), "feat/one", "main")})
    monkeypatch.setattr(project, "GitHub", hub.opened)
    place.clone.commit("two", {"src/two.rs": "//! Two.\n"})
    before = place.bare.refs()
    gated = ada(place.clone, "trunkline gates --pr 1")
    assert gated.code == 0, gated
    monkeypatch.setenv("TRUNKLINE_SIGN", place.key("eve"))
    refused = ada(place.clone, "trunkline push --pr 1 --attest")
    assert (refused.code, place.bare.refs()) == (5, before)
    monkeypatch.setenv("TRUNKLINE_SIGN", place.key("ada"))
    planned = ada(place.clone, "trunkline push --pr 1 --attest --dry-run --json")
    assert "share its signed receipts as git notes" in planned.out
    pushed = ada(place.clone, "trunkline push --pr 1 --attest")
    assert pushed.code == 0, pushed
    assert "6 signed receipts shared" in pushed.out
    assert place.bare.refs()["refs/heads/feat/one"] == place.clone.head()
    assert ada(place.second_clone(), "trunkline verify --fetch").code == 0
    again = ada(place.clone, "trunkline push --pr 1 --attest")
    assert "6 signed receipts, all shared before" in again.out


def test_a_status_is_compared_with_its_receipt(
    place: Attesting, ada: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status with the text of `[publish] statuses` agrees with its receipt; one of another gate does not."""
    assert ada(place.clone, "trunkline attest").code == 0
    gate = json.loads(ada(place.clone, "trunkline verify --json").out)["attestation"]["gates"][0]
    text = f"passed, signed by {gate['signer']}, receipt {gate['receipt']}, {gate['toolchain']}"
    shown = {"trunkline/build": ("success", text), "ci/other": ("success", "x")}
    hub = SimpleNamespace(statuses=lambda _: shown)
    monkeypatch.setattr(verify_status, "GitHub", lambda *_: hub)
    assert ada(place.clone, "trunkline verify --status").code == 0
    shown["trunkline/test"] = ("success", text)
    wrong = ada(place.clone, "trunkline verify --status")
    assert (wrong.code, "1 commit status not true" in wrong.err) == (1, True)
    assert ada.follow(place.clone, wrong).code == 0
    shown.clear()
    assert "there is no status" in ada(place.clone, "trunkline verify --status").out


def test_receipts_are_exported(place: Attesting, ada: Typing) -> None:
    """Each receipt becomes a signed DSSE envelope of exactly its bytes; one JUnit file lists all."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    none = ada(place.clone, "trunkline receipts.export")
    assert (none.code, ada.follow(place.clone, none).code) == (2, 0)
    for receipt in [*place.receipts(), place.receipt("fmt", exit_code=1, failure={"diagnosis": "a & b"})]:
        place.line(receipt)
    assert "would write" in ada(place.clone, "trunkline receipts.export --dry-run").out
    assert ada(place.clone, "trunkline receipts.export --output out").code == 0
    public = serialization.load_ssh_public_key(place.public("ada").encode())
    envelopes = sorted((place.clone.path / "out").glob("*.dsse.json"))
    for path in envelopes:
        envelope = json.loads(path.read_text())
        payload = base64.b64decode(envelope["payload"])
        (signature,) = envelope["signatures"]
        public.verify(
            base64.b64decode(signature["sig"]), b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
        )
        assert payload == (place.store.directory / path.name.replace(".dsse", "")).read_bytes()
        assert json.loads(payload)["_type"] == "https://in-toto.io/Statement/v1"
        assert signature["keyid"].startswith("SHA256:")
    suite = next(iter(JUnitXml.fromfile(str(place.clone.path / "out/junit.xml"))))
    assert (len(envelopes), suite.tests, suite.failures) == (7, 7, 1)
    locked = ssh_key(place.root / "locked", passphrase="secret words")
    assert ada(place.clone, f"trunkline receipts.export --sign {locked}").code == 2
