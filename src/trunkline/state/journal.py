"""The journal: one append-only JSONL file a run, intent before and outcome after each step.

Each record carries a sequence number, a hash of itself and the hash of the line before it; one write and one fsync
a record. A torn last line is what a kill leaves, and is dropped; anything else that does not add up makes the
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused
from trunkline.state.lock import RepositoryLock
from trunkline.system.files import append_line, private_directory, sync

VERSION = 1
_GENESIS = "0" * 64
_ENDINGS = frozenset({"finished", "failed", "aborted"})
_FINAL = frozenset({"finished", "aborted"})
_TAIL_BYTES = 2048


@dataclass(frozen=True)
class Record:
    """One line of a journal.

    Attributes:
        kind: run, begin, intent, withdrawn, gated, checked, done, paused, resolved, adopted, resumed, failed,
            finished, aborting or aborted.
        data: the rest, JSON values.
        step: the step it is about, or "".
        at: when, in ISO 8601, UTC.
    """

    kind: str
    data: Mapping[str, Any]
    step: str = ""
    at: str = ""


@dataclass(frozen=True)
class Run:
    """A run as its journal has it."""

    id: str
    path: Path
    records: tuple[Record, ...]
    damaged: str = ""

    @property
    def state(self) -> str:
        """`paused`, `finished`, `failed`, `aborting`, `aborted`, or `interrupted` where it just ends."""
        if self.last("aborting"):
            return "aborted" if self.last("aborted") else "aborting"
        for record in reversed(self.records):
            if record.kind in _ENDINGS | {"paused"}:
                return record.kind
            if record.kind in {"begin", "intent", "done"}:
                break
        return "interrupted"

    @property
    def started(self) -> Mapping[str, Any]:
        """What the first record says: the task, the entry, the options."""
        return self.records[0].data if self.records else {}

    @property
    def task(self) -> str:
        """The task that was typed."""
        return str(self.started.get("task", ""))

    @property
    def moves(self) -> frozenset[str]:
        """The branches that the run set out to move, here or on the remote."""
        return moved_branches(self.started)

    @property
    def changed(self) -> bool:
        """Whether it announced a change of anything, made or not."""
        return any(record.kind == "intent" for record in self.records)

    @property
    def is_held(self) -> bool:
        """Whether it waits for a person: at a pause that is not over, or with an abort begun and not finished."""
        return self.state == "aborting" or self.pause is not None

    @property
    def pause(self) -> Record | None:
        """The pause that its step has not come through since, even if a `continue` of it was killed."""
        paused = self.last("paused")
        if paused is None or self.last("aborted") is not None:
            return None
        about = paused.step, paused.data.get("pr")
        # A plan of one entry names it in its pauses only.
        ended = (r for r in self.after(paused) if r.kind == "done" and about == (r.step, r.data.get("pr", about[1])))
        return paused if next(ended, None) is None else None

    @property
    def moving_checkout(self) -> Record | None:
        """The last record of a move of the checkout that began, with its branch or to another; None: none did."""
        kinds = {"intent", "switching"}
        return next((r for r in reversed(self.records) if r.kind in kinds and r.data.get("checkout")), None)

    def after(self, record: Record) -> tuple[Record, ...]:
        """Return the records that follow one."""
        position = next(index for index, each in enumerate(self.records) if each is record)
        return self.records[position + 1 :]

    def last(self, kind: str, step: str = "") -> Record | None:
        """Return the newest record of a kind, and of a step where one is named."""
        wanted = (r for r in reversed(self.records) if r.kind == kind and step in {"", r.step})
        return next(wanted, None)


@dataclass
class Journal:
    """The journal of the run that holds the lease, open for appending."""

    run: str
    path: Path
    _sequence: int = 0
    _previous: str = field(default=_GENESIS)
    _failed: str = ""

    def append(self, lock: RepositoryLock, kind: str, *, step: str = "", **data: Any) -> None:
        """Append one record and make it durable before returning.

        Raises:
            ExternalError: it is not durable; what it announces must not happen (promises, fault 28). Nothing can be
                appended afterwards: half a line may stand there, which reading tolerates at the end only.
        """
        assert lock.run == self.run, "another run's journal"  # noqa: S101 -- a proof, not input
        body = {
            "v": VERSION,
            "seq": self._sequence,
            "at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds"),
            "prev": self._previous,
            "kind": kind,
            "step": step,
            "data": data,
        }
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


def new_run_id(label: str) -> str:
    """Return an id that sorts by time, several in a second too: `20251119T101530.123456-519-3fa2`."""
    now = dt.datetime.now(dt.timezone.utc)
    return f"{now:%Y%m%dT%H%M%S.%f}-{label}-{secrets.token_hex(2)}"


def runs_dir(state: Path) -> Path:
    """Return where the journals of a repository are."""
    return state / "runs"


def create(lock: RepositoryLock) -> Journal:
    """Begin the journal of the run that holds the lease."""
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
        raise Refused(f"the journal of run {run.id} is damaged", why=run.damaged, next_command=f"less {run.path}")
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
    """Read a journal; never fails: what does not add up is said in `damaged`."""
    records: list[Record] = []
    previous = _GENESIS
    damaged = ""
    try:
        lines = _whole_lines(path)
    except OSError as error:
        return Run(path.parent.name, path, (), f"it cannot be read: {error.strerror}")
    for number, line in enumerate(lines):
        try:
            raw = json.loads(line)
            # Byte for byte as it was written: JSON has several spellings of one value, and the last line has none
            # after it whose `prev` would tell.
            intact = _canonical(raw) == line and raw.pop("sum") == _hash(_canonical(raw))
            if not intact or raw["v"] != VERSION or (raw["seq"], raw["prev"]) != (number, previous):
                damaged = f"line {number + 1} is altered, of another version, or out of order"
                break
            records.append(Record(str(raw["kind"]), dict(raw["data"]), str(raw["step"]), str(raw["at"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            damaged = f"line {number + 1} cannot be read: {error}"
            break
        previous = _hash(line)
    return Run(path.parent.name, path, tuple(records), damaged)


def moved_branches(started: Mapping[str, Any]) -> frozenset[str]:
    """Return the branches that a run set out to move, from its first record."""
    before = [started["branch"]] if "branch" in started else []  # what runs of older versions have
    return frozenset(str(branch) for branch in started.get("moves", before))


def ending(path: Path) -> str:
    """Return `finished` or `aborted` where a journal's last record says so, else ""; reads only the end of it."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            last = stream.read().removesuffix(b"\n").rpartition(b"\n")[2]
        kind = str(json.loads(last).get("kind"))
    except (OSError, ValueError, AttributeError):
        return ""  # a longer record, a torn one, or damage: it has to be read
    return kind if kind in _FINAL else ""


def first_record(path: Path) -> Mapping[str, Any]:
    """Return what a journal's first record says of its run, or nothing where it cannot be read; checks no hash."""
    try:
        with path.open("rb") as stream:
            return dict(json.loads(stream.readline())["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def paths(state: Path) -> list[Path]:
    """Return the repository's journals, newest first."""
    return sorted(runs_dir(state).glob("*/journal.jsonl"), reverse=True)


def runs(state: Path) -> Iterator[Run]:
    """Yield the repository's runs, newest first."""
    for path in paths(state):
        yield read(path)


def _whole_lines(path: Path) -> list[bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return content.split(b"\n")[:-1]  # what follows the last newline is torn


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, sort_keys=True).encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
