"""Remembers which stack.toml was judged sound: pydantic, which takes 0.06 s to load, judges a change, not every task.

Only that is kept, not what the file says; a hash of everything that the verdict depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
from importlib import resources

from trunkline import __version__
from trunkline.config.reading import StackText
from trunkline.domain.errors import Refused
from trunkline.git import state_directory
from trunkline.git.git import Git
from trunkline.system.files import replace_bytes


def judge_once(git: Git, found: StackText) -> None:
    """Judge a stack.toml, unless this trunkline has judged the same text in this repository and found it sound.

    Where nothing can be written, it is judged again next time.

    Raises:
        UsageError: it is not what the schema says (`validation.judge`).
    """
    key = _key(found)
    try:
        kept = state_directory.work_dir(git.common_dir()) / "sound"
        if kept.is_file() and kept.read_bytes() == key:
            return
    except (OSError, Refused):
        kept = None
    from trunkline.config import validation  # noqa: PLC0415 -- what takes the time

    validation.judge(found)
    if kept is not None:
        with contextlib.suppress(OSError):
            replace_bytes(kept, key)


def _key(found: StackText) -> bytes:
    schema = resources.files("trunkline").joinpath("stack.schema.json").read_bytes()  # of a version in the making
    parts = (__version__.encode(), schema, found.text.encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest().encode()
