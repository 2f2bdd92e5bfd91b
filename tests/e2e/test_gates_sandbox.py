"""`[gates] sandbox = true`: no network, no home, read-only sources; or unavailable, never silently without."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from support import needs
from support.gating import FILES, Bench
from support.repo import Repo
from trunkline.domain.receipt import Verdict
from trunkline.rust import sources

pytestmark = pytest.mark.cargo
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


@needs.sandbox
def test_inside_the_sandbox(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build script reaches no network, no home, no source file and no other process; the receipt says bwrap."""
    assert attempt(bench, monkeypatch) == "net=false home=false wrote=false canaries=0"
    assert bench.one("build").verdict is Verdict.PASSED
    assert '"sandbox": "bwrap"' in bench.receipts()[0].read_text()


def test_without_the_sandbox_it_could(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the sandbox the same script reaches all of that, and the receipt claims no sandbox."""
    bench.settings = replace(bench.settings, sandbox=False)
    message = attempt(bench, monkeypatch)
    assert message.startswith("net=true home=true wrote=true")


@needs.sandbox
def test_every_default_gate_runs_inside(bench: Bench) -> None:
    """clippy, rustfmt, rustdoc and the tests find all they need; a failure is diagnosed as outside."""
    bench.repo.commit("start", dict(FILES))
    outcomes = bench.gate("test", "clippy", "fmt", "doc")
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, Verdict.PASSED)
    bench.repo.commit("broken", {"src/lib.rs": "//! Broken.\npub fn broken() -> u32 { missing }\n"})
    outcome = bench.one("clippy")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis.startswith("error[E0425]: cannot find value `missing`")


@needs.sandbox
def test_a_receipt_without_sandbox_does_not_prove_a_gate_with(bench: Bench) -> None:
    """A sandboxed gate needs a sandboxed run; a gate without sandbox accepts either."""
    bench.repo.commit("start", dict(FILES))
    bench.settings = replace(bench.settings, sandbox=False)
    bench.one("fmt")
    bench.settings = replace(bench.settings, sandbox=True)
    assert not bench.one("fmt").reused
    bench.settings = replace(bench.settings, sandbox=False)
    assert bench.one("fmt").reused


def wrapper(program: str, mark: Path) -> str:
    """Return a script that leaves a mark in the home directory, and then is the program that it stands for."""
    return f'#!/bin/sh\ntouch {mark}\nexec {shutil.which(program)} "$@"\n'


def gated_with(bench: Bench, **files: str) -> Path:
    """Gate a tree with these files beside the crate's; return the mark that their programs try to leave."""
    mark = Path(os.environ["HOME"]) / "attacked"
    for name, content in files.items():
        path = bench.repo.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("MARK", str(mark)))
        path.chmod(0o755)
    bench.repo.commit("start", dict(FILES))
    bench.gate("build", "fmt")
    return mark


@needs.sandbox
@pytest.mark.parametrize("sandbox", [True, False])
def test_the_tree_names_its_own_compiler(bench: Bench, *, sandbox: bool) -> None:
    """`build.rustc` in the tree's configuration starts code of the tree: never outside, fetching included."""
    bench.settings = replace(bench.settings, sandbox=sandbox)
    script = wrapper("rustc", Path("MARK"))
    mark = gated_with(bench, **{"evil.sh": script, ".cargo/config.toml": '[build]\nrustc = "./evil.sh"\n'})
    assert mark.exists() is not sandbox


@needs.sandbox
@pytest.mark.parametrize("sandbox", [True, False])
def test_the_tree_brings_its_own_toolchain(bench: Bench, *, sandbox: bool) -> None:
    """`path` in rust-toolchain.toml makes rustup run programs of the tree, for `cargo -V` already: never outside."""
    bench.settings = replace(bench.settings, sandbox=sandbox)
    tools = {f"own/bin/{name}": wrapper(name, Path("MARK")) for name in ("cargo", "rustc", "rustdoc")}
    named = f'[toolchain]\npath = "{bench.repo.path}/own"\n'
    mark = gated_with(bench, **tools, **{"rust-toolchain.toml": named})
    assert mark.exists() is not sandbox


@needs.sandbox
@pytest.mark.parametrize("sandbox", [True, False])
def test_the_tree_gives_fmt_another_meaning(bench: Bench, *, sandbox: bool) -> None:
    """`[alias] fmt = "run"` starts a program of the tree: never outside."""
    bench.settings = replace(bench.settings, sandbox=sandbox)
    main = 'fn main() { std::fs::write("MARK", "x").unwrap(); }\n'
    alias = '[alias]\nfmt = ["run", "--quiet", "--target-dir", "/tmp/target", "--"]\n'
    mark = gated_with(bench, **{"src/main.rs": main, ".cargo/config.toml": alias})
    assert mark.exists() is not sandbox


@needs.sandbox
def test_a_fetch_takes_no_proxy_and_no_program_from_the_tree(tmp_path: Path) -> None:
    """Cargo with a network starts outside the tree: of its settings only the places of crates are passed on."""
    (tmp_path / ".cargo").mkdir()
    (tmp_path / ".cargo/config.toml").write_text(
        '[http]\nproxy = "evil:1"\ncainfo = "evil.pem"\n[build]\nrustc = "evil"\n[net]\ngit-fetch-with-cli = true\n'
        '[registries.own]\nindex = "https://own.invalid"\ncredential-provider = "evil"\ntoken = "t"\n'
        '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "vendor"\n'
    )
    assert sorted(sources._crate_places(tmp_path, tmp_path)) == [
        'registries."own".index="https://own.invalid"',
        'source."crates-io".replace-with="vendored"',
        f'source."vendored".directory="{tmp_path / "vendor"}"',
    ]
    for text, name in (('[toolchain]\npath = "/evil"\n', None), ("../../evil\n", None)):
        (tmp_path / "rust-toolchain").write_text(text)
        assert sources._toolchain_variable(tmp_path, tmp_path).get("RUSTUP_TOOLCHAIN") == name


def test_a_requested_sandbox_that_is_missing_is_unavailable(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without bubblewrap nothing runs, and the fix is printed."""
    bench.repo.commit("start", dict(FILES))
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "cargo", "rustc", "rustup", "cargo-fmt", "rustfmt", "sh"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    outcome = bench.one("fmt")
    assert outcome.verdict is Verdict.UNAVAILABLE
    assert outcome.fix == "sudo apt-get install bubblewrap"
    assert bench.receipts() == []
