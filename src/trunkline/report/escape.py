"""Escape foreign text: anybody can write pull request titles and commit subjects."""

from __future__ import annotations

import re
import unicodedata

_NOTHING = "\N{ZERO WIDTH NON-JOINER}"
_MARKUP = re.compile(r"[\\`*\[\]<|~&]|(?<!\S)#(?=#* )|(?<![^\W_])_|_(?![^\W_])")
"""Characters that begin or end markup; `_` does not inside of words (CommonMark, 6.2).

`&` does: GitHub looks for mentions in the rendered text, where `&#64;octocat` is one.
"""
_CLOSING = re.compile(r"(?i)(\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s)(?=[\w./-]*#\d|gh-\d|https?://)")
"""Keywords that close an issue when the pull request is merged (docs.github.com)."""
_TAGS = range(0xE0000, 0xE0080)  # invisible copies of ASCII, which language models read
_INVISIBLE = {
    0x00AD, 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x200B, 0x2060, 0x3164, 0xFEFF, 0xFFA0,
    *range(0x2061, 0x2065), *range(0x206A, 0x2070), *range(0xFFF9, 0xFFFC), *range(0x1D173, 0x1D17B),
    *range(0xE0100, 0xE01F0),
}  # fmt: skip
"""Characters without a glyph (Unicode, Default_Ignorable_Code_Point), but those that scripts and emoji need."""
_HIDDEN = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), *_TAGS, *_INVISIBLE}


def for_terminal(text: str, *, lines: bool = False) -> str:
    r"""Return text with control, escape, bidirectional and invisible characters made visible (`\x1b`).

    Args:
        text: anything.
        lines: keep line feeds.
    """
    return "".join(
        char if not _dangerous(char) or (lines and char == "\n") else char.encode("unicode_escape").decode()
        for char in text
    )


def for_markdown(text: str) -> str:
    """Return text as one line of Markdown that shows the text and does nothing else.

    It has no links, images, HTML, code or task boxes, no mention, no keyword that closes an issue,
    and none of our markers.
    """
    flat = _CLOSING.sub(rf"\1{_NOTHING}", for_terminal(" ".join(text.split())))
    shown = _MARKUP.sub(r"\\\g<0>", flat).replace("@", f"@{_NOTHING}")
    return shown.replace("-->", "--&gt;").replace("\\<!--", "&lt;!--")


def code_span(text: str) -> str:
    """Return text as one Markdown code span, which no backtick in the text ends (CommonMark, 6.1)."""
    flat = for_terminal(" ".join(text.split())).replace("<!--", "&lt;!--").replace("-->", "--&gt;")
    fence = "`" * (max((len(run) for run in re.findall("`+", flat)), default=0) + 1)
    space = " " if flat.startswith("`") or flat.endswith("`") or not flat else ""
    return f"{fence}{space}{flat}{space}{fence}"


def _dangerous(char: str) -> bool:
    # Zl, Zp: a program that reads lines would see a line of its own, like "next: ...".
    # Cc: C0 and C1 controls; Cs: lone surrogates, which no terminal encoding can write.
    # U+FFFE and U+FFFF: XML does not allow them.
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or ord(char) in _HIDDEN or char in "\ufffe\uffff"
