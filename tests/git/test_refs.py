"""Refs by their full name."""

from __future__ import annotations

from support.repo import Repo
from trunkline.domain.names import branch_name, branch_ref
from trunkline.git import refs


def test_a_branch_below_a_name_is_another_one(repo: Repo) -> None:
    """`git for-each-ref` lists `a/b` for `a`; only `a` itself is the value of `a`."""
    repo.commit("start")
    repo.git("branch", "a/b")
    assert refs.read_ref(repo.adapter, branch_ref(branch_name("a"))) is None
    assert refs.read_ref(repo.adapter, branch_ref(branch_name("a/b"))) == repo.head()
