"""Buffer new git objects in memory until a git command needs them or a ref moves.

Nothing on disk can refer to buffered objects, so only a command with one of their names in its
arguments can miss them. A replay for `--dry-run` or `plan` writes nothing; a replay that is carried
out writes all its objects at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from trunkline.domain.names import Oid, oid
from trunkline.system.files import sync

_KINDS = {b"commit": 1, b"tree": 2}
_NAMES, _NAMES_READ = re.compile("[0-9a-f]{40,64}"), re.compile(rb"[0-9a-f]{40,64}")
_LOOSE = 48
"""The most objects to write as loose files; more of them are cheaper as a pack.

`git index-pack` takes 8 ms. Creating a file takes 0.1 to 1 ms, and twice that in a new directory
(measured, tests/bench/restack.py).
"""


class ObjectBuffer(msgspec.Struct):
    """New objects of one repository that git does not have yet.

    Attributes:
        objects: name -> (kind, content).
        unsynced: loose object files that were written but not fsynced.
    """

    objects: dict[Oid, tuple[bytes, bytes]] = msgspec.field(default_factory=dict)
    unsynced: list[Path] = msgspec.field(default_factory=list)

    def add(self, kind: bytes, content: bytes, algorithm: str) -> Oid:
        """Buffer a commit or a tree and return its name.

        Args:
            kind: commit or tree.
            content: the object's content.
            algorithm: the repository's hash, sha1 or sha256.
        """
        name = oid(hashlib.new(algorithm, _stored(kind, content), usedforsecurity=False).hexdigest())
        self.objects[name] = kind, content
        return name

    def is_referenced_by(self, args: Sequence[str], stdin: bytes) -> bool:
        """Return whether a command line or its input names a buffered object."""
        if not self.objects:
            return False
        named = (*_NAMES.findall("\0".join(args)), *(each.decode() for each in _NAMES_READ.findall(stdin)))
        return any(name in self.objects for name in named)

    def write(self, directory: Path, algorithm: str, index_pack: Callable[[bytes], object]) -> None:
        """Write all buffered objects to the repository: a few as loose files, more as one pack.

        No ref may point to them before `fsync`. Until then a power failure can leave a file empty,
        as with git's own loose objects; the next write repairs it.

        Args:
            directory: the repository's object directory.
            algorithm: the repository's hash.
            index_pack: stores a pack durably.

        Raises:
            OSError: the disk is full or fails.
        """
        if len(self.objects) > _LOOSE:
            index_pack(_pack(self.objects, algorithm))
        else:
            for name, (kind, content) in self.objects.items():
                self._write_loose(directory / name[:2] / name[2:], _stored(kind, content))
        self.objects.clear()

    def _write_loose(self, path: Path, stored: bytes) -> None:
        """Write a loose object (gitformat-loose(5)), unless an intact one exists."""
        if not _is_sound(path, stored):
            path.parent.mkdir(exist_ok=True)
            # git-gc(1) prunes files named tmp_obj_*, so a kill here leaves nothing behind.
            handle, temporary = tempfile.mkstemp(prefix="tmp_obj_", dir=path.parent)
            with os.fdopen(handle, "wb") as stream:
                stream.write(zlib.compress(stored, 1))
                os.fchmod(stream.fileno(), 0o444)
            Path(temporary).replace(path)
        self.unsynced.append(path)

    def fsync(self) -> None:
        """Make the written files durable, before any ref may point to them.

        All files are synced together: each write after an fsync waits for the file system's
        journal.

        Raises:
            OSError: the disk fails.
        """
        while self.unsynced:
            with contextlib.suppress(FileNotFoundError):  # a concurrent gc has packed it
                sync(self.unsynced[-1])
            self.unsynced.pop()


def _stored(kind: bytes, content: bytes) -> bytes:
    return b"%s %d\0" % (kind, len(content)) + content


def _is_sound(path: Path, stored: bytes) -> bool:
    try:
        return zlib.decompress(path.read_bytes()) == stored
    except (OSError, zlib.error):
        return False


def _pack(objects: Mapping[Oid, tuple[bytes, bytes]], algorithm: str) -> bytes:
    """Return the objects as a pack, version 2 (gitformat-pack(5))."""
    head = b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big")
    body = head + b"".join(
        bytes(_header(_KINDS[kind], len(content))) + zlib.compress(content, 1) for kind, content in objects.values()
    )
    return body + hashlib.new(algorithm, body, usedforsecurity=False).digest()


def _header(kind: int, size: int) -> Iterator[int]:
    """Yield a pack entry's header: 3 bits of type, then the size in groups of 4 and 7 bits."""
    byte, size = kind << 4 | size & 0b1111, size >> 4
    while size:
        yield byte | 0x80
        byte, size = size & 0x7F, size >> 7
    yield byte
