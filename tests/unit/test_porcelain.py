"""Parsing of git's output: every output gives a value or an expected error, never another exception."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.config import other_tools
from trunkline.domain.errors import ExternalError, TrunklineError
from trunkline.domain.names import Oid
from trunkline.git import attributes, config_audit, history, notes, refs, replay, trees, work_trees
from trunkline.git.git import Git
from trunkline.state import receipt_store
from trunkline.system import process

OID = Oid("a" * 40)
# What git's formats are made of, so that parsers get past their first line.
WORDS = st.sampled_from([
    b"a" * 40, b"b" * 40, b"refs/heads/x", b"refs/trunkline/backup/r/0/x", b"worktree /x", b"branch refs/heads/x",
    b"M  x", b"R  y", b"commit", b"blob", b"tree", b"120", b"0", b"-1", b"author A <a@b> 1 +0000",
    b"tree " + b"c" * 40, b"file:.git/config", b"local", b"core.editor\nvi", b"\xff\xfe", b"",
])  # fmt: skip
OUTPUT = st.binary(max_size=60) | st.builds(
    lambda parts, joint: joint.join(parts), st.lists(WORDS, max_size=8), st.sampled_from([b" ", b"\n", b"\0", b"\t"])
)
QUERIES: dict[str, Callable[[Git], Any]] = {
    "read_refs": lambda git: refs.read_refs(git, "refs/heads/"),
    "remote_url": lambda git: refs.remote_url(git, "origin"),
    "list_remote": lambda git: refs.list_remote(git, "origin", ["refs/heads/x"]),
    "work_trees": work_trees.work_trees,
    "changed_paths": work_trees.changed_paths,
    "read_commits": lambda git: history.read_commits(git, [OID]),
    "chain": lambda git: history.chain(git, OID, Oid("b" * 40)),
    "missing": lambda git: history.missing(git, [OID]),
    "merge_base": lambda git: history.merge_base(git, OID, Oid("b" * 40)),
    "reflog": lambda git: history.reflog(git, "x"),  # type: ignore[arg-type]  # any branch
    "load": lambda git: history.load(git, [OID]),
    "differing": lambda git: history.differing(git, OID, OID),
    "three_way": lambda git: replay._single(git.scratch("merge-tree")),
    "three_ways": lambda git: replay._several(git.scratch("merge-tree"), 2),
    "attributes": lambda git: attributes.files_in_tree(git, OID),
    "trees": lambda git: trees._read(git, [OID]),
    "committer": replay.committer,
    "resolve": lambda git: git.resolve("x"),
    "tree": lambda git: git.tree(OID),
    "places": lambda git: git.load_places(),
    "settings": config_audit.settings,
    "notes": notes.read,
    "tracked": other_tools.tracked_stacks,
}


@pytest.mark.parametrize("name", QUERIES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_any_output_is_read_or_refused(
    name: str, data: st.DataObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each parser, over several answers in a row."""

    def run(argv: Any, **_: Any) -> process.Completed:
        code = data.draw(st.sampled_from([0, 0, 0, 1, 128]))
        return process.Completed(tuple(argv), code, data.draw(OUTPUT), data.draw(st.binary(max_size=20)), 0.0)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setenv("TRUNKLINE_WAIT_FACTOR", "0")
    with contextlib.suppress(TrunklineError):
        QUERIES[name](Git(tmp_path))


def test_a_line_of_git_notes_that_is_no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the test above: one word where two are due is an answer that cannot be understood."""
    answers = iter([f"{'0' * 40} {notes.REF}".encode(), b"\0"])
    monkeypatch.setattr(process, "run", lambda argv, **_: process.Completed(tuple(argv), 0, next(answers), b"", 0.0))
    with pytest.raises(ExternalError, match="cannot be understood"):
        notes.read(Git(tmp_path))


@pytest.mark.parametrize(("kind", "name"), [("commit", "read_commits"), ("tree", "trees")])
def test_an_object_that_is_none(kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are as expected, and the content is no such object: the response cannot be parsed."""
    answer = f"{OID} {kind} 3\nabc\n".encode()
    monkeypatch.setattr(process, "run", lambda argv, **_: process.Completed(tuple(argv), 0, answer, b"", 0.0))
    with pytest.raises(ExternalError, match="cannot be understood"):
        QUERIES[name](Git(tmp_path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(content=st.binary(max_size=80), depth=st.sampled_from([0, 100_000]))
def test_any_receipt_is_read_or_reported_as_corrupt(tmp_path: Path, content: bytes, depth: int) -> None:
    """Even one whose name holds its hash, or whose brackets never end."""
    content = b"[" * depth + content
    path = tmp_path / f"x-{hashlib.sha256(content).hexdigest()[:16]}.json"
    path.write_bytes(content)
    assert isinstance(receipt_store.read_receipt(path), str)


def test_a_receipt_that_is_a_fifo(tmp_path: Path) -> None:
    """Reading it would never end."""
    path = tmp_path / "receipt.json"
    os.mkfifo(path)
    assert receipt_store.read_receipt(path) == "it is a FIFO"


@pytest.mark.parametrize(("top", "later"), [(b"/top", 0), (b"/to\np", 1)])
def test_places_take_one_process(top: bytes, later: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directories are cached, also for the top of the work tree; after a line break in one, none is."""
    runs = []

    def run(argv: Any, **_: Any) -> process.Completed:
        runs.append(argv)
        return process.Completed(tuple(argv), 0, b"sha1\n/common\n/common/worktrees/x\n" + top + b"\n", b"", 0.0)

    monkeypatch.setattr(process, "run", run)
    git = Git(tmp_path)
    git.load_places()
    git.common_dir()
    assert len(runs) == 1 + later
    if not later:
        assert (git.at(Path("/top")).common_dir(), git.object_format()) == (Path("/common"), "sha1")
        assert len(runs) == 1
