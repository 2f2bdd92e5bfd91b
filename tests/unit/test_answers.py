"""What gh prints, judged: whatever it is, an answer or an expected failure."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.adapters.answers import judged
from trunkline.adapters.github import GitHub, Repository
from trunkline.domain.errors import OutsideFailed, Transient, TrunklineError
from trunkline.domain.names import pr_number
from trunkline.kernel.proc import Completed

KEYS = st.sampled_from(
    ["data", "errors", "repository", "pr519", "viewer", "login", "message", "type", "nameWithOwner"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def printed(body: bytes, *, status: int = 200, code: int = 0, headers: str = "") -> Completed:
    """Return a gh that ended."""
    head = f"HTTP/2.0 {status} X\r\n{headers}\r\n".encode()
    return Completed(("gh", "api"), code, head + body, b"", 0.1)


def read(tmp_path_factory: pytest.TempPathFactory, done: Completed) -> object:
    """Judge it, and read the stack's pull requests from it."""
    hub = GitHub(Repository("github.com", "octo", "tiny"), tmp_path_factory.getbasetemp())
    return hub._snapshot(judged(done, partial=True), [pr_number(519)])


@given(body=JSON, status=st.sampled_from([200, 202, 403, 409, 422, 502]), code=st.sampled_from([0, 1]))
def test_any_json_is_an_answer_or_an_expected_failure(
    tmp_path_factory: pytest.TempPathFactory, body: Any, status: int, code: int
) -> None:
    """Never another exception."""
    with contextlib.suppress(TrunklineError):
        read(tmp_path_factory, printed(json.dumps(body).encode(), status=status, code=code))


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"repository": {"nameWithOwner": "octo/tiny"}}, "errors": None},
        {"data": {"repository": {"nameWithOwner": "octo/tiny"}}, "errors": 7},
    ],
)
def test_errors_that_are_none_are_none(tmp_path_factory: pytest.TempPathFactory, body: Any) -> None:
    """`"errors": null` is no error."""
    assert read(tmp_path_factory, printed(json.dumps(body).encode()))


@pytest.mark.parametrize("repository", ["a string", {"pr519": "a string"}, {"pr519": {"number": "x"}}])
def test_a_shape_that_is_not_the_schemas_is_the_outsides_fault(
    tmp_path_factory: pytest.TempPathFactory, repository: Any
) -> None:
    """Exit 6, not a defect of ours."""
    with pytest.raises(OutsideFailed, match="schema"):
        read(tmp_path_factory, printed(json.dumps({"data": {"repository": repository}}).encode()))


def test_brackets_without_end_are_no_json() -> None:
    """A body nested deeper than the parser goes is a failure that may pass."""
    with pytest.raises(Transient):
        judged(printed(b"[" * 100_000))


def test_a_wait_that_is_no_number_is_a_minute() -> None:
    """A digit of another script in Retry-After asks for nothing."""
    with pytest.raises(Transient) as caught:
        judged(printed(b"{}", status=429, code=1, headers="Retry-After: \u00b2\r\n"))
    assert caught.value.wait == 60
