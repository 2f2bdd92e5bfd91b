"""Reads objects, and makes new ones, many at once: a process for each takes 4 ms, as `git hash-object` or `cat-file`.

A restack of 20 entries makes 100 objects (measured, 2026-11-27). All is read back by git itself before a ref moves
(`replay.check_replayed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from trunkline.domain.errors import ExternalError, InternalError
from trunkline.domain.names import Oid
from trunkline.git.git import Git

T = TypeVar("T")


def read(git: Git, names: Sequence[Oid], kind: bytes, parse: Callable[[Oid, bytes], T]) -> tuple[tuple[Oid, T], ...]:
    """Return objects of one kind, parsed, in the order asked for, by one process.

    Args:
        git: the repository.
        names: which.
        kind: commit or tree.
        parse: makes something of a name and a content; a ValueError or LookupError: it is no such object.

    Raises:
        InternalError: one is of another kind.
        ExternalError: one is missing, or what git answers is no such list.
    """
    if not names:
        return ()
    output = git.query("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()).stdout
    try:
        return tuple((name, parse(name, content)) for name, content in _split(output, names, kind))
    except (ValueError, LookupError) as error:
        raise ExternalError("git cat-file answered what cannot be understood", why=repr(error)) from error


def _split(output: bytes, names: Sequence[Oid], kind: bytes) -> Iterator[tuple[Oid, bytes]]:
    start = 0
    for name in names:
        end = output.index(b"\n", start)
        header = output[start:end].split()
        if header[1:] == [b"missing"]:
            raise ExternalError(
                f"{kind.decode()} {name} is missing in this repository",
                why="a fetch was interrupted, or the disk lost it",
                next_command="git fetch --refetch --all",
            )
        if len(header) != 3 or header[1] != kind:  # noqa: PLR2004 -- "<oid> <type> <size>"
            raise InternalError(
                f"{name} is not a {kind.decode()} of this repository",
                why=output[start:end].decode("utf-8", "replace"),
            )
        start = end + 1
        size = int(header[2])
        yield name, output[start : start + size]
        start += size + 1


def make(git: Git, kind: bytes, content: bytes) -> Oid:
    """Make a commit or a tree and return its name; git gets it when it is asked about it (`git/object_buffer.py`)."""
    name = git.pending.add(kind, content, git.object_format())
    if kind == b"commit":
        git.existing.add(name)
        git.complete.add(name)  # its parents and trees are
    return name
