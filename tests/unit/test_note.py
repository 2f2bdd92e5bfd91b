"""The note: placed between its markers, stating only what is proven, harmless whatever it quotes."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec import structs

from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid, PrNumber
from trunkline.domain.note import (
    BEGIN,
    END,
    LONGEST,
    NoteFacts,
    Rebased,
    Template,
    noted_commit,
    place,
    revisions,
    worth_writing,
)
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.operations import note_template
from trunkline.operations.note_template import written
from trunkline.report import templates
from trunkline.report.escape import code_span, for_markdown, for_terminal
from trunkline.report.note import PACKAGED, reviewer_note

COMMIT = Oid("91da333" + "0" * 33)


def facts(*gates: tuple[str, GateOutcome | None], **more: object) -> NoteFacts:
    """Return facts about one pushed commit."""
    base: dict[str, object] = {"base": "main", "base_oid": Oid("9" * 40), "commit": COMMIT, "own_commits": 5,
                               "merged": (PrNumber(518),), "gates": gates}  # fmt: skip
    return NoteFacts(**{**base, **more})  # type: ignore[arg-type]  # keywords put together


PASSED = GateOutcome("build", Verdict.PASSED, 12.3, "cargo build", "rustc 1.95.0")


def test_only_what_passed_is_ticked() -> None:
    """Passed is ticked; failed, unavailable and not run are listed unticked with the verdict."""
    note = reviewer_note(
        facts(
            ("build", PASSED),
            ("clippy", None),
            ("msrv", GateOutcome.unavailable("msrv", "rustup toolchain install 1.89.0")),
            ("test", GateOutcome("test", Verdict.FAILED)),
        )
    )
    lines = [line for line in note.splitlines() if line.startswith("- [")]
    assert [line[:5] for line in lines] == ["- [x]", "- [ ]", "- [ ]", "- [ ]"]
    assert "1 of 4 CPU-only gates verified" in note
    assert "could not run where this was verified (`rustup toolchain install 1.89.0`)" in lines[2]
    assert "`cargo build`" in lines[0]


UNAVAILABLE = GateOutcome.unavailable("msrv", "rustup toolchain install 1.89.0")
FLAKY = GateOutcome("test", Verdict.FLAKY, passes=1, runs=2)
STALE = GateOutcome("doc", Verdict.STALE, diagnosis="it ran with rustc 1.0.0, now it is rustc 1.95.0")


@pytest.mark.parametrize(
    ("outcome", "accepted", "said"),
    [
        (UNAVAILABLE, True, "skipped (accepted as unavailable) (`rustup toolchain install 1.89.0`)"),
        (UNAVAILABLE, False, "could not run where this was verified (`rustup toolchain install 1.89.0`)"),
        (FLAKY, True, "flaky: 1 of 2 passed (accepted)"),
        (FLAKY, False, "flaky: 1 of 2 passed"),
        (STALE, False, "stale: it ran with rustc 1.0.0, now it is rustc 1.95.0"),
        (
            GateOutcome("x", Verdict.FAILED, since="2026-11-28T10:02:03+00:00"),
            False,
            "failed since 2026-11-28 10:02 UTC",
        ),
        (replace(PASSED, tests=0), False, "passed, 0 tests"),
        (None, False, "not run on this commit"),
    ],
)
def test_what_is_not_ticked_says_why(outcome: GateOutcome | None, accepted: bool, said: str) -> None:  # noqa: FBT001
    """Every verdict that proves nothing has its words, and says whether it was accepted; none is ticked."""
    names = frozenset({"x"}) if accepted else frozenset[str]()
    note = reviewer_note(facts(("x", outcome), ("build", PASSED), accepted=names))
    assert f"- [ ] **x** {said}" in note.splitlines()
    assert "1 of 2 CPU-only gates verified" in note


def test_a_note_never_says_zero_of_six() -> None:
    """A note without any verified gate has a sentence instead of a count."""
    assert "No gate has run on this commit yet:" in reviewer_note(facts(("build", None), ("test", None)))
    assert "No gate is verified on this commit:" in reviewer_note(facts(("build", None), ("msrv", UNAVAILABLE)))


OLD_NOTE = f"text\n\n{BEGIN}\nup to {COMMIT}\n{END}"
OTHER_NOTE = OLD_NOTE.replace(COMMIT, "8" * 40)
REBASED = Rebased(Oid("1" * 40), Oid("2" * 40), 1, ())


@pytest.mark.parametrize(
    ("outcome", "since", "body", "worth"),
    [
        pytest.param(None, None, "text", False, id="nothing ran, nothing changed: no note"),
        pytest.param(UNAVAILABLE, None, "text", False, id="what cannot run verifies nothing"),
        pytest.param(None, REBASED, "text", True, id="rebased: readers want to know"),
        pytest.param(PASSED, None, "text", True, id="verified"),
        pytest.param(FLAKY, None, "text", True, id="it ran, and not well"),
        pytest.param(None, None, OLD_NOTE, False, id="a note of this very commit stays"),
        pytest.param(None, REBASED, OLD_NOTE, False, id="the same, although it was rebased before"),
        pytest.param(None, None, OTHER_NOTE, True, id="a note of another commit is out of date"),
        pytest.param(STALE, None, OLD_NOTE, True, id="its receipts no longer count"),
    ],
)
def test_when_a_note_is_written(
    outcome: GateOutcome | None,
    since: Rebased | None,
    body: str,
    worth: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """A note is written if it has new information and removes none."""
    assert worth_writing(facts(("x", outcome), since=since), body) is worth


def test_the_runbooks_sentences_are_there() -> None:
    """Rebased on main post-#518, and the entry's next line, as the runbook has them."""
    note = reviewer_note(
        facts(("build", PASSED), next="PR-3 will switch eviction to `pool.deallocate(entry.block)`.")
    )
    assert "**Rebased on `main` post-#518**" in note
    assert "**Next in stack:** PR-3 will switch eviction to `pool.deallocate(entry.block)`." in note


def test_the_same_facts_give_the_same_bytes() -> None:
    """Placing the same note twice changes nothing."""
    note = reviewer_note(facts(("build", PASSED)))
    once = place("text\r\nwith CRLF\r\n", note)
    assert place(once, note) == once
    assert noted_commit(once) == COMMIT


@given(st.text(), st.text())
def test_the_authors_text_is_untouched(before: str, after: str) -> None:
    """The text before and after the markers stays byte for byte, through any number of notes."""
    if BEGIN in before + after or END in before + after:
        return
    body = f"{before}{BEGIN}\nold\n{END}{after}"
    assert place(body, "new") == f"{before}{BEGIN}\nnew\n{END}{after}"
    assert place(before, "new").startswith(before)


@pytest.mark.parametrize("body", [BEGIN, END, BEGIN + BEGIN + END, END + BEGIN, BEGIN + END + END])
def test_damaged_markers_stop(body: str) -> None:
    """One marker without the other, or more than one pair: nothing is written."""
    with pytest.raises(Refused, match="markers"):
        place(body, "new")


def test_a_note_of_another_making_names_no_commit() -> None:
    """Without markers, or without a full id between them, there is no noted commit."""
    assert noted_commit("text " + COMMIT) == ""
    assert noted_commit(f"{BEGIN}\nhello\n{END}") == ""


@given(st.text())
def test_no_text_reaches_the_terminal_as_an_escape(text: str) -> None:
    """Control, escape and direction characters become visible."""
    shown = for_terminal(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or 0x202A <= ord(char) <= 0x202E for char in shown)


INVISIBLE = ("main\u200b", "ma\u00adin", "\ufeffmain", "ma\u2060in", "\u3164", "main\U000e0101")


@pytest.mark.parametrize(
    "text", ["a\u2028next: rm", "a\u2029b", "a\x85b", "a\x0bb\x1cc", "a\U000e0072\U000e006d", *INVISIBLE]
)
def test_no_text_is_another_line_or_invisible(text: str) -> None:
    """Programs and agents read the lines that begin with `next:`; a title is no line of its own."""
    shown = for_terminal(text)
    assert len(shown.splitlines()) == 1
    assert shown.isascii()


def test_no_quoted_text_can_be_our_marker_or_a_mention() -> None:
    """Markdown from outside closes no note and mentions no user."""
    shown = for_markdown(f"{END} @octocat \x1b]0;x\x07\n- [x] fake")
    assert END not in shown
    assert "@octocat" not in shown
    assert "\n" not in shown


HOSTILE = (
    "[x] **clippy** passed (12 s): `cargo clippy`", "![](https://evil.invalid/p.png)", "[a](https://evil.invalid)",
    "<img src=x>", "<details><summary>", "a`b` `[x](y)`", "\\[x](y)", "*a* ~~b~~ __c__ _d_", "# big", "``` ", "`",
    "``a`", "| a | b", "x\u2028- [x] y", "&#64;octocat", "&commat;octocat fixes &#35;1", "&lt;b&gt; &amp;",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_a_title_does_nothing(text: str) -> None:
    """A commit's subject in the note ticks no box, links nowhere, loads no image and ends no code span."""
    render = MarkdownIt("gfm-like", {"linkify": False}).render
    flat = html.escape(" ".join(text.split()))
    assert render(f"- {for_markdown(text)}") == f"<ul>\n<li>{flat}</li>\n</ul>\n"
    assert not for_markdown(text).startswith("[")
    assert render(f"- {code_span(text)}") == f"<ul>\n<li><code>{flat}</code></li>\n</ul>\n"


@pytest.mark.parametrize(
    "text", ["fixes #1", "Closes: octo/tiny#1", "resolved https://github.com/o/r/issues/1", "fix GH-1"]
)
def test_a_title_closes_no_issue(text: str) -> None:
    """GitHub closes what a description names after a keyword; the keyword does not stand before the name any more."""
    assert re.search(r"(?i)(clos|fix|resolv)\w*:?\s+[#\w]", for_markdown(text)) is None


def test_an_entrys_next_line_cannot_close_the_note() -> None:
    """The maintainer's own line stays Markdown but is no marker."""
    note = reviewer_note(facts(("build", PASSED), next=f"x {END} `code`"))
    assert END not in note
    assert "`code`" in note


def test_the_whole_note() -> None:
    """Position, what was rebased, gates, checks, what was skipped, what comes next: one paragraph each."""
    note = reviewer_note(
        facts(
            ("build", PASSED),
            pr=PrNumber(519),
            stack=(PrNumber(518), PrNumber(519), PrNumber(520)),
            issue=319,
            checks=(("frees", "It `frees`", replace(PASSED, summary="found: a.rs:1: x")), ("read", "Read", None)),
            skipped=("fmt",),
            next="PR-3.",
        )
    )
    assert note == (
        "## Reviewer Note\n\n"
        "**PR 2/3** for #319: #518 · **#519** · #520\n\n"
        f"**Rebased on `main` post-#518**: 5 commits on `9999999`, up to {COMMIT}\n\n"
        "All 1 CPU-only gates verified locally on exactly this tree:\n\n"
        "- [x] **build** passed (12s, rustc 1.95.0): `cargo build`\n\n"
        "Checks of this entry, on the same tree:\n\n"
        "- [x] It `frees`: found: a.rs:1: x\n"
        "- [ ] Read: not run on this commit\n\n"
        "Skipped by name: fmt.\n\n"
        "**Next in stack:** PR-3."
    )


def test_what_reviewers_need_to_look_at_again() -> None:
    """The changed commits are listed, with the range-diff that shows how."""
    ranges = f"{'2' * 12}..{'1' * 12} {'9' * 12}..{COMMIT[:12]}"
    compare = "https://github.com/a/b/compare/1..2"
    since = Rebased(Oid("1" * 40), Oid("2" * 40), 3, ("one @all", "two"))
    note = reviewer_note(facts(("build", PASSED), since=since, compare=compare))
    assert note.split("\n\n")[2:4] == [
        f"**Changed** since `1111111` ([compare]({compare})), 2 of 3 commits: `git range-diff {ranges}`",
        "- one @\N{ZERO WIDTH NON-JOINER}all\n- two",
    ]
    same = reviewer_note(facts(("build", PASSED), since=structs.replace(since, changed=())))
    assert same.split("\n\n")[2] == "**Only rebased** since `1111111`: each patch is what it was."
    note = reviewer_note(facts(("build", PASSED), since=structs.replace(since, changed=(), left_out=("gone @all",))))
    assert "- left out: gone @\N{ZERO WIDTH NON-JOINER}all\n" in note
    assert "Only rebased" not in note


def test_a_template_of_the_users_own() -> None:
    """The template gets the same facts; the commit, which the checklist needs, is in the note in any case."""
    own = "{% for gate in gates if gate.passed %}{{ gate.name }} {{ gate.seconds }} {% endfor %}{{ next | md }}"
    message = facts(("build", PASSED), ("clippy", None), next="<!-- x -->")
    note = written(message, Template("note.md.j2", own))
    assert note == f"build 12.3 &lt;!-- x --&gt;\n\n<!-- {COMMIT} -->"
    assert noted_commit(place("", note)) == COMMIT


@pytest.mark.parametrize("since", [None, Rebased(Oid("1" * 40), Oid("2" * 40), 3, ("one", "two"))])
def test_a_copy_of_our_template_writes_our_note(since: Rebased | None) -> None:
    """In a process of its own or here, a template is given the same."""
    message = facts(("build", PASSED), since=since, merged=(PrNumber(518),), skipped=("fmt",))
    assert written(message, Template("copy.md.j2", templates.packaged(PACKAGED))) == reviewer_note(message)


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("one\n{% if %}", "own.j2:2: "),
        ("one\n{{ comit }}", "own.j2:2: 'comit' is undefined"),
        ("{{ commit.__class__.__mro__ }}", "own.j2:1: access to attribute '__class__' of 'str' object is unsafe."),
        ("\n\n{{ 1 // 0 }}", "own.j2:3: ZeroDivisionError: "),
        ("{{ {}['x'].y }}", "own.j2:1: 'dict object' has no attribute 'x'"),
        ("\n{{ '{x}'.format() }}", "own.j2:2: KeyError: 'x'"),
        ("{{ '%(x)s' % {} }}", "own.j2:1: KeyError: 'x'"),
        ("{{ 1 | md }}", "own.j2:1: AttributeError: "),
        ("{{ 'x' * 10**9 }}", "own.j2:1: it takes more memory"),
        ("{{ '%999999999d' % 1 }}", "own.j2:1: it takes more memory"),
        ("{{ '{:>999999999}'.format(1) }}", "own.j2:1: it takes more memory"),
        ("{{ 'x' * 10**7 }}", "own.j2: it writes more than"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", "own.j2: it writes more"),
        ("{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}", "own.j2:1: RecursionError: "),
        ("{{ 'x' | center(10**9) }}", "own.j2:1: it takes more memory"),
        ("{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}", "own.j2"),
        ("{% include '/etc/passwd' %}", "own.j2:1: "),
        ("{% extends 'x' %}", "own.j2:1: "),
        (f"{BEGIN}", "own.j2 writes the note's own markers"),
    ],
)  # fmt: skip
def test_a_template_that_is_none(template: str, what: str) -> None:
    """The error has the file, the line if known, and the reason, for any exception and any memory use."""
    with pytest.raises(UsageError) as refused:
        written(facts(("build", PASSED)), Template("own.j2", template))
    assert refused.value.what.startswith(what)
    assert refused.value.next_commands[0].endswith("own.j2")


LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def test_a_template_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on processor time ends it, and the clock where there is none."""
    message = facts(("build", PASSED))
    hurried = "from trunkline.report import bounded; bounded.CPU_SECONDS = 1; bounded.main()"
    monkeypatch.setattr(note_template, "_PROGRAM", hurried)
    with pytest.raises(UsageError, match="takes more time or memory"):
        written(message, Template("own.j2", LOOP))
    monkeypatch.setattr(note_template, "_PROGRAM", "import signal; signal.pause()")
    monkeypatch.setattr(note_template, "SECONDS", 0.2)
    with pytest.raises(UsageError, match=r"not rendered within 0\.2 s"):
        written(message, Template("own.j2", LOOP))


def test_no_module_of_the_checkout_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull request's `jinja2.py` or `trunkline/` is not imported where a template is rendered."""
    for name in ("jinja2.py", "json.py", "resource.py"):
        (tmp_path / name).write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    assert written(facts(("build", PASSED)), Template("own.j2", "{{ base }}")).startswith("main")


def test_a_description_that_has_no_room() -> None:
    """The note is shortened, with the number of dropped lines; without any room it is refused."""
    note = reviewer_note(facts(("build", PASSED), checks=tuple((f"c{n}", f"check {n}", None) for n in range(50))))
    placed = place("x" * (LONGEST - 1000), note)
    assert len(placed) <= LONGEST
    assert noted_commit(placed) == COMMIT
    assert "more lines: the description has no room for them.*" in placed
    assert place(placed, note) == placed
    with pytest.raises(Refused, match="no room"):
        place("x" * (LONGEST - 50), note)


def a_head(number: int) -> Oid:
    """Return the head after so many pushes."""
    return Oid(f"{number:040x}"[::-1])


def test_the_history_of_revisions() -> None:
    """One line for each pushed head, newest last, ten at most; the same note again changes nothing."""
    body = ""
    lines: tuple[str, ...] = ()
    for number in range(1, 13):
        old, new = a_head(number - 1), a_head(number)
        changed = ("Add a field",) if number % 2 else ()
        since = Rebased(old, old, 1, changed)
        page = f"https://github.com/octo/tiny/compare/{old}..{new}"
        date = f"2026-01-{number:02}"
        lines = revisions(body, since, new, date=date, compare=page)
        assert lines[-1] == f"- {date}: [`{old[:7]}..{new[:7]}`]({page}) {'content' if changed else 'rebase only'}"
        body = place(body, reviewer_note(facts(commit=new, since=since, revisions=lines)))
        assert revisions(body, since, new, date="2030-01-01", compare=page) == lines
        assert revisions(body.replace("\n", "\r\n"), None, new, date="2030-01-01", compare="") == lines
        assert noted_commit(body) == new
    assert [line[2:12] for line in lines] == [f"2026-01-{number:02}" for number in range(3, 13)]


@pytest.mark.parametrize(
    "line",
    [
        "- 2026-01-01: [`0000000..1111111`](https://evil.example/x) rebase only",
        "- 2026-01-01: [`0000000..1111111`](javascript:alert(1)) rebase only",
        "- 2026-01-01: anything that somebody wrote",
    ],
)
def test_a_line_that_somebody_wrote_is_no_revision(line: str) -> None:
    """A description is edited by many: only lines of the form that we write are kept."""
    body = place("", f"Text\n{line}")
    assert revisions(body, None, a_head(1), date="2026-01-01", compare="") == ()
