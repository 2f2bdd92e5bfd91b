"""Isolation of gates: changes to work tree, target directory and processes do not reach other gates."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support import needs
from support.gating import FILES, LIB, Bench
from support.repo import Repo
from trunkline.domain.receipt import Verdict

pytestmark = pytest.mark.cargo
MANIFEST = FILES["Cargo.toml"]
BROKEN = LIB.replace("a + b", "a + missing")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a crate that passes its gates."""
    repo = Repo.create(tmp_path / "repo")
    repo.commit("start", dict(FILES))
    return Bench(repo)


def with_test(body: str) -> str:
    """Return the crate's source with another body of its test."""
    return LIB.replace("assert_eq!(super::add(1, 2), 3);", body)


def target_of(group: str) -> Path:
    """Return the target directory of a group of gates."""
    places = (Path(os.environ["XDG_STATE_HOME"]) / "trunkline").glob("*/gates/0/t")
    return next(places).resolve() / group / "target"


def test_only_the_gate_that_writes_is_blamed(bench: Bench) -> None:
    """A gate writes into its sources and waits; those beside it, which read, pass, and so does the next one."""
    bench.override("doc", run=("sh", "-c", "echo x > src/made.rs; echo x >> Cargo.lock; sleep 3"), env={})
    bench.override("test", run=("sh", "-c", "sleep 1; ! test -e src/made.rs && cargo metadata --locked >/dev/null"))
    outcomes = bench.gate("build", "test", "clippy", "fmt", "doc")
    failed = {name for name, outcome in outcomes.items() if outcome.verdict is not Verdict.PASSED}
    assert failed == {"doc"}, {name: outcome.diagnosis for name, outcome in outcomes.items()}
    bench.override("doc", run=("sh", "-c", "! test -e src/made.rs"), env={})
    assert bench.one("doc").verdict is Verdict.PASSED


def test_a_process_left_behind_is_ended_and_named(bench: Bench) -> None:
    """A test starts a daemon that keeps its output open: the gate ends with the test and names the ended process."""
    body = 'std::process::Command::new("setsid").args(["sleep", "1119"]).spawn().unwrap();'
    bench.commit(src__lib_rs=with_test(f"{body}\n        std::thread::sleep(std::time::Duration::from_millis(300));"))
    bench.override("test", timeout=120.0)
    outcome = bench.one("test")
    assert outcome.verdict is Verdict.PASSED, outcome.diagnosis
    assert outcome.left == (("sleep 1119",) if sys.platform == "linux" else ())


@pytest.mark.parametrize("key", ["build-dir", "target-dir"])
def test_a_build_directory_of_the_repositorys_own(bench: Bench, key: str) -> None:
    """Gitignored `[build] build-dir` or `target-dir`: all gates pass, and what was built is used again."""
    config = f'[build]\n{key} = "out"\n'
    bench.repo.commit("config", {".cargo/config.toml": config, ".gitignore": "/out\n/target\n"})
    outcomes = bench.gate("build", "test", "clippy", "fmt", "doc")
    assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.PASSED}
    built = target_of("code").with_name("out")
    assert list(built.glob("debug/**/libtiny*.rlib"))
    (built / "debug/incremental/mark").mkdir()
    bench.commit(src__lib_rs=with_test("assert_eq!(super::add(2, 2), 5);"))
    assert bench.one("test").verdict is Verdict.FAILED, "nothing stale is"
    assert (built / "debug/incremental/mark").exists(), "the directory stays from one commit to the next"


def test_settings_outside_the_tree_do_not_move_builds(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared target directory and a broken wrapper in the user's own configuration stand beside the verdict."""
    home = tmp_path / "cargo"
    home.mkdir()
    shared = tmp_path / "shared"
    (home / "config.toml").write_text(f'[build]\ntarget-dir = "{shared}"\nrustc-wrapper = "/nowhere/wrapper"\n')
    monkeypatch.setenv("CARGO_HOME", str(home))
    assert bench.one("build").verdict is Verdict.PASSED
    assert not shared.exists()
    assert (target_of("code") / "debug").is_dir()


def test_a_build_directory_outside_the_tree_is_not_used(bench: Bench) -> None:
    """Cargo's own template for a shared directory: what was built there for another commit makes nothing pass."""
    bench.repo.commit("config", {".cargo/config.toml": '[build]\nbuild-dir = "{workspace-root}/../outside"\n'})
    assert bench.one("build").verdict is Verdict.PASSED
    bench.commit(src__lib_rs='pub fn broken() -> u32 { "x" }\n')
    assert bench.one("build").verdict is Verdict.FAILED
    assert not target_of("code").parent.with_name("outside").exists()
    bench.override("build", env={"CARGO_TARGET_DIR": "../outside"})
    outcome = bench.one("build")
    assert outcome.diagnosis.startswith("CARGO_TARGET_DIR=../outside moves the build out"), outcome.diagnosis


def times(group: str) -> dict[str, int]:
    """Return when each library in a target directory was written."""
    return {re.sub(r"-.*", "", path.name): path.stat().st_ctime_ns
            for path in target_of(group).glob("debug/deps/lib*.rmeta")}  # fmt: skip


def two_crates(bench: Bench) -> None:
    """Commit a workspace with a library and one that does not use it."""
    manifest = '[workspace]\nresolver = "2"\nmembers = ["one", "two"]\n'
    package = '[package]\nname = "NAME"\nversion = "0.1.0"\nedition = "2021"\n\n[features]\ncpu = []\n'
    lock = (
        "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = 4\n"
    )
    lock += "".join(f'\n[[package]]\nname = "{name}"\nversion = "0.1.0"\n' for name in ("one", "two"))
    files = {"Cargo.toml": manifest, "Cargo.lock": lock, "src/lib.rs": None}
    for name in ("one", "two"):
        files |= {f"{name}/Cargo.toml": package.replace("NAME", name), f"{name}/src/lib.rs": LIB}
    bench.repo.commit("two crates", files)


def test_how_much_is_made_anew(bench: Bench) -> None:
    """A source: the crate that has it. Another file: both. `--fresh` and `strict`: both. Nothing: nothing."""
    two_crates(bench)
    bench.one("build")
    first = times("code")
    bench.repo.commit("a source", {"one/src/lib.rs": LIB.replace("Adds.", "Adds up.")})
    bench.one("build")
    second = times("code")
    assert {name for name in second if second[name] != first[name]} == {"libone"}
    bench.repo.commit("another file", {"notes.txt": "x\n"})
    bench.one("build")
    third = times("code")
    assert {name for name in third if third[name] != second[name]} == {"libone", "libtwo"}
    bench.repo.commit("nothing")
    bench.override("build", timeout=3000.0)
    shutil.rmtree(bench.repo.path / ".git/trunkline/receipts")
    bench.one("build")
    assert times("code") == third
    bench.one("build", fresh=True)
    fourth = times("code")
    assert {name for name in fourth if fourth[name] != third[name]} == {"libone", "libtwo"}
    bench.settings = replace(bench.settings, strict=True)
    bench.repo.commit("a source once more", {"one/src/lib.rs": LIB.replace("Adds.", "Adds them.")})
    bench.one("build")
    fifth = times("code")
    assert {name for name in fifth if fifth[name] != fourth[name]} == {"libone", "libtwo"}


READS = """\
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../one/src/lib.rs")).unwrap();
    assert!(!text.contains("FORBIDDEN"));
"""


@pytest.mark.parametrize("which", ["macro", "script"])
def test_code_that_reads_a_source_of_another_package(bench: Bench, which: str) -> None:
    """No dep-info and no declaration names it; in a clean checkout the next commit does not compile."""
    two_crates(bench)
    script = f'fn main() {{\n    println!("cargo:rerun-if-changed=build.rs");\n{READS}}}\n'
    macro = f"#[proc_macro]\npub fn read(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n{READS}"
    manifest = (bench.repo.path / "two/Cargo.toml").read_text()
    lock = (bench.repo.path / "Cargo.lock").read_text()
    files: dict[str, str | None] = {"two/build.rs": script}
    if which == "macro":
        files = {
            "mac/Cargo.toml": manifest.replace('"two"', '"mac"') + "\n[lib]\nproc-macro = true\n",
            "mac/src/lib.rs": macro + "    proc_macro::TokenStream::new()\n}\n",
            "two/Cargo.toml": manifest + '\n[dependencies]\nmac = { path = "../mac" }\n',
            "two/src/lib.rs": f"mac::read!();\n{LIB}".replace("//! Tiny.\n", ""),
            "Cargo.toml": (bench.repo.path / "Cargo.toml").read_text().replace('["one"', '["mac", "one"'),
            "Cargo.lock": lock.replace(
                "[[package]]", '[[package]]\nname = "mac"\nversion = "0.1.0"\n\n[[package]]', 1
            )
            + 'dependencies = [\n "mac",\n]\n',
        }
    bench.repo.commit("reads", files)
    assert bench.one("build").verdict is Verdict.PASSED
    bench.repo.commit("forbidden", {"one/src/lib.rs": f"{LIB}// FORBIDDEN\n"})
    assert bench.one("build").verdict is Verdict.FAILED


FORGERY = """\
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debug");
        let far = std::time::SystemTime::now() + std::time::Duration::from_secs(400_000_000);
        for folder in [".fingerprint", "deps", "build"] {
            let mut waiting = vec![top.join(folder)];
            while let Some(path) = waiting.pop() {
                if path.is_dir() {
                    waiting.extend(std::fs::read_dir(&path).unwrap().map(|each| each.unwrap().path()));
                } else {
                    if let Ok(file) = std::fs::File::options().write(true).open(&path) {
                        file.set_modified(far).unwrap(); // a program that runs cannot be written to
                    }
                }
            }
        }
        std::fs::write(top.join("forged"), "x").unwrap();
"""


@needs.sandbox
def test_a_test_cannot_make_the_next_entry_pass(bench: Bench) -> None:
    """A sandboxed test stamps everything that was built with a far future; the next entry does not compile."""
    bench.settings = replace(bench.settings, sandbox=True)
    bench.commit(src__lib_rs=with_test(FORGERY.strip()))
    before = bench.gate("build", "test")
    assert {outcome.verdict for outcome in before.values()} == {Verdict.PASSED}, before["test"].diagnosis
    assert not (target_of("code") / "debug/forged").exists(), "what the test wrote is gone"
    bench.commit(src__lib_rs=BROKEN)
    after = bench.gate("build", "test")
    assert {outcome.verdict for outcome in after.values()} == {Verdict.FAILED}


FORGING_SCRIPT = """\
//! Compiled, it replaces what the compiler makes of the library by what passes.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR").unwrap());
    let profile = out.ancestors().nth(3).unwrap();
    std::fs::create_dir_all(profile.join("incremental/forged")).unwrap();
    std::fs::write(profile.join("deps/libforged.rlib"), "x").unwrap();
}
"""


@needs.sandbox
def test_deleted_code_that_ran_while_compiling(bench: Bench) -> None:
    """A build script can write to the target directory; for a tree without it, the directory is emptied."""
    bench.settings = replace(bench.settings, sandbox=True)
    bench.commit(build_rs=FORGING_SCRIPT)
    assert bench.one("build").verdict is Verdict.PASSED
    forged = target_of("code") / "debug/deps/libforged.rlib"
    assert forged.exists()
    bench.commit(src__lib_rs=LIB.replace("Adds.", "Adds up."))
    assert bench.one("build").verdict is Verdict.PASSED
    assert forged.exists(), "the same script is part of this tree, too"
    bench.commit(build_rs="fn main() {}\n")
    assert bench.one("build").verdict is Verdict.PASSED
    assert not forged.exists()
    assert not (target_of("code") / "debug/incremental/forged").exists()
