"""`[submit] title`: pull requests show their position in the stack, and it stays right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from support.inprocess import STACK, Desk, Hub, desk, refusal
from trunkline.commands import modify, rewriting, submit
from trunkline.domain.modify_operations import Operation
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.title import numbered, plain
from trunkline.planning.titles import squash_title

PATTERN = "[{position}/{count}] {title}"
BEFORE = {1: "[1/2] First", 3: "[2/2] Third"}
AFTER = {1: "[1/3] First", 4: "[2/3] two 1", 3: "[3/3] Third"}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack with positions in its titles; the middle entry is new."""
    with desk(monkeypatch) as made:
        (made.root / "stack.toml").write_text(
            STACK.replace("\n[[entry]]", f'\n[submit]\ntitle = "{PATTERN}"\n\n[[entry]]', 1)
        )
        made.own_stack(monkeypatch, 2)
        made.hub.titles |= BEFORE
        yield made


@pytest.mark.parametrize(
    ("template", "text", "found"),
    [
        (PATTERN, "[2/5] Foo", "Foo"),
        (PATTERN, "[12/15] [WIP] Foo", "[WIP] Foo"),
        (PATTERN, "Foo", None),
        (PATTERN, "[a/5] Foo", None),
        ("{title} ({position} of {count})", "Foo (1) (2 of 3)", "Foo (1)"),
        ("{{{position}}} {title}", "{4} Foo.*", "Foo.*"),
        (" {position} {title} ", "4 Foo", "Foo"),
        ("", "[2/5] Foo", "[2/5] Foo"),
    ],
)
def test_a_title_is_read_back(template: str, text: str, found: str | None) -> None:
    """The pattern gives the title without its position, and numbers it again."""
    assert plain(template, text) == found
    if found is not None:
        assert plain(template, numbered(template, found, position=10, count=10)) == found


def test_submit_numbers_and_renumbers(stack: Desk) -> None:
    """A new entry in the middle: its title gets a position, and the others move up; undo and redo follow."""
    planned = submit.forecast(stack.stack_context()).plan
    assert planned.steps[-1].publishes == (
        "#1 is titled '[1/3] First' instead of '[1/2] First'",
        "#3 is titled '[3/3] Third' instead of '[2/2] Third'",
    )
    assert 'into one: "[2/3] two 1"' in planned.steps[1].description
    assert submit.run(stack.stack_context()).error is None
    assert stack.hub.titles == AFTER
    assert submit.nothing_to_do(submit.forecast(stack.stack_context()).plan) is not None
    for left in (BEFORE, AFTER):
        ran = stack.undo()
        assert ran is not None
        assert ran.error is None
        assert stack.hub.titles == {**AFTER, **left}


def test_a_title_of_ones_own_stays(stack: Desk) -> None:
    """A title that does not follow the pattern is named, with the command that numbers it."""
    stack.hub.titles[3] = "A better one"
    assert submit.run(stack.stack_context()).error is None
    assert stack.hub.titles == {**AFTER, 3: "A better one"}
    command = "gh pr edit 3 --title '[3/3] A better one'"
    line = f"#3 keeps its title, which does not follow {PATTERN!r}; to number one: {command}"
    assert [each for each in stack.quiet.lines if "keeps its title" in each] == [line]


@pytest.mark.parametrize("ends", ["continue", "abort"])
def test_killed_while_it_retitles(stack: Desk, monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    """The request arrived in part: `continue` does the rest, `abort` puts back what changed."""

    def dies(hub: Hub, edits: Sequence[tuple[PullRequest, str]]) -> None:
        hub.edit(edits[0][0].number, title=edits[0][1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Hub, "edit_titles", dies)
        with pytest.raises(KeyboardInterrupt):
            submit.run(stack.stack_context())
    assert stack.hub.titles == {**AFTER, 3: BEFORE[3]}
    if ends == "continue":
        done = stack.resume()
        assert done is not None
        assert done.error is None
        assert stack.hub.titles == AFTER
    else:
        assert stack.abort() is not None
        assert stack.hub.titles == {**AFTER, **BEFORE}


def test_undo_refuses_a_title_that_was_edited_since(stack: Desk) -> None:
    """The person's words are not overwritten, and nothing else is taken back."""
    assert submit.run(stack.stack_context()).error is None
    stack.hub.titles[1] = "[1/3] Better"
    error = refusal(stack.undo)
    assert "#1's title: is '[1/3] Better', not '[1/3] First'" in error.why
    assert stack.hub.titles[3] == AFTER[3]


def test_modify_renumbers(stack: Desk) -> None:
    """An entry that moves takes its new position in the same run."""
    assert submit.run(stack.stack_context()).error is None
    context = stack.stack_context()
    stacked = modify.open_stacked(context)
    lines = modify.after(stacked, Operation(trunk="main", kind="move", name="3", onto="main"))
    made = modify.plan(context, stacked, lines)
    assert made is not None
    assert rewriting.run(made.context, made.rewriting).error is None
    assert stack.hub.titles == {3: "[1/3] Third", 1: "[2/3] First", 4: "[3/3] two 1"}


def test_a_landed_entry_counts(stack: Desk) -> None:
    """A landing changes no title."""
    assert submit.run(stack.stack_context()).error is None
    stack.merge(1)
    stack.clone.git("fetch", "--quiet")
    assert stack.restack().error is None
    assert not submit.forecast(stack.stack_context()).plan.steps[-1].publishes


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("[{number}] {title}", "'{number}' is none of {title}, {position}, {count}"),
        ("[{position}]", "expected {title} once"),
        ("{title} {title}", "expected {title} once"),
    ],
)
def test_a_pattern_that_cannot_be_read_back_is_refused(stack: Desk, pattern: str, problem: str) -> None:
    """stack.toml names the key and what is wrong."""
    path = stack.root / "stack.toml"
    path.write_text(path.read_text().replace(PATTERN, pattern))
    error = refusal(stack.stack_context)
    assert "submit.title" in error.what
    assert problem in error.what


def test_a_squash_commit_has_the_title_without_the_position(stack: Desk) -> None:
    """`[land] title` places the position itself."""
    path = stack.root / "stack.toml"
    land = '[land]\ntitle = "{title} ({position}/{count}, #{number})"'
    path.write_text(path.read_text().replace("[submit]", f"{land}\n\n[submit]"))
    context = stack.entry_context(1)
    assert squash_title(context, context.view().pull_request()) == "First (1/3, #1)"
