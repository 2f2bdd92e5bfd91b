"""Checks of an entry: evaluated after the gates, proven by receipts, listed in the checklist and the note."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.killing import Kill, Yard, YardLanding, records, warm
from support.landing import BODY, NO_OP_GATES, STACK, Landing

pytestmark = pytest.mark.gh

CHECKS = """\
next = "PR-3 will use `pool.deallocate(entry.block)`."

[[entry.check]]
kind = "pattern"
name = "entry-struct"
title = "There is an `Entry`"
pattern = "pub struct $NAME;"
paths = ["src/entry.rs"]

[[entry.check]]
kind = "command"
name = "no-todo"
run = ["git", "grep", "-q", "TODO"]
exit = 1

[[entry.check]]
kind = "manual"
name = "read-it"
title = "Somebody has read the docs"
"""
TICK = ("checks", "--pr", "519", "--tick", "read-it", "--reason", "every line")


def stack(checks: str) -> str:
    """Return stack.toml with these checks of #519."""
    return STACK.format(gates=NO_OP_GATES).replace(CHECKS.partition("\n")[0] + "\n", checks)


@pytest.fixture
def file(tmp_path: Path, landing: Landing, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a stack.toml beside the repository, with checks, that tasks read; #519's branch is here."""
    landing.clone.git("branch", "--quiet", "feat/two", "origin/feat/two")
    path = tmp_path / "checked.toml"
    path.write_text(stack(CHECKS))
    monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(path))
    return path


@pytest.mark.usefixtures("file")
def test_a_landing_waits_for_a_persons_word(landing: Landing) -> None:
    """The gates pass, a manual check stops before the push; ticked, continue lands it; note and checklist have it."""
    stopped = landing.invoke("rebase", "--pr", "519")
    assert stopped.code == 1, stopped.out + stopped.err
    message = (stopped.out + stopped.err).splitlines()
    assert message[-2:] == [
        "next: invoke checks --pr 519 --tick read-it --reason WHY",
        "next: invoke continue",
    ]
    assert "read-it (Somebody has read the docs): not ticked yet" in stopped.out + stopped.err
    assert landing.remote_head("feat/two") == landing.heads[519]
    ticked = landing.invoke(*TICK)
    assert (ticked.code, ">: every line" in ticked.out) == (0, True), ticked.out + ticked.err
    ended = landing.invoke("continue")
    assert ended.code == 0, ended.out + ended.err
    assert "3 of 3 on" in ended.out
    assert "(3 from receipts)" in ended.out
    body = landing.pr(519)["body"]
    assert body.startswith(BODY)
    assert "- [x] There is an `Entry`: found: src/entry.rs:4: pub struct Entry;" in body
    assert "- [x] no-todo: `git grep -q TODO`" in body
    assert "- [x] Somebody has read the docs: " in body
    listed = landing.invoke("checklist", "--pr", "519", "--json").json
    lines = {line["line"]: line["state"] for line in listed["steps"][0]["data"]["lines"]}
    assert lines["Somebody has read the docs"] == lines["There is an `Entry`"] == "done"
    gates = listed["steps"][0]["data"]["lines"][2]
    assert gates["receipts"] == ["build", "test", "clippy", "fmt", "doc", "msrv"]
    assert (gates["commit"], gates["command"]) == (landing.clone.head("feat/two"), "invoke gates --pr 519")
    assert gates["at"][:2] == "20"
    message = landing.invoke("checklist", "--pr", "519", "--markdown").out.splitlines()
    assert message[3].startswith("- [x] There is an `Entry`: found: src/entry.rs:4: pub struct Entry; (20")
    assert [line[:5] for line in message] == ["- [x]"] * 9
    assert "own checks 3 of 3" in landing.invoke("status").out
    shown = landing.invoke("status", "--json").json["stack"]["entries"][1]["checks"]
    assert shown == {"entry-struct": "passed", "no-todo": "passed", "read-it": "passed"}
    verified = landing.invoke("receipts.verify")
    assert verified.code == 0, verified.out


def test_a_tick_is_of_one_tree(landing: Landing, file: Path) -> None:
    """After an amend the tick is stale and names its author; a push is refused."""
    assert landing.invoke("rebase", "--pr", "519", "--skip", "checks", "--no-push").code == 0
    landing.clone.git("switch", "--quiet", "feat/two")
    assert landing.invoke(*TICK).code == 0
    assert landing.invoke("checks", "--pr", "519").code == 0
    landing.clone.commit("more", {"src/entry.rs": "//! Entry.\n\n/// Entry.\npub struct Other;\n"})
    stale = landing.invoke("checks", "--pr", "519")
    assert stale.code == 1
    assert "read-it (Somebody has read the docs): the tree has changed since" in stale.err
    assert ">: every line (20" in stale.err
    file.write_text(stack(CHECKS.replace('kind = "manual"', 'kind = "manual"  # only')))
    refused = landing.invoke("push", "--pr", "519", "--skip", "gates")
    assert refused.code == 5
    assert "the checks have not passed" in refused.err
    assert refused.err.splitlines()[-1] == "next: invoke checks --pr 519"


def test_what_fails_is_shown_with_file_line_and_code(landing: Landing, file: Path) -> None:
    """A pattern where it must not be, a command that ends otherwise, a test filter that runs nothing."""
    file.write_text(
        stack(
            '[[entry.check]]\nkind = "pattern"\nname = "nowhere"\npattern = "pub struct $N;"\nexpect = "absent"\n'
            '[[entry.check]]\nkind = "pattern"\nname = "gated"\npattern = "pub struct $N;"\nexpect = "inside"\n'
            'inside = ["#[cfg(test)]"]\n'
            '[[entry.check]]\nkind = "pattern"\nname = "not-ours"\npattern = "a + b"\nexpect = "absent"\n'
            '[[entry.check]]\nkind = "pattern"\nname = "gone"\npattern = "a"\npaths = ["gone/*.rs"]\n'
            '[[entry.check]]\nkind = "command"\nname = "ends"\nrun = ["true"]\nexit = 3\n'
            '[[entry.check]]\nkind = "command"\nname = "tool"\nrun = ["no-such-tool"]\n'
        )
    )
    failed = landing.invoke("checks", "--pr", "519")
    assert failed.code == 1
    message = failed.err
    assert "5 of 6 checks failed on" in message
    assert "nowhere (nowhere): found, but must not be\n    src/entry.rs:4: pub struct Entry;\n" in message
    assert "gated (gated): 1 of 1 not inside #[cfg(test)]\n    src/entry.rs:4: pub struct Entry;\n" in message
    assert "not-ours" not in message.partition("checks failed on")[2], "the base has it, the entry does not add it"
    assert "gone (gone): gone/*.rs: no Rust file of the commit matches" in message
    assert "ends (ends): exit code 0, expected 3" in message
    assert "tool (tool): unavailable" in message
    assert "--accept-unavailable tool" in message.splitlines()[-1]
    shown = json.loads(landing.invoke("receipts", "--json").out)["receipts"]
    assert {each["statement"]["predicate"]["result"] for each in shown if "nowhere" in each["file"]} == {"FAILED"}


def test_what_is_no_pattern(landing: Landing, file: Path) -> None:
    """An error in stack.toml is not one of the entry: exit 2."""
    file.write_text(stack('[[entry.check]]\nkind = "pattern"\nname = "a"\npattern = "foo((("\nexpect = "absent"\n'))
    refused = landing.invoke("checks", "--pr", "519")
    assert refused.code == 2
    assert "'foo(((' is no ast-grep pattern" in refused.err


TICKS = [
    (("--tick", "no-todo", "--reason", "x"), "a machine decides that check"),
    (("--tick", "gone", "--reason", "x"), "#519 has no check of that name"),
    (("--tick", "read-it"), "a tick needs its reason"),
    (("--reason", "x"), "--reason belongs to --tick NAME"),
]


@pytest.mark.usefixtures("file")
def test_a_tick_of_what_cannot_be_ticked(landing: Landing) -> None:
    """Only a manual check, only with a reason."""
    for args, expected in TICKS:
        refused = landing.invoke("checks", "--pr", "519", *args)
        assert (refused.code, expected in refused.err) == (2, True), args


@pytest.mark.slow
@pytest.mark.parametrize("at", records(36)[22:27:2], ids=str)
def test_a_kill_around_the_checks(grounds: Yard, at: Kill, tmp_path: Path) -> None:
    """Killed there, continue finishes with every check; abort puts the branch back."""
    path = tmp_path / "checked.toml"
    path.write_text(stack(CHECKS.partition('[[entry.check]]\nkind = "manual"')[0]))
    with grounds.prepared("warm checks", warm) as landing:
        assert isinstance(landing, YardLanding)
        landing.kill(at, "rebase", "--pr", "519", TRUNKLINE_STACK_FILE=str(path))
        ended = landing.invoke("continue", TRUNKLINE_STACK_FILE=str(path))
        assert ended.code == 0, ended.out + ended.err
        assert "- [x] There is an `Entry`" in landing.pr(519)["body"]
        undone = landing.invoke("undo", TRUNKLINE_STACK_FILE=str(path))
        assert undone.code == 0, undone.out + undone.err
        assert landing.remote_head("feat/two") == landing.heads[519]
        assert landing.pr(519)["body"] == BODY


def test_a_note_of_the_teams_own_making(landing: Landing, file: Path) -> None:
    """The checkout's `[note] template`; a wrong one stops before anything moves; written twice, it is the same."""
    (landing.clone.path / ".github").mkdir()
    template = landing.clone.path / ".github/note.md.j2"
    table = '[note]\ntemplate = ".github/note.md.j2"\n\n'
    file.write_text(stack('next = "More."\n').replace("[gates]", f"{table}[gates]", 1))
    missing = landing.invoke("rebase", "--pr", "519")
    assert missing.code == 2
    assert "note.template: .github/note.md.j2 cannot be read" in missing.err
    template.write_text("one\n{% if")
    assert ".github/note.md.j2:2: " in landing.invoke("rebase", "--pr", "519").err
    template.write_text(
        "{% if commit != '0' * 40 %}\n{{ gates[6].name }}{% endif %}\n"
    )  # fails on a real landing only
    late = landing.invoke("rebase", "--pr", "519")
    assert (late.code, ".github/note.md.j2:2: " in late.err) == (2, True), late.out + late.err
    assert landing.remote_head("feat/two") == landing.heads[519]
    template.write_text("Ours: {{ gates | length }} gates, then {{ next }}\n")
    ended = landing.invoke("rebase", "--pr", "519")
    assert ended.code == 0, ended.out + ended.err
    body = landing.pr(519)["body"]
    assert "-->\nOurs: 6 gates, then More.\n\n<!-- " in body
    assert "already up to date" in landing.invoke("note", "--pr", "519").out
    assert landing.pr(519)["body"] == body
    template.write_text("{{ nothing }}")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    landing.move_trunk()
    pushed = landing.remote_head("feat/two")
    whole = landing.invoke("restack")
    assert (whole.code, "'nothing' is undefined" in whole.err) == (2, True), whole.out + whole.err
    assert landing.remote_head("feat/two") == pushed
