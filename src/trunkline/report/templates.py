"""The Jinja2 environment for our Markdown.

Foreign text is passed through the filter `md` or `code`, a maintainer's text through `own`.
"""

from __future__ import annotations

import re
import shlex
from importlib import resources
from typing import TYPE_CHECKING

from trunkline.domain.commits import counted
from trunkline.report.escape import code_span, for_markdown, for_terminal
from trunkline.report.terminal import duration

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(*, trimmed: bool = True) -> Environment:
    """Return the environment: undefined values are errors, and templates are sandboxed.

    Args:
        trimmed: lines with only a statement produce no output.
    """
    import jinja2.sandbox  # noqa: PLC0415 -- 20 ms, and most tasks render no template

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(  # Markdown, not HTML: no autoescape
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=trimmed, lstrip_blocks=trimmed
    )
    made.filters.update(md=for_markdown, code=code_span, own=own_markdown, fenced=fenced)
    made.filters.update(word=shlex.quote, commits=counted, duration=duration)
    return made


def packaged(name: str) -> str:
    """Return the text of a built-in template."""
    return resources.files("trunkline.report").joinpath(name).read_text(encoding="utf-8")


def fenced(text: str) -> str:
    """Return foreign text as a code block that its content cannot close."""
    shown = for_terminal(text, lines=True)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"


def own_markdown(text: str) -> str:
    """Return a maintainer's Markdown as one line without our markers."""
    return " ".join(text.split()).replace("<!--", "&lt;!--")
