"""Makes foreign text harmless: titles and commit subjects come from anybody (promises, fault 52)."""

from __future__ import annotations

import unicodedata

_BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def for_terminal(text: str, *, lines: bool = False) -> str:
    r"""Return text in which control, escape and direction characters are visible (`\x1b`), not obeyed.

    Args:
        text: anything.
        lines: keep line feeds.
    """
    return "".join(
        char if not _dangerous(char) or (lines and char == "\n") else char.encode("unicode_escape").decode()
        for char in text
    )


def for_markdown(text: str) -> str:
    """Return text that stays one line of Markdown, mentions nobody, and cannot be read as our marker."""
    flat = for_terminal(" ".join(text.split()))
    return flat.replace("<!--", "&lt;!--").replace("-->", "--&gt;").replace("@", "@\N{ZERO WIDTH NON-JOINER}")


def _dangerous(char: str) -> bool:
    # Cc: C0 and C1 controls; Cs: lone surrogates, which no terminal encoding can write.
    return unicodedata.category(char) in {"Cc", "Cs"} or ord(char) in _BIDI
