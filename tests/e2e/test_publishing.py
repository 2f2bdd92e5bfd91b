"""Approval to publish: one prompt per command on a terminal; without a terminal, --yes is required."""

from __future__ import annotations

import io
import re
import shlex
from typing import Any

import pytest

from support.killing import YardLanding
from support.landing import SLUG, Landing
from support.repo import Repo
from trunkline.commands import land, rebase, restack, undo
from trunkline.context.loading import open_context, open_stack
from trunkline.context.run import Context
from trunkline.domain.errors import InternalError
from trunkline.domain.options import Options
from trunkline.report.terminal import Terminal


def published(landing: Landing) -> dict[str, Any]:
    """Return everything that others see."""
    return {key: landing.world()[key] for key in ("remote", "pulls")}


def refused(landing: Landing, *args: str) -> str:
    """Run a task without a terminal; check that nothing changed; return the command that it prints."""
    before = published(landing), landing.clone.refs()
    ran = landing.unattended(*args)
    assert ran.code == 2, ran.out + ran.err
    assert "publishes, and there is no terminal to ask on" in ran.err
    assert (published(landing), landing.clone.refs()) == before
    (command,) = re.findall("^next: invoke (.*)$", ran.err, re.MULTILINE)
    return str(command)


@pytest.mark.gh
def test_without_a_terminal_yes_is_needed(landing: YardLanding) -> None:
    """Each publishing task refuses before anything runs, lists what it would publish, and names --yes."""
    command = refused(landing, "rebase", "--pr", "519", "--accept-unavailable", "msrv")
    assert command == "rebase --pr 519 --accept-unavailable msrv --yes"
    assert landing.unattended("log").out == "no run yet\n"
    assert landing.unattended("rebase", "--pr", "519", "--no-push").code == 0
    assert refused(landing, "push", "--pr", "519") == "push --pr 519 --yes"
    assert landing.unattended(*shlex.split("push --pr 519 --yes")).code == 0
    for task in ("ready", "note"):
        printed = refused(landing, task, "--pr", "519")
        assert landing.unattended(*shlex.split(printed)).code == 0
    for args in (("restack",), ("land", "--require", "gates"), ("undo",), ("receipts.push",)):
        assert refused(landing, *args) == shlex.join([*args, "--yes"])
    assert landing.unattended("undo", "-y").code == 0


@pytest.mark.gh
def test_what_is_published_is_named(landing: YardLanding) -> None:
    """Branches with old and new commit, pull requests, the note: in the error and in its JSON."""
    old = landing.remote_head("feat/two")[:7]
    ran = landing.unattended("rebase", "--pr", "519", "--json")
    assert ran.code == 2
    assert re.search(rf"push feat/two to origin: {old}\.\.[0-9a-f]{{7}}\n", ran.err)
    push, ready, note = ran.json["publishes"]
    assert push in ran.err
    assert ready == "#519 is marked ready for review"
    assert note == "write the reviewer note into #519's description, with the results of the gates"


@pytest.mark.gh
def test_a_refused_chain_prints_the_whole_chain(landing: YardLanding) -> None:
    """The printed command is the whole chain of tasks."""
    assert landing.unattended("rebase", "--pr", "519", "--no-push").code == 0
    ran = landing.unattended("push", "ready", "note", TRUNKLINE_PR="519")
    assert ran.code == 2
    (command,) = re.findall("^next: (.*)$", ran.err, re.MULTILINE)
    assert command == "TRUNKLINE_YES=1 invoke push ready note"
    assert landing.invoke("push", "ready", "note", TRUNKLINE_PR="519", TRUNKLINE_YES="1").code == 0
    assert not landing.pr(519)["draft"]


@pytest.mark.gh
def test_what_publishes_nothing_asks_nothing(landing: YardLanding) -> None:
    """Plans, dry runs, --no-push, single steps before the push, and a publishing task with nothing to publish."""
    for args in (
        "plan",
        "rebase --dry-run",
        "restack -n",
        "land -R",
        "fetch",
        "rebase --no-push",
        "restack --no-push",
    ):
        ran = landing.unattended(*args.split(), TRUNKLINE_PR="519")
        assert ran.code == 0, (args, ran.out + ran.err)
    assert landing.unattended("rebase", "--pr", "519", "--yes").code == 0
    again = landing.unattended("rebase", "--pr", "519")
    assert again.code == 0, again.out + again.err


@pytest.mark.gh
@pytest.mark.parametrize("typed", [b"\n", b"n\n", b"\4", b"what\n"])
def test_the_default_answer_is_no(landing: YardLanding, typed: bytes) -> None:
    """On a terminal only a yes publishes; anything else leaves everything as it was, journal and all."""
    before = published(landing), landing.clone.refs()
    ran = landing.on_terminal("rebase", "--pr", "519", typed=typed)
    assert ran.code == 0, ran.out
    assert "Publish? [y/N]" in ran.out
    assert "nothing was published" in ran.out
    assert (published(landing), landing.clone.refs()) == before
    assert landing.invoke("log").out == "no run yet\n"


@pytest.mark.gh
def test_a_terminal_prompts_once(landing: YardLanding) -> None:
    """One prompt for push, ready and note of a rebase; --yes and the variable answer it; undo prompts too."""
    ran = landing.on_terminal("rebase", "--pr", "519", typed=b"y\n")
    assert (ran.code, ran.out.count("Publish? [y/N]")) == (0, 1), ran.out
    assert not landing.pr(519)["draft"]
    before = published(landing)
    assert landing.on_terminal("undo", typed=b"\n").code == 0
    assert published(landing) == before
    ran = landing.on_terminal("undo", typed=b"yes\n")
    assert (ran.code, landing.pr(519)["draft"]) == (0, True), ran.out
    ran = landing.on_terminal("rebase", "-p", "519", "-y", typed=b"")
    assert (ran.code, "Publish?" in ran.out) == (0, False), ran.out
    ran = landing.on_terminal("undo", typed=b"", TRUNKLINE_YES="1")
    assert (ran.code, "Publish?" in ran.out) == (0, False), ran.out


@pytest.mark.gh
def test_a_no_ends_the_chain(landing: YardLanding) -> None:
    """Declined once, the tasks behind it do not run."""
    assert landing.invoke("rebase", "--pr", "519", "--no-push").code == 0
    before = published(landing)
    ran = landing.on_terminal("push", "ready", typed=b"n\ny\n", TRUNKLINE_PR="519")
    assert (ran.code, ran.out.count("Publish?")) == (0, 1), ran.out
    assert published(landing) == before


@pytest.mark.gh
def test_continue_and_abort_ask_for_what_they_publish(open_stack: YardLanding) -> None:
    """`abort` of a run that pushed nothing needs no yes; `continue` towards the push does."""
    author = open_stack.author
    author.git("switch", "--quiet", "main")
    author.commit("in the way", {"src/entry.rs": "//! Other.\n"}, author="Mallory")
    open_stack.push_as_author("main")
    open_stack.github.merge(SLUG, 518, method="squash", delete_branch="web")
    assert open_stack.unattended("rebase", "--pr", "519", "--yes").code == 3
    assert refused(open_stack, "continue") == "continue --yes"
    assert open_stack.unattended("abort").code == 0
    assert open_stack.unattended("rebase", "--pr", "519", "--yes").code == 3
    tree = open_stack.waiting_tree()
    (tree / "src/entry.rs").write_text("//! Both.\n")
    Repo(tree).git("add", "--all")
    assert open_stack.unattended("continue", "--yes").code == 0
    assert not open_stack.pr(519)["draft"]


@pytest.mark.gh
def test_a_rehearsal_asks_nothing(landing: YardLanding) -> None:
    """Publishing in the sandbox needs no approval; flags of the environment do not apply in it."""
    ran = landing.unattended("rehearse", "--pr", "519", TRUNKLINE_DRY_RUN="1", INVOKE_RUN_DRY="1")
    assert (ran.code, "519" in ran.out, "draft" in ran.out) == (0, True, True), ran.out + ran.err


@pytest.mark.gh
@pytest.mark.parametrize("task", ["rebase", "restack", "land", "undo"])
def test_no_step_publishes_without_approval(landing: YardLanding, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step that others see demands the approval itself, also after the question was answered."""
    if task == "undo":
        assert landing.invoke("rebase", "--pr", "519").code == 0
    for name, value in landing.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(landing.clone.path)
    before = published(landing)
    nobody = Terminal(io.StringIO())
    with pytest.raises(InternalError, match="published without approval"):
        run(task, nobody)
    refuse, answered = nobody.approve, iter([True])
    nobody.approve = lambda publishes: None if next(answered, False) else refuse(publishes)
    done = run(task, nobody)
    assert isinstance(done.error, InternalError)
    assert "published without approval" in done.error.what
    assert published(landing) == before


def run(task: str, reporter: Terminal) -> Any:
    """Run a workflow as its task does, but without the question."""
    options = Options(require="gates")
    if task == "undo":
        found = undo.find(reporter)
        assert found is not None
        return undo.run(found)
    if task == "rebase":
        context: Context = open_context("519", stack="", options=options, reporter=reporter)
        return rebase.run(context, "rebase")
    context = open_stack(stack="", options=options, reporter=reporter)
    return restack.run(context) if task == "restack" else land.run(context)
