"""The journal: durable, chained, tolerant of a torn last line and of nothing else."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.domain import records
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, Oid, PrNumber
from trunkline.domain.options import Options
from trunkline.domain.step import StepName, StepStatus
from trunkline.state import journal, lock

ENTRY, BRANCH = PrNumber(1), BranchName("x")
STARTED = records.RunStarted(
    task="rebase", pr=ENTRY, branch=BRANCH, moves=(BRANCH,), stack="", stacked=False, trunk=BranchName("main"),
    remote="origin", entries=(records.PlacedEntry(ENTRY, BRANCH),), repository=records.Place("github.com", "o", "r"),
    heads=(records.Head(ENTRY, Oid("1" * 40), None),), steps=(),
    options=Options(),
)  # fmt: skip
DONE = records.StepDone(
    StepName.REPLAY, pr=None, mark=StepStatus.DONE, message="ünï\n\x1b[31m", seconds=0.5, facts={"files": ["a"]}
)


def written(state: Path) -> Path:
    """Write a journal of four records and return its path."""
    with lock.hold(state, run="20251119T000000-1-aaaa") as held:
        log = journal.create(held)
        log.append(held, STARTED)
        log.append(held, records.StepBegan(StepName.REPLAY, None))
        log.append(held, records.BranchMoved(StepName.REPLAY, ENTRY, BRANCH, old=None, new=Oid("1" * 40)))
        log.append(held, DONE)
        return log.path


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    """Kinds, steps and data come back in order; a run without an ending was interrupted."""
    run = journal.read(written(tmp_path / "s"))
    kinds = [records.RunStarted, records.StepBegan, records.BranchMoved, records.StepDone]
    assert [type(record) for record in run.records] == kinds
    assert all(record.at for record in run.records)
    assert msgspec.structs.replace(run.records[3], at="") == DONE
    assert (run.state, run.damaged) == ("interrupted", "")


def test_the_journal_is_private(tmp_path: Path) -> None:
    """The state directory is 0700 and the journal 0600."""
    path = written(tmp_path / "s")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700


def test_a_torn_last_line_is_dropped_and_cut_off(tmp_path: Path) -> None:
    """A record torn by a kill is ignored, and removed when the journal is opened again."""
    path = written(tmp_path / "s")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at": "2026", "ki')
    run = journal.read(path)
    assert (len(run.records), run.damaged) == (4, "")
    with lock.hold(tmp_path / "s", run=run.id) as held:
        journal.reopen(run).append(held, records.RunFinished())
    assert path.read_bytes().startswith(whole)
    assert journal.read(path).state == "finished"


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_flipped_bit_anywhere_is_seen(tmp_path: Path, data: st.DataObject) -> None:
    """Any one changed byte makes the journal damaged from there on, or drops the torn last line; never other data."""
    path = tmp_path / "s/runs/20251119T000000-1-aaaa/journal.jsonl"
    if not path.exists():
        written(tmp_path / "s")
    whole = path.read_bytes()
    honest = journal.read(path).records
    position = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    altered = bytearray(whole)
    altered[position] ^= 1 << bit
    other = tmp_path / "altered" / "journal.jsonl"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(bytes(altered))
    run = journal.read(other)
    assert run.records == honest[: len(run.records)]
    torn = position == len(whole) - 1  # the last newline: the line counts as torn
    assert run.damaged or torn


def test_the_same_value_in_other_bytes_is_seen(tmp_path: Path) -> None:
    """Another spelling of an escape in the last line is the same JSON value, and still damage."""
    path = written(tmp_path / "s")
    whole = path.read_bytes()
    at = whole.rindex(b"\\u001b")
    path.write_bytes(whole[:at] + b"\\u001B" + whole[at + 6 :])
    assert journal.read(path).damaged


def test_a_damaged_journal_is_not_written_to(tmp_path: Path) -> None:
    """The journal is read-only from then on, with a message."""
    path = written(tmp_path / "s")
    path.write_bytes(path.read_bytes().replace(b'"old": null', b'"old": "x"'))
    with pytest.raises(Refused, match="is damaged"):
        journal.reopen(journal.read(path))


def test_a_newer_journal_is_not_written_to(tmp_path: Path) -> None:
    """A record of a later version is not interpreted."""
    path = written(tmp_path / "s")
    line = json.loads(path.read_bytes().splitlines()[0])
    line["v"] = 3
    path.write_bytes(json.dumps(line).encode() + b"\n")
    assert "of another version" in journal.read(path).damaged


@pytest.mark.parametrize("last", ["done", "finished"])
def test_a_journal_of_version_1_is_refused(tmp_path: Path, last: str) -> None:
    """Its records had no types: refused with the command that sets it aside; a finished run is known as finished."""
    path = written(tmp_path / "s")
    body = {"v": 1, "seq": 0, "at": "", "prev": "0" * 64, "kind": last, "step": "", "data": {"task": "rebase"}}
    line = json.dumps({**body, "sum": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()},
                      sort_keys=True)  # fmt: skip
    path.write_text(f"{line}\n")
    with pytest.raises(Refused, match="has format 1; this version of trunkline reads 2") as refused:
        journal.reopen(journal.read(path))
    assert refused.value.next_commands == (f"mv {path} {path}.format-1",)
    assert "refs/trunkline/backup/20251119T000000-1-aaaa/" in refused.value.why
    assert (journal.ending(path), journal.first_record(path)) == (last if last == "finished" else "", None)


def test_a_record_that_does_not_decode_is_damage(tmp_path: Path) -> None:
    """A line with a valid hash whose record lacks a field is not written behind, and the field is named."""
    path = written(tmp_path / "s")
    body = {**json.loads(path.read_bytes().splitlines()[0])}
    del body["sum"], body["task"]
    line = json.dumps({**body, "sum": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()},
                      sort_keys=True)  # fmt: skip
    path.write_text(f"{line}\n")
    assert "missing required field `task`" in journal.read(path).damaged
    with pytest.raises(Refused, match="is damaged"):
        journal.reopen(journal.read(path))


def test_the_state_directory_is_no_link(tmp_path: Path) -> None:
    """A symlink where our state belongs is refused."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="is not a directory"), lock.hold(tmp_path / "s", run="x"):
        pass


def test_the_lease_is_exclusive_and_dies_with_its_holder(tmp_path: Path) -> None:
    """The error for a second holder names the first; after release the lock is free, and its file stays."""
    with (
        lock.hold(tmp_path / "s", run="one"),
        pytest.raises(Refused, match="another trunkline run") as refused,
        lock.hold(tmp_path / "s", run="two"),
    ):
        pass
    assert "run one" in refused.value.why
    inode = (tmp_path / "s/lease.lock").stat().st_ino
    with lock.hold(tmp_path / "s", run="two") as held:
        assert held.run == "two"
    assert (tmp_path / "s/lease.lock").stat().st_ino == inode


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"null", b'{"sum": 1}']), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
def test_any_file_is_read_as_a_journal(tmp_path: Path, lines: list[bytes]) -> None:
    """For any content: no invented record, no exception, and every problem is named."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    run = journal.read(path)
    assert run.records == ()
    assert bool(run.damaged) == bool(lines)


def test_a_journal_that_cannot_be_read_is_damaged(tmp_path: Path) -> None:
    """Brackets without end, or a directory in its place."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"[" * 100_000 + b"\n")
    assert "line 1 cannot be read" in journal.read(path).damaged
    path.unlink()
    path.mkdir()
    assert "cannot be read" in journal.read(path).damaged


def test_run_ids_sort_after_every_run_of_the_repository(tmp_path: Path) -> None:
    """The clock was set back: the newest run is still the last one, for `undo` and `status`."""
    future = tmp_path / "runs/20991231T235959.999999-519-aaaa"
    future.mkdir(parents=True)
    (future / "journal.jsonl").write_bytes(b"")
    (tmp_path / "runs/somebody's").mkdir()
    (tmp_path / "runs/somebody's/journal.jsonl").write_bytes(b"")
    made = journal.new_run_id("restack", tmp_path)
    assert made > future.name
    assert made.startswith("21000101T000000.000000-restack-")


def test_a_journal_nested_without_end_is_damaged(tmp_path: Path) -> None:
    """Brackets by the thousand: damaged, for each function that reads it."""
    path = written(tmp_path / "s")
    path.write_bytes(b"[" * 100_000 + b"\n")
    assert journal.read(path).damaged
    assert journal.ending(path) == ""
    assert journal.first_record(path) is None
    read, aside = journal.read(path).refusal().next_commands
    assert read == f"less {path}"
    assert aside == f"mv {path} {path}.damaged"
