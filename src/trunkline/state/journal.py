"""The journal: one append-only JSONL file for each run, with an intent before and an outcome after each step.

Each record carries a sequence number, a hash of itself and the hash of the line before it; each record
takes one write and one fsync. A torn last line, which a kill leaves, is dropped; any other inconsistency makes the
journal read-only.

A journal is state: it holds the values that a later `continue`, `abort` or `undo` compares and restores, unaltered,
and only its owner may read it. Secrets are removed where records are shown (`log`, `report`, `--json`). No token gets
into a record in the first place: the only programs that receive one are gh and git's network commands, and nothing
that they print, and no environment, is ever recorded.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused
from trunkline.domain.records import AnyRecord, BranchMoved, CheckoutSwitched, Paused, Record, RunStarted
from trunkline.state.lock import RepositoryLock
from trunkline.system.files import append_line, open_regular, private_directory, sync

VERSION = 2
"""The format of a line. Version 1, of development versions before 0.1.0, had records without types."""

R = TypeVar("R", bound=Record)
_GENESIS = "0" * 64
_CHAIN = frozenset({"v", "seq", "prev", "sum"})
_FINAL = frozenset({"finished", "aborted"})
_TAIL_BYTES = 2048


class Run(msgspec.Struct, frozen=True):
    """A run as its journal has it."""

    id: str
    path: Path
    records: tuple[AnyRecord, ...]
    damaged: str = ""
    version: int = VERSION

    @property
    def state(self) -> str:
        """`paused`, `finished`, `failed`, `aborting`, `aborted`, or `interrupted` where it just ends."""
        if self.last(records.Aborting):
            return "aborted" if self.last(records.Aborted) else "aborting"
        for record in reversed(self.records):
            match record:
                case records.RunFinished():
                    return "finished"
                case records.StepFailed():
                    return "failed"
                case Paused():
                    return "paused"
                case records.StepBegan() | records.StepDone() | records.Intent():
                    break
                case _:
                    continue
        return "interrupted"

    @property
    def started(self) -> RunStarted | None:
        """Its first record; None: there is none, or it cannot be read."""
        first = self.records[0] if self.records else None
        return first if isinstance(first, RunStarted) else None

    @property
    def begun(self) -> RunStarted:
        """The first record of a run that is known to have one."""
        assert self.started is not None, f"run {self.id} has no first record"  # noqa: S101 -- the caller's condition
        return self.started

    @property
    def task(self) -> str:
        """The task that was typed."""
        return self.started.task if self.started else ""

    @property
    def moves(self) -> frozenset[str]:
        """The branches that the run planned to move, here or on the remote."""
        return frozenset(self.started.moves) if self.started else frozenset()

    @property
    def changed(self) -> bool:
        """A logged intent of a change, made or not."""
        return self.last(records.Intent) is not None

    @property
    def is_held(self) -> bool:
        """A run that waits for the user: it is paused, or its abort is not finished."""
        return self.state == "aborting" or self.pause is not None

    @property
    def is_half_rewritten(self) -> bool:
        """A run that stopped between the moves of a rewrite, whose new commits this journal alone names."""
        rewrites = self.started is not None and (bool(self.started.rewrites) or self.started.added is not None)
        return rewrites and self.changed and self.state in {"failed", "interrupted"}

    @property
    def pause(self) -> Paused | None:
        """The pause that its step has not passed since, even if a `continue` of it was killed."""
        paused = self.last(Paused)
        if paused is None or self.last(records.Aborted) is not None:
            return None
        done = (record for record in self.after(paused) if isinstance(record, records.StepDone))
        # The steps of a plan of one entry may name no entry.
        is_over = any(each.step is paused.step and each.pr in {None, paused.pr} for each in done)
        return None if is_over else paused

    @property
    def moving_checkout(self) -> BranchMoved | CheckoutSwitched | None:
        """The last record of a begun move of the checkout, with its branch or to another one; None: there is none."""
        for record in reversed(self.records):
            if isinstance(record, CheckoutSwitched) or (isinstance(record, BranchMoved) and record.checked_out):
                return record
        return None

    def after(self, record: Record) -> tuple[AnyRecord, ...]:
        """Return the records that follow one."""
        position = next(index for index, each in enumerate(self.records) if each is record)
        return self.records[position + 1 :]

    def last(self, kind: type[R]) -> R | None:
        """Return the newest record of a kind."""
        return next((record for record in reversed(self.records) if isinstance(record, kind)), None)

    def refusal(self) -> Refused:
        """Return the refusal to go on from a journal that cannot be read whole."""
        path = shlex.quote(str(self.path))
        if self.version == VERSION:
            return Refused(
                f"the journal of run {self.id} is damaged",
                why=f"{self.damaged}\nbranches stay as they are, and the tips that the run replaced are kept under "
                f"refs/trunkline/backup/{self.id}/; to read the journal, and to set it aside:",
                next_command=(f"{'less' if self.path.is_file() else 'ls -ld'} {path}", f"mv {path} {path}.damaged"),
            )
        return Refused(
            f"the journal of run {self.id} has format {self.version}; this version of trunkline reads {VERSION}",
            why="another version of trunkline began the run, and that version can finish it\n"
            "to set the journal aside; branches stay as they are, and the tips that the run replaced are kept under "
            f"refs/trunkline/backup/{self.id}/:",
            next_command=f"mv {path} {path}.format-{self.version}",
        )


class Journal(msgspec.Struct):
    """The journal of the run that holds the lock, open for appending."""

    run: str
    path: Path
    _sequence: int = 0
    _previous: str = _GENESIS
    _failed: str = ""

    def append(self, lock: RepositoryLock, record: Record) -> None:
        """Append one record and make it durable before returning.

        Raises:
            ExternalError: it is not durable; the announced change must not be made. Nothing can be
                appended afterwards, because a torn line is tolerated at the end only.
        """
        assert lock.run == self.run, "another run's journal"  # noqa: S101 -- a proof, not input
        at = dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds")
        body = {**records.encode(record), "at": at, "v": VERSION, "seq": self._sequence, "prev": self._previous}
        line = _canonical({**body, "sum": _hash(_canonical(body))})
        if not self._failed:
            try:
                append_line(self.path, line)
            except OSError as error:
                self._failed = str(error)
        if self._failed:
            raise ExternalError(
                "the journal cannot be written, so nothing further was done",
                why=self._failed,
                next_command=(f"df {shlex.quote(str(self.path.parent))}", task_command("continue")),
            )
        self._sequence += 1
        self._previous = _hash(line)


def new_run_id(label: str, state: Path) -> str:
    """Return an id that sorts by time, several in a second too: `20251119T101530.123456-519-3fa2`.

    It sorts after every run of the repository, even if the clock was set back: `undo` takes the
    newest run back, and would take back an older one.

    Args:
        label: what the run is for.
        state: the repository's state directory.
    """
    now = dt.datetime.now(dt.timezone.utc)
    newest = max((time for path in paths(state) if (time := _begun_at(path))), default=now)
    return f"{max(now, newest + _TICK):{_ID_TIME}}-{label}-{secrets.token_hex(2)}"


_ID_TIME = "%Y%m%dT%H%M%S.%f"
_TICK = dt.timedelta(microseconds=1)


def _begun_at(path: Path) -> dt.datetime | None:
    """Return the time in the id of a journal's run; None: another program named the directory."""
    try:
        return dt.datetime.strptime(path.parent.name.partition("-")[0], _ID_TIME).replace(tzinfo=dt.timezone.utc)
    except ValueError:
        return None


def runs_dir(state: Path) -> Path:
    """Return the directory of a repository's journals."""
    return state / "runs"


def create(lock: RepositoryLock) -> Journal:
    """Begin the journal of the run that holds the lock."""
    parent = private_directory(runs_dir(lock.state))
    directory = private_directory(parent / lock.run)
    sync(lock.state)
    sync(parent)
    return Journal(lock.run, directory / "journal.jsonl")


def reopen(run: Run) -> Journal:
    """Continue the journal of a run; a torn last line is cut off first.

    Raises:
        Refused: the journal is damaged: it is kept as it is, for a person to read.
    """
    if run.damaged:
        raise run.refusal()
    lines = _whole_lines(run.path)
    kept = b"".join(line + b"\n" for line in lines)
    if run.path.stat().st_size != len(kept):
        handle = os.open(run.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.ftruncate(handle, len(kept))
            os.fsync(handle)
        finally:
            os.close(handle)
    previous = _hash(lines[-1]) if lines else _GENESIS
    return Journal(run.id, run.path, len(lines), previous)


def read(path: Path) -> Run:
    """Read a journal; `damaged` describes inconsistencies.

    Raises:
        PermissionError: another user may read it only. The run may be paused, so it is not taken for a damaged one.
    """
    found: list[AnyRecord] = []
    previous, version = _GENESIS, VERSION
    damaged = ""
    try:
        lines = _whole_lines(path)
    except PermissionError:
        raise
    except OSError as error:
        return Run(path.parent.name, path, (), f"it cannot be read: {error.strerror or error}")
    for number, line in enumerate(lines):
        try:
            raw = json.loads(line)
            # Byte for byte as it was written: JSON has several spellings of one value, and the last line has none
            # after it whose `prev` would tell.
            intact = _canonical(raw) == line and raw.pop("sum") == _hash(_canonical(raw))
            version, place = int(raw.pop("v")), (raw.pop("seq"), raw.pop("prev"))
            if version != VERSION:
                damaged = f"line {number + 1} is of another version: {version}, not {VERSION}"
                break
            if not intact or place != (number, previous):
                damaged = f"line {number + 1} is altered or out of order"
                break
            found.append(records.decode(raw))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            damaged = f"line {number + 1} cannot be read: {error}"
            break
        previous = _hash(line)
    return Run(path.parent.name, path, tuple(found), damaged, version)


def ending(path: Path) -> str:
    """Return the kind of a journal's last record if it is `finished` or `aborted`, else ""; reads only the end."""
    try:
        with open_regular(path) as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            last = stream.read().removesuffix(b"\n").rpartition(b"\n")[2]
        kind = str(json.loads(last).get("kind"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""  # a longer record, a torn one, or damage: it has to be read
    return kind if kind in _FINAL else ""


def first_record(path: Path) -> RunStarted | None:
    """Return a journal's first record, or None where it cannot be read; checks no hash."""
    try:
        with open_regular(path) as stream:
            raw = json.loads(stream.readline())
        first = records.decode({key: value for key, value in raw.items() if key not in _CHAIN})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return first if isinstance(first, RunStarted) else None


def paths(state: Path) -> list[Path]:
    """Return the repository's journals, newest first.

    Raises:
        PermissionError: they cannot be listed. A run may be open, so they are not taken for none.
    """
    try:
        found = [path / "journal.jsonl" for path in runs_dir(state).iterdir()]  # glob skips what it may not read
    except FileNotFoundError:
        return []
    return sorted(filter(_may_exist, found), reverse=True)


def _may_exist(path: Path) -> bool:
    """Return whether a file exists, or cannot be seen."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        return True
    return True


def runs(state: Path) -> Iterator[Run]:
    """Yield the repository's runs, newest first."""
    for path in paths(state):
        yield read(path)


def _whole_lines(path: Path) -> list[bytes]:
    try:
        with open_regular(path) as stream:
            content = stream.read()
    except FileNotFoundError:
        return []
    return content.split(b"\n")[:-1]  # what follows the last newline is torn


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, sort_keys=True).encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
