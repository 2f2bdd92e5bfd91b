"""Cargo.lock in conflict: made again from the base's and the merged manifests, by cargo itself, without network.

Nobody resolves a lockfile well by hand: its entries are cargo's, in cargo's order. The base's file is taken, and
cargo changes in it what the manifests demand and nothing else (The Cargo Book, `cargo update --workspace`). Where
that does not suffice (a new dependency that is not here), it stays a person's. The `--locked` gates judge it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from trunkline.domain.names import Oid, oid
from trunkline.git.git import Git
from trunkline.git.state_directory import work_dir
from trunkline.rust import sources
from trunkline.system.files import private_directory

NAME = "Cargo.lock"


_FILES = frozenset({"100644", "100755"})


def regenerated(git: Git, onto: Oid, merged: Oid, conflicts: tuple[str, ...], *, sandbox: bool = False) -> Oid | None:
    """Return the merged tree with every lockfile made again; None: something else conflicts, or cargo cannot.

    Args:
        git: the repository.
        onto: the tree that is replayed onto.
        merged: the merged tree, conflict markers in it.
        conflicts: the paths in conflict.
        sandbox: run cargo where only the merged tree can be written, without network.
    """
    if not conflicts or any(PurePosixPath(path).name != NAME for path in conflicts):
        return None
    base = private_directory(work_dir(git.common_dir()) / "lockfile")
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        tree, index = Path(scratch) / "tree", {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        tree.mkdir()
        git.query("read-tree", merged, env=index)
        for path in conflicts:
            held = git.query("ls-tree", "-z", "--full-tree", onto, "--", path).text
            mode, _, blob = (*held.partition("\t")[0].split(" "), "", "", "")[:3]
            if mode not in _FILES:  # a link would be read, and written, wherever it leads
                return None
            git.query("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", env=index)
        git.query("checkout-index", "--all", f"--prefix={tree}/", env=index)
        for path in conflicts:
            lock = tree / path
            if not sources.update_lock(tree, lock.parent, sandbox=sandbox):
                return None
            blob = git.query("hash-object", "-w", "--stdin", stdin=lock.read_bytes()).text
            git.query("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=index)
        return oid(git.query("write-tree", env=index).text)
