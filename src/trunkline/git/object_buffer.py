"""Objects that we made and no git has seen yet: kept in memory until a git command names one, or something moves.

Nothing on disk can refer to them: so only a command that is given one of their names can miss them. A replay that is
only looked at (`--dry-run`, `plan`) writes nothing; one that is carried out writes all of it at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.domain.names import Oid, oid
from trunkline.system.files import sync

_KINDS = {b"commit": 1, b"tree": 2}
_NAMES, _NAMES_READ = re.compile("[0-9a-f]{40,64}"), re.compile(rb"[0-9a-f]{40,64}")
_LOOSE = 48
"""Objects up to which files of their own are cheaper than a pack, whose `git index-pack` takes 8 ms. Creating a file
takes 0.1 to 1 ms, and twice that in a directory that is new (measured, tests/bench/restack.py)."""


@dataclass
class ObjectBuffer:
    """The objects of one repository that wait.

    Attributes:
        objects: name -> (kind, content).
        unsynced: files that we wrote and that are not durable yet.
    """

    objects: dict[Oid, tuple[bytes, bytes]] = field(default_factory=dict)
    unsynced: list[Path] = field(default_factory=list)

    def add(self, kind: bytes, content: bytes, algorithm: str) -> Oid:
        """Take in a commit or a tree and return its name.

        Args:
            kind: commit or tree.
            content: the object's content.
            algorithm: sha1 or sha256, as the repository has it.
        """
        name = oid(hashlib.new(algorithm, _stored(kind, content), usedforsecurity=False).hexdigest())
        self.objects[name] = kind, content
        return name

    def named_by(self, args: Sequence[str], stdin: bytes) -> bool:
        """Say whether a command names one of the objects."""
        if not self.objects:
            return False
        named = (*_NAMES.findall("\0".join(args)), *(each.decode() for each in _NAMES_READ.findall(stdin)))
        return any(name in self.objects for name in named)

    def write(self, directory: Path, algorithm: str, index_pack: Callable[[bytes], object]) -> None:
        """Let git have them all: a few as files, more as one pack.

        Nothing refers to them before `settle`: until then a power failure may leave a file empty, as one of git's
        own, and the next write mends that.

        Args:
            directory: the repository's object directory.
            algorithm: the repository's.
            index_pack: stores a pack, durably.

        Raises:
            OSError: the disk is full, or does not take it.
        """
        if len(self.objects) > _LOOSE:
            index_pack(_pack(self.objects, algorithm))
        else:
            for name, (kind, content) in self.objects.items():
                self._write_loose(directory / name[:2] / name[2:], _stored(kind, content))
        self.objects.clear()

    def _write_loose(self, path: Path, stored: bytes) -> None:
        """Write an object as git stores it (gitformat-loose(5)), where no sound one is."""
        if not _is_sound(path, stored):
            path.parent.mkdir(exist_ok=True)
            # git-gc(1) prunes what is called tmp_obj_*, should we be killed here.
            handle, temporary = tempfile.mkstemp(prefix="tmp_obj_", dir=path.parent)
            with os.fdopen(handle, "wb") as stream:
                stream.write(zlib.compress(stored, 1))
                os.fchmod(stream.fileno(), 0o444)
            Path(temporary).replace(path)
        self.unsynced.append(path)

    def settle(self) -> None:
        """Make the files durable, before anything may refer to them.

        Together, not each as it is written: what follows an fsync waits for the file system's journal.

        Raises:
            OSError: the disk does not take it.
        """
        while self.unsynced:
            with contextlib.suppress(FileNotFoundError):  # somebody's gc has it in a pack
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
    """Yield an entry's header: the kind in three bits, the size in four and then seven a byte, least first."""
    byte, size = kind << 4 | size & 0b1111, size >> 4
    while size:
        yield byte | 0x80
        byte, size = size & 0x7F, size >> 7
    yield byte
