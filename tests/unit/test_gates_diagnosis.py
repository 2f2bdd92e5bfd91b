"""Diagnosis of failed gates from their log and cargo's JSON messages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from trunkline.domain.cause import CauseId
from trunkline.gates import diagnosis, refusal
from trunkline.gates.refusal import Place
from trunkline.rust import cargo, cargo_output
from trunkline.rust.cargo_output import CargoOutput
from trunkline.system.logged_process import Stream

MEMBER = (
    "failed to load manifest for workspace member `nowhere` referenced by workspace at `Cargo.toml`: "
    "failed to read `nowhere/Cargo.toml`: No such file or directory (os error 2)"
)


TREE = Path("/tree")


def recorded(name: str) -> tuple[tuple[str, ...], CargoOutput]:
    """Return a command of tests/unit/data/cargo and what it printed (see record.py there)."""
    held = json.loads((Path(__file__).parent / "data/cargo" / f"{name}.json").read_text())
    argv = tuple(part for part in held["argv"] if part != "--message-format=json")
    output = CargoOutput(structured=cargo_output.reporting(argv) != argv)
    for stream, lines in ((Stream.STDOUT, held["out"]), (Stream.STDERR, held["err"])):
        for line in lines:
            output.parse_line(stream, f"{line}\n".encode())
    return argv, output


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("cargo build --locked", "cargo build --message-format=json --locked"),
        ("cargo +1.89.0 check --locked", "cargo +1.89.0 check --message-format=json --locked"),
        ("cargo clippy -- -D warnings", "cargo clippy --message-format=json -- -D warnings"),
        ("cargo test --lib -- --message-format", "cargo test --message-format=json --lib -- --message-format"),
        ("cargo build --message-format short", "cargo build --message-format short"),
        ("cargo nextest run --lib", "cargo nextest run --lib"),
        ("cargo fmt --all", "cargo fmt --all"),
        ("cargo", "cargo"),
        ("true", "true"),
    ],
)
def test_which_commands_report_in_records(argv: str, expected: str) -> None:
    """Subcommands that compile get `--message-format=json`; others run as they are."""
    assert " ".join(cargo_output.reporting(argv.split())) == expected


def test_a_runner_without_records_is_compiled_again() -> None:
    """Nextest has its own message formats: cargo compiles the same tests, and runs none."""
    again = cargo.diagnosis_command(("cargo", "nextest", "run", "--lib"))
    assert again == ("cargo", "test", "--message-format=json", "--no-run", "--lib")
    assert cargo.diagnosis_command(("cargo", "test", "--lib")) == ()


CAUSES = {
    "compile": (CauseId.COMPILE, "error[E0425]: cannot find function `missing` in this scope (src/lib.rs:5:18)"),
    "lint": (CauseId.COMPILE, "unneeded `return` statement (src/lib.rs:5:5)"),
    "link": (
        CauseId.COMPILE,
        "linking with `cc` failed: exit status: 1: rust-lld: error: undefined symbol: nowhere_at_all",
    ),
    "noisy-macro": (CauseId.COMPILE, "proc macro panicked: a macro's own words (src/lib.rs:1:1)"),
    "crash": (
        CauseId.CRASH,
        "the compiler crashed (ICE): error[E0425]: cannot find function `missing` in this scope (src/lib.rs:1:10)",
    ),
    "panic": (
        CauseId.TEST,
        (
            "tests::fails: failed to get `x`: internal compiler error is not installed for the toolchain"
            " (src/lib.rs:6:148)"
        ),
    ),
    "returned-error": (CauseId.TEST, 'tests::e: returned an error: "cannot update the lock file"'),
    "should-panic": (
        CauseId.TEST,
        "tests::p: test did not panic as expected at src/lib.rs:5:28; 1 more failed: tests::q",
    ),
    "should-panic-other": (
        CauseId.TEST,
        'tests::q: panic did not contain expected string panic message: "xyz" expected substring: "abc"',
    ),
    "caught-panic": (
        CauseId.TEST,
        "tests::c: assertion `left == right` failed: sums left: 2 right: 3 (src/lib.rs:5:73)",
    ),
    "thread": (CauseId.TEST, "tests::t: called `Result::unwrap()` on an `Err` value: Any { .. } (src/lib.rs:5:70)"),
    "abort": (CauseId.TEST_PROGRAM, "the test program ended with signal: 6, SIGABRT: process abort signal"),
    "segfault": (CauseId.TEST_PROGRAM, "the test program ended with signal: 11, SIGSEGV: invalid memory reference"),
    "exit": (CauseId.TEST_PROGRAM, "the test program ended with exit status: 7"),
    "overflow": (
        CauseId.TEST_PROGRAM,
        (
            "the test program ended with signal: 6, SIGABRT: process abort signal: "
            "thread 'tests::deep' (N) has overflowed its stack; fatal runtime error: stack overflow, aborting"
        ),
    ),
    "rust-version": (
        CauseId.RUST_VERSION,
        "rustc 1.95.0 is not supported by the following package: tiny@0.1.0 requires rustc 1.999",
    ),
    "missing-member": (CauseId.MANIFEST, MEMBER),
    "missing-member-fmt": (CauseId.MANIFEST, MEMBER),
    "broken-manifest": (CauseId.MANIFEST, "key with no value, expected `=` (Cargo.toml:9:4)"),
    "broken-manifest-fmt": (CauseId.MANIFEST, "key with no value, expected `=` (Cargo.toml:9:4)"),
    "unknown-edition": (
        CauseId.MANIFEST,
        (
            "failed to parse manifest at `Cargo.toml`: failed to parse the `edition` key: supported edition values "
            "are `2015`, `2018`, `2021`, or `2024`, but `2077` is unknown"
        ),
    ),
    "no-feature": (
        CauseId.FEATURE,
        "the package 'tiny' does not contain this feature: cpu help: there is a similarly named feature: gpu",
    ),
    "script-panic": (
        CauseId.BUILD_SCRIPT,
        "the build script of tiny failed: called `Result::unwrap()` on an `Err` value: NotPresent (build.rs:1:54)",
    ),
    "script-error": (CauseId.BUILD_SCRIPT, "the build script of tiny failed: I need a thing"),
    "script-exit": (CauseId.BUILD_SCRIPT, "the build script of tiny failed: error: protoc: failed to get `x`"),
    "path-dependency": (
        CauseId.PATH_DEPENDENCY,
        (
            "the path dependency vendor/sub is not in the commit: failed to get `sub` as a dependency of package "
            "`tiny v0.1.0 (.)`: failed to load source for dependency `sub`: unable to update vendor/sub: "
            "failed to read `vendor/sub/Cargo.toml`: No such file or directory (os error 2)"
        ),
    ),
    "alias": (
        CauseId.ALIAS,
        (
            "`cargo clippy` is an alias in .cargo/config.toml, and runs something else: unexpected argument '-D' "
            "found: Usage: check [OPTIONS]: For more information, try '--help'."
        ),
    ),
    "wrong-config": (
        CauseId.CONFIG,
        (
            "invalid configuration for key `build.rustflags` expected a string or array of strings, but found a "
            "integer for `build.rustflags` in .cargo/config.toml"
        ),
    ),
    "not-formatted": (CauseId.FORMAT, "not formatted: src/lib.rs"),
    "syntax": (CauseId.COMPILE, "this file contains an unclosed delimiter (src/lib.rs:1:19)"),
    "syntax-fmt": (CauseId.COMPILE, "this file contains an unclosed delimiter (src/lib.rs:1:19)"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_of_what_cargo_printed(name: str) -> None:
    """Each recorded failure has its kind of cause and the words of the tool, the test or the script that failed."""
    argv, output = recorded(name)
    cause = diagnosis.explain(argv, output, Place(TREE))
    assert (cause.id, re.sub(r"\(\d+\)", "(N)", cause.text)) == CAUSES[name]


@pytest.mark.parametrize("name", sorted(path.stem for path in (Path(__file__).parent / "data/cargo").glob("*.json")))
def test_the_tools_own_last_error_line_is_quoted(name: str) -> None:
    """The last error line of the tool is quoted beside every cause."""
    argv, output = recorded(name)
    quoted = diagnosis.explain(argv, output, Place(TREE)).quoted
    assert quoted.startswith("error: ") or name == "not-formatted"
    assert quoted == "" or quoted in "\n".join(output.closing + tuple(output.own)).replace("/tree/", "").replace(
        "/tree", "."
    )


@pytest.mark.parametrize(
    ("message", "note"),
    [
        ('failed to write file /t/dep-graph.part.bin: No space left on device (os error 28)"', ""),
        ("failed to write query cache to `/t/x`: Disk quota exceeded (os error 122)", ""),
        (
            "linking with `cc` failed: exit status: 1",
            "/usr/bin/ld: final link failed: No space left on device\ncollect2",
        ),
        (
            "linking with `cc` failed: exit status: 1",
            "PLEASE submit\ncollect2: ld terminated with signal 7 [Bus error]",
        ),
    ],
)
def test_a_compiler_that_has_no_room(message: str, note: str) -> None:
    """The compiler and the linker run out of disk at other places than cargo (rustc 1.95 on a full tmpfs)."""
    children = [{"message": each} for each in ("the command", note) if note]
    said = {"level": "error", "message": message, "spans": [], "code": None, "children": children, "rendered": ""}
    output = CargoOutput(structured=True)
    record = {"reason": "compiler-message", "package_id": "", "message": said}
    output.parse_line(Stream.STDOUT, json.dumps(record).encode())
    assert diagnosis.explain(("cargo", "build"), output, Place(TREE)).id is CauseId.DISK


def test_what_a_test_prints_is_no_cause() -> None:
    """A test's panic in the words of cargo, rustup, the network and the disk is that test's failure, nothing else."""
    for words in (
        "failed to get `serde` as a dependency", "error: No space left on device (os error 28)",
        "error: cannot update the lock file /t/Cargo.lock because --locked was passed to prevent this",
        "error: 'cargo-clippy' is not installed for the toolchain 'stable'", "error: internal compiler error: x",
        "error: failed to run custom build command for `tiny v0.1.0`", "error: rustc 1.0 is not supported by the",
    ):  # fmt: skip
        output = CargoOutput(structured=True)
        output.parse_line(Stream.STDOUT, b'{"reason":"build-finished","success":true}\n')
        output.parse_line(Stream.STDERR, b"     Running unittests src/lib.rs (target/debug/deps/tiny-0)\n")
        printed = (
            f'running 1 test\n{words}\n{{"reason":"build-finished","success":false}}\ntest a ... FAILED\n\nfailures:'
            f"\n\n---- a stdout ----\n\nthread 'a' (1) panicked at src/lib.rs:1:1:\n{words}\nnote: run "
            "with `RUST_BACKTRACE=1`\n\n\nfailures:\n    a\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n\n"
        )
        for line in printed.splitlines(keepends=True):
            assert output.parse_line(Stream.STDOUT, line.encode()) == line.encode()
        for line in (words, "error: test failed, to rerun pass `--lib`"):
            output.parse_line(Stream.STDERR, f"{line}\n".encode())
        cause = diagnosis.explain(("cargo", "test", "--lib"), output, Place(TREE))
        assert (cause.id, cause.text) == (CauseId.TEST, f"a: {words} (src/lib.rs:1:1)")
        assert cause.fix == ""
        assert not diagnosis.is_compiler_crash(output)


@pytest.mark.parametrize("packages", ["package `one`", "packages: one, two"])
def test_a_workspace_without_a_library(packages: str) -> None:
    """`--lib` can never pass there; the fix is the same command without it."""
    output = CargoOutput(structured=True)
    output.parse_line(Stream.STDERR, f"error: no library targets found in {packages}\n".encode())
    cause = diagnosis.explain(("cargo", "test", "--workspace", "--lib"), output, Place(TREE))
    assert cause.id is CauseId.NO_LIBRARY
    assert cause.text.startswith(f"no library targets found in {packages}: ")
    assert cause.fix.endswith('run = ["cargo", "test", "--workspace"]')


def test_only_the_compilers_own_crash_is_one() -> None:
    """The compiler's process has ended with its report; a macro that prints the same words is no compiler."""
    assert diagnosis.is_compiler_crash(recorded("crash")[1])
    for name in ("noisy-macro", "panic", "compile", "overflow", "script-panic"):
        assert not diagnosis.is_compiler_crash(recorded(name)[1]), name


REPORT = (
    "error: internal compiler error: unexpected panic",
    "note: we would appreciate a bug report: https://github.com/rust-lang/rust/issues/new",
    "note: rustc 1.95.0 (59807616e 2026-04-14) running on x86_64-unknown-linux-gnu",
)
SCRIPT = "error: failed to run custom build command for `tiny v0.1.0 (/tree)`"


@pytest.mark.parametrize(
    ("said", "closing", "ended", "expected"),
    [
        (REPORT, "error: could not compile `tiny` (lib)", "exit status: 101", True),
        (REPORT[:1], "error: could not compile `tiny` (lib)", "exit status: 101", False),
        (REPORT[1:], "error: could not compile `tiny` (lib)", "exit status: 101", False),
        (REPORT, "error: could not compile `tiny` (lib)", "exit status: 1", False),
        (REPORT, "error: could not compile `tiny` (lib)", "signal: 9, SIGKILL: kill", False),
        (REPORT, "error: could not compile `tiny` (lib) due to 1 previous error", "", False),
        (REPORT, SCRIPT, "exit status: 101", False),
    ],
    ids=["whole", "one line", "only notes", "exit code 1", "killed", "an error", "build script"],
)
def test_the_report_of_a_crash_by_another_program(
    said: tuple[str, ...], closing: str, ended: str, expected: object
) -> None:
    """A macro or build script prints the words of a crash: what counts is which process ended, and how."""
    output = CargoOutput(structured=True)
    output.parse_line(Stream.STDOUT, b'{"reason":"build-finished","success":false}\n')
    cause = ["", "Caused by:", f"  process didn't exit successfully: `/wrapper rustc` ({ended})"] if ended else []
    for line in (*said, closing, *cause):
        output.parse_line(Stream.STDERR, f"{line}\n".encode())
    assert diagnosis.is_compiler_crash(output) is expected


def test_one_cause_is_one_for_every_gate_that_meets_it() -> None:
    """A syntax error stops rustc and rustfmt, a broken manifest cargo and `cargo fmt`: one key each."""
    for one, other in (
        ("syntax", "syntax-fmt"),
        ("missing-member", "missing-member-fmt"),
        ("broken-manifest", "broken-manifest-fmt"),
    ):
        first, second = (diagnosis.explain(*recorded(name), Place(TREE)) for name in (one, other))
        assert first.key("build") == second.key("fmt")
    panic = diagnosis.explain(*recorded("panic"), Place(TREE))
    assert panic.key("test") != panic.key("other")
    assert diagnosis.explain(*recorded("syntax"), Place(TREE)).key("build") != panic.key("build")


def test_a_lock_file_that_is_missing_or_out_of_date(tmp_path: Path) -> None:
    """The tree shows whether the lock file is missing or out of date; each case has its own fix."""
    argv, output = recorded("lock-missing")
    missing = diagnosis.explain(argv, output, Place(tmp_path))
    assert missing.id is CauseId.NO_LOCK
    assert missing.text.startswith("there is no Cargo.lock in the commit")
    (tmp_path / "Cargo.lock").touch()
    outdated = diagnosis.explain(*recorded("lock-outdated"), Place(tmp_path))
    assert outdated.id is CauseId.STALE_LOCK
    assert outdated.text.startswith("Cargo.lock is out of date: cannot update the lock file")
    assert outdated.fix.startswith("cargo update --workspace")
    assert Place(tmp_path, root="a b").command_line("x", "y") == "(cd 'a b' && x && y)"


def _output(out: str, err: str, *, structured: bool = True) -> CargoOutput:
    output = CargoOutput(structured)
    for stream, text in ((Stream.STDOUT, out), (Stream.STDERR, err)):
        for line in text.splitlines():
            output.parse_line(stream, f"{line}\n".encode())
    return output


def test_a_program_that_ends_silently_after_another_one_passed() -> None:
    """The results of the program before are no last words."""
    output = _output(
        '{"reason":"build-finished","success":true}\nrunning 1 test\ntest a ... ok\n'
        "test result: ok. 1 passed; 0 failed; 0 ignored\n\nrunning 1 test\n",
        "     Running unittests src/lib.rs (target/debug/deps/a-1)\n     Running tests/b.rs (target/debug/deps/b-1)\n"
        "error: test failed, to rerun pass `-p a --test b`\n\nCaused by:\n"
        "  process didn't exit successfully: `/tree/target/debug/deps/b-1` (exit status: 7)\n",
    )
    cause = diagnosis.explain(("cargo", "test"), output, Place(TREE))
    assert cause.text == "the test program ended with exit status: 7"


def test_a_lock_file_that_a_test_wrote() -> None:
    """With --locked cargo does not write it, so a program did; updating it would not help."""
    locked = diagnosis.changed_sources(("cargo", "test", "--locked"), ["Cargo.lock"], Place(TREE))
    assert (locked.id, locked.fix) == (CauseId.SOURCES, "")
    assert diagnosis.changed_sources(("cargo", "test"), ["Cargo.lock"], Place(TREE)).id is CauseId.STALE_LOCK


def test_an_error_beside_unformatted_files() -> None:
    """`cargo fmt --all` fails on a syntax error: that is the cause, wherever the difference is."""
    error = "error: this file contains an unclosed delimiter\n --> /tree/src/b.rs:5:14\n"
    output = _output("Diff in /tree/src/a.rs:1:\n", error, structured=False)
    cause = diagnosis.explain(("cargo", "fmt", "--all", "--", "--check"), output, Place(TREE))
    assert cause.id is CauseId.COMPILE
    assert "src/b.rs:5:14" in cause.text
    formatted = _output("Diff in /tree/src/a.rs:1:\n", "", structured=False)
    assert diagnosis.explain(("cargo", "fmt", "--all"), formatted, Place(TREE)).id is CauseId.FORMAT


def test_a_line_that_cargo_repeats_for_each_target() -> None:
    """A package with several targets is named once."""
    lines = (
        "error: rustc 1.95.0 is not supported by the following packages:",
        *["  app@0.1.0 requires rustc 1.999"] * 3,
    )
    assert refusal.own_words(lines) == (f"{lines[0]} {lines[1].strip()}",)


def test_what_is_not_recognised_is_quoted() -> None:
    """A tool of the repository's own: its last error line, else its last line; nothing is read into it."""
    for printed, expected in (
        ("something\nodd happened\n\n", "odd happened"),
        ("error: failed to get `x`\nNo space left on device\n", "error: failed to get `x` No space left on device"),
        ("", "it printed nothing"),
    ):
        output = CargoOutput(structured=False)
        for line in printed.splitlines(keepends=True):
            output.parse_line(Stream.STDERR, line.encode())
        cause = diagnosis.explain(("./check.sh",), output, Place(TREE))
        assert (cause.id, cause.text, cause.fix) == (CauseId.COMMAND, expected, "")


def test_a_gate_that_waited_for_a_lock_until_its_time_was_up() -> None:
    """A timeout while waiting for another cargo's lock has that diagnosis."""
    waiting = "    Blocking waiting for file lock on build directory\n"
    assert diagnosis.overdue(waiting, 5) == "it did not end within 5 s: it waited for another cargo's lock"
    assert diagnosis.overdue("   Compiling x", 5) == "it did not end within 5 s"


def test_the_packages_of_a_lock_file() -> None:
    """Packages from outside the workspace are listed with versions; an invalid Cargo.lock is an error."""
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
    before = cargo.outer_config(tree)
    (tmp_path / ".cargo/config.toml").write_text('include = ["more.toml", { path = "none.toml", optional = true }]\n')
    (tmp_path / ".cargo/more.toml").write_text("[build]\n")
    including = cargo.outer_config(tree)
    (tmp_path / ".cargo/more.toml").write_text("[build]\njobs = 1\n")
    assert len({before, including, cargo.outer_config(tree)}) == 3, "what it includes is part of it"


def test_configuration_of_rustfmt_and_clippy_has_a_hash_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look above the work tree, and rustfmt in the home directory."""
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo-home"))
    home = Path.home()
    tree, found = tmp_path / "state/tree", {cargo.outer_config(tmp_path / "state/tree")}
    for path in (
        tmp_path / "Cargo.toml",
        tmp_path / "clippy.toml",
        tmp_path / ".rustfmt.toml",
        home / ".config/rustfmt/rustfmt.toml",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("tab_spaces = 2\n")
        found.add(cargo.outer_config(tree))
    assert len(found) == 5
