"""The commands of a page of the documentation, with what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a page's console blocks with what it is to print; a command alone may print anything."""
    for block in _CONSOLE.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed
