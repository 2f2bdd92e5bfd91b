"""Write the commits that an entry shall have, in memory: no ref, index or work tree changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import structs

from trunkline.domain.commits import Commit
from trunkline.domain.errors import InternalError
from trunkline.domain.names import Oid, short
from trunkline.domain.rewrite import NewCommit
from trunkline.git import history, index, replay
from trunkline.git.git import Git


class Conflict(msgspec.Struct, frozen=True):
    """A change that cannot be merged: the commit that it was to become part of, and the paths."""

    into: NewCommit
    change: Commit
    paths: tuple[str, ...]


class Written(msgspec.Struct, frozen=True):
    """The result of a rewrite.

    Attributes:
        tip: the last commit, or the base if there is none.
        commits: the new commit of each, in order, up to a conflict.
        conflict: the first change that cannot be merged.
    """

    tip: Oid
    commits: tuple[Oid, ...]
    conflict: Conflict | None = None


def write(git: Git, commits: Sequence[NewCommit], onto: Oid, *, by: str, sign: bool = False) -> Written:
    """Write commits, oldest first, onto a base; those already in place are kept as they are.

    Args:
        git: the repository.
        commits: the commits; every change has exactly one parent.
        onto: the base.
        by: the committer line (`replay.committer`).
        sign: sign the new commits.
    """
    tip, tree = onto, git.tree(onto)
    made: list[Oid] = []
    for new in commits:
        for change in new.changes:
            merged = replay.pick(git, change, tree)
            if merged.conflicts:
                return Written(tip, tuple(made), Conflict(new, change, merged.conflicts))
            tree = merged.tree
        if not (new.keeps_source and new.source.parents == (tip,)):
            source = new.source
            if new.message is not None:  # a given message is UTF-8, whatever the old one was
                source = structs.replace(source, message=new.message, encoding="")
            tip = replay.write_commit(git, source, tree=tree, parent=tip, by=by, sign=sign)
        else:
            tip = new.source.oid
        made.append(tip)
    return Written(tip, tuple(made))


def change_of(git: Git, before: Oid, after: Oid) -> Commit:
    """Return a temporary commit whose change is the difference between two trees."""
    base = replay.commit_of_tree(git, before)
    return history.read_commits(git, [replay.commit_of_tree(git, after, base)])[0]


def halves(git: Git, commit: Commit, paths: Sequence[str]) -> tuple[Commit, Commit] | None:
    """Return the change of a commit in some paths, and the rest of it, as two temporary commits.

    Returns:
        None if one of them would be empty.
    """
    (parent,) = commit.parents
    before = git.tree(parent)
    specs = [f":(top,literal){path}" for path in paths]
    gone = git.query("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=D", before, commit.tree,
                     "--", *specs).stdout  # fmt: skip
    kept = git.query("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", "--diff-filter=d", before,
                     commit.tree, "--", *specs).stdout  # fmt: skip
    fields = iter(kept.split(b"\0"))
    rows = b"".join(
        b"%s %s\t%s\0" % (field.split(b" ")[1], field.split(b" ")[3], next(fields)) for field in fields if field
    )
    rows += b"".join(b"0 %s\t%s\0" % (b"0" * len(before), path) for path in gone.split(b"\0") if path)
    middle = index.tree_with(git, before, rows)
    if middle in {before, commit.tree}:
        return None
    return change_of(git, before, middle), change_of(git, middle, commit.tree)


def check(git: Git, commits: Sequence[NewCommit], written: Written, *, onto: Oid) -> None:
    """Read the written commits back and check authors, messages and order.

    Raises:
        InternalError: they differ; a ref move would lose or change a commit.
    """
    found = history.chain(git, onto, written.tip)
    expected = [(new.source.author, new.source.message if new.message is None else new.message) for new in commits]
    linked = all(
        now.parents == (below,) for now, below in zip(found, (onto, *(each.oid for each in found)), strict=False)
    )
    if [each.identity for each in found] != expected or not linked:
        raise InternalError(f"the rewritten commits over {short(onto)} are not those that were planned")
