"""Merge trees in memory in the cases where no file content has to be merged.

`git merge-tree` takes 4 ms and two temporary commits; a restack of 20 entries of two commits spent
a third of its time on 40 of them (measured, tests/bench/restack.py). Git's merge (merge-ort)
decides path by path, and takes a change that only one side made. Only its rename detection looks
beyond a path, and a rename needs a deleted path (gitdiffcore(7), "diffcore-rename": pairs of a
deleted and an added file). So there are two cases:

- Neither side lacks a path of the base. An entry that one side did not change, or that both changed
  alike, is taken from the other.
- A side lacks one. No path may then be changed on both sides, not even alike. A file that was moved
  is unchanged on the other side, so nothing has to follow it; a directory that was moved is too, so
  no file has to follow that (git-config(1), merge.directoryRenames).

In every other case `merged` returns None and git merges.

tests/git/test_trees.py tests as a property that both give equal trees. The tip of every replay is
also compared with git's own three-way merge before a ref moves (`replay.three_way`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trunkline.domain.names import Oid, oid
from trunkline.git import objects
from trunkline.git.git import Git

_DIRECTORY, _SUBMODULE = b"40000", b"160000"
_NONE: tuple[bytes, Oid] = (b"", Oid(""))
_EMPTY: Mapping[bytes, tuple[bytes, Oid]] = {}


def load(git: Git, pairs: Iterable[tuple[Oid, Oid]]) -> None:
    """Load the trees in which pairs of trees differ, one level of directories after the other."""
    level = {pair for pair in pairs if pair[0] != pair[1]}
    while level:
        _read(git, {tree for pair in level for tree in pair})
        level = {below for one, other in level for below in _differing(git.tree_cache[one], git.tree_cache[other])}


def _differing(
    one: Mapping[bytes, tuple[bytes, Oid]], other: Mapping[bytes, tuple[bytes, Oid]]
) -> list[tuple[Oid, Oid]]:
    """Return the pairs of directories with the same name that differ."""
    found = []
    for name, (mode, tree) in one.items() - other.items():
        its_mode, its_tree = other.get(name, _NONE)
        if mode == its_mode == _DIRECTORY:
            found.append((tree, its_tree))
    return found


def _read(git: Git, trees: Iterable[Oid]) -> None:
    unread = [tree for tree in dict.fromkeys(trees) if tree not in git.tree_cache]
    git.tree_cache.update(objects.read(git, unread, b"tree", _parsed))


Entry = tuple[bytes, Oid]
"""Mode and object id of a file, a link or a submodule."""


def changed(git: Git, old: Oid, new: Oid) -> dict[bytes, tuple[Entry | None, Entry | None]]:
    """Return the paths of files, links and submodules that differ, with both entries.

    If a directory becomes a file or the reverse, the result has each path of the directory as
    removed, and the file as added.
    """
    found: dict[bytes, tuple[Entry | None, Entry | None]] = {}
    level: list[tuple[bytes, Oid | None, Oid | None]] = [(b"", old, new)] if old != new else []
    while level:
        _read(git, {tree for _, *sides in level for tree in sides if tree is not None})
        deeper = []
        for above, *sides in level:
            one, other = (git.tree_cache[tree] if tree is not None else _EMPTY for tree in sides)
            for name in {name for name, _ in one.items() ^ other.items()}:
                pair = one.get(name), other.get(name)
                files = tuple(None if each is None or each[0] == _DIRECTORY else each for each in pair)
                below = tuple(each[1] if each is not None and each[0] == _DIRECTORY else None for each in pair)
                if files[0] != files[1]:
                    found[above + name] = files[0], files[1]
                if below[0] != below[1]:
                    deeper.append((above + name + b"/", below[0], below[1]))
        level = deeper
    return found


def _parsed(tree: Oid, raw: bytes) -> dict[bytes, tuple[bytes, Oid]]:
    """Parse a tree into name -> (mode, object id): repeated "mode name NUL id" (gitformat docs)."""
    entries, start, width = {}, 0, len(tree) // 2
    while start < len(raw):
        end = raw.index(b"\0", start)
        mode, _, name = raw[start:end].partition(b" ")
        start = end + 1 + width
        entries[name] = mode, oid(raw[end + 1 : start].hex())
    return entries


def merged(git: Git, base: Oid, ours: Oid, theirs: Oid) -> Oid | None:
    """Return the written tree of a merge; None: git has to merge, or a tree is not loaded."""
    try:
        renames = not (_keeps(git, base, ours) and _keeps(git, base, theirs))
        return _merged(git, base, ours, theirs, renames=renames)
    except _Undecided:
        return None


class _Undecided(Exception):
    """Both sides changed an entry, a directory would be empty, or a tree is not loaded."""


def _tree(git: Git, name: Oid) -> Mapping[bytes, tuple[bytes, Oid]]:
    if not name:
        return _EMPTY
    if name not in git.tree_cache:
        raise _Undecided
    return git.tree_cache[name]


def _keeps(git: Git, base: Oid, side: Oid) -> bool:
    """Return whether a side has every path of the base, each of the same kind."""
    if base == side:
        return True
    if (base, side) not in git.superset_cache:
        now = _tree(git, side)
        git.superset_cache[base, side] = all(
            _alike(mode, now.get(name, _NONE)[0]) and (mode != _DIRECTORY or _keeps(git, tree, now[name][1]))
            for name, (mode, tree) in _tree(git, base).items() - now.items()
        )
    return git.superset_cache[base, side]


def _alike(mode: bytes, other: bytes) -> bool:
    return bool(other) and all((mode == kind) == (other == kind) for kind in (_DIRECTORY, _SUBMODULE))


def _merged(git: Git, base: Oid, ours: Oid, theirs: Oid, *, renames: bool) -> Oid:
    if theirs == base or (theirs == ours and not renames):
        return ours
    if ours == base:
        return theirs
    before, mine, other = _tree(git, base), _tree(git, ours), _tree(git, theirs)
    entries = dict(mine)
    for name in {name for name, _ in before.items() ^ other.items()}:
        was, my, its = before.get(name, _NONE), mine.get(name, _NONE), other.get(name, _NONE)
        if my == its and not renames:
            continue
        if my == was:
            entries[name] = its
        elif my[0] == its[0] == _DIRECTORY:
            entries[name] = _DIRECTORY, _merged(git, was[1], my[1], its[1], renames=renames)
        else:
            raise _Undecided
    entries = {name: entry for name, entry in entries.items() if entry != _NONE}
    if not entries:
        raise _Undecided  # git writes no empty directory
    return _written(git, entries)


def _written(git: Git, entries: dict[bytes, tuple[bytes, Oid]]) -> Oid:
    # Git sorts a directory as if its name ended with a slash.
    ordered = sorted(entries.items(), key=lambda item: item[0] + b"/" * (item[1][0] == _DIRECTORY))
    raw = b"".join(b"%s %s\0" % (mode, name) + bytes.fromhex(tree) for name, (mode, tree) in ordered)
    tree = objects.make(git, b"tree", raw)
    git.tree_cache[tree] = entries
    return tree


def regular_file(git: Git, commit: Oid, path: str, *, limit: int) -> bytes | None:
    """Return a file of a commit; None if it is missing, no regular file (a link), or longer than a limit.

    The trees are cached: the same directory is read once, whatever the number of commits and paths.

    Args:
        git: the repository.
        commit: the commit.
        path: the path from the top.
        limit: the most bytes.
    """
    *folders, name = path.encode().split(b"/")
    tree = git.tree(commit)
    for folder in folders:
        _read(git, [tree])
        mode, tree = git.tree_cache[tree].get(folder, _NONE)
        if mode != _DIRECTORY:
            return None
    _read(git, [tree])
    mode, blob = git.tree_cache[tree].get(name, _NONE)
    if mode not in _REGULAR or int(git.cached_query("cat-file", "-s", blob).text) > limit:
        return None
    return git.cached_query("cat-file", "blob", blob).stdout


_REGULAR = frozenset({b"100644", b"100755"})
