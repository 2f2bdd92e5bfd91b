"""`verify`: shared receipts stand in for CI only under trunk's policy, and every refusal says why."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from support.attesting import GATES, NOW, SIGNERS, Attesting, address, attesting
from trunkline.domain.attestation import NO_RECEIPT, Standing
from trunkline.domain.errors import UsageError


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Attesting]:
    """Return the repositories, without receipts."""
    made = attesting(monkeypatch)
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


def test_signed_receipts_attest_a_commit(place: Attesting) -> None:
    """Here, and in a second clone, complete or shallow, once the notes are fetched; then offline."""
    place.share_all()
    found = place.verify()
    assert [each.standing for each in found.gates] == [Standing.ATTESTED] * len(GATES)
    assert {each.signer for each in found.gates} == {address("ada")}
    assert {each.where for each in found.gates} == {"build-7 (nox)"}
    for depth in (0, 1):
        clone = place.second_clone(f"depth-{depth}", depth=depth)
        if depth:
            with pytest.raises(UsageError, match="has no stack"):
                place.verify(clone=clone)
        else:
            assert set(place.reasons(clone=clone).values()) == {NO_RECEIPT}
        assert place.verify(clone=clone, fetch=True).missing == ()
        assert place.verify(clone=clone).missing == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"repository": "github.com/octo/other"}, "it is a receipt of github.com/octo/other", id="repo"),
        pytest.param({"repository": ""}, "it does not say of which repository it is", id="no repository"),
        pytest.param({"argv": ("true", "x")}, "the gate's command has changed since", id="command"),
        pytest.param({"env": {"A": "1"}}, "the gate's environment has changed since", id="environment"),
        pytest.param(
            {"started": (NOW - dt.timedelta(days=31)).isoformat()},
            "it is 31 days old, and [attest] max-age",
            id="age",
        ),
        pytest.param({"started": (NOW + dt.timedelta(hours=1)).isoformat()}, "which is yet to come", id="future"),
        pytest.param({"exit_code": 1}, "it failed: exit code 1", id="failed"),
        pytest.param({"tests": 0}, "it ran no test", id="no tests"),
    ],
)
def test_a_receipt_that_does_not_count(place: Attesting, changes: dict[str, Any], why: str) -> None:
    """The reason is that of the gate's newest receipt."""
    place.share_all(**changes)
    reasons = place.reasons()
    assert set(reasons) == set(GATES)
    assert all(why in reason for reason in reasons.values()), reasons


def test_signers_file_of_the_branch(place: Attesting) -> None:
    """It does not count: whose receipts count is read from trunk."""
    place.clone.commit("mine", {SIGNERS: f"{address('eve')} {place.public('eve')}\n"})
    place.share_all("eve")
    assert set(place.reasons().values()) == {"its receipt is signed with a key that stack.toml does not trust"}
