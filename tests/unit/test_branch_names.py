"""The branch name that `add` derives from a subject."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.branch_names import derived, prefix_of
from trunkline.domain.names import branch_problem


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("Hand out blocks", "feat/hand-out-blocks"),
        ("feat(pool)!: Don't copy", "feat/dont-copy"),
        ("KV: naïve --pool/arena (#3)", "feat/kv-naive-pool-arena-3"),
        ("Four five six seven " * 3, "feat/four-five-six-seven-four-five-six-seven-four-five"),
        ("x" * 60, "feat/" + "x" * 50),
        ("Taken", "feat/taken-3"),
        ("日本", ""),
    ],
)  # fmt: skip
def test_derived(subject: str, name: str) -> None:
    """Words of the subject in kebab-case, at most fifty characters, with a number if the name is taken."""
    assert derived(subject, "feat/", {"feat/taken", "feat/taken-2"}) == name


@given(st.text())
def test_a_derived_name_is_valid(subject: str) -> None:
    """Git takes every derived name."""
    name = derived(subject, "", ())
    assert not name or branch_problem(name) is None


@pytest.mark.parametrize(
    ("branches", "prefix"),
    [
        (["feat/319-kv-pool-v2", "feat/319-kv-pool-v2-pr2-entry"], "feat/319-"),
        (["feat/319-a"], "feat/319-"),
        (["feat/a", "feat/about"], "feat/"),
        (["feat/31-a", "feat/319-b"], "feat/"),
        (["me/feat/a", "me/fix/b"], "me/"),
        (["one", "two"], ""),
    ],
)
def test_prefix_of(branches: list[str], prefix: str) -> None:
    """Whole directories and a whole issue number that all branches share."""
    assert prefix_of(branches) == prefix
