"""TOML of a pull request that tomli cannot read: cargo reports it, trunkline goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.rust import build_places, cargo, cargo_settings, rustup, sources, toml_text

HOSTILE = {
    "a number of 5000 digits": f"a = {'9' * 5000}",
    "nested 20000 deep": f"a = {'[' * 20000}{']' * 20000}",
    "no TOML": "a = [",
}


@pytest.fixture(params=list(HOSTILE.values()), ids=list(HOSTILE))
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a tree whose files are all this text."""
    (tmp_path / ".cargo").mkdir()
    for name in ("Cargo.toml", ".cargo/config.toml", "rust-toolchain.toml", "Cargo.lock"):
        (tmp_path / name).write_text(request.param)
    return tmp_path


def test_every_reader_of_a_tree(tree: Path) -> None:
    """A file that cannot be parsed holds no settings."""
    text = (tree / "Cargo.toml").read_text()
    assert toml_text.read(tree / "Cargo.toml") is None
    assert toml_text.read(tree / "missing.toml") is None
    assert list(sources._crate_places(tree, tree)) == []
    assert sources._toolchain_variable(tree, tree) == {}
    assert rustup._parsed(text, tree / "rust-toolchain.toml").channel == ""
    path = tree / ".cargo/config.toml"
    assert list(cargo_settings.with_included(path)) == [(path, text.encode())]
    assert build_places._toml(tree / "Cargo.toml") == {}
    with pytest.raises(ValueError, match=r"no Cargo\.lock"):
        cargo.lock_packages(text)
