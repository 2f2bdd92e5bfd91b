"""`comments`: the open review threads, with the real gh."""

from __future__ import annotations

import pytest

from support.landing import Landing
from trunkline.domain.review_thread import ReviewThread
from trunkline.report.review_threads import lines_of

SLUG = "octo/tiny"


@pytest.mark.gh
def test_open_threads(open_stack: Landing) -> None:
    """By entry, file and line; JSON conforms to the schema."""
    assert "no review thread is open" in open_stack.invoke("comments").out
    open_stack.github.review(
        SLUG, 520, "grace", state="CHANGES_REQUESTED", threads=2, body="Why 4?\n\nLong. " + "x " * 200
    )
    ran = open_stack.invoke("comments")
    assert ran.code == 0
    assert "#520" in ran.out
    assert ran.out.count("README.md:") == 2
    assert "README.md:1  grace, 20" in ran.out
    assert ran.out.count("    Why 4? Long. x x") == 2
    assert "x ...\n    https://github.com/octo/tiny/pull/520#discussion_r" in ran.out
    listed = open_stack.invoke("comments", "--pr", "520", "--json").json["threads"]
    assert [(each["path"], each["line"]) for each in listed] == [("README.md", 1), ("README.md", 2)]
    assert (listed[0]["author"], listed[0]["text"][:6], listed[0]["replies"]) == ("grace", "Why 4?", 0)


def test_a_thread_about_a_file() -> None:
    """Without a line, the place is the file."""
    thread = ReviewThread("a.rs", None, outdated=True)
    assert (thread.place, lines_of(thread)) == ("a.rs", ("a.rs  outdated",))
