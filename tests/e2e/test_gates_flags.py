"""A repository's own compiler flags stay in force in gates, beside those that the gates add."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support import needs
from support.gating import FILES, LIB, Bench
from support.repo import Repo
from trunkline.domain.cause import CauseId
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.rust import bubblewrap

pytestmark = [pytest.mark.cargo, pytest.mark.skipif(shutil.which("cargo") is None, reason="Rust is not installed")]
CONFIG = '[build]\nrustflags = ["--cfg", "ours"]\nrustdocflags = ["--cfg", "docs"]\n'
LINTS = "\n[lints.rust]\nunexpected_cfgs = { level = 'warn', check-cfg = ['cfg(ours, theirs, docs)'] }\n"
NEEDS = '#[cfg(not(ours))]\ncompile_error!("flags of the repository are not in force");\n'
FAILS = "    #[test]\n    #[cfg(ours)]\n    fn fails() {\n        panic!();\n    }\n}\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a crate that compiles only under the flags of its own configuration."""
    repo = Repo.create(tmp_path / "repo")
    manifest = FILES["Cargo.toml"] + LINTS
    repo.commit("start", {**FILES, "Cargo.toml": manifest, ".cargo/config.toml": CONFIG, "src/lib.rs": LIB + NEEDS})
    return Bench(repo)


def typed(command: str, bench: Bench, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type a command in a plain clone."""
    subprocess.run(["git", "clone", "--quiet", str(bench.repo.path), str(folder)], check=True)
    env = {name: os.environ[name] for name in ("PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME") if name in os.environ}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
    )


def content(bench: Bench, name: str) -> Any:
    """Return what the newest receipt's configuration says of one thing."""
    newest = max(bench.receipts(), key=lambda path: path.stat().st_mtime_ns)
    configuration = json.loads(newest.read_text())["predicate"]["configuration"]
    return next(each["content"] for each in configuration if each["name"] == name)


def test_a_crate_that_needs_its_own_flags_passes(bench: Bench) -> None:
    """A gate's RUSTFLAGS keep `build.rustflags` in force; the command shows the flags, then and in the receipt."""
    outcome = bench.one("build")
    assert outcome.verdict is Verdict.PASSED, outcome.diagnosis
    assert outcome.command.startswith("RUSTFLAGS='--cfg ours -D warnings' cargo build --locked")
    assert content(bench, "flags") == {
        "RUSTFLAGS": ["--cfg", "ours", "-D", "warnings"], "RUSTDOCFLAGS": ["--cfg", "docs"]
    }  # fmt: skip
    assert content(bench, "environment")["set"]["RUSTFLAGS"] == "-D warnings"
    again = bench.one("build")
    assert again.reused
    assert again.command == outcome.command


def test_what_plain_cargo_fails_fails(bench: Bench, tmp_path: Path) -> None:
    """A test that only exists under the repository's flags fails, in the gate and typed in a clone."""
    bench.commit(src__lib_rs=LIB.removesuffix("}\n") + FAILS)
    outcome = bench.one("test")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis.startswith("tests::fails: explicit panic")
    done = typed(outcome.command, bench, tmp_path / "clone")
    assert done.returncode == 101
    assert "tests::fails" in done.stdout


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        '[target.\'cfg(unix)\']\nrustflags = ["--cfg", "ours"]\n[build]\nrustflags = ["--cfg", "theirs"]\n',
        '[build]\nrustflags = ["--cfg", "ours", "--cfg", \'a="b c"\']\n',
    ],
    ids=["build", "target", "a flag with a space"],
)
def test_warnings_are_denied_beside_them(bench: Bench, tmp_path: Path, config: str) -> None:
    """A warning fails the gate whatever table the flags come from, and the command that is shown does the same."""
    manifest = (FILES["Cargo.toml"] + LINTS).replace("docs)'", "docs)', 'cfg(a, values(any()))'")
    files = {"Cargo.toml": manifest, ".cargo/config.toml": config}
    bench.repo.commit("warns", {**files, "src/lib.rs": LIB.replace("    a + b", "    let c = 1;\n    a + b") + NEEDS})
    outcome = bench.one("build")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.diagnosis == "unused variable: `c` (src/lib.rs:5:9)"
    done = typed(outcome.command, bench, tmp_path / "clone")
    assert done.returncode == 101
    assert "unused variable: `c`" in done.stderr
    assert "compile_error" not in done.stderr


def test_the_documentation_keeps_its_flags(bench: Bench) -> None:
    """`-A warnings` joins `build.rustdocflags`."""
    bench.commit(src__lib_rs=LIB + '#[cfg(all(doc, not(docs)))]\ncompile_error!("no flags of rustdoc");\n')
    outcome = bench.one("doc")
    assert outcome.verdict is Verdict.PASSED, outcome.diagnosis
    assert outcome.command.startswith("RUSTDOCFLAGS='--cfg docs -A warnings' cargo doc")


def test_flags_above_the_checkout_and_of_gates_env(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """CARGO_HOME's flags count as they do for cargo; `[gates.env] RUSTFLAGS` is in their place, ours beside it."""
    bench.repo.commit("no configuration", {".cargo/config.toml": None})
    assert bench.one("build").verdict is Verdict.FAILED
    home = bench.repo.path.parent / "cargo-home"
    home.mkdir()
    (home / "config.toml").write_text(CONFIG)
    monkeypatch.setenv("CARGO_HOME", str(home))
    assert bench.one("build").verdict is Verdict.PASSED
    bench.settings = type(bench.settings)(env={"RUSTFLAGS": "--cfg theirs"})
    assert _in_place(bench.one("build"))
    bench.settings = type(bench.settings)(env={"CARGO_ENCODED_RUSTFLAGS": "--cfg\x1ftheirs"})
    assert _in_place(bench.one("build"))


def _in_place(outcome: GateOutcome) -> bool:
    """Return whether the flags of `[gates.env]` were given, and not those of a file."""
    shown = "RUSTFLAGS='--cfg theirs -D warnings'", "CARGO_ENCODED_RUSTFLAGS=$'--cfg\\x1ftheirs\\x1f-D\\x1fwarnings'"
    return "not in force" in outcome.diagnosis and outcome.command.startswith(shown)


def test_a_configuration_that_cargo_refuses_fails_the_gate(bench: Bench) -> None:
    """The diagnosis is cargo's message; no flags are assumed."""
    bench.repo.commit("wrong", {".cargo/config.toml": "[build]\nrustflags = 3\n"})
    outcome = bench.one("build")
    assert (outcome.verdict, outcome.cause) == (Verdict.FAILED, CauseId.CONFIG.value)
    assert "expected a string or array of strings, but found a integer for `build.rustflags`" in outcome.diagnosis


@needs.sandbox
def test_inside_the_sandbox(bench: Bench) -> None:
    """Cargo runs inside the sandbox, where its stand-ins record what it prints."""
    bench.settings = replace(bench.settings, sandbox=True)
    outcome = bench.one("build")
    assert outcome.verdict is Verdict.PASSED, outcome.diagnosis
    assert outcome.command.startswith("RUSTFLAGS='--cfg ours -D warnings' cargo build")
    assert outcome.sandbox == bubblewrap.NAME
