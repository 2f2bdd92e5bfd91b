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
    states = outside_packages.states(top, ".", ["Cargo.toml"], links) | outside_packages.vendored(top, ".")
    return sorted(Path(each).name for each in states)


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


def test_links_lead_to_files(top: Path) -> None:
    """Code may read these; directories, files in the tree and of the kernel, and dead links are left out."""
    (top.parents[1] / "data").mkdir()
    (top.parents[1] / "data/x.txt").write_text("one")
    (top / "inside.txt").write_text("x")
    for number, target in enumerate(("../../data/x.txt", "../../data", "inside.txt", "/proc/version", "x" * 999)):
        (top / str(number)).symlink_to(target)
    assert [Path(each).name for each in outside_packages.linked(top, map(str, range(5)))] == ["x.txt"]


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


LOCK = """[[package]]
name = "{name}"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
"""


@pytest.mark.parametrize("file", [".cargo/config.toml", "../.cargo/config.toml", "../../home/config.toml"])
def test_locked_packages_of_a_directory_source(top: Path, file: str) -> None:
    """Named as by `cargo vendor`, with and without the version; others there are left out."""
    for name in ("other-more-1.0.0", "unused-1.0.0"):
        packed(top.parents[1] / "vendor" / name)
    packed(top.parents[1] / "vendor/third")
    (top / "Cargo.lock").write_text("version = 4\n" + LOCK.format(name="other-more") + LOCK.format(name="third"))
    (top / file).parent.mkdir(exist_ok=True)
    (top / file).write_text(f'[source.mine]\ndirectory = "{top.parents[1]}/vendor"\n')
    assert found(top) == ["other-more-1.0.0", "third"]
    before = outside_packages.vendored(top, ".")
    (top.parents[1] / "vendor/third/src/lib.rs").write_text("// edited\n")
    assert outside_packages.vendored(top, ".") != before
    (top / "Cargo.lock").unlink()
    assert found(top) == ["other-more-1.0.0", "third", "unused-1.0.0"]


def test_a_directory_source_of_the_tree(top: Path) -> None:
    """Its files are part of the commit."""
    packed(top / "vendor/third")
    (top / ".cargo").mkdir()
    (top / ".cargo/config.toml").write_text('[source.mine]\ndirectory = "vendor"\n')
    assert found(top) == []


def test_a_single_file_that_changed(tmp_path: Path) -> None:
    """A source that `include!` names by an absolute path."""
    file = tmp_path / "shared.rs"
    file.write_text("// one\n")
    recorded = {str(file): outside_packages.state_of(str(file))}
    assert outside_packages.changed(recorded) == ""
    file.write_text("// two!\n")
    assert outside_packages.changed(recorded) == str(file)
    file.unlink()
    assert outside_packages.changed(recorded) == str(file)
