"""Failures outside: transient ones are retried with a limit, writes are read back, others end with exit code 6."""

from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.killing import Yard, YardLanding, warm
from support.landing import BODY, SLUG, Landing
from trunkline.domain.errors import ExternalError, Refused, TransientError
from trunkline.domain.note import BEGIN
from trunkline.sim.faults import FaultKind
from trunkline.system import retry

pytestmark = [pytest.mark.gh, pytest.mark.slow]

PATCH = f"PATCH /repos/{SLUG}/pulls/519"
READY = "PullRequestReadyForReview"
NO_WAIT: dict[str, Any] = {"TRUNKLINE_WAIT_FACTOR": "0"}


@pytest.fixture
def landing(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack with #518 merged, its branch kept, and receipts for the result of #519's replay."""
    with grounds.prepared("warm", lambda landing: warm(landing, delete="keep")) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def assert_landed_once(landing: Landing) -> None:
    """Assert that it landed, with one push, one change of base, one of the draft state and one note."""
    pull = landing.pr(519)
    assert (pull["draft"], pull["base"], pull["state"]) == (False, "main", "OPEN")
    assert pull["body"].startswith(BODY)
    assert pull["body"].count(BEGIN) == 1
    kinds = [event["kind"] for event in pull["events"]]
    assert (kinds.count("READY_FOR_REVIEW_EVENT"), kinds.count("BASE_REF_CHANGED_EVENT")) == (1, 1)
    assert sum(ref == "refs/heads/feat/two" for push in landing.github.pushes(SLUG) for _, _, ref in push) == 2


PASSING = [
    (FaultKind.STATUS, 502),
    (FaultKind.STATUS, 503),
    (FaultKind.SECONDARY_LIMIT, 429),
    (FaultKind.SECONDARY_LIMIT, 403),
    (FaultKind.DROP, 0),
    (FaultKind.LOSE_REPLY, 0),
]


@pytest.mark.parametrize(
    ("kind", "status", "match"),
    [
        *[(kind, status, "Stack") for kind, status in PASSING],
        # What a write answers to is the same for all: one of each sort.
        *[(kind, status, match) for kind, status in PASSING[1::2] for match in (READY, PATCH)],
    ],
)
def test_a_failure_that_passes_is_not_seen(landing: YardLanding, kind: FaultKind, status: int, match: str) -> None:
    """Reads and writes alike, twice in a row: the landing ends as if nothing had been, each write done once."""
    landing.github.inject(kind, match=match, status=status, headers={"Retry-After": "7"}, times=2)
    ran = landing.invoke("rebase", "--pr", "519", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert [request.fault for request in landing.github.requests()].count(kind.value) >= 1
    assert_landed_once(landing)


def test_retry_after_is_reported(landing: YardLanding) -> None:
    """During the wait the output shows the reason and the requested time."""
    landing.github.inject(FaultKind.SECONDARY_LIMIT, match="Stack", status=429, headers={"Retry-After": "7"})
    ran = landing.invoke("rebase", "--pr", "519", **NO_WAIT)
    assert ran.code == 0, ran.err
    assert "retrying in 7 s" in ran.out + ran.err


@pytest.mark.parametrize("match", ["Stack", READY, PATCH])
def test_a_failure_that_stays_is_exit_6_and_resumable(landing: YardLanding, match: str) -> None:
    """Never more than the configured attempts; then exit 6, and continue ends it when the outside is back."""
    landing.github.inject(FaultKind.STATUS, match=match, status=502, times=100)
    ran = landing.invoke("rebase", "--pr", "519", TRUNKLINE_ATTEMPTS="3", **NO_WAIT)
    assert ran.code == 6, ran.out + ran.err
    assert "Traceback" not in ran.err
    hits = [request for request in landing.github.requests() if request.fault]
    assert len(hits) == 3
    landing.github.clear_faults()
    again = ("rebase", "--pr", "519") if match == "Stack" else ("continue",)
    ran = landing.invoke(*again)
    assert ran.code == 0, ran.out + ran.err
    assert_landed_once(landing)


def test_a_limit_of_an_hour_is_not_waited_for(landing: YardLanding) -> None:
    """A Retry-After of more than two minutes ends with exit code 6 after one request, with the time."""
    landing.github.inject(
        FaultKind.SECONDARY_LIMIT, match="Stack", status=403, headers={"Retry-After": "3600"}, times=9
    )
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "3600 s" in ran.err) == (6, True)
    assert len([request for request in landing.github.requests() if request.fault]) == 1


def wrap(landing: Landing, name: str, script: str) -> dict[str, Any]:
    """Put a script before the real program on PATH, which it finds as $REAL; return the environment."""
    real = shutil.which(name, path=landing.environment()["PATH"])
    bin_ = landing.clone.path.parent / "bin"
    bin_.mkdir(exist_ok=True)
    path = bin_ / name
    path.write_text(f"#!/bin/sh\nREAL={real}\nCOUNT={bin_}/count\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{bin_}:{landing.environment()['PATH']}", **NO_WAIT}


def failing(command: str, then: str, times: int = 1) -> str:
    """Return a script that does something else for the first calls of one git command."""
    return (
        f'case " $* " in *" {command} "*)\n'
        f'  echo >> "$COUNT"; [ "$(wc -l < "$COUNT")" -gt {times} ] || {{ {then}; }};;\nesac\nexec "$REAL" "$@"'
    )


RESET = "echo 'kex_exchange_identification: Connection reset by peer' >&2; exit 128"
DONE_BUT_LOST = '"$REAL" "$@" >/dev/null; echo "fatal: the remote end hung up unexpectedly" >&2; exit 128'


@pytest.mark.parametrize("command", ["ls-remote", "fetch", "push"])
@pytest.mark.parametrize("then", [RESET, DONE_BUT_LOST, "kill -9 $$"], ids=["reset", "done but lost", "killed"])
def test_git_on_the_network_fails_once(landing: YardLanding, command: str, then: str) -> None:
    """Refused before, lost after the effect, or killed: the world decides what was done; nothing is done twice."""
    env = wrap(landing, "git", failing(command, then))
    ran = landing.invoke("rebase", "--pr", "519", **env)
    if then.startswith("kill"):
        pushed = command == "push" and ran.code == 0
        assert pushed or ran.code == 6, ran.out + ran.err
        ran = landing.invoke("continue", **env)
        if "nothing to continue" in ran.out:
            ran = landing.invoke("rebase", "--pr", "519", **env)
    assert ran.code == 0, ran.out + ran.err
    assert_landed_once(landing)


def test_a_push_that_cannot_get_through_is_exit_6(landing: YardLanding) -> None:
    """Every attempt fails: exit 6, the remote is as it was, and continue pushes when the way is open."""
    ran = landing.invoke("rebase", "--pr", "519", **wrap(landing, "git", failing("push", RESET, times=99)))
    assert (ran.code, "the connection failed" in ran.err) == (6, True), ran.err
    assert landing.remote_head("feat/two") == landing.heads[519]
    assert landing.invoke("continue").code == 0
    assert_landed_once(landing)


def test_a_refusal_is_not_repeated(landing: YardLanding) -> None:
    """A refusal by the remote's hook ends with exit code 5 and the hook's text, after one push."""
    hook = landing.github.bare(SLUG) / "hooks" / "update"
    hook.write_text("#!/bin/sh\necho 'branch is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    env = wrap(landing, "git", failing("push", ":", times=99))
    ran = landing.invoke("rebase", "--pr", "519", **env)
    assert (ran.code, "protected" in ran.err) == (5, True), ran.err
    assert len((landing.clone.path.parent / "bin/count").read_text().splitlines()) == 1


def test_the_waits_grow_or_follow_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are 1, 2 and 4 seconds, or as Retry-After requests; they are scaled; four attempts in all."""
    monkeypatch.setenv("TRUNKLINE_WAIT_FACTOR", "1")
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    errors = [TransientError("a"), TransientError("b", wait=9), TransientError("c"), TransientError("d")]

    def call() -> None:
        raise errors[len(slept)]

    with pytest.raises(TransientError, match="d"):
        retry.retrying(call)
    assert slept == [1, 9, 4]


def test_many_writes_are_a_second_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten writes at once; then one each second, and after a pause as many as there were seconds."""
    clock, slept = [100.0], list[float]()

    def wait(seconds: float) -> None:
        slept.append(round(seconds, 3))
        clock[0] += seconds

    monkeypatch.setenv("TRUNKLINE_WAIT_FACTOR", "1")
    monkeypatch.setattr(retry, "_drained", [0.0])
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", wait)
    for _ in range(12):
        retry.throttle()
    clock[0] += 2.5
    for _ in range(4):
        retry.throttle()
    assert slept == [1, 1, 0.5, 1]


def test_a_minute_of_writes_stays_below_the_limit_of_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub takes 80 requests a minute that create content."""
    clock = [100.0]
    monkeypatch.setattr(retry, "_drained", [0.0])
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(retry, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    sent = 0
    while clock[0] <= 160:
        retry.throttle()
        sent += 1
    assert sent <= 71


def test_only_what_passes_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal, a plain failure, and a wait of an hour end at once."""
    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("waited"))
    for error in (Refused("no"), ExternalError("gone"), TransientError("later", wait=3600)):
        calls: list[int] = []

        def call(error: Exception = error, calls: list[int] = calls) -> None:
            calls.append(1)
            raise error

        with pytest.raises(type(error)):
            retry.retrying(call)
        assert calls == [1]


@pytest.mark.parametrize(
    ("stderr", "passes"),
    [
        ("ssh: Could not resolve hostname github.com: Temporary failure in name resolution", True),
        ("ssh: connect to host github.com port 22: Connection timed out", True),
        ("fatal: unable to access 'https://github.com/': The requested URL returned error: 503", True),
        ("error: RPC failed; curl 92 HTTP/2 stream 0 was not closed cleanly", True),
        ("fatal: the remote end hung up unexpectedly", True),
        ("git@github.com: Permission denied (publickey).", False),
        ("ERROR: Repository not found.", False),
        ("fatal: unable to access 'https://github.com/': The requested URL returned error: 403", False),
    ],
)
def test_what_git_says_decides(stderr: str, passes: bool) -> None:  # noqa: FBT001 -- the expectation
    """A lost connection and a refusal are distinguished by git's own message."""
    assert retry.is_transient(stderr) is passes


def test_a_branch_that_moves_during_the_replay_is_left(landing: YardLanding) -> None:
    """The user resets the branch while it is replayed: refused, nothing of theirs is moved."""
    landing.clone.git("branch", "--quiet", "feat/two", "origin/feat/two")
    theirs = landing.heads[518]
    move = f'"$REAL" -C {landing.clone.path} update-ref refs/heads/feat/two {theirs}'
    ran = landing.invoke("rebase", "--pr", "519", **wrap(landing, "git", failing("merge-tree", move)))
    assert (ran.code, "moved while we worked" in ran.err) == (5, True), ran.out + ran.err
    assert landing.clone.refs()["refs/heads/feat/two"] == theirs
    assert landing.remote_head("feat/two") == landing.heads[519]
