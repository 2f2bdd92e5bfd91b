"""Return the lines of a review thread for a terminal: place, author, date, the first comment and its page."""

from __future__ import annotations

import textwrap

from trunkline.domain.review_thread import ReviewThread
from trunkline.domain.words import count_of

_COLUMNS, _LINES = 92, 3


def lines_of(thread: ReviewThread) -> tuple[str, ...]:
    """Return the lines of a thread, with its first comment in three lines at most."""
    about = [thread.author, thread.at[:10]] if thread.at else []
    about += [count_of(thread.replies, "reply", "replies")] if thread.replies else []
    about += ["outdated"] if thread.outdated else []
    text = textwrap.wrap(
        " ".join(thread.text.split()), _COLUMNS, max_lines=_LINES, placeholder=" ...", break_on_hyphens=False
    )
    below = [*text, *([thread.url] if thread.url else [])]
    first = f"{thread.place}  {', '.join(about)}".rstrip()
    return (first, *(f"  {line}" for line in below))
