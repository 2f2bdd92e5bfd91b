"""A tree that leads `cargo fmt` out of itself: nothing outside is rewritten, with the sandbox and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import needs
from support.gating import FILES
from trunkline.domain.errors import CheckFailed
from trunkline.rust import sources

pytestmark = pytest.mark.cargo
UGLY = "//! Ugly.\npub fn  ugly( ) { }\n"
MODES = [
    pytest.param(True, marks=needs.sandbox),
    False,
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a crate to be formatted, and beside it a file of the user's."""
    made = tmp_path / "tree"
    for name, content in FILES.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/mine.rs").write_text(UGLY)
    return made


@pytest.mark.parametrize("sandbox", MODES)
@pytest.mark.parametrize("attack", ["an absolute path", "a path upwards", "a linked file", "a linked directory"])
def test_a_tree_that_leads_out_of_itself(tree: Path, attack: str, *, sandbox: bool) -> None:
    """The file outside keeps its bytes, and the step fails."""
    mine = tree.parent / "mine/mine.rs"
    lines = {
        "an absolute path": f'#[path = "{mine}"]\npub mod mine;\n',
        "a path upwards": '#[path = "../../mine/mine.rs"]\npub mod mine;\n',
        "a linked file": "pub mod mine;\n",
        "a linked directory": '#[path = "linked/mine.rs"]\npub mod mine;\n',
    }
    (tree / "src/lib.rs").write_text(f"//! Tiny.\n{lines[attack]}")
    if attack == "a linked file":
        (tree / "src/mine.rs").symlink_to(mine)
    if attack == "a linked directory":
        (tree / "src/linked").symlink_to(mine.parent)
    try:
        failed = sources.format_workspace(tree, ".", sandbox=sandbox).returncode != 0
    except CheckFailed as error:
        failed = "outside the tree" in error.what
    assert failed
    assert mine.read_text() == UGLY


@pytest.mark.parametrize("sandbox", MODES)
def test_an_honest_tree_is_formatted(tree: Path, *, sandbox: bool) -> None:
    """Unformatted files are formatted; a second run changes nothing."""
    (tree / "src/lib.rs").write_text(UGLY)
    for _ in range(2):
        assert sources.format_workspace(tree, ".", sandbox=sandbox).returncode == 0
        assert (tree / "src/lib.rs").read_text() == "//! Ugly.\npub fn ugly() {}\n"


@pytest.mark.parametrize("sandbox", MODES)
def test_a_tree_that_does_not_parse_fails(tree: Path, *, sandbox: bool) -> None:
    """The step fails."""
    (tree / "src/lib.rs").write_text("fn broken( {\n")
    done = sources.format_workspace(tree, ".", sandbox=sandbox)
    assert done.returncode != 0
    assert "error" in done.error_text


@needs.sandbox
def test_a_formatter_that_turns_the_tree_into_another_repository(tree: Path) -> None:
    """The link to the repository stays: git would follow it, and run what another one's settings name."""
    (tree / ".git").write_text("gitdir: /somewhere\n")
    (tree / ".cargo").mkdir()
    (tree / ".cargo/config.toml").write_text(
        '[alias]\nfmt = ["run", "--quiet", "--target-dir", "/tmp/target", "--"]\n'
    )
    (tree / "src/main.rs").write_text(
        'fn main() { let _ = std::fs::write(".git", "x"); std::fs::write("ran", "").unwrap(); }\n'
    )
    sources.format_workspace(tree, ".", sandbox=True)
    assert (tree / "ran").exists()
    assert (tree / ".git").read_text() == "gitdir: /somewhere\n"
