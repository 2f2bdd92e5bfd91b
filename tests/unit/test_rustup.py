"""Rustup's messages about missing parts, and the commands that install them, run against a real rustup."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support import distribution, needs
from support.gating import stand_in_rustup
from trunkline.domain.cause import Cause, CauseId
from trunkline.rust.cargo import Tools

pytestmark = [pytest.mark.cargo, needs.rustup]
ABSENT = "1.70.0"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a crate's directory; rustup has the installed toolchain alone, its server is a directory beside."""
    stand_in_rustup(tmp_path / "rustup")
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "rustup"))
    cwd = tmp_path / "crate"
    (cwd / ".cargo").mkdir(parents=True)
    (cwd / "src").mkdir()
    (cwd / "src/lib.rs").touch()
    server = distribution.make(tmp_path / "server", ABSENT)
    monkeypatch.setenv("RUSTUP_DIST_SERVER", server)
    monkeypatch.setenv("RUSTUP_UPDATE_ROOT", server)
    (cwd / "Cargo.toml").write_text('[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n')
    return cwd


def missing(cwd: Path, command: str) -> Cause | None:
    """Return what a command lacks in a directory."""
    return Tools(cwd).missing(command.split(), ())


def typed(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Type a command."""
    env = {**os.environ, "RUST_BACKTRACE": "0"}
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_toolchain_that_rust_toolchain_toml_names(place: Path) -> None:
    """A missing toolchain is named as the file names it, with the command that installs all that gates need of it."""
    (place / "rust-toolchain.toml").write_text(f'[toolchain]\nchannel = "{ABSENT}"\ncomponents = ["clippy"]\n')
    cause = missing(place, "cargo build --locked")
    assert cause is not None
    assert (cause.id, cause.subject) == (CauseId.TOOLCHAIN, ABSENT)
    assert cause.text == f"the toolchain {ABSENT} is not installed; rust-toolchain.toml names it"
    assert cause.fix == f"rustup toolchain install {ABSENT} --profile minimal --component clippy --component rustfmt"
    assert cause.quoted.startswith(f"error: toolchain '{ABSENT}-")
    assert missing(place, "cargo fmt --all") == cause, "one cause for every gate that needs it"
    done = typed(cause.fix, place)
    assert done.returncode == 0, done.stderr
    assert [missing(place, f"cargo {each}") for each in ("build", "clippy", "fmt")] == [None] * 3


def test_the_toolchain_that_a_gate_names(place: Path) -> None:
    """`cargo +1.70.0` without that toolchain is unavailable; the printed command installs it."""
    cause = missing(place, f"cargo +{ABSENT} check")
    assert cause is not None
    assert cause.fix == f"rustup toolchain install {ABSENT} --profile minimal"
    assert typed(cause.fix, place).returncode == 0
    assert missing(place, f"cargo +{ABSENT} check") is None
    component = missing(place, f"cargo +{ABSENT} clippy")
    assert component is not None
    assert component.id is CauseId.COMPONENT
    assert component.fix == f"rustup component add clippy --toolchain {ABSENT}"
    assert typed(component.fix, place).returncode == 0
    assert missing(place, f"cargo +{ABSENT} clippy") is None


def test_a_toolchain_of_your_own_that_is_missing(place: Path) -> None:
    """No server has it: what is printed is still a command that works."""
    (place / "rust-toolchain.toml").write_text('[toolchain]\nchannel = "forked"\n')
    cause = missing(place, "cargo build")
    assert cause is not None
    assert cause.subject == "forked"
    assert cause.fix.startswith("rustup toolchain list   # forked is a toolchain of your own")
    assert typed(cause.fix, place).returncode == 0


@pytest.mark.parametrize(
    "files",
    [
        {".cargo/config.toml": '[alias]\nclippy = "check"\n'},
        {".cargo/config.toml": "[alias\n"},
        {".cargo/config.toml": "[build]\nrustflags = 3\n"},
        {"rust-toolchain.toml": "[toolchain\n"},
        {"rust-toolchain.toml": '[toolchain]\npath = "/nowhere"\n'},
        {"Cargo.toml": "[package\n"},
    ],
    ids=["alias", "broken configuration", "wrong configuration", "broken toolchain file", "wrong path", "manifest"],
)
def test_what_the_repository_breaks_is_not_missing(place: Path, files: dict[str, str]) -> None:
    """Only rustup's word that something is not installed makes a gate unavailable; else it runs, and fails."""
    for name, content in files.items():
        (place / name).write_text(content)
    for command in ("cargo build", "cargo clippy", "cargo fmt"):
        assert missing(place, command) is None


def test_names_in_a_toolchain_file_are_names(place: Path) -> None:
    """A name in the file becomes part of a command that a person types."""
    wishes = f'channel = "{ABSENT}"\ncomponents = ["clippy", "$(touch x)"]\ntargets = ["; rm -r x", "wasm32-wasip1"]'
    (place / "rust-toolchain.toml").write_text(f"[toolchain]\n{wishes}\n")
    cause = missing(place, "cargo build")
    assert cause is not None
    assert cause.fix.endswith("--component clippy --component rustfmt --target wasm32-wasip1")
