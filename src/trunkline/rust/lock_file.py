"""Resolve conflicts in Cargo.lock by generating it again with cargo, offline.

A person cannot merge a lockfile well, because cargo defines its entries and their order. The base's
file is taken, and cargo changes only what the merged manifests require (The Cargo Book, `cargo
update --workspace`). If that fails (a new dependency that is not downloaded), the conflict stays
for a person. The `--locked` gates verify the result.
"""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from trunkline.domain.names import Oid, oid
from trunkline.git.git import Git
from trunkline.git.state_directory import work_dir
from trunkline.rust import sources
from trunkline.system.files import LONGEST, private_directory, read_inside

NAME = "Cargo.lock"


_FILES = frozenset({"100644", "100755"})


def regenerate(git: Git, onto: Oid, merged: Oid, conflicts: tuple[str, ...], *, sandbox: bool = False) -> Oid | None:
    """Return the merged tree with every lockfile generated again; None: that is not possible.

    It is not possible if another file conflicts, or if cargo fails.

    Args:
        git: the repository.
        onto: the tree that is replayed onto.
        merged: the merged tree, with conflict markers.
        conflicts: the paths in conflict.
        sandbox: run cargo in the sandbox, with only the merged tree writable and no network.
    """
    if not conflicts or any(PurePosixPath(path).name != NAME for path in conflicts):
        return None
    base = private_directory(work_dir(git.common_dir()) / "lockfile")
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        tree, index = Path(scratch) / "tree", {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        tree.mkdir()
        git.scratch("read-tree", merged, env=index)
        for path in conflicts:
            entry = git.query("ls-tree", "-z", "--full-tree", onto, "--", path).text
            mode, _, blob = (*entry.partition("\t")[0].split(" "), "", "", "")[:3]
            if mode not in _FILES:  # cargo would follow a link and write to its target
                return None
            git.scratch("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", env=index)
        git.scratch("checkout-index", "--all", f"--prefix={tree}/", env=index)
        for path in conflicts:
            if not sources.update_lock(tree, (tree / path).parent, sandbox=sandbox):
                return None
            try:
                # Code of the tree could have replaced it by a link, in the sandbox too.
                content = read_inside(tree, PurePosixPath(path), LONGEST)
            except OSError:
                return None
            blob = git.scratch("hash-object", "-w", "--stdin", stdin=content).text
            git.scratch("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=index)
        return oid(git.scratch("write-tree", env=index).text)
