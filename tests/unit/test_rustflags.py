"""Flags in force: read from cargo's own calls, and passed on unchanged together with the added ones."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from trunkline.domain import flags as domain
from trunkline.domain.flags import Flags
from trunkline.rust import cargo, rustflags
from trunkline.rust.rustflags import FlagsUnknown, Probe

pytestmark = [pytest.mark.cargo, pytest.mark.skipif(shutil.which("cargo") is None, reason="Rust is not installed")]
TRIPLE = "x86_64-unknown-linux-gnu"
BUILD = ("cargo", "build")
CONFIG = {
    "nothing": "",
    "build": '[build]\nrustflags = ["--cfg", "b"]\nrustdocflags = ["--cfg", "d"]\n',
    "a string": '[build]\nrustflags = "--cfg b   --cfg c"\n',
    "a space in a flag": "[build]\nrustflags = ['--cfg', 'b=\"x y\"']\n",
    "target over build": f'[build]\nrustflags = ["--cfg", "b"]\n[target.{TRIPLE}]\nrustflags = ["--cfg", "t"]\n',
    "cfg and triple": (
        f'[target.{TRIPLE}]\nrustflags = ["--cfg", "t"]\nrustdocflags = ["--cfg", "td"]\n'
        '[target.\'cfg(unix)\']\nrustflags = ["--cfg", "u"]\n[target.\'cfg(windows)\']\nrustflags = ["--cfg", "w"]\n'
        '[build]\nrustflags = ["--cfg", "b"]\n'
    ),
    "cfg of a flag": (
        '[target.\'cfg(unix)\']\nrustflags = ["--cfg", "made"]\n[target.\'cfg(made)\']\nrustflags = ["--cfg", "m"]\n'
    ),
    "another target": (
        '[build]\ntarget = "wasm32-unknown-unknown"\nrustflags = ["--cfg", "b"]\n'
        f'[target.{TRIPLE}]\nrustflags = ["--cfg", "t"]\n'
    ),
    "warnings already": '[build]\nrustflags = ["--cfg", "b", "-D", "warnings"]\n',
    "a build directory": '[build]\nbuild-dir = "build"\ntarget-dir = "out"\nrustflags = ["--cfg", "b"]\n',
    "a wrapper": '[build]\nrustc-wrapper = "/nowhere"\nrustc-workspace-wrapper = "/no"\nrustflags = ["--cfg", "b"]\n',
}
SHOW = """\
fn main() {
    // cargo leaves control characters out of what it shows
    println!("cargo::error=<{}>", std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap().replace('\\u{1f}', "|"));
}
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of a crate whose build script prints the flags that cargo passes; CARGO_HOME is empty."""
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo-home"))
    crate = tmp_path / "outer/tree"
    (crate / ".cargo").mkdir(parents=True)
    (crate / "src").mkdir()
    (crate / "src/lib.rs").touch()
    (crate / "build.rs").write_text(SHOW)
    (crate / "Cargo.toml").write_text('[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n')
    return crate


def found(tree: Path, argv: tuple[str, ...] = BUILD, env: Mapping[str, str] | None = None) -> Flags:
    """Return the flags in force in a tree."""
    scratch = tree.parent.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return Probe(tree, scratch, cargo.unwrapped).flags(argv, cargo.environment(env or {}))


def given(tree: Path, env: Mapping[str, str] | None = None, *argv: str) -> tuple[str, ...]:
    """Return the flags that cargo gives the crate, in cargo's own documented words: those of its build script."""
    whole = {**cargo.environment({}), "RUSTC_WRAPPER": "", "RUSTC_WORKSPACE_WRAPPER": "", **(env or {})}
    whole["CARGO_TARGET_DIR"] = str(tree.parent.parent / "target")
    done = subprocess.run(
        ["cargo", "check", "--offline", *argv], cwd=tree, env=whole, capture_output=True, text=True, check=False
    )
    line = next((line for line in done.stderr.splitlines() if line.startswith("error: tiny@0.1.0: <")), None)
    assert line is not None, done.stderr
    text = line.removeprefix("error: tiny@0.1.0: <").removesuffix(">")
    return tuple(text.split("|")) if text else ()


@pytest.mark.parametrize("name", CONFIG)
def test_the_flags_are_those_that_cargo_gives(tree: Path, name: str) -> None:
    """For all tables: exactly the flags that cargo passes on are found; joined, trunkline's come last."""
    (tree / ".cargo/config.toml").write_text(CONFIG[name])
    flags = found(tree)
    assert flags.rustc == given(tree)
    assert rustflags.may_be_set(BUILD, {}, tree) or flags == Flags()
    joined = domain.added(flags.rustc, ("-D", "warnings"))
    assert given(tree, dict([domain.as_variable("RUSTFLAGS", joined)])) == joined
    assert joined[-2:] == ("-D", "warnings")
    assert joined.count("warnings") == 1


def test_flags_of_rustdoc_are_apart(tree: Path) -> None:
    """`rustdocflags` has the same four places, but for `cfg(...)` tables, which cargo ignores there."""
    (tree / ".cargo/config.toml").write_text(CONFIG["build"])
    assert found(tree) == Flags(("--cfg", "b"), ("--cfg", "d"))
    (tree / ".cargo/config.toml").write_text(CONFIG["cfg and triple"])
    assert found(tree) == Flags(("--cfg", "t", "--cfg", "u"), ("--cfg", "td"))


def test_files_of_every_place_are_read(tree: Path, tmp_path: Path) -> None:
    """Files above the tree, in CARGO_HOME and included ones give the flags that cargo itself reports."""
    for folder, flag in ((tree.parent, "above"), (tmp_path / "cargo-home", "home")):
        config = folder / ("config.toml" if folder.name == "cargo-home" else ".cargo/config.toml")
        config.parent.mkdir(exist_ok=True)
        config.write_text(f'[build]\nrustflags = ["--cfg", "{flag}"]\n')
        assert rustflags.may_be_set(BUILD, {}, tree)
        assert found(tree).rustc == given(tree)
    assert found(tree).rustc == ("--cfg", "home", "--cfg", "above")
    (tree / ".cargo/config.toml").write_text('include = ["more.toml"]\n')
    (tree / ".cargo/more.toml").write_text('[build]\nrustflags = ["--cfg", "included"]\n')
    assert found(tree).rustc == given(tree) == ("--cfg", "home", "--cfg", "above", "--cfg", "included")


def test_without_a_file_that_names_flags_cargo_is_not_run(tree: Path) -> None:
    """A mirror or an alias is no flag; an escaped key may be one."""
    config = tree / ".cargo/config.toml"
    config.write_text('[alias]\nx = "check"\n[net]\noffline = true\n')
    assert not rustflags.may_be_set(BUILD, {}, tree)
    assert not rustflags.may_be_set(("./check.sh",), {"RUSTFLAGS": "x"}, tree)
    assert rustflags.may_be_set(BUILD, {"CARGO_BUILD_RUSTFLAGS": "--cfg x"}, tree)
    config.write_text('[build]\n"rust\\u0066lags" = ["--cfg", "b"]\n')
    assert rustflags.may_be_set(BUILD, {}, tree)
    assert not rustflags.may_be_set(("cargo", "fmt", "--all"), {}, tree)
    assert found(tree).rustc == given(tree) == ("--cfg", "b")


def test_variables_of_a_gate_count_as_they_do_for_cargo(tree: Path) -> None:
    """RUSTFLAGS puts all tables out of force; a table's own variable joins the table."""
    (tree / ".cargo/config.toml").write_text(CONFIG["cfg and triple"])
    for env in (
        {"RUSTFLAGS": "--cfg r"}, {"CARGO_ENCODED_RUSTFLAGS": "--cfg\x1fe"}, {"RUSTFLAGS": ""},
        {"CARGO_BUILD_RUSTFLAGS": "--cfg cb"}, {"CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS": "--cfg ct"},
        {"RUSTFLAGS": "--cfg r", "CARGO_ENCODED_RUSTFLAGS": "--cfg\x1fe"},
    ):  # fmt: skip
        assert found(tree, env=env).rustc == given(tree, env), env


def test_options_of_a_command_count(tree: Path) -> None:
    """`--config` and `--target`, before and after the subcommand; not what stands after `--`."""
    (tree / ".cargo/config.toml").write_text(CONFIG["build"])
    setting = 'build.rustflags=["--cfg", "option"]'
    for argv in (("cargo", "--config", setting, "build"), ("cargo", "build", f"--config={setting}")):
        assert found(tree, argv).rustc == ("--cfg", "b", "--cfg", "option")
    assert found(tree, ("cargo", "test", "--", "--config", setting)).rustc == ("--cfg", "b")
    assert found(tree, ("cargo", "build", "--target", TRIPLE)).rustc == ("--cfg", "b")


def test_targets_with_flags_of_their_own_are_refused(tree: Path) -> None:
    """One variable cannot give two targets different flags."""
    text = (
        f'[build]\ntarget = ["wasm32-unknown-unknown", "{TRIPLE}"]\n[target.{TRIPLE}]\nrustflags = ["--cfg", "t"]\n'
    )
    (tree / ".cargo/config.toml").write_text(text)
    with pytest.raises(FlagsUnknown, match="other flags for each target"):
        found(tree)


def test_cargo_that_refuses_is_quoted(tree: Path) -> None:
    """A broken configuration: no flags are invented."""
    (tree / ".cargo/config.toml").write_text("[build]\nrustflags = 3\n")
    with pytest.raises(FlagsUnknown) as refused:
        found(tree)
    assert "invalid configuration for key `build.rustflags`" in refused.value.stderr
