"""Replace absolute paths in published text: reports contain paths relative to the work tree."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from trunkline.gates import slots
from trunkline.git.git import Git
from trunkline.git.state_directory import work_dir


def relative_paths(git: Git) -> Callable[[str], str]:
    """Return a function that makes the paths in a text relative.

    A path in the checkout or in a gate's work tree becomes relative; the home directory becomes
    `~`.
    """
    gates = re.escape(str(work_dir(git.common_dir()) / "gates"))
    far = re.escape(str(slots.far_base()))
    trees = (
        rf"{gates}/[0-9]+/tree|{gates}/[0-9]+/t/[^/\s:)]+|{far}/[0-9a-f]{{12}}/[^/\s:)]+|{re.escape(str(git.cwd))}"
    )
    inside, top = re.compile(rf"(?:{trees})/"), re.compile(rf"(?:{trees})(?![\w.-])")
    home = re.compile(rf"{re.escape(str(Path.home()))}(?=/|\b)")
    known = str(Path.home()) != os.sep

    def relative(text: str) -> str:
        text = top.sub(".", inside.sub("", text))
        return home.sub("~", text) if known else text

    return relative
