"""Command `receipts.export`: write the receipts of a commit in standard formats; needs the extra `export`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.names import Oid, short
from trunkline.domain.receipt import Receipt
from trunkline.domain.stack import GateSettings
from trunkline.git import dsse, history
from trunkline.git.git import Git
from trunkline.operations import attestation
from trunkline.report import junit
from trunkline.state.receipt_store import Store
from trunkline.system.files import replace_bytes

JUNIT = "junit.xml"


class Export(msgspec.Struct, frozen=True):
    """The receipts to export, and the destination.

    Attributes:
        git: the checkout.
        commit: the commit.
        folder: the directory, created if missing.
        receipts: the valid receipts of the commit's tree, newest first, with their files.
    """

    git: Git
    commit: Oid
    folder: Path
    receipts: tuple[tuple[Path, Receipt], ...]

    def names(self) -> tuple[str, ...]:
        """Return the names of the files."""
        return (*(f"{path.stem}.dsse.json" for path, _ in self.receipts), JUNIT)


def export_of(git: Git, revision: str, output: str) -> Export:
    """Return the export of a commit; default: HEAD.

    Raises:
        UsageError: this repository has no such commit, or no receipt of it.
    """
    commit = history.require_commit(git, revision or "HEAD", "commit")
    found = tuple(
        (path, receipt)
        for path, receipt in Store(git.state_dir()).read(git.tree(commit))
        if isinstance(receipt, Receipt)
    )
    if not found:
        raise UsageError(
            f"this repository has no receipt of {short(commit)}", next_command=task_command("receipts.pull")
        )
    return Export(git, commit, Path(output or f"receipts-{short(commit)}").resolve(), found)


def write(export: Export, sign: str, settings: GateSettings) -> None:
    """Write an envelope for each receipt, and one JUnit file.

    Args:
        export: what is exported.
        sign: the key of `--sign`, or "".
        settings: the `[gates]` table.

    Raises:
        UsageError: the key cannot sign envelopes.
    """
    signer = dsse.Signer(attestation.key_of(export.git, sign, settings))
    xml = junit.of_receipts(short(export.commit), [receipt for _, receipt in export.receipts])
    export.folder.mkdir(parents=True, exist_ok=True)
    for path, _ in export.receipts:
        replace_bytes(export.folder / f"{path.stem}.dsse.json", signer.envelope(path.read_bytes()).encode())
    replace_bytes(export.folder / JUNIT, xml.encode())
