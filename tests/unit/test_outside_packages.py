"""Packages outside a work tree that cargo compiles for it: which they are, and whether they changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.rust import outside_packages

PACKAGE = '[package]\nname = "{name}"\n'


def packed(folder: Path, more: str = "") -> Path:
    """Make a package in a directory."""
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(PACKAGE.format(name=folder.name) + more)
    (folder / "src/lib.rs").write_text("// one\n")
    return folder


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a work tree, beside which is a package `other` that needs a package `third`."""
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    packed(tmp_path / "other", '[target."cfg(unix)".dependencies]\nthird = { path = "../third" }\n')
    packed(tmp_path / "third", '[dependencies]\nother = { path = "../other" }\n')
    return packed(tmp_path / "outer/top")


def found(top: Path, *links: str) -> list[str]:
    """Return the names of the packages outside a work tree."""
    return sorted(Path(each).name for each in outside_packages.states(top, ".", ["Cargo.toml"], links))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("Cargo.toml", '[dependencies]\nx = { path = "OTHER" }\n'),
        ("Cargo.toml", '[dependencies.x]\npath = "../../other"\n'),
        ("Cargo.toml", '[target."cfg(unix)".build-dependencies]\nx = { path = "OTHER" }\n'),
        ("Cargo.toml", '[workspace.dependencies]\nx = { path = "OTHER" }\n'),
        ("Cargo.toml", '[patch.crates-io]\nx = { path = "OTHER" }\n'),
        (".cargo/config.toml", 'paths = ["OTHER"]\n'),
        ("../.cargo/config.toml", 'paths = ["../other"]\n'),
        ("../../home/config.toml", '[patch.crates-io]\nx = { path = "other" }\n'),
        ("../../home/config.toml", 'include = ["more/more.toml"]\n'),
    ],
)
def test_every_way_out_of_the_tree_is_found(top: Path, file: str, text: str) -> None:
    """Manifests and configurations name packages elsewhere, and these name further ones."""
    more = top / "../../home/more/more.toml"
    more.parent.mkdir(parents=True)
    more.write_text('paths = ["../other"]\n')
    path = top / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as stream:
        stream.write(text.replace("OTHER", str(top.parents[1] / "other")))
    assert found(top) == ["other", "third"]


def test_links_lead_out_of_the_tree_too(top: Path) -> None:
    """A member of the workspace may be a link."""
    (top / "member").symlink_to("../../other")
    assert found(top) == []
    assert found(top, "member") == ["other", "third"]


def test_what_is_in_the_tree_or_is_no_package_is_left_out(top: Path) -> None:
    """A path dependency inside, one that is missing, and one on the whole machine."""
    packed(top / "inside")
    with (top / "Cargo.toml").open("a") as stream:
        stream.write('[dependencies]\na = { path = "inside" }\nb = { path = "../missing" }\nc = { path = "/" }\n')
    assert found(top) == []


def test_a_change_is_noticed(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a source, not of what cargo built; a directory too large to compare always counts as changed."""
    other = top.parents[1] / "other"
    recorded = {str(other): outside_packages.state_of(str(other))}
    (other / "target").mkdir()
    (other / "target/built").write_text("built\n")
    assert outside_packages.changed(recorded) == ""
    (other / "src/lib.rs").write_text("// two\n")
    assert outside_packages.changed(recorded) == str(other)
    monkeypatch.setattr(outside_packages, "_MOST", 1)
    assert outside_packages.changed({str(other): outside_packages.state_of(str(other))}) == str(other)
    assert outside_packages.changed({str(other / "missing"): "0"})
