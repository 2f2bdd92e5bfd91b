"""The one function that decides what receipts prove, as a table."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from msgspec import structs

from trunkline.domain.names import oid
from trunkline.domain.proof import UNKNOWN_SIGNER, UNSIGNED, KnownReceipt, Proof, ReceiptQuery, changed_outside, prove
from trunkline.domain.receipt import Receipt, Toolchain, Verdict
from trunkline.domain.statement import receipt_of, statement_of

TREE, OTHER = oid("1" * 40), oid("2" * 40)
NOW = Toolchain("rustc 1.95.0 (abc 2026-04-14)\nhost: x", "cargo 1.95.0")
OLD = Toolchain("rustc 1.0.0 (def 2015-05-15)\nhost: x", "cargo 1.0.0")
QUERY = ReceiptQuery("build", TREE, ("cargo", "build"), {"RUSTFLAGS": "-D warnings"}, NOW, "c" * 64)
PASS = Receipt(
    "build", OTHER, TREE, QUERY.argv, QUERY.env, (), NOW, "", "none", "2026-01-01T00:00:00+00:00", 1.0, 0, "x.log",
    "", config_sha256="c" * 64, executor="nox",
)  # fmt: skip
FAIL = replace(PASS, exit_code=101)


def known(*receipts: Receipt, signer: str = "", signature: bool = False) -> list[KnownReceipt]:
    """Return receipts, each a minute after the one before: oldest first, as the cases below read."""
    return [
        KnownReceipt(
            f"{number}.json", replace(each, started=f"2026-01-01T00:{number:02}:00+00:00"), signer, signature
        )
        for number, each in enumerate(receipts)
    ]


@pytest.mark.parametrize(
    ("receipts", "verdict", "counts"),
    [
        pytest.param([], None, (0, 0), id="never ran"),
        pytest.param([PASS], Verdict.PASSED, (1, 1), id="passed"),
        pytest.param([PASS, PASS], Verdict.PASSED, (2, 2), id="passed twice"),
        pytest.param([FAIL], Verdict.FAILED, (0, 1), id="failed"),
        pytest.param([PASS, FAIL], Verdict.FLAKY, (1, 2), id="a newer failure beside a pass"),
        pytest.param([FAIL, PASS], Verdict.FLAKY, (1, 2), id="a newer pass beside a failure"),
        pytest.param([PASS, FAIL, PASS], Verdict.FLAKY, (2, 3), id="both ways, the newest passed"),
        pytest.param([replace(PASS, tree=OTHER)], None, (0, 0), id="another tree"),
        pytest.param([replace(PASS, gate="test")], None, (0, 0), id="another gate"),
        pytest.param([replace(PASS, lacked="no test ran")], Verdict.FAILED, (0, 1), id="exit code 0, but lacking"),
        pytest.param([PASS, replace(FAIL, toolchain=OLD)], Verdict.PASSED, (1, 1), id="another toolchain failed"),
        pytest.param([FAIL, replace(PASS, toolchain=OLD)], Verdict.FAILED, (0, 1), id="another toolchain passed"),
    ],
)
def test_the_verdict_of_receipts(receipts: list[Receipt], verdict: Verdict | None, counts: tuple[int, int]) -> None:
    """Only receipts of the same question count; passes and failures of it side by side are flaky."""
    found = prove(QUERY, known(*receipts))
    assert (found.verdict, (found.passes, found.runs)) == (verdict, counts)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        pytest.param({"argv": ("cargo", "check")}, "the gate's command has changed since", id="command"),
        pytest.param({"env": {}}, "the gate's environment has changed since", id="environment"),
        pytest.param({"root": "rust"}, "it ran in rust, and [gates] root is .", id="directory"),
        pytest.param({"expects": 1, "exit_code": 1}, "the exit code that counts", id="expected exit code"),
        pytest.param(
            {"toolchain": OLD},
            "it ran with rustc 1.0.0 (def 2015-05-15), now it is rustc 1.95.0 (abc 2026-04-14)",
            id="rustc",
        ),
        pytest.param(
            {"toolchain": structs.replace(NOW, cargo="cargo 1.94.0")}, "it ran with cargo 1.94.0, now", id="cargo"
        ),
        pytest.param(
            {"toolchain": structs.replace(NOW, rustc=f"{NOW.name}\nhost: y")}, "another build of rustc", id="host"
        ),
        pytest.param({"toolchain": Toolchain("", "")}, "it ran with no toolchain, now", id="no toolchain"),
        pytest.param(
            {"config_sha256": ""},
            "settings outside the repository have changed since",
            id="configuration",
        ),
    ],
)
@pytest.mark.parametrize("exit_code", [0, 101])
def test_a_receipt_of_another_question_is_stale(other: dict[str, object], why: str, exit_code: int) -> None:
    """A receipt of another command, toolchain or configuration is stale, passed or failed, with the reason."""
    receipt = replace(PASS, **{"exit_code": exit_code, **other})  # type: ignore[arg-type]  # fields by name
    found = prove(QUERY, known(receipt))
    assert found.verdict is Verdict.STALE
    assert why in found.reason
    assert found.runs == 0


@pytest.mark.parametrize(
    ("query", "receipt", "why"),
    [
        pytest.param({"sandboxed": True}, {}, "it ran without the sandbox", id="sandbox"),
        pytest.param(
            {"executor": "actions"}, {}, "it ran by nox, and stack.toml has executor actions", id="executor"
        ),
        pytest.param({"signed": True}, {}, UNSIGNED, id="signature"),
    ],
)
def test_what_stack_toml_demands(query: dict[str, object], receipt: dict[str, object], why: str) -> None:
    """A receipt that lacks what stack.toml demands proves nothing."""
    asked = structs.replace(QUERY, **query)
    found = prove(asked, known(replace(PASS, **receipt)))  # type: ignore[arg-type]  # fields by name
    assert (found.verdict, found.reason) == (Verdict.STALE, why)


def test_a_package_outside_of_the_repository_that_changed() -> None:
    """A pass or failure with its earlier state is stale."""
    receipt = replace(PASS, outside={"/other": "0"})
    found = prove(
        QUERY, [KnownReceipt("a.json", receipt, changed=changed_outside("/other")), *known(replace(PASS, tree=OTHER))]
    )
    assert (found.verdict, found.runs) == (Verdict.STALE, 0)
    assert found.reason.startswith("/other, which it was compiled with, has changed")
    assert prove(QUERY, [KnownReceipt("a.json", receipt)]).verdict is Verdict.PASSED


def test_a_sandboxed_run_proves_what_needs_no_sandbox() -> None:
    """A pass in the sandbox also proves a gate that requires none; the required executor counts."""
    assert prove(QUERY, known(replace(PASS, sandbox="bwrap"))).verdict is Verdict.PASSED
    asked = structs.replace(QUERY, sandboxed=True, executor="actions")
    assert prove(asked, known(replace(PASS, sandbox="bwrap", executor="actions"))).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("signer", "signature", "verdict", "reason"),
    [
        ("", False, Verdict.STALE, UNSIGNED),
        ("", True, Verdict.STALE, UNKNOWN_SIGNER),
        ("tess", True, Verdict.PASSED, ""),
    ],
)
def test_a_pass_needs_the_signature_that_is_demanded(
    signer: str,
    signature: bool,  # noqa: FBT001 -- a column of the table
    verdict: Verdict,
    reason: str,
) -> None:
    """Unsigned or signed by a stranger is nothing; signed by somebody trusted is a pass."""
    asked = structs.replace(QUERY, signed=True)
    found = prove(asked, known(PASS, signer=signer, signature=signature))
    assert (found.verdict, found.reason) == (verdict, reason)


def test_an_untrusted_pass_hides_nothing_and_an_unsigned_failure_counts() -> None:
    """A trusted pass stands beside a forged one; a failure counts without a signature, since it grants nothing."""
    asked = structs.replace(QUERY, signed=True)
    trusted, forged = known(PASS, PASS)
    trusted = structs.replace(trusted, signer="tess", signature=True)
    assert prove(asked, [trusted, forged]) == Proof(Verdict.PASSED, trusted, 1, 1)
    failed, forged = known(FAIL, PASS)
    assert prove(asked, [failed, forged]).verdict is Verdict.FAILED
    older, failed = known(PASS, FAIL)
    assert prove(asked, [structs.replace(older, signer="tess"), failed]).verdict is Verdict.FLAKY


def test_the_order_of_the_files_decides_nothing() -> None:
    """The newest is the one that began last, by the instant and not by its spelling."""
    one = KnownReceipt("a", replace(PASS, started="2026-01-01T12:00:00Z"))
    two = KnownReceipt("b", replace(FAIL, started="2026-01-01T12:30:00+01:00"))  # half an hour before the other
    three = KnownReceipt("c", replace(PASS, started="2026-01-01T11:00:00.5+00:00"))
    for order in permutations([one, two, three]):
        found = prove(QUERY, list(order))
        assert (found.known, found.verdict, found.since) == (one, Verdict.FLAKY, "")


def test_since_when_it_fails() -> None:
    """The failures of the newest unbroken row began with the first of them."""
    assert prove(QUERY, known(FAIL, PASS, FAIL, FAIL)).since == "2026-01-01T00:02:00+00:00"


def test_where_the_toolchain_of_now_is_not_known_the_newest_receipts_counts() -> None:
    """Gates that run elsewhere: receipts of one toolchain answer one question, never two."""
    unknown = structs.replace(QUERY, toolchain=None, config_sha256=None)
    assert prove(unknown, known(replace(FAIL, toolchain=OLD), PASS)).verdict is Verdict.PASSED
    assert prove(unknown, known(PASS, replace(FAIL, toolchain=OLD))).verdict is Verdict.FAILED
    assert prove(unknown, known(FAIL, PASS)).verdict is Verdict.FLAKY


@pytest.mark.parametrize("cause", ["disk-full", "dependency-not-fetched"])
def test_a_failure_because_of_the_machine_proves_nothing(cause: str) -> None:
    """The disk was full: the pass after it is not flaky, and the failure alone is no verdict about the tree."""
    full = replace(FAIL, failure={"cause": cause, "diagnosis": "the disk is full"})
    assert prove(QUERY, known(full)).verdict is None
    assert prove(QUERY, known(full, PASS)).verdict is Verdict.PASSED
    assert prove(QUERY, known(PASS, full)).verdict is Verdict.PASSED
    assert prove(QUERY, known(FAIL, full, PASS)).verdict is Verdict.FLAKY
    assert prove(QUERY, known(replace(full, failure={"cause": "compile-error"}), PASS)).verdict is Verdict.FLAKY


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("started", "9999-99-99"),
        ("started", "2026-01-01T00:00:00"),
        ("seconds", "NaN"),
        ("seconds", -1),
        ("cpuSeconds", "inf"),
    ],
)
def test_a_receipt_with_a_time_that_is_none_is_no_receipt(key: str, value: object) -> None:
    """Times order receipts, so what is no time is refused where it is read."""
    statement = statement_of(PASS)
    statement["predicate"]["trunkline"][key] = value
    with pytest.raises(ValueError, match=r"time|econds|isoformat|day|month"):
        receipt_of(statement)


@pytest.mark.parametrize(
    "uri", ["../x.log", "/etc/passwd", "a\0b.log", "", "..", "0-test-1-2.json", "0-test-1-2.json.sig"]
)
def test_a_receipts_log_is_a_file_beside_it(uri: str) -> None:
    """A log elsewhere, or one that would replace another receipt, is refused where the receipt is read."""
    statement = statement_of(PASS)
    next(each for each in statement["predicate"]["configuration"] if each["name"] == "log")["uri"] = uri
    with pytest.raises(ValueError, match=r"name of a \*\.log file"):
        receipt_of(statement)
    own = statement_of(PASS)
    own["predicate"]["trunkline"]["sources"] = uri or "x.json"
    with pytest.raises(ValueError, match=r"name of a \*\.sources file"):
        receipt_of(own)


def test_a_toolchain_that_is_no_text_is_refused() -> None:
    """Toolchains are compared and printed."""
    statement = statement_of(PASS)
    named = next(each for each in statement["predicate"]["configuration"] if each["name"] == "toolchain")
    named["content"] = {"rustc": 5, "cargo": ["x"]}
    with pytest.raises(ValueError, match="toolchain"):
        receipt_of(statement)
