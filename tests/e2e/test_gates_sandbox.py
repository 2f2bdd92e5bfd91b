"""`[gates] sandbox = true`: no network, no home, read-only sources; or unavailable, never silently without."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from support.gating import FILES, Bench
from support.repo import Repo
from trunkline.adapters import bwrap
from trunkline.domain.receipt import Verdict

pytestmark = pytest.mark.cargo
needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None or bool(bwrap.lacking(Path.cwd())),
    reason="bubblewrap is not installed, or user namespaces are not permitted here",
)
SCRIPT = """\
fn main() {
    let net = std::net::TcpStream::connect("127.0.0.1:PORT").is_ok();
    let home = std::fs::read_to_string("HOME/secret").is_ok();
    let wrote = std::fs::write("src/made.rs", "x").is_ok();
    let parents = std::fs::read_dir("/proc").unwrap().filter(|entry| {
        let path = entry.as_ref().unwrap().path().join("environ");
        std::fs::read(path).is_ok_and(|found| String::from_utf8_lossy(&found).contains("canary"))
    });
    println!("net={net} home={home} wrote={wrote} canaries={}", parents.count());
}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a crate whose build script tries the network, the home directory, the sources and other processes."""
    made = Bench(Repo.create(tmp_path / "repo"))
    made.settings = replace(made.settings, sandbox=True)
    made.override("build", run=("cargo", "build", "-vv", "--locked", "--features", "cpu"))
    return made


def attempt(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    """Gate the script with a listener, a secret and a canary in place; return what it could do."""
    monkeypatch.setenv("CANARY", "canary")
    home = Path(os.environ["HOME"])
    (home / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = SCRIPT.replace("PORT", str(server.getsockname()[1])).replace("HOME", str(home))
        bench.repo.commit("start", {**FILES, "build.rs": script})
        outcome = bench.one("build")
    log = Path(outcome.log).read_text()
    assert "net=" in log, log
    assert outcome.sandbox == ("bwrap" if bench.settings.sandbox else "none")
    return next(line for line in log.splitlines() if "net=" in line).rpartition("] ")[2]


@needs_bwrap
def test_inside_the_sandbox(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build script reaches no network, no home, no source file and no other process; the receipt says bwrap."""
    assert attempt(bench, monkeypatch) == "net=false home=false wrote=false canaries=0"
    assert bench.one("build").verdict is Verdict.PASSED
    assert '"sandbox": "bwrap"' in bench.receipts()[0].read_text()


def test_without_the_sandbox_it_could(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same script unsandboxed: the probe itself works, and the receipt does not claim a sandbox."""
    bench.settings = replace(bench.settings, sandbox=False)
    told = attempt(bench, monkeypatch)
    assert told.startswith("net=true home=true wrote=true")


@needs_bwrap
def test_every_default_gate_runs_inside(bench: Bench) -> None:
    """clippy, rustfmt, rustdoc and the tests find all they need; a failure is diagnosed as outside."""
    bench.repo.commit("start", dict(FILES))
    outcomes = bench.gate("test", "clippy", "fmt", "doc")
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, Verdict.PASSED)
    bench.repo.commit("broken", {"src/lib.rs": "//! Broken.\npub fn broken() -> u32 { missing }\n"})
    outcome = bench.one("clippy")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis.startswith("error[E0425]: cannot find value `missing`")


@needs_bwrap
def test_a_receipt_without_sandbox_does_not_prove_a_gate_with(bench: Bench) -> None:
    """Asked for the sandbox, only a sandboxed run will do; the other way round it will."""
    bench.repo.commit("start", dict(FILES))
    bench.settings = replace(bench.settings, sandbox=False)
    bench.one("fmt")
    bench.settings = replace(bench.settings, sandbox=True)
    assert not bench.one("fmt").reused
    bench.settings = replace(bench.settings, sandbox=False)
    assert bench.one("fmt").reused


def test_asked_for_but_missing_is_unavailable(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bubblewrap nothing runs, and the cure is told."""
    bench.repo.commit("start", dict(FILES))
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "cargo", "rustc", "rustup", "cargo-fmt", "rustfmt", "sh"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    outcome = bench.one("fmt")
    assert outcome.verdict is Verdict.UNAVAILABLE
    assert outcome.cure == "sudo apt-get install bubblewrap"
    assert bench.receipts() == []
