"""Gates with the real nox and the real cargo, on a crate that needs nothing but std: every verdict and its words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support import needs
from support.gating import FILES, LIB, NOXFILE, STACK, Bench, stand_in_rustup
from support.repo import Repo
from trunkline.domain.receipt import Verdict
from trunkline.domain.statement import receipt_of
from trunkline.gates.run import gate_commit

pytestmark = [
    pytest.mark.cargo,
    needs.rustup,
]
SIX = ("build", "test", "clippy", "fmt", "doc", "msrv")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a crate that passes all six gates, the MSRV one by a stand-in toolchain."""
    stand_in_rustup(tmp_path / "rustup")
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "rustup"))
    repo = Repo.create(tmp_path / "repo")
    repo.commit("start", dict(FILES))
    return Bench(repo)


def test_all_six_pass_and_are_proven(bench: Bench) -> None:
    """All six gates pass, `cargo +1.89.0` with a stand-in toolchain; a second run starts no nox."""
    outcomes = bench.gate()
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == dict.fromkeys(SIX, Verdict.PASSED)
    assert outcomes["msrv"].command.startswith("RUSTC_WRAPPER='' cargo +1.89.0 check")
    assert len(bench.receipts()) == 6
    work = next((Path(os.environ["XDG_STATE_HOME"]) / "trunkline").iterdir())
    before = set((work / "runs").iterdir())
    again = bench.gate()
    assert all(outcome.reused for outcome in again.values())
    assert set((work / "runs").iterdir()) == before, "no run was begun: no nox was started"
    assert not bench.gate("fmt", fresh=True)["fmt"].reused, "--fresh runs whatever the receipts say"


LOCKED = """\
version = 4

[[package]]
name = "other"
version = "0.1.0"
SOURCE
[[package]]
name = "tiny"
version = "0.1.0"
dependencies = [
 "other",
]
"""
OUTSIDE = {
    "a path dependency": {
        "Cargo.toml": FILES["Cargo.toml"] + '[dependencies]\nother = { path = "OTHER" }\n',
        "Cargo.lock": LOCKED.replace("SOURCE", ""),
    },
    "a package of a directory source": {
        "Cargo.toml": FILES["Cargo.toml"] + '[dependencies]\nother = "0.1"\n',
        "Cargo.lock": LOCKED.replace("SOURCE", 'source = "registry+https://github.com/rust-lang/crates.io-index"\n'),
        ".cargo/config.toml": '[source.crates-io]\nreplace-with = "x"\n[source.x]\ndirectory = "OTHER/.."\n',
    },
    "the target of a link": {"src/lib.rs": LIB + 'include!("link.rs");\n'},
    "an included file": {"src/lib.rs": LIB + 'include!("OTHER/src/lib.rs");\n'},
}


@pytest.mark.parametrize("way", OUTSIDE)
def test_a_package_outside_of_the_repository_that_changed(bench: Bench, tmp_path: Path, way: str) -> None:
    """The receipt names it; after an edit there, the gate runs again, and cargo compiles it again."""
    other = tmp_path / "vendor/other"
    (other / "src").mkdir(parents=True)
    (other / "Cargo.toml").write_text(FILES["Cargo.toml"].replace("tiny", "other"))
    (other / "src/lib.rs").write_text("/// Fine.\npub fn fine() {}\n")
    (other / ".cargo-checksum.json").write_text('{"files":{}}')
    if way == "the target of a link":
        (bench.repo.path / "src/link.rs").symlink_to(other / "src/lib.rs")
    bench.commit(**{name: text.replace("OTHER", str(other)) for name, text in OUTSIDE[way].items()})
    assert bench.one("build").verdict is Verdict.PASSED
    assert bench.one("build").reused
    (other / "src/lib.rs").write_text("/// Broken.\npub fn fine() -> u32 {}\n")
    assert bench.one("build").verdict is Verdict.FAILED


def test_a_failing_test(bench: Bench) -> None:
    """The first failing test is named, with the place of its panic, and how to run the gate alone."""
    bench.commit(src__lib_rs=LIB.replace("(1, 2), 3", "(1, 2), 4"))
    outcome = bench.one("test")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis.startswith("tests::adds")
    assert "src/lib.rs:12:" in outcome.diagnosis
    assert outcome.again == 'nox -s "gates(test)"'
    log = Path(outcome.log).read_text()
    assert "test tests::adds ... FAILED" in log


def test_a_clippy_warning(bench: Bench) -> None:
    """A lint is an error under `-D warnings`: its words, file and line."""
    bench.commit(src__lib_rs=LIB.replace("    a + b", "    return a + b;"))
    outcome = bench.one("clippy")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis == "unneeded `return` statement (src/lib.rs:5:5)"


def test_a_formatting_difference(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first file that rustfmt would change is named, also where FORCE_COLOR is set, as on GitHub Actions."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    bench.commit(src__lib_rs=LIB.replace("a + b", "a+b"))
    outcome = bench.one("fmt")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis == "not formatted: src/lib.rs"
    assert outcome.fix == "cargo fmt --all"


def test_a_broken_build(bench: Bench) -> None:
    """The outcome has rustc's first error; the log has cargo's whole output, unchanged."""
    bench.commit(src__lib_rs=LIB.replace("a + b", "a + missing"))
    outcome = bench.one("build")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis == "error[E0425]: cannot find value `missing` in this scope (src/lib.rs:5:9)"
    assert "could not compile `tiny`" in Path(outcome.log).read_text()


def test_a_documentation_error(bench: Bench) -> None:
    """The doc gate fails on an error of rustdoc alone: a denied lint that `-A warnings` does not lift."""
    bench.commit(src__lib_rs="#![deny(rustdoc::broken_intra_doc_links)]\n//! See [`Nowhere`].\n")
    bench.override("doc", env={})
    outcome = bench.one("doc")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis == "unresolved link to `Nowhere` (src/lib.rs:2:11)"


def test_a_missing_toolchain_is_unavailable(bench: Bench, tmp_path: Path) -> None:
    """Without the MSRV's toolchain the gate is unavailable, not failed, and the outcome names the fix."""
    next((tmp_path / "rustup/toolchains").glob("1.89.0-*")).unlink()
    outcomes = bench.gate("msrv", "fmt")
    assert outcomes["msrv"].verdict is Verdict.UNAVAILABLE
    assert outcomes["msrv"].fix == "rustup toolchain install 1.89.0 --profile minimal"
    assert outcomes["fmt"].verdict is Verdict.PASSED
    assert len(bench.receipts()) == 1


def test_a_gate_that_hangs_times_out(bench: Bench) -> None:
    """A test that loops is ended with all it started; its receipt is of a failure, so that no older pass hides it."""
    bench.commit(src__lib_rs=LIB.replace("assert_eq!(super::add(1, 2), 3);", "loop {}"))
    bench.override("test", timeout=4.0)
    outcome = bench.one("test")
    assert outcome.verdict is Verdict.TIMED_OUT
    assert outcome.diagnosis == "it did not end within 4 s"
    receipt = receipt_of(json.loads(bench.receipts()[0].read_bytes()))
    assert (receipt.passed, receipt.lacked) == (False, outcome.diagnosis)


def test_a_failed_fresh_run_counts_at_once(bench: Bench, tmp_path: Path) -> None:
    """Passed, then failed on the same tree: flaky from then on, also when it passes again, in every kind of run."""
    mark = tmp_path / "fails"
    bench.override("fmt", run=("sh", "-c", f"! test -e {mark}"))
    assert bench.one("fmt").verdict is Verdict.PASSED
    mark.touch()
    failed = bench.one("fmt", fresh=True)
    assert (failed.verdict, failed.words) == (Verdict.FLAKY, "flaky: 1 of 2 passed")
    assert failed.diagnosis.startswith("the newest run failed: ")
    mark.unlink()
    again = bench.one("fmt")
    assert (again.verdict, again.reused) == (Verdict.FLAKY, False), "the newest failed, so it ran"
    assert (again.passes, again.runs) == (2, 3)
    kept = bench.one("fmt")
    assert (kept.verdict, kept.reused) == (Verdict.FLAKY, True), "the newest passed, so it did not"


def test_the_environment_is_an_allowlist(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build script that prints its environment: no token, no RUSTFLAGS and no wrapper of the calling shell."""
    names = (
        "GH_TOKEN", "GITHUB_TOKEN", "CARGO_REGISTRY_TOKEN", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS", "SSH_AUTH_SOCK",
    )  # fmt: skip
    for name in names:
        monkeypatch.setenv(name, f"canary-{name}")
    monkeypatch.setenv("RUSTFLAGS", "--cfg canary_rustflags")
    monkeypatch.setenv("RUSTC_WRAPPER", "/canary/wrapper")
    script = 'fn main() {\n    for (k, v) in std::env::vars() {\n        println!("{k}={v}");\n    }\n}\n'
    bench.commit(build_rs=script)
    bench.override("clippy", run=("cargo", "check", "-vv", "--features", "cpu"))
    outcome = bench.one("clippy")
    assert outcome.verdict is Verdict.PASSED, outcome.diagnosis
    log = Path(outcome.log).read_text()
    assert "CARGO_MANIFEST_DIR=" in log, "the script printed its environment"
    assert "canary" not in log
    receipt = bench.receipts()[0].read_text()
    assert "canary" not in receipt


def test_a_session_starts_no_environment_manager(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nox runs `uv self version` to list the environments that it could make; gates make none."""
    program, started = tmp_path / "bin/uv", tmp_path / "started"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    bench.override("build", run=("true",), env={})
    assert bench.one("build").verdict is Verdict.PASSED
    assert not started.exists()


def test_a_gate_that_writes_into_its_sources_fails(bench: Bench) -> None:
    """A build script must leave the tree as it is, or the verdict is about another tree."""
    bench.commit(build_rs='fn main() {\n    std::fs::write("src/made.rs", "// made\\n").unwrap();\n}\n')
    outcome = bench.one("build")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis == "its sources were written to while it ran: src/made.rs"
    assert '"result": "FAILED"' in bench.receipts()[0].read_text()
    assert bench.one("fmt").verdict is Verdict.PASSED, "the next gate has a clean tree"


def test_an_out_of_date_lock_file(bench: Bench) -> None:
    """Cargo.lock behind Cargo.toml: the cause and the fix."""
    bench.repo.commit("version", {"Cargo.toml": FILES["Cargo.toml"].replace("0.1.0", "0.2.0")})
    outcome = bench.one("build")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis.startswith("Cargo.lock is out of date")
    assert outcome.fix == "cargo update --workspace   # then commit Cargo.lock"


def test_a_feature_that_no_member_has(bench: Bench) -> None:
    """A feature of stack.toml that no crate has."""
    bench.repo.commit("no feature", {"Cargo.toml": FILES["Cargo.toml"].replace("cpu", "gpu")})
    outcome = bench.one("build")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis.startswith("the package 'tiny' does not contain this feature: cpu")
    assert "stack.toml" in outcome.fix


def test_a_dependency_that_cannot_be_fetched(bench: Bench) -> None:
    """Without a network the error names the missing dependency and lists new dependencies."""
    base = bench.repo.head()
    lock = (
        FILES["Cargo.lock"] + 'dependencies = [\n "absent",\n]\n\n[[package]]\nname = "absent"\nversion = "1.0.0"\n'
        'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
        f'checksum = "{"0" * 64}"\n'
    )
    toml = FILES["Cargo.toml"] + '\n[dependencies]\nabsent = "1"\n'
    bench.repo.commit("dependency", {"Cargo.toml": toml, "Cargo.lock": lock})
    outcome = bench.one("build")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis.startswith("a dependency is not in cargo's cache and cannot be fetched")
    assert outcome.fix == "cargo fetch --locked"
    assert base != bench.repo.head()


def test_receipts_prove_one_tree_one_command_one_toolchain(bench: Bench, tmp_path: Path) -> None:
    """Reused where tree, command, environment and toolchain are the same; each alone makes it stale."""
    bench.one("fmt")
    first = bench.repo.head()
    assert bench.one("fmt").reused
    bench.repo.commit("nothing but a message")
    assert bench.one("fmt").reused, "the tree is what is proven"
    bench.repo.commit("another tree", {"README.md": "x\n"})
    assert not bench.one("fmt").reused
    bench.override("fmt", env={"RUST_LOG": "error"})
    assert not bench.one("fmt", commit=first).reused
    bench.override("fmt", run=("cargo", "fmt", "--", "--check"), env={})
    assert not bench.one("fmt", commit=first).reused
    bench.settings = type(bench.settings)()
    assert bench.one("fmt", commit=first).reused
    _other_toolchain(tmp_path / "rustup")
    assert not bench.one("fmt", commit=first).reused


def _other_toolchain(rustup: Path) -> None:
    """Let rustc of the active toolchain say another version: a wrapper around the real one."""
    link = next(path for path in (rustup / "toolchains").iterdir() if not path.name.startswith("1.89"))
    real = link.resolve()
    link.unlink()
    (link / "bin").mkdir(parents=True)
    for name in ("cargo", "rustfmt", "cargo-fmt"):
        (link / "bin" / name).symlink_to(real / "bin" / name)
    for name in ("lib", "etc"):
        if (real / name).exists():
            (link / name).symlink_to(real / name)
    rustc = link / "bin" / "rustc"
    rustc.write_text(f'#!/bin/sh\n[ "$1" = -vV ] && echo "rustc 0.0.0-other" && exit\nexec {real}/bin/rustc "$@"\n')
    rustc.chmod(0o755)


@pytest.mark.parametrize("damage", ["bit flip", "truncation"])
def test_a_damaged_receipt_is_ignored_and_reported(bench: Bench, damage: str) -> None:
    """A receipt whose content does not match its name proves nothing, and the run reports it."""
    bench.one("fmt")
    (path,) = bench.receipts()
    content = bytearray(path.read_bytes())
    if damage == "bit flip":
        content[len(content) // 2] ^= 1
    else:
        del content[len(content) // 2 :]
    path.write_bytes(bytes(content))
    outcome = bench.one("fmt")
    assert (outcome.verdict, outcome.reused) == (Verdict.PASSED, False)
    assert any(path.name in line and "ignored" in line for line in bench.said), bench.said


def test_unchanged_files_keep_their_times(bench: Bench) -> None:
    """Between two commits only what differs is written; all files have one time, as after a quick fresh checkout."""
    bench.repo.commit("more", {"src/other.rs": "//! Other.\n"})
    bench.one("fmt")
    tree = next((Path(os.environ["XDG_STATE_HOME"]) / "trunkline").glob("*/gates/0/t")).resolve() / "fmt"
    before = {path: path.stat() for path in (tree / "src/lib.rs", tree / "src/other.rs")}
    bench.repo.commit("other", {"src/other.rs": "//! Another.\n"})
    bench.one("fmt")
    after = {path: path.stat() for path in before}
    same, changed = before
    assert after[same].st_ctime_ns == before[same].st_ctime_ns, "it was not written"
    assert changed.read_text() == "//! Another.\n"
    assert len({facts.st_mtime_ns for facts in (*before.values(), *after.values())}) == 1


def adopt(bench: Bench) -> None:
    """Make the repository one that has adopted trunkline: its noxfile is one line, its stack.toml four."""
    bench.repo.commit("adopt", {"noxfile.py": NOXFILE, "stack.toml": STACK})


def test_a_dirty_checkout_is_gated_as_it_is(bench: Bench) -> None:
    """Uncommitted files are gated as a snapshot, said plainly; committing exactly them is proven already."""
    adopt(bench)
    (bench.repo.path / "src/lib.rs").write_text(LIB.replace("Adds.", "Adds two."))
    (bench.repo.path / "src/new.rs").write_text("//! New.\n")
    bench.repo.git("add", "src/lib.rs")
    (bench.repo.path / ".cargo").mkdir()
    (bench.repo.path / ".cargo/config.toml").write_text('[build]\nrustflags = ["--cfg", "canary"]\n')
    exclude = bench.repo.path / ".git/info/exclude"
    exclude.write_text(exclude.read_text() + ".cargo/\n")
    index = (bench.repo.path / ".git/index").read_bytes()
    status = bench.repo.git("status", "--porcelain")
    done = bench.nox("-s", "gates(clippy)", "gates(fmt)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "uncommitted changes: gating its files as they are" in done.stdout + done.stderr
    assert (bench.repo.path / ".git/index").read_bytes() == index
    assert bench.repo.git("status", "--porcelain") == status
    tree = next((Path(os.environ["XDG_STATE_HOME"]) / "trunkline").glob("*/gates/0/tree"))
    assert (tree / "src/new.rs").is_file()
    assert not (tree / ".cargo").exists(), "configuration that the repository does not have stays outside"
    bench.repo.commit("exactly that")
    assert bench.one("clippy").reused
    assert bench.one("fmt").reused


def test_nox_in_an_adopting_repository(bench: Bench) -> None:
    """`nox -l --json` lists them, `-s gates -j auto` runs them, one fails: nox's own exit code."""
    adopt(bench)
    listed = json.loads(bench.nox("-l", "--json").stdout)
    assert [each["call_spec"]["gate"] for each in listed] == list(SIX)
    assert not (bench.repo.path / ".nox/_nox_script_mode").exists()  # trunkline is here already
    done = bench.nox("-s", "gates", "-j", "auto")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(bench.receipts()) == 6
    one = bench.nox("-s", "gates(clippy)")
    assert one.returncode == 0
    assert "clippy passed (receipt)" in one.stdout + one.stderr
    bench.repo.commit("broken", {"src/lib.rs": "pub fn broken( {}\n"})
    failed = bench.nox("-s", "gates(build)", "gates(fmt)")
    assert failed.returncode == 1
    text = failed.stdout + failed.stderr
    assert 'next: nox -s "gates(build)"\n' in text
    assert "src/lib.rs:1:" in text
    assert bench.nox("-s", "gates(nothing)").returncode not in {0, 1}


def test_a_nox_installed_elsewhere_finds_the_sessions(bench: Bench, tmp_path: Path) -> None:
    """Run from another directory with --noxfile, the gates are those of the checkout."""
    adopt(bench)
    done = bench.nox("--noxfile", str(bench.repo.path / "noxfile.py"), "-l", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 6


def test_the_sandbox_word_is_in_the_receipt(bench: Bench) -> None:
    """A receipt says whether the gate was sandboxed."""
    bench.one("fmt")
    statement = json.loads(bench.receipts()[0].read_text())
    assert statement["predicate"]["trunkline"]["sandbox"] == "none"


def test_a_compiler_crash_is_tried_once_without_a_wrapper(bench: Bench, tmp_path: Path) -> None:
    """After a crash by a wrapper the gate runs again with RUSTC_WRAPPER empty, and the receipt records it."""
    wrapper = tmp_path / "wrapper"
    report = (
        "error: internal compiler error: unexpected panic",
        "note: we would appreciate a bug report: https://github.com/rust-lang/rust/issues/new",
        "note: rustc 1.95.0 (59807616e 2026-04-14) running on x86_64-unknown-linux-gnu",
    )
    echoed = "".join(f"echo '{line}' >&2\n" for line in report)
    wrapper.write_text(f"#!/bin/sh\n{echoed}exit 101\n")
    wrapper.chmod(0o755)
    bench.override("build", env={"RUSTC_WRAPPER": str(wrapper)})
    outcome = bench.one("build")
    assert (outcome.verdict, outcome.attempts) == (Verdict.PASSED, 2)
    statement = json.loads(bench.receipts()[0].read_text())
    assert statement["predicate"]["trunkline"]["attempts"] == 2
    assert bench.one("build").attempts == 2, "a receipt says so, too"


def test_a_gate_reports_what_it_has_compiled(bench: Bench) -> None:
    """Units come while the gate runs, its receipt has their number, and the log of the run has none of it."""
    reported: list[tuple[str, int]] = []
    (outcome,) = gate_commit(
        bench.repo.path,
        bench.repo.head(),
        bench.settings,
        only=("test",),
        compiled=lambda *each: reported.append(each),
    )
    assert outcome.verdict is Verdict.PASSED
    assert reported[:1] == [("test", 1)]
    statement = json.loads(bench.receipts()[0].read_text())
    assert statement["predicate"]["trunkline"]["units"] == 1


def test_a_missing_subcommand_is_unavailable(bench: Bench) -> None:
    """Another test runner is one line of stack.toml; where it is not installed, the fix is printed."""
    bench.override("test", run=("cargo", "not-installed", "run"))
    outcome = bench.one("test")
    assert outcome.verdict is Verdict.UNAVAILABLE
    assert outcome.fix == "cargo install --locked cargo-not-installed"
