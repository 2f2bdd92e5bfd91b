"""Coverage of a change by the gates, with the real cargo: files compiled, tests run, and files left out."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support.gating import FILES, LIB, Bench
from support.repo import Repo
from trunkline.domain.coverage import NOT_COMPILED, NOT_READ, NOT_RUN
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.git.git import Git
from trunkline.planning.coverage import coverage_of

pytestmark = [
    pytest.mark.cargo,
    pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed"),
]
UNTESTED = LIB.partition("\n#[cfg(test)]")[0]
TEST = "#[test]\nfn holds() {\n    assert_eq!(tiny::add(1, 2), 3);\n}\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a crate with a unit test."""
    repo = Repo.create(tmp_path / "repo")
    repo.commit("start", dict(FILES))
    return Bench(repo)


def exceptions(bench: Bench, outcomes: dict[str, GateOutcome], base: str = "HEAD~1") -> dict[str, str]:
    """Return the files of the newest commit that no gate verified, with the reason."""
    git = Git(bench.repo.path)
    coverage = coverage_of(git, bench.repo.head(base), bench.repo.head(), outcomes.values())
    assert coverage.known
    return {each.path: each.why for each in coverage.unverified}


def test_everything_that_the_gates_left_out_is_named(bench: Bench) -> None:
    """One commit with a file of each kind: only what a gate compiled, and ran where it is a test, is verified."""
    bench.repo.commit(
        "many",
        {
            "Cargo.toml": FILES["Cargo.toml"] + 'gpu = []\n\n[workspace]\nexclude = ["fuzz"]\n',
            "src/lib.rs": LIB.replace(
                "/// Adds.",
                '#[cfg(feature = "gpu")]\npub mod gpu;\n\n/// Words.\n'
                'pub const WORDS: &str = include_str!("words.txt");\n'
                'include!(concat!(env!("OUT_DIR"), "/made.rs"));\n\n/// Adds.',
            ),
            "src/gpu.rs": "//! GPU.\n",
            "src/words.txt": "words\n",
            "src/main.rs": '//! A program.\n\nfn main() {\n    println!("{}", tiny::add(1, 2));\n}\n\n'
            "#[cfg(test)]\nmod tests {\n    #[test]\n    fn wrong() {\n        assert_eq!(1, 2);\n    }\n}\n",
            "tests/it.rs": TEST.replace("3)", "4)"),
            "examples/demo.rs": "//! Demo.\n\nfn main() {}\n",
            "build.rs": 'fn main() {\n    println!("cargo:rerun-if-changed=schema");\n'
            '    let out = std::env::var("OUT_DIR").unwrap();\n'
            '    std::fs::write(out + "/made.rs", "pub fn made() {}\\n").unwrap();\n}\n',
            "schema/a.proto": "a\n",
            "other/b.proto": "b\n",
            "fuzz/Cargo.toml": '[package]\nname = "fuzz"\nversion = "0.1.0"\nedition = "2021"\n',
            "fuzz/src/lib.rs": "this does not compile\n",
            "README.md": "words\n",
        },
    )
    outcomes = bench.gate("build", "test", "clippy")
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, Verdict.PASSED), [
        outcome.diagnosis for outcome in outcomes.values()
    ]
    assert outcomes["test"].tests == 1
    assert outcomes["build"].tests is None
    expected = {
        "src/gpu.rs": NOT_COMPILED,
        "src/main.rs": NOT_RUN,
        "tests/it.rs": NOT_RUN,
        "other/b.proto": NOT_READ,
        "fuzz/Cargo.toml": NOT_READ,
        "fuzz/src/lib.rs": NOT_COMPILED,
        "README.md": NOT_READ,
    }
    assert exceptions(bench, outcomes) == expected
    again = bench.gate("build", "test", "clippy")
    assert all(outcome.reused for outcome in again.values())
    assert exceptions(bench, again) == expected, "receipts say the same"
    fresh = bench.gate("test", "clippy", fresh=True)
    assert exceptions(bench, fresh) == expected, "what cargo found fresh counts as read"


def test_a_gate_that_runs_the_tests_verifies_them(bench: Bench) -> None:
    """The integration test is an exception until a gate runs it; a gate that failed verifies nothing."""
    bench.repo.commit("test", {"tests/it.rs": TEST})
    assert exceptions(bench, bench.gate("clippy")) == {"tests/it.rs": NOT_RUN}
    bench.override("test-all", run=("cargo", "test", "--locked", "--workspace"))
    outcomes = bench.gate("clippy", "test-all")
    assert outcomes["test-all"].tests == 2
    assert exceptions(bench, outcomes) == {}
    failed = replace(outcomes["test-all"], verdict=Verdict.FAILED)
    assert exceptions(bench, {**outcomes, "test-all": failed}) == {"tests/it.rs": NOT_RUN}


def test_no_test_at_all_is_a_warning(bench: Bench) -> None:
    """The test gate passes, because cargo does; the outcome warns that no test ran."""
    bench.repo.commit("test", {"src/lib.rs": UNTESTED, "tests/it.rs": TEST})
    outcome = bench.one("test")
    assert (outcome.verdict, outcome.tests, outcome.words) == (Verdict.PASSED, 0, "passed, 0 tests")
    assert not outcome.proven
    again = bench.one("test")
    assert (again.reused, again.words) == (True, "passed, 0 tests")


NEXTEST = """\
#!/bin/sh
# Stands in for cargo-nextest: compiles nothing, and prints what its reporter prints.
echo '    Finished `test` profile' >&2
echo '------------' >&2
echo '        PASS [   0.004s] (1/2) tiny tests::adds' >&2
echo '        PASS [   0.005s] (2/2) tiny::it holds' >&2
echo '     Summary [   0.006s] 2 tests run: 2 passed, 0 skipped' >&2
"""


def test_nextest_runs_the_tests(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `presets = ["nextest"]` nextest's report names the tests, of files that clippy compiled."""
    program = tmp_path / "bin/cargo-nextest"
    program.parent.mkdir()
    program.write_text(NEXTEST)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    bench.settings = replace(bench.settings, presets=("nextest",))
    bench.repo.commit("test", {"tests/it.rs": TEST})
    outcomes = bench.gate("test", "clippy")
    assert outcomes["test"].command.endswith(
        "cargo nextest run --locked --workspace --no-default-features --features cpu --lib"
    )
    assert (outcomes["test"].verdict, outcomes["test"].tests) == (Verdict.PASSED, 2), outcomes["test"].diagnosis
    assert exceptions(bench, outcomes) == {}


@pytest.mark.skipif(shutil.which("typos") is None, reason="typos is not installed")
def test_the_preset_typos_finds_them(bench: Bench) -> None:
    """`presets = ["typos"]`: the real program passes, then names the misspelt word's file."""
    bench.settings = replace(bench.settings, presets=("typos",))
    assert bench.one("typos").verdict is Verdict.PASSED
    bench.repo.commit("words", {"src/lib.rs": LIB.replace("/// Adds.", "/// Adds teh numbers.")})  # typos:ignore
    outcome = bench.one("typos")
    assert outcome.verdict is Verdict.FAILED
    assert "src/lib.rs" in Path(outcome.log).read_text()


@pytest.mark.parametrize(
    ("preset", "fix"),
    [
        ("semver", "cargo install --locked cargo-semver-checks"),
        ("deny", "cargo install --locked cargo-deny"),
        ("machete", "cargo install --locked cargo-machete"),
        ("hack", "cargo install --locked cargo-hack"),
        ("typos", f"{sys.executable} -m pip install typos"),
        ("nextest", "cargo install --locked cargo-nextest"),
    ],
)
def test_a_preset_that_is_not_installed_says_how(
    bench: Bench, preset: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preset whose program is missing is unavailable, with the command that installs it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "cargo", "rustc", "rustup", "sh"):
        if program := shutil.which(name):
            (folder / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))  # cargo looks for subcommands in its bin, too
    bench.settings = replace(bench.settings, presets=(preset,))
    outcome = bench.one("test" if preset == "nextest" else preset)
    assert (outcome.verdict, outcome.fix) == (Verdict.UNAVAILABLE, fix)
