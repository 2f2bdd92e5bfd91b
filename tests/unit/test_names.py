"""Names from outside: what git would read as something else never gets in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain import errors
from trunkline.domain.errors import UsageError
from trunkline.domain.names import branch_name, branch_problem, oid, pr_number
from trunkline.tasks import namespace

HOSTILE = [
    "", "-f", "--exec=touch x", "--upload-pack=x", "+main", "refs/heads/x", "a..b", "a b", "a:b", "a^", "a~1", "a?",
    "a*", "a[", "a\\b", "a\x07", "a@{1}", "@", "HEAD", "/a", "a/", "a//b", "a.", ".a", "x/.a", "a.lock", "x.lock/y",
    "a\n", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_branch_names_are_refused(name: str) -> None:
    """An option, a refspec or what git-check-ref-format refuses is no branch name."""
    with pytest.raises(UsageError, match="not a branch name"):
        branch_name(name)


@pytest.mark.parametrize("name", ["main", "feat/319-kv-pool-v2-pr2-entry", "a", "fix/ä", "x-y_z.1", "a@b"])
def test_ordinary_branch_names_pass(name: str) -> None:
    """Common branch names are accepted unchanged."""
    assert branch_name(name) == name


@given(st.text(max_size=40))
def test_accepted_names_hold_nothing_that_git_reads_otherwise(name: str) -> None:
    """An accepted name begins no option and no refspec, and names exactly one ref."""
    if branch_problem(name) is None:
        assert not name.startswith(("-", "+", "/"))
        assert not set(name) & set(" ~^:?*[\\")


@pytest.mark.parametrize(("value", "expected"), [(519, 519), ("519", 519), ("#519", 519)])
def test_pr_number_in_its_three_spellings(value: int | str, expected: int) -> None:
    """519, "519" and "#519" are the same pull request."""
    assert pr_number(value) == expected


@pytest.mark.parametrize("value", [0, -1, "", "x", "5 19", "٣", "1e3", "##1"])
def test_other_numbers_are_refused(value: int | str) -> None:
    """Only positive whole numbers in ASCII digits are accepted."""
    with pytest.raises(UsageError, match="pull request number"):
        pr_number(value)


@pytest.mark.parametrize("text", ["", "abc", "A" * 40, "g" * 40, "a" * 39, "a" * 41])
def test_abbreviated_object_ids_are_refused(text: str) -> None:
    """Only full ids are used: an abbreviation can become ambiguous."""
    with pytest.raises(UsageError):
        oid(text)


def test_every_next_command_is_a_task_that_exists() -> None:
    """No message sends anybody to a task that is not there."""
    known = {name.split(".")[0] for name in namespace.task_names}
    sources = Path(errors.__file__).parents[1].rglob("*.py")
    named = {task for source in sources for task in re.findall(r"invoke ([a-z][a-z-]+)", source.read_text("utf-8"))}
    assert named <= known, named - known
