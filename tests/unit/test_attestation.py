"""Attestation of gates as a table: trunk's policy against receipts, without git and keys."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from trunkline.domain.attestation import (
    WAIVER,
    AttestedGate,
    Standing,
    attest_gate,
    emails,
    named_receipt,
    query_under,
    status_problem,
    status_text,
    waiver_query,
)
from trunkline.domain.names import oid
from trunkline.domain.proof import UNSIGNED, KnownReceipt, ReceiptQuery, Terms
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict, receipt_id
from trunkline.domain.signers_file import people
from trunkline.domain.stack import AttestSettings

TREE, COMMIT, OTHER = oid("1" * 40), oid("2" * 40), oid("3" * 40)
NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.timezone.utc)
RUSTC = Toolchain("rustc 1.95.0 (abc 2026-04-14)\nhost: x", "cargo 1.95.0")
TERMS = Terms("github.com/octo/tiny", NOW, dt.timedelta(days=30))
BASE = ReceiptQuery("fmt", TREE, ("cargo", "fmt"), {})
POLICY = AttestSettings(waive={"fmt": ("ada@x",)})
PASS = Receipt(
    "fmt", COMMIT, TREE, BASE.argv, {}, (), RUSTC, "", "none", "2026-11-28T11:00:00+00:00", 1.0, 0, "x.log", "",
    executor="nox", host="build-7", repository=TERMS.repository,
)  # fmt: skip
WAIVED = replace(PASS, argv=(*WAIVER, "fmt"), summary="no such toolchain", toolchain=Toolchain("", ""))


def answer(
    *receipts: Receipt, signer: str = "ada@x", terms: Terms = TERMS, policy: AttestSettings = POLICY, **base: Any
) -> AttestedGate:
    """Return what receipts, all signed by one person, attest."""
    question = structs.replace(BASE, **base)
    known = [KnownReceipt(f"{number}.json", each, signer, signature=True) for number, each in enumerate(receipts)]
    return attest_gate(query_under(question, policy, terms), waiver_query(question, policy, terms), known)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"repository": "github.com/octo/other"}, "it is a receipt of github.com/octo/other"),
        ({"repository": ""}, "it does not say of which repository it is"),
        ({"argv": ("cargo", "x")}, "the gate's command has changed since"),
        ({"env": {"A": "1"}}, "the gate's environment has changed since"),
        ({"started": "2026-10-28T11:00:00+00:00"}, "it is 31 days old, and [attest] max-age is 30 days"),
        ({"started": "2026-11-28T12:11:00+00:00"}, "which is yet to come"),
        ({"exit_code": 1}, "it failed: exit code 1"),
        ({"exit_code": 1, "failure": {"diagnosis": "E0308"}}, "it failed: E0308"),
        ({"tests": 0}, "it ran no test"),
        ({"outside": {"/other": "0"}}, "it was compiled with /other, which is not in the commit"),
        ({"missing": ("vendor/x",)}, "the submodule vendor/x was missing when it ran"),
        ({"tree": OTHER}, "there is no receipt of this tree"),
        ({"gate": "doc"}, "there is no receipt of this tree"),
    ],
)
def test_a_receipt_that_does_not_count(changes: dict[str, Any], why: str) -> None:
    """The reason is given."""
    assert answer(PASS).standing is Standing.ATTESTED
    found = answer(replace(PASS, **changes))
    assert found.standing is Standing.MISSING
    assert why in found.reason


@pytest.mark.parametrize(
    ("base", "policy", "why"),
    [
        ({"argv": ("cargo", "fmt", "--all")}, {}, "the gate's command has changed since"),
        ({"sandboxed": True}, {}, "it ran without the sandbox"),
        ({}, {"toolchain": "1.9"}, "it ran with rustc 1.95.0, and the policy demands 1.9"),
        ({}, {"toolchain": "1.95.1"}, "it ran with rustc 1.95.0, and the policy demands 1.95.1"),
        ({}, {"toolchain": "1.95"}, ""),
        ({}, {"toolchain": "1.95.0"}, ""),
    ],
)
def test_a_policy_that_changed(base: dict[str, Any], policy: dict[str, Any], why: str) -> None:
    """The tree is the same, and the receipt no longer answers trunk's question."""
    assert answer(PASS, policy=replace(POLICY, **policy), **base).reason == why


@pytest.mark.parametrize(("argv", "standing"), [("+1.95.0", "attested"), ("+1.89.0", "missing"), ("+x", "attested")])
def test_the_toolchain_that_a_command_names(argv: str, standing: str) -> None:
    """`cargo +1.89.0` demands that release, whatever `toolchain` says of the other gates."""
    words = ("cargo", argv, "check")
    assert (
        answer(replace(PASS, argv=words), policy=AttestSettings(toolchain="1.80"), argv=words).standing.value
        == standing
    )


def test_a_commit_of_the_same_tree() -> None:
    """Receipts of such a commit count, unless the policy refuses that."""
    assert answer(PASS, terms=structs.replace(TERMS, commit=COMMIT)).standing is Standing.ATTESTED
    assert 'rebase is "refuse"' in answer(PASS, terms=structs.replace(TERMS, commit=OTHER)).reason


@pytest.mark.parametrize(
    ("signer", "why"),
    [
        ("ada@x", ""),
        ("grace@x", "grace@x signed it and is an author of the commits (grace@x): another person must sign"),
        ("ada@x,GRACE@X", "another person must sign"),
        ("*@x", "another person must sign"),
        ("ada@work.x", "another person must sign"),
        ("\N{FULLWIDTH LATIN SMALL LETTER G}race@x", "another person must sign"),
        ("gr[a]ce@x", ""),
        ("ada", "[attest] independent needs email addresses in the signers file; ada is none"),
        ("", UNSIGNED),
    ],
)
def test_the_signer_is_another_person(signer: str, why: str) -> None:
    """Every name of the signer's line counts, and an author's address in any case."""
    known = KnownReceipt("a.json", PASS, signer, signature=bool(signer))
    lines = ("ada@work.x {key}", "# bob@x {key}", '"Grace@X" namespaces="a b" {key} c')
    persons = people("\n".join(lines).replace("{key}", "ssh-ed25519 AAAA"))
    terms = structs.replace(TERMS, authors=frozenset({"grace@x"}), persons=persons)
    query = query_under(BASE, POLICY, terms)
    assert why in attest_gate(query, waiver_query(BASE, POLICY, TERMS), [known]).reason


def test_lines_of_one_person_in_a_signers_file() -> None:
    """Lines are joined by a name or a key that they share, in whatever order, and by nothing else."""
    text = (
        "a@x ssh-rsa K1\nb@x sk-ssh-ed25519@openssh.com K2\n\n# a@x ssh-rsa K2\n"
        "c@x,A@X cert-authority ssh-rsa K2\nd@x ssh-rsa K3"
    )
    assert set(people(text)) == {frozenset({"a@x", "b@x", "c@x"}), frozenset({"d@x"})}
    assert people("no key\n\n#\n") == (frozenset({"no"}),)


def test_a_waiver() -> None:
    """By somebody who may, for this tree; it proves nothing, and a proof is preferred."""
    waived = answer(WAIVED)
    assert (waived.standing, waived.reason) == (Standing.WAIVED, "no such toolchain")
    assert "may not waive it: [attest] waive names ada@x" in answer(WAIVED, signer="bob@x").reason
    assert answer(WAIVED, policy=AttestSettings()).standing is Standing.MISSING
    assert answer(replace(WAIVED, tree=OTHER)).standing is Standing.MISSING
    assert answer(PASS, WAIVED).standing is Standing.ATTESTED
    assert answer(replace(PASS, exit_code=1), WAIVED).standing is Standing.WAIVED


def test_a_flaky_gate() -> None:
    """A failure beside a pass by any signer withholds the attestation until the gate is waived."""
    failed = replace(PASS, exit_code=1, started="2026-11-28T10:00:00+00:00")
    assert answer(PASS, failed).reason == "flaky: 1 of 2 passed"
    assert answer(PASS, failed, WAIVED).standing is Standing.WAIVED


def test_small_things() -> None:
    """Ids, places and addresses."""
    assert receipt_id("0123-fmt-4567-89abcdef01234567.json") == "89abcdef0123"
    assert answer(PASS).where == "build-7 (nox)"
    assert emails("Ada <ADA@x.org>\nnobody\n<b@y>") == {"ada@x.org", "b@y"}


def test_a_commit_status() -> None:
    """The status names signer and receipt, and is true if that receipt attests the gate."""
    outcome = GateOutcome("fmt", Verdict.PASSED, toolchain="rustc 1.95.0", signer="ada@x", receipt="89abcdef0123")
    text = status_text(outcome)
    assert text == "passed, signed by ada@x, receipt 89abcdef0123, rustc 1.95.0"
    assert len(status_text(replace(outcome, toolchain="x" * 200))) == 140
    assert named_receipt(text) == named_receipt(status_text(replace(outcome, signer=""))) == "89abcdef0123"
    good = answer(PASS)
    assert status_problem("success", text, good) == ""
    assert status_problem("failure", "", None) == ""
    assert status_problem("success", "passed", None) == "it names no receipt"
    assert status_problem("success", text, None) == "there is no receipt 89abcdef0123 of this tree"
    assert "attests nothing: it failed" in status_problem("success", text, answer(replace(PASS, exit_code=1)))
    assert "says that ada@x signed receipt 89abcdef0123; bob@x did" in status_problem(
        "success", text, answer(PASS, signer="bob@x")
    )
