"""Refuse directories in which cargo would read settings that another user wrote.

cargo, rustup, rustfmt and clippy look for settings in every parent directory, also of other users
(The Cargo Book, "Hierarchical structure"; the rustup book, "Overrides"). Several of these settings
name programs to run.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from trunkline.domain.errors import Refused

_SETTINGS = (
    ".cargo", ".cargo/config", ".cargo/config.toml", "Cargo.toml", "rust-toolchain", "rust-toolchain.toml",
    "rustfmt.toml", ".rustfmt.toml", "clippy.toml", ".clippy.toml",
)  # fmt: skip


def refuse_settings_of_others(directory: Path) -> None:
    """Refuse a directory if a parent of it contains settings of another user.

    Args:
        directory: an absolute path; links in it are resolved.

    Raises:
        Refused: a file belongs neither to this user nor to root.
    """
    trusted = {os.geteuid(), 0}
    for path, owner in _settings_above(directory.resolve()):
        if owner not in trusted:
            raise Refused(
                f"{path} belongs to user {owner}, and cargo would follow it in {directory}",
                why="it can name programs, which would run as you; nothing was run. TRUNKLINE_STATE_DIR and"
                " TRUNKLINE_GATES_DIR choose the directory of the gates: name one that only you can write",
                next_command=f"ls -ld {shlex.quote(str(path))}",
            )


def refuse_other_toolchain(directory: Path, queried: Path) -> None:
    """Refuse a directory above which a toolchain file is that does not act where toolchains are queried.

    Receipts would name another toolchain than the one that compiled.

    Args:
        directory: an absolute path; links in it are resolved.
        queried: the directory in which the toolchain of a gate is determined.

    Raises:
        Refused: rustup would find another file above the directory.
    """
    file = _toolchain_file_above(directory.resolve())
    if file != _toolchain_file_above(queried.resolve()) and file is not None:
        raise Refused(
            f"{file} would choose the toolchain of the gates, which run in {directory}",
            why="it belongs to another directory; nothing was run. TRUNKLINE_GATES_DIR chooses the directory of the"
            " gates: name one that has no toolchain file above it",
            next_command=f"ls -l {shlex.quote(str(file))}",
        )


def _toolchain_file_above(directory: Path) -> Path | None:
    files = (parent / name for parent in directory.parents for name in ("rust-toolchain", "rust-toolchain.toml"))
    return next((file for file in files if file.exists()), None)


def _settings_above(directory: Path) -> Iterator[tuple[Path, int]]:
    """Yield the settings in the parents of a directory, and who owns them."""
    for parent in directory.parents:
        for name in _SETTINGS:
            try:
                yield parent / name, (parent / name).lstat().st_uid
            except OSError:
                continue
