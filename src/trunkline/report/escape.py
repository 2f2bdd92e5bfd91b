"""Escape foreign text: anybody can write pull request titles and commit subjects."""

from __future__ import annotations

import unicodedata

_BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def for_terminal(text: str, *, lines: bool = False) -> str:
    r"""Return text with control, escape and bidirectional characters made visible (`\x1b`).

    Args:
        text: anything.
        lines: keep line feeds.
    """
    return "".join(
        char if not _dangerous(char) or (lines and char == "\n") else char.encode("unicode_escape").decode()
        for char in text
    )


def for_markdown(text: str) -> str:
    """Return text as one line of Markdown without mentions and without our markers."""
    flat = for_terminal(" ".join(text.split()))
    return flat.replace("<!--", "&lt;!--").replace("-->", "--&gt;").replace("@", "@\N{ZERO WIDTH NON-JOINER}")


def _dangerous(char: str) -> bool:
    # Cc: C0 and C1 controls; Cs: lone surrogates, which no terminal encoding can write.
    return unicodedata.category(char) in {"Cc", "Cs"} or ord(char) in _BIDI
