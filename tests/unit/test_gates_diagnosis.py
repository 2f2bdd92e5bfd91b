"""What a failed gate's log and cargo's JSON messages say: words in, the cause and its cure out."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.adapters import cargo
from trunkline.adapters.cargo import CompilerError
from trunkline.gates import diagnosis

CWD = Path("/somewhere/tree")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("cargo build --locked", "cargo build --message-format=json --locked"),
        ("cargo +1.89.0 check --locked", "cargo +1.89.0 check --message-format=json --locked"),
        ("cargo clippy -- -D warnings", "cargo clippy --message-format=json -- -D warnings"),
        ("cargo test --lib", "cargo test --message-format=json --no-run --lib"),
        ("cargo nextest run --lib", "cargo test --message-format=json --no-run --lib"),
        ("cargo fmt --all", ""),
        ("cargo deny check", ""),
        ("cargo", ""),
        ("true", ""),
    ],
)
def test_how_cargo_is_asked_why(argv: str, expected: str) -> None:
    """The same command with its messages as JSON; tests are compiled, not run; others are not asked."""
    assert " ".join(cargo.asking_why(argv.split())) == expected


LOGS = {
    "lock": (
        "error: cannot update the lock file /t/Cargo.lock because --locked was passed to prevent this\n",
        "Cargo.lock is out of date: error: cannot update the lock file",
        "cargo update --workspace",
    ),
    "disk": (
        "error: failed to write /t/x.rmeta: No space left on device (os error 28)\n",
        "the disk is full: error: failed to write",
        "cargo clean",
    ),
    "network": (
        "error: failed to download `serde v1.0.0`\n\nCaused by:\n  Could not resolve host: example.invalid\n",
        "a dependency is not here and the network cannot be reached",
        "cargo fetch --locked",
    ),
    "crash": (
        "error: internal compiler error: unexpected panic\n\nnote: the compiler unexpectedly panicked.\n",
        "the compiler crashed (ICE)",
        "RUSTC_WRAPPER= cargo check",
    ),
    "test": (
        (
            "running 2 tests\ntest a ... ok\ntest b::c ... FAILED\n\nfailures:\n\n---- b::c stdout ----\n\n"
            "thread 'b::c' (7) panicked at src/lib.rs:12:9:\nassertion failed: x\nnote: run with `RUST_BACKTRACE=1`\n"
        ),
        "b::c: assertion failed: x (src/lib.rs:12:9)",
        "",
    ),
    "format": ("Diff in /somewhere/tree/src/a b.rs:2:\n-a\n+b\n", "not formatted: src/a b.rs", "cargo fmt --all"),
    "script": (
        "error: failed to run custom build command for `tiny v0.1.0 (/t)`\n\nCaused by:\n  process didn't exit\n",
        "error: failed to run custom build command for `tiny v0.1.0 (/t)`",
        "",
    ),
    "unknown": ("something\nodd happened\n\n", "odd happened", ""),
    "silent": ("", "it printed nothing", ""),
}


@pytest.mark.parametrize("case", LOGS)
def test_a_log_without_json_messages(case: str) -> None:
    """What cargo tells no JSON about is read from the log; what is not recognised is quoted."""
    log, why, cure = LOGS[case]
    told, mends = diagnosis.diagnose(log, None, CWD)
    assert told.startswith(why)
    assert mends == cure


def test_the_compilers_own_words_come_first() -> None:
    """Where cargo's JSON messages name an error, the log is not interpreted."""
    error = CompilerError("mismatched types", "src/lib.rs:3:5", "E0308")
    assert diagnosis.diagnose("error: could not compile `x`\n", error, CWD) == (
        "error[E0308]: mismatched types (src/lib.rs:3:5)",
        "",
    )


def test_a_gate_that_waited_for_a_lock_until_its_time_was_up() -> None:
    """A timeout while waiting for another cargo's lock says so."""
    waiting = "    Blocking waiting for file lock on build directory\n"
    assert diagnosis.overdue(waiting, 5) == "it did not end within 5 s: it waited for another cargo's lock"
    assert diagnosis.overdue(waiting + "   Compiling x\n", 5) == "it did not end within 5 s"


def test_the_packages_of_a_lock_file() -> None:
    """Those from outside the workspace, with versions; what is no Cargo.lock is an error."""
    text = '[[package]]\nname = "own"\nversion = "1.0.0"\n[[package]]\nname = "a"\nversion = "2.0.0"\nsource = "x"\n'
    assert cargo.lock_packages(text) == {("a", "2.0.0")}
    for wrong in ("= no toml", "package = 3", '[[package]]\nsource = "x"\n'):
        with pytest.raises(ValueError, match=r"no Cargo\.lock"):
            cargo.lock_packages(wrong)


def test_configuration_outside_the_repository_has_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .cargo/config.toml above the work tree, or in CARGO_HOME, is part of what a receipt proves."""
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo-home"))
    tree = tmp_path / "state" / "tree"
    (tree / ".cargo").mkdir(parents=True)
    (tree / ".cargo/config.toml").write_text("[build]\n")
    assert cargo.outer_config(tree) == "", "the repository's own is in its tree"
    (tmp_path / ".cargo").mkdir()
    (tmp_path / ".cargo/config.toml").write_text("[net]\n")
    above = cargo.outer_config(tree)
    assert len(above) == 64
    (tmp_path / "cargo-home").mkdir()
    (tmp_path / "cargo-home/config.toml").write_text("[http]\n")
    assert cargo.outer_config(tree) not in {"", above}
