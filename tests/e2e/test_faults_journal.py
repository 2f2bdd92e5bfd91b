"""The journal and the lease under fault: a full disk, damage, a second run, links where our state belongs."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.killing import Kill, Yard, YardLanding, warm
from support.landing import Landing

pytestmark = [pytest.mark.gh, pytest.mark.slow]


@pytest.fixture
def landing(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack with #518 merged and receipts for the result of #519's replay."""
    with grounds.prepared("warm", warm) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def journal(landing: Landing) -> Path:
    """Return the newest journal."""
    return max((landing.clone.path / ".git/trunkline/runs").glob("*/journal.jsonl"))


INTENTS = {"switch": 4, "onto": 9, "push": 17, "ready": 20, "note": 23}


@pytest.mark.parametrize("step", INTENTS)
def test_a_full_disk_has_no_effect_without_an_intent(landing: YardLanding, step: str) -> None:
    """From an intent on nothing can be written: exit 6, that step had no effect, and continue ends it later."""
    ran = landing.kill(Kill("record", "full", INTENTS[step]), "rebase", "--pr", "519")
    assert (ran.code, "No space left" in ran.err) == (6, True), ran.err
    pull, local = landing.pr(519), landing.clone.refs().get("refs/heads/feat/two")
    order = list(INTENTS)
    assert (local is None) == (step == "switch")
    assert (local in {None, landing.heads[519]}) == (order.index(step) <= order.index("onto"))
    assert (landing.remote_head("feat/two") == landing.heads[519]) == (order.index(step) <= order.index("push"))
    assert pull["draft"] == (order.index(step) <= order.index("ready"))
    assert "trunkline:note" not in pull["body"]
    ran = landing.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert landing.pr(519)["draft"] is False


@pytest.mark.parametrize("line", [0, 1, -1])
def test_a_damaged_journal_is_read_only(landing: YardLanding, line: int) -> None:
    """A flipped byte anywhere: continue, abort and undo refuse with exit 5, log says it, the file stays as it is."""
    landing.kill(Kill("record", "after", 12), "rebase", "--pr", "519")
    path = journal(landing)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"kind"', b'"kinD"')
    path.write_bytes(b"".join(lines))
    before, content = landing.world(), path.read_bytes()
    for task in ("continue", "abort"):
        ran = landing.invoke(task)
        assert (ran.code, "damaged" in ran.err, "less " in ran.err) == (5, True, True), ran.err
    assert "damaged" in landing.invoke("log").out
    assert landing.invoke("log", "--json").json["runs"][0]["damaged"]
    assert (landing.world(), path.read_bytes()) == (before, content)
    assert landing.invoke("rebase", "--pr", "519").code == 0  # the world tells enough to begin anew


def test_a_newer_journal_is_read_only(landing: YardLanding) -> None:
    """A journal of a later version of trunkline is not written to."""
    landing.kill(Kill("record", "after", 12), "rebase", "--pr", "519")
    path = journal(landing)
    path.write_bytes(path.read_bytes().replace(b'"v": 2', b'"v": 3'))
    assert landing.invoke("continue").code == 5


@pytest.mark.parametrize("task", ["continue", "abort", "undo"])
def test_a_held_repository_says_who_holds_it(landing: YardLanding, task: str) -> None:
    """Another run holds the lock: exit 5, its id, process and time are named, and nothing moves."""
    if task == "undo":
        assert landing.invoke("rebase", "--pr", "519").code == 0
    else:
        landing.kill(Kill("record", "after", 12), "rebase", "--pr", "519")
    state, before = landing.clone.path / ".git/trunkline", landing.world()
    (state / "lease.json").write_text(json.dumps({"pid": 4711, "since": "2025-11-19T10:00:00+00:00", "run": "other"}))
    with (state / "lease.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = landing.invoke(task)
    assert ran.code == 5
    assert "run other, process 4711, since 2025-11-19T10:00:00+00:00" in ran.err
    assert landing.world() == before


def test_a_dead_holder_does_not_block(landing: YardLanding) -> None:
    """A killed run leaves lock and text behind; the next one takes over."""
    landing.kill(Kill("record", "after", 12), "rebase", "--pr", "519")
    assert (landing.clone.path / ".git/trunkline/lease.json").is_file()
    assert landing.invoke("continue").code == 0


@pytest.mark.parametrize("name", ["trunkline", "trunkline/lease.lock", "trunkline/runs"])
def test_links_where_our_state_belongs_are_refused(landing: YardLanding, name: str, tmp_path: Path) -> None:
    """A symlink in the state's place is not followed: no traceback, nothing moves, nothing is written behind it."""
    path = landing.clone.path / ".git" / name
    target = tmp_path / "elsewhere"
    if path.is_dir():
        path.rename(path.with_name("moved"))
    else:
        path.unlink(missing_ok=True)
    if name.endswith(".lock"):
        target.write_text("mine\n")
    else:
        target.mkdir()
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)
    before = landing.world()
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code in {5, 6}, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert landing.world() == before
    assert not target.is_dir() or list(target.iterdir()) == []
    assert target.is_dir() or target.read_text() == "mine\n"


def test_log_lists_runs_and_steps_with_ids(landing: YardLanding) -> None:
    """`log --json` has task, pull request, time and state of each run, and each record with its time."""
    assert landing.invoke("rebase", "--pr", "519").code == 0
    assert landing.invoke("undo").code == 0
    undone, landed = landing.invoke("log", "--json").json["runs"]
    assert (landed["task"], landed["pr"], landed["state"]) == ("rebase", 519, "finished")
    assert (undone["task"], undone["undoes"]) == ("undo", landed["id"])
    assert all(record["at"] for record in landed["records"])
    assert landed["id"] in landing.invoke("log").out


def test_a_branch_moved_between_kill_and_continue_is_noticed(landing: YardLanding) -> None:
    """Rebased, killed, and then the user puts the branch back: continue refuses, since it would push what it is."""
    landing.kill(Kill("record", "after", 12), "rebase", "--pr", "519")
    landing.clone.git("update-ref", "refs/heads/feat/two", landing.heads[519])
    ran = landing.invoke("continue")
    assert (ran.code, "is not where run" in ran.err) == (5, True), ran.err
    assert landing.pr(519)["draft"] is True
    assert landing.invoke("abort").code == 0
