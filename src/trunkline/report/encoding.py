"""Write output in any encoding: characters that a stream cannot encode are replaced with ASCII."""

from __future__ import annotations

import codecs
import io
from typing import IO

_HANDLER = "trunkline"
_ASCII = {
    "✓": "+", "✗": "x", "·": ".", "✅": "+", "❌": "x", "❔": "?", "…": "...", "—": "-", "→": "->",
    "\N{ZERO WIDTH NON-JOINER}": "",
}  # fmt: skip
_BRAILLE = range(0x2800, 0x2900)  # rich's spinner


def tolerant(stream: IO[str]) -> None:
    """Let a stream write any text.

    Marks that its encoding lacks are written in ASCII, other characters as escapes.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=_HANDLER)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_ASCII[char] if char in _ASCII else _escaped(char) for char in text), error.end


def _escaped(char: str) -> str:
    return "*" if ord(char) in _BRAILLE else char.encode("ascii", "backslashreplace").decode()


codecs.register_error(_HANDLER, _in_ascii)
