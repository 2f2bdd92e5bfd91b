"""Store the receipts of a repository.

Each file is replaced atomically, and corrupt ones are ignored.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from trunkline.domain.coverage import Sources
from trunkline.domain.receipt import Receipt
from trunkline.domain.statement import receipt_of, statement_of
from trunkline.system.files import private_directory, read_regular, replace_bytes


class Store(msgspec.Struct, frozen=True):
    """Receipts below one repository's state directory.

    Attributes:
        state: `<git-common-dir>/trunkline`.
    """

    state: Path

    @property
    def directory(self) -> Path:
        """The directory of the receipts and their logs."""
        return self.state / "receipts"

    def write(self, receipt: Receipt, log: bytes, sources: bytes = b"") -> Path:
        """Store a receipt, its log and its sources.

        The receipt is written last, so that it never refers to a missing file.
        """
        private_directory(self.state)
        private_directory(self.directory)
        replace_bytes(self.directory / receipt.log, log)
        if receipt.sources and not (self.directory / receipt.sources).is_file():
            replace_bytes(self.directory / receipt.sources, sources)
        content = json.dumps(statement_of(receipt), indent=1, sort_keys=True).encode() + b"\n"
        digest = hashlib.sha256(content).hexdigest()
        path = self.directory / f"{receipt.tree[:12]}-{receipt.gate}-{receipt.key[:16]}-{digest[:16]}.json"
        replace_bytes(path, content)
        return path

    def read(self, tree: str) -> Iterator[tuple[Path, Receipt | str]]:
        """Yield the receipts of a tree with their paths, newest first.

        A corrupt receipt is yielded as an error message. The file name contains the hash of the
        content, so a flipped bit is detected.
        """
        found: list[tuple[str, Path, Receipt | str]] = []
        for path in self.directory.glob(f"{tree[:12]}-*.json"):
            value = read_receipt(path)
            found.append(("" if isinstance(value, str) else value.started, path, value))
        for _, path, value in sorted(found, key=lambda each: each[0], reverse=True):
            if isinstance(value, str) or value.tree == tree:
                yield path, value

    def read_sources(self, name: str) -> Sources | None:
        """Return the inputs that a gate read, by their name in its receipt.

        None: missing or corrupt.
        """
        try:
            content = read_regular(self.directory / name, _LARGEST)
            if sources_name(content) != name:
                return None
            return Sources.from_json(json.loads(content))
        except (OSError, ValueError, RecursionError):
            return None

    def receipts_of_gate(self, name: str) -> Iterator[Receipt]:
        """Yield the valid receipts of one gate or check for all trees, in no order."""
        for path in self.directory.glob(f"*-{name}-*.json"):
            value = read_receipt(path)
            if isinstance(value, Receipt) and value.gate == name:
                yield value

    def import_receipt(self, name: str, content: bytes, signature: bytes, trusted: Callable[[Path], bool]) -> bool:
        """Store a receipt of another machine if it is valid and trusted.

        Return whether it was stored.

        Args:
            name: its file name, which contains the receipt's hash.
            content: the receipt.
            signature: its signature, or b"".
            trusted: decides about a copy of the receipt outside the store, with the signature
                beside it.
        """
        if not _NAME.fullmatch(name):
            return False
        private_directory(self.state)
        private_directory(self.directory)
        with tempfile.TemporaryDirectory(dir=self.state, prefix="incoming-") as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            signed = path.with_name(f"{name}.sig")
            signed.write_bytes(signature)
            if isinstance(read_receipt(path), str) or not trusted(path):
                return False
            replace_bytes(self.directory / signed.name, signature)
            replace_bytes(self.directory / name, content)
        return True


def sources_name(content: bytes) -> str:
    """Return the file name of stored sources: their hash, because many gates share them."""
    return f"{hashlib.sha256(content).hexdigest()[:32]}.sources"


# TREE-GATE-KEY-HASH.json, as `write` names them; a name cannot be a path to another directory.
_NAME = re.compile(r"[0-9a-f]{12}-[\w.-]{1,100}-[0-9a-f]{16}-[0-9a-f]{16}\.json", re.ASCII)


_LARGEST = 64 * 2**20
"""Most bytes of a file of the store; the inputs of a large workspace take some 100 KiB."""


def read_receipt(path: Path) -> Receipt | str:
    """Return a receipt, or the reason why it is invalid."""
    try:
        return parse_receipt(path.name, read_regular(path, _LARGEST))
    except OSError as error:
        return str(error)


def parse_receipt(name: str, content: bytes) -> Receipt | str:
    """Return the receipt in a file's content, or the reason why it is invalid.

    Args:
        name: the file's name, which ends with the hash of the content.
        content: the file's content.
    """
    if not name.endswith(f"{hashlib.sha256(content).hexdigest()[:16]}.json"):
        return "its content does not match its name"
    try:
        return receipt_of(json.loads(content))
    except RecursionError:
        return "brackets without end"
    except ValueError as error:
        return str(error)


class SharedReceipt(msgspec.Struct, frozen=True):
    """A receipt as a line of a git note.

    Attributes:
        name: its file name in a store, which contains the hash of the content.
        content: the receipt.
        signature: its signature, or b"".
    """

    name: str
    content: bytes
    signature: bytes

    @classmethod
    def of_file(cls, path: Path) -> SharedReceipt:
        """Return the receipt in a file, with the signature beside it."""
        signature = path.with_name(f"{path.name}.sig")
        content = read_regular(path, _LARGEST)
        return cls(path.name, content, read_regular(signature, _LARGEST) if signature.is_file() else b"")

    @classmethod
    def of_line(cls, line: str) -> SharedReceipt | None:
        """Return the receipt in a line; None: trunkline did not write the line."""
        try:
            values = json.loads(line)
            return cls(str(values["name"]), str(values["receipt"]).encode(), str(values["signature"]).encode())
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def to_line(self) -> str:
        """Return the receipt as a line.

        Raises:
            ValueError: the receipt or its signature is not text.
        """
        texts = {"receipt": self.content.decode(), "signature": self.signature.decode("ascii")}
        return json.dumps({"name": self.name, **texts})
