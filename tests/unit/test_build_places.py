"""The directories in which cargo builds: inside the work tree, wherever a configuration leads."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.rust import build_places

HOME = "{cargo-cache-home}/build/{workspace-path-hash}"


def configured(top: Path, text: str, folder: str = ".") -> None:
    """Write a configuration of cargo below a directory."""
    place = top / folder / ".cargo"
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.toml").write_text(text)


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a work tree with a workspace in rust/."""
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    made = tmp_path / "outer/top"
    (made / "rust").mkdir(parents=True)
    (made / "rust/Cargo.toml").write_text("[workspace]\n")
    return made


@pytest.mark.parametrize("value", ["../..", "/elsewhere", HOME, "{workspace-root}/../../x"])
@pytest.mark.parametrize("place", ["top", "rust", "include", "outer"])
def test_a_build_outside_the_tree_is_brought_back(top: Path, value: str, place: str) -> None:
    """Output there would be that of other commits; so it is in `target`, whichever file moves it."""
    text = f'[build]\ntarget-dir = "{value}"\nbuild-dir = "{value}"\n'
    if place == "include":
        configured(top, 'include = ["more.toml"]\n')
        (top / ".cargo/more.toml").write_text(text)
    else:
        configured(top, text, {"top": ".", "rust": "rust", "outer": ".."}[place])
    target = str(top / "rust/target")
    assert build_places.overrides(top, "rust") == {"CARGO_TARGET_DIR": target, "CARGO_BUILD_BUILD_DIR": target}
    assert build_places.locations(top, "rust") == ("rust/target",)


def test_a_build_inside_the_tree_stays(top: Path) -> None:
    """Then code under test sees no variable; a setting further out does not count."""
    configured(top, '[build]\ntarget-dir = "out"\nbuild-dir = "{workspace-root}/inner"\n')
    configured(top, '[build]\ntarget-dir = "/elsewhere"\n', "..")
    assert build_places.overrides(top, "rust") == {}
    assert build_places.locations(top, "rust") == ("rust/target", "out", "rust/inner")


@pytest.mark.parametrize(
    ("argv", "env", "shown"),
    [
        ("cargo build --target-dir /x", {}, "--target-dir /x"),
        ("cargo build --target-dir=../..", {}, "--target-dir=../.."),
        ("cargo build --config build.build-dir='/x'", {}, "build.build-dir='/x'"),
        ("cargo build", {"CARGO_BUILD_TARGET_DIR": "/x"}, "CARGO_BUILD_TARGET_DIR=/x"),
        ("cargo build", {"CARGO_TARGET_DIR": "../../x"}, "CARGO_TARGET_DIR=../../x"),
        ("cargo build --target-dir ../out", {"CARGO_BUILD_BUILD_DIR": "target/two"}, ""),
        ("cargo run -- --target-dir /x", {}, ""),
    ],
)
def test_a_gate_that_builds_elsewhere(top: Path, argv: str, env: dict[str, str], shown: str) -> None:
    """Its own arguments and variables are named; a place inside the tree is cleaned with it."""
    assert build_places.outside(top, "rust", argv.split(), env) == shown


def test_a_name_that_no_file_system_has(top: Path) -> None:
    """The name stops neither this commit nor the next one in the same work tree."""
    configured(top, f'[build]\ntarget-dir = "{"x" * 300}"\n')
    assert build_places.locations(top, "rust") == ("rust/target", "x" * 300)
    assert build_places.linked(top, "rust") == ""
