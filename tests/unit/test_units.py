"""Files that compilation units read, from cargo's records."""

from __future__ import annotations

from pathlib import Path

from trunkline.rust.units import Artifact, sources_of


def test_a_source_behind_a_symbolic_link(tmp_path: Path) -> None:
    """Both the link and its target were compiled; a file outside the tree is none of its sources."""
    tree = tmp_path / "tree"
    (tree / "src").mkdir(parents=True)
    (tree / "src/real.rs").write_text("// real\n")
    (tree / "src/lib.rs").symlink_to("real.rs")
    (tmp_path / "outside.rs").write_text("// outside\n")
    (tree / "src/other.rs").symlink_to("../../outside.rs")
    artifacts = [Artifact("a", str(tree / "src" / name), (), "") for name in ("lib.rs", "other.rs", "gone.rs")]
    sources = sources_of(artifacts, (), (), tree, tree)
    assert sources.compiled == {"src/lib.rs", "src/real.rs", "src/other.rs"}
