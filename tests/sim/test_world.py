"""The world as a whole: built offline, kept between runs, repeated to the object id."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import pytest

from support.repo import Repo
from support.simulated import Octo
from trunkline.domain.errors import ExitCode, ExternalError, UsageError
from trunkline.sim import client, control
from trunkline.sim.__main__ import main
from trunkline.sim.client import running
from trunkline.sim.world import World
from trunkline.system import process
from trunkline.system.children import end_group


def test_a_world_outlives_its_server(tmp_path: Path) -> None:
    """The state of one server is loaded by the next, including pushes made while none ran."""
    with running(tmp_path / "github") as github:
        octo = Octo.create(github, "octo/demo", tmp_path / "clone")
        octo.rest("PATCH", "pulls/519", {"title": "kept"})
    octo.amend("s2")
    octo.git("push", "--quiet", "--force", str(github.bare("octo/demo")), "s2")
    with running(tmp_path / "github") as github:
        pull = github.pull_request("octo/demo", 519)
    assert pull["title"] == "kept"
    assert pull["head_oid"] == octo.clone.head("s2")
    assert [event["kind"] for event in pull["events"]] == ["HEAD_REF_FORCE_PUSHED_EVENT"]


def test_two_runs_make_the_same_commits(tmp_path: Path) -> None:
    """The clock is the world's own, so a merge has the same object id in every run."""
    merged = []
    for name in ("one", "two"):
        with running(tmp_path / name / "github") as github:
            octo = Octo.create(github, "octo/demo", tmp_path / name / "clone")
            merged.append((github.merge("octo/demo", 518), octo.pull(518)["merged_at"]))
    assert merged[0] == merged[1]
    assert merged[0][1].startswith("2025-11-19T09:00:")


def test_a_world_is_built_without_a_server(tmp_path: Path) -> None:
    """Offline and over the socket it is the same code; what GitHub would refuse is an error."""
    world = World.create(tmp_path / "world")
    bare = control.call(world, "create_repository", {"owner": "octo", "name": "demo"})
    repo = Repo.create(tmp_path / "clone")
    repo.commit("start", {"a": "1\n"})
    repo.git("push", "--quiet", bare, "main", "main:s1")
    arguments = {"repository": "octo/demo", "head": "s1", "base": "main", "title": "One"}
    with pytest.raises(UsageError, match="No commits between main and s1"):
        control.call(world, "open_pull_request", arguments)
    repo.commit("more", {"b": "1\n"})
    repo.git("push", "--quiet", bare, "main:s1")
    assert control.call(world, "open_pull_request", {**arguments, "number": 518}) == 518
    world.save()
    loaded = World.load(tmp_path / "world").repository("octo/demo")
    assert loaded is not None
    assert loaded.pulls[518].head_oid == repo.head()


def test_a_lever_that_is_not_there(octo: Octo) -> None:
    """An unknown control function is an error of the caller, with a message."""
    with pytest.raises(ExternalError, match="no octo/none"):
        octo.github.merge("octo/none", 1)


def test_serve_says_that_it_is_ready_and_ends_cleanly(tmp_path: Path) -> None:
    """One line when ready; SIGTERM ends it with 0 and removes the socket."""
    root = tmp_path / "w"
    socket = Path(tempfile.mkdtemp(prefix="sim-")) / "s"
    log = tmp_path / "log"
    argv = [sys.executable, "-m", "trunkline.sim", "serve", "--root", str(root), "--socket", str(socket)]
    child = process.spawn(argv, cwd=tmp_path, env=process.own_environment(), log=log)
    try:
        client._await(str(socket), log, child.poll)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    finally:
        end_group(child)
    assert log.read_text() == f"simulated GitHub in {root} listens on {socket}\n"
    assert not socket.exists()
    socket.parent.rmdir()


def test_a_socket_path_that_is_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """unix(7) allows 107 bytes: said in words, exit 2."""
    assert main(["serve", "--root", str(tmp_path), "--socket", str(tmp_path / ("x" * 120))]) == ExitCode.USAGE
    assert "longer than 107 bytes" in capsys.readouterr().err


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error carries the end of the server's log."""
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(ExternalError, match="did not start") as caught, running(tmp_path):
        pass
    assert "msgspec.DecodeError" in caught.value.stderr
