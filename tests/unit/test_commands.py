"""Commands for a person: by the program and prefix that were called, as text and as argv; none written by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.context import Context as InvokeContext
from invoke.exceptions import Exit
from invoke.program import Program

from trunkline.domain.command import Caller, accept_unavailable, argv_of, called_by, name_stack, task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.names import branch_name, pr_number
from trunkline.domain.options import Options
from trunkline.domain.stack import Entry
from trunkline.git.git import Git
from trunkline.steps import next_entry
from trunkline.tasks import namespace
from trunkline.tasks.command_line import prefix, program, start_of
from trunkline.tasks.definition import LandingTask
from trunkline.tasks.registry import task_names
from trunkline.tasks.session import TaskSession

SOURCE = Path(__file__).resolve().parents[2] / "src/trunkline"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Reset the caller, so that the next test begins like a new process."""
    yield
    called_by(Caller())


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/usr/bin/trunkline", "status"], ("trunkline",)),
        (["/venv/bin/inv", "status"], ("inv",)),
        (["/venv/lib/invoke/__main__.py", "status"], ("invoke",)),
        (["invoke", "-c", "mine", "--config=x", "-e", "a.push"], ("invoke", "-c", "mine", "--config=x")),
        (["-c", "status"], ("invoke",)),
        (["/x/pytest/__main__.py", "-q"], ("invoke",)),
    ],
)  # fmt: skip
def test_the_program_that_was_called(argv: list[str], words: tuple[str, ...]) -> None:
    """With the flags that select the collection; whatever else runs us is Invoke."""
    assert program(argv) == words


@pytest.mark.parametrize(
    ("line", "task", "found"),
    [("rebase", "rebase", ""), ("stack.rebase -p 1", "rebase", "stack."), ("a.receipts.push", "receipts.push", "a.")],
)  # fmt: skip
def test_the_prefix_that_was_called(line: str, task: str, found: str) -> None:
    """Wherever the collection is mounted."""
    assert prefix(task, task_names(), line.split()) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("inv -c mine stack.receipts.list", (("inv", "-c", "mine"), "stack.")),
        ("invoke stack.receipts", (("invoke",), "stack.")),
        ("invoke receipts", (("invoke",), "")),
        ("invoke -c mine morning", (("trunkline",), "")),
        ("pytest receipts.py", (("invoke",), "")),
    ],
)
def test_the_start_of_a_following_command(line: str, found: tuple[tuple[str, ...], str]) -> None:
    """The prefix is unknown where another task called ours."""
    assert start_of("receipts.list", task_names(), line.split()) == found


def test_commands_name_the_stack_of_a_run() -> None:
    """`undo` has no `--stack`, and the commands that it prints need it; a stack without a name is the only one."""
    called_by(Caller(takes={"status": {"stack", "json"}, "continue": {"yes"}}))
    name_stack("")
    assert task_command("status") == "invoke status"
    name_stack("kv")
    assert [task_command("status"), task_command("continue")] == ["invoke status --stack kv", "invoke continue"]
    assert task_command("status", "--stack", "other") == "invoke status --stack other"


def test_a_command_of_ours() -> None:
    """Program, prefix, words quoted for a shell; flags that the next command needs too, where it takes them."""
    repeated: dict[str, dict[str, str | bool]] = {"rebase": {"stack": "kv", "yes": True}}
    called_by(Caller(("invoke", "-c", "x y"), "stack.", repeated, given={"pr": "519"}))
    command = task_command("rebase", "--pr", 519, comment="lands it")
    assert command == "invoke -c 'x y' stack.rebase --pr 519 --stack kv --yes   # lands it"
    assert command.argv == ("invoke", "-c", "x y", "stack.rebase", "--pr", "519", "--stack", "kv", "--yes")
    other = task_command("rebase", "--pr", 520)
    assert other.argv[4:] == ("--pr", "520", "--stack", "kv"), "the approval was for #519"
    assert task_command("continue") == "invoke -c 'x y' stack.continue"
    assert task_command("rebase", "--stack", "other", "--yes").argv[4:] == ("--stack", "other", "--yes")
    assert task_command("rebase", "--print").argv[4:] == ("--print", "--stack", "kv")  # nothing is published


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("git fetch 'a b'   # gets it", ("git", "fetch", "a b")),
        ("git fetch && invoke status", ("sh", "-c", "git fetch && invoke status")),
        ("${EDITOR:-vi} stack.toml", ("sh", "-c", "${EDITOR:-vi} stack.toml")),
        ("A=1 invoke push", ("sh", "-c", "A=1 invoke push")),
        ("it's", ("sh", "-c", "it's")),
    ],
)
def test_the_argv_of_a_line(text: str, argv: tuple[str, ...]) -> None:
    """A line with shell syntax is left to the shell."""
    assert argv_of(text) == argv


def test_a_mounted_collection_says_its_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command with the nearest name, as it was called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRUNKLINE_YES")
    root = Collection()
    root.add_collection(namespace, name="stack")
    argv = ["/usr/bin/invoke", "stack.rebase", "--skip", "gats"]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit):
        Program(name="invoke", namespace=root).run(argv)
    assert capsys.readouterr().err.splitlines()[-1] == "next: invoke stack.rebase --skip gates"


@pytest.mark.parametrize(("given", "words"), [({"stack": True}, ""), ({"stack": "core"}, " --stack core")])
def test_a_bare_stack_flag_is_not_repeated_to_other_tasks(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str | bool], words: str
) -> None:
    """`gates --stack` gates every entry; for other tasks the flag needs a name."""
    monkeypatch.setattr("sys.argv", ["invoke", "gates", "--stack"])
    task = namespace["gates"]
    assert isinstance(task, LandingTask)
    task._called(given)
    assert task_command("amend", "--all") == f"invoke amend --all{words}"


def test_a_task_that_is_called_by_another_returns_the_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure raises Invoke's Exit with the documented exit code."""
    result = namespace["help"](InvokeContext(), topic="agents")
    assert (result["ok"], result["error"], result["next"]) == (True, None, [])
    with pytest.raises(Exit) as failed:
        namespace["help"](InvokeContext(), topic="agent")
    assert (failed.value.code, "error: " in capsys.readouterr().err) == (2, True)


def test_the_json_object_has_the_next_commands_as_argv(capsys: pytest.CaptureFixture[str]) -> None:
    """The object lists the printed commands, in order."""
    message = TaskSession("status", json_wanted=True)
    message.terminal.next(task_command("rebase", "--pr", 519))
    message.terminal.next("git fetch origin")
    message.close(0)
    assert '"invoke",\n      "rebase",' in capsys.readouterr().out
    assert message.account["next"] == [["invoke", "rebase", "--pr", "519"], ["git", "fetch", "origin"]]
    assert (message.account["schema"], message.account["ok"], message.account["error"]) == (1, True, None)


def strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are no docstrings, with their lines."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
    }
    documentation |= {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def test_no_command_of_ours_is_written_by_hand() -> None:
    """`invoke NAME` in a text suits one program and one prefix only; `task_command` handles all."""
    allowed = {
        "commands/init_files.py": "files for a repository whose tasks.py comes with them",
        "tasks/program.py": "the program trunkline itself",
        "commands/ci_workflow.py": "the first line of a generated file, by which it is recognised",
    }
    names: set[Any] = {*task_names(), "--list", "--help"}
    found = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in SOURCE.rglob("*.py")
        if str(path.relative_to(SOURCE)) not in allowed
        for line, text in strings(ast.parse(path.read_text()))
        for before, word in zip(text.split(), text.split()[1:], strict=False)
        if before.strip("`'\"(:") in {"invoke", "trunkline"} and word.strip("`'\").,:") in names
    ]
    assert found == []


def test_the_command_for_the_entry_above_accepts_what_this_one_did() -> None:
    """A toolchain that is not installed here is missing for it, too; the approval to publish is not for it.

    The options are those of the run: `continue` has no flag `--accept-unavailable` of its own.
    """
    called_by(Caller(task="continue", given={"yes": True}))
    above, accepted = Entry(number=pr_number("2"), branch=branch_name("two")), frozenset({"msrv", "doc"})
    options = Options(accept_unavailable=accepted)
    assert next_entry.landing(above, options) == "invoke rebase --pr 2 --accept-unavailable doc,msrv"
    assert next_entry.landing(above, Options()) == "invoke rebase --pr 2"
    assert next_entry.landing(above, options, is_closed=True) == "invoke rescue --pr 2"
    assert next_entry.landing(Entry(number=None, branch=branch_name("two")), options) == "invoke submit"


def test_the_gates_alone_accept_what_the_run_did() -> None:
    """`continue` takes it from the journal; a flag of the call itself counts more."""
    called_by(Caller(task="continue"))
    accept_unavailable({"msrv", "doc"})
    assert task_command("gates", "--pr", 2) == "invoke gates --pr 2 --accept-unavailable doc,msrv"
    assert task_command("checks", "--pr", 2) == "invoke checks --pr 2"
    accept_unavailable({"fmt"})
    assert task_command("gates") == "invoke gates --accept-unavailable doc,msrv"


def test_outside_a_repository(tmp_path: Path) -> None:
    """The next command changes to a checkout; `doctor` would find the same again."""
    with pytest.raises(UsageError) as refused:
        Git(tmp_path).common_dir()
    assert refused.value.next_commands == ("cd CHECKOUT   # if there is none yet: gh repo clone OWNER/NAME",)
    assert "run it in the checkout" in refused.value.why


def test_help_alone_lists_its_pages(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and commands that can be typed."""
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", binary="trunkline", namespace=namespace).run(["trunkline", "help"])
    assert ended.value.code == 0
    assert "help agents\n" in capsys.readouterr().out
