"""An open review thread as data."""

from __future__ import annotations

import msgspec


class ReviewThread(msgspec.Struct, frozen=True):
    """An open review thread.

    Attributes:
        path: the file.
        line: the line in the current head; None: the thread is about the file, or its line was deleted.
        outdated: the line was changed since.
        author: the login of the author of its first comment.
        text: the Markdown of its first comment.
        at: the time of its first comment, in ISO 8601; "" if GitHub hides the comment.
        url: the page of its first comment.
        replies: the number of further comments.
    """

    path: str
    line: int | None
    outdated: bool
    author: str = ""
    text: str = ""
    at: str = ""
    url: str = ""
    replies: int = 0

    @property
    def place(self) -> str:
        """The place for people: `src/lib.rs:7`."""
        return self.path if self.line is None else f"{self.path}:{self.line}"
