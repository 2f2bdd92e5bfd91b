"""The flags of all tasks: one table, long spellings but for three, and a dry run that every mutating task honours."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from invoke.collection import Collection
from invoke.program import Program
from invoke.tasks import Task

from trunkline.context import loading
from trunkline.context.project import Project
from trunkline.domain.errors import InternalError, UsageError, WrongFlag
from trunkline.domain.step import StepName, step_names
from trunkline.state import lock
from trunkline.tasks import command_line, namespace
from trunkline.tasks.command_line import Typed, called_as, prefix, typed, unknown_short
from trunkline.tasks.definition import LandingTask
from trunkline.tasks.flags import FLAGS, from_environment, variable, variables
from trunkline.tasks.registry import task_names
from trunkline.tasks.session import TaskSession

SHORT = {"n": "dry-run", "y": "yes", "p": "pr"}


def tasks(collection: Collection = namespace, prefix: str = "") -> Iterator[tuple[str, LandingTask]]:
    """Yield every task of the collection with its full name."""
    for name, task in collection.tasks.items():
        assert isinstance(task, LandingTask), f"{prefix}{name} is made by Invoke's own @task"
        yield f"{prefix}{name}", task
    for name, inner in collection.collections.items():
        yield from tasks(inner, f"{prefix}{name}.")


ALL = dict(tasks())
MUTATING = sorted(name for name, task in ALL.items() if task.mutates)


def flags_of(name: str) -> dict[str, Any]:
    """Return a task's flags as Invoke parses them, by the long name."""
    (context,) = [each for each in namespace.to_contexts() if each.name == name or name in each.aliases]
    return {str(argument.names[0]): argument for argument in context.args.values()}


@pytest.mark.parametrize("name", ALL)
def test_every_flag_is_in_the_table(name: str) -> None:
    """Long name, short name and kind of each are the table's; so none means two things."""
    for flag, argument in flags_of(name).items():
        row = FLAGS[flag]
        assert [spelled for spelled in argument.names if len(spelled) == 1] == ([row.short] if row.short else [])
        assert (argument.kind is bool) == row.switch, flag
        assert argument.help


def test_three_flags_are_short() -> None:
    """-n, -y and -p, the same everywhere."""
    assert {flag.short: name for name, flag in FLAGS.items() if flag.short} == SHORT


@pytest.mark.parametrize("name", ALL)
def test_common_flags(name: str) -> None:
    """--json everywhere; --dry-run and --yes wherever something is changed."""
    assert ALL[name].full_name == name
    assert {"json"} <= set(flags_of(name))
    assert ({"dry-run", "yes"} <= set(flags_of(name))) == ALL[name].mutates


def test_the_table_has_no_flag_that_no_task_takes() -> None:
    """A row without a task would be documentation of nothing."""
    assert {flag for name in ALL for flag in flags_of(name)} == set(FLAGS)


@pytest.mark.parametrize("name", MUTATING)
@pytest.mark.parametrize("way", ["-n", "--dry-run", "-R", "--dry", "before", "TRUNKLINE_DRY_RUN", "INVOKE_RUN_DRY"])
def test_a_dry_run_cannot_change_the_repository(
    name: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each spelling reaches the task's body, and no lock can be held: without one nothing is mutated."""
    seen: list[object] = []

    def body(message: TaskSession, /, **_: Any) -> None:
        seen.append(message.dry_run)
        with lock.hold(tmp_path / "state", run="r"):
            seen.append("a dry run holds the lock")

    monkeypatch.setattr(ALL[name], "body", body)
    words = [name, *("x" for _ in ALL[name].positional)]
    argv = ["-R", *words] if way == "before" else [*words, *([way] if way.startswith("-") else [])]
    if way.isupper() and not way.startswith("-"):
        monkeypatch.setenv(way, "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", namespace=namespace).run(["trunkline", *argv])
    assert (ended.value.code, seen) == (70, [True])


def test_a_run_that_is_not_dry_holds_the_lease(tmp_path: Path) -> None:
    """The refusal ends with the dry run."""
    with pytest.raises(InternalError), lock.prevent_locking(), lock.hold(tmp_path, run="r"):
        pass
    with lock.hold(tmp_path, run="r") as held:
        assert held.run == "r"


@pytest.mark.parametrize("flag", [name for name, row in FLAGS.items() if row.env])
def test_a_flag_is_read_from_the_environment(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRUNKLINE_NAME stands for --name; a switch is a yes or a no, nothing else."""
    switch = FLAGS[flag].switch
    default: object = False if switch else ""
    monkeypatch.delenv(variable(flag), raising=False)
    assert from_environment(flag, default) == default
    monkeypatch.setenv(variable(flag), "on" if switch else " a,b ")
    assert from_environment(flag, default) == (True if switch else "a,b")
    if switch:
        monkeypatch.setenv(variable(flag), "0")
        assert from_environment(flag, default) is False
        monkeypatch.setenv(variable(flag), "perhaps")
        with pytest.raises(UsageError, match="neither yes nor no"):
            from_environment(flag, default)


@pytest.mark.parametrize("name", ["rebase", "restack", "land", "push", "plan", "undo", "rescue"])
def test_every_flag_of_a_landing_task_has_a_variable(name: str) -> None:
    """Chains of tasks and make set the variable once, in place of a flag for each task."""
    own = {"run", "markdown"}
    assert {variable(flag) for flag in flags_of(name) if flag not in own} <= variables()


def test_a_flag_on_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is for what was not given."""
    seen = {}

    def body(_: TaskSession, **flags: Any) -> None:
        seen.update(flags)

    monkeypatch.setattr(ALL["rebase"], "body", body)
    monkeypatch.setenv("TRUNKLINE_SKIP", "fmt")
    monkeypatch.setenv("TRUNKLINE_FRESH", "1")
    monkeypatch.setenv("TRUNKLINE_ACCEPT_UNAVAILABLE", "msrv")
    Program(name="trunkline", namespace=namespace).run(["trunkline", "rebase", "--skip", "gates"], exit=False)
    assert (seen["skip"], seen["fresh"], seen["accept_unavailable"]) == ("gates", True, "msrv")


@pytest.mark.parametrize(
    ("line", "tasks_typed", "short"),
    [
        ("rebase -d", ["rebase"], [["-d"]]),
        ("-d rebase -yn", ["rebase"], [["-y", "-n"]]),
        ("rebase -p519 -y", ["rebase"], [["-p", "-y"]]),
        ("rebase -p 519 push --pr=520 -R", ["rebase", "push"], [["-p"], ["-R"]]),
        ("-f -x.yml stack.push --skip push stack.ready", ["stack.push", "stack.ready"], [[], []]),
        ("checks --reason -d --tick x", ["checks"], [[]]),
        ("gates --fresh -- -d", ["gates"], [[]]),
        ("", [], []),
    ],
)
def test_a_command_line_is_read_as_invoke_reads_it(line: str, tasks_typed: list[str], short: list[list[str]]) -> None:
    """Tasks, and the short flags behind each; values are no tasks."""
    found = typed(line.split())
    assert [each.name for each in found] == tasks_typed
    assert [each.short for each in found] == short


@pytest.mark.parametrize(
    ("line", "name", "called"),
    [
        ("push", "push", "push"),
        ("receipts.push", "push", None),
        ("receipts.push push", "push", "push"),
        ("stack.receipts.push", "receipts.push", "stack.receipts.push"),
        ("mine.stack.rebase --skip push", "rebase", "mine.stack.rebase"),
        ("mine.stack.rebase --skip push", "push", None),
        ("receipts", "receipts.list", None),
    ],
)
def test_a_task_is_found_wherever_it_is_mounted(line: str, name: str, called: str | None) -> None:
    """By the longest name of ours that the typed one ends with."""
    found = called_as(name, task_names(), line.split())
    assert (found.name if found else None) == called


@pytest.mark.parametrize("letters", ["d", "nd", "e", "w", "D", "T"])
def test_a_short_flag_that_no_task_has_stops_the_task(
    letters: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invoke would take -d for its own --debug and go on: nothing runs, exit code 2."""
    monkeypatch.setattr(ALL["restack"], "body", lambda *_, **__: pytest.fail("it ran"))
    argv = ["trunkline", "restack", f"-{letters}", *(["1"] if letters in {"D", "T"} else [])]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", namespace=namespace).run(argv)
    assert ended.value.code == 2
    assert f"restack has no flag -{letters[-1]}" in capsys.readouterr().err
    assert unknown_short([f"-{letters[-1]}"])


def test_every_task_has_a_docstring_and_takes_its_session_first() -> None:
    """Invoke's own context is not passed on: everything goes through the session."""
    for name, task in ALL.items():
        assert inspect.getdoc(task.body), name


@pytest.mark.parametrize(
    ("line", "message", "following"),
    [
        ("statsu", "there is no task 'statsu'", "trunkline status"),
        ("receipt.verfy --stack x", "there is no task 'receipt.verfy'", "trunkline receipts.verify --stack x"),
        ("xyz", "there is no task 'xyz'", "trunkline --list"),
        ("zzzzqqq", "there is no task 'zzzzqqq'", "trunkline --list"),
        ("rebase --skp fmt", "rebase has no flag --skp", "trunkline rebase --skip fmt"),
        ("rebase --pr", "next: trunkline --help rebase", "trunkline --list"),
        ("rebase 519", "rebase takes an entry by a flag", "trunkline rebase --pr 519"),
        ("rebase #519 --yes", "rebase takes an entry by a flag", "trunkline rebase --pr 519 --yes"),
        ("up 2", "up takes the number of entries by a flag", "trunkline up --count 2"),
        ("switch feat/one", "switch takes an entry by a flag", "trunkline switch --pr feat/one"),
        ("switch nope", "switch takes an entry by a flag", "trunkline switch --pr nope"),
        ("verify 57e81d4", "verify takes a commit by a flag", "trunkline verify --commit 57e81d4"),
        ("undo 20261128", "undo takes the id of a run by a flag", "trunkline undo --run 20261128"),
        ("land together", "there is no task 'together'", "trunkline land --together"),
        ("rehearse rebas", "rehearse takes a task by a flag", "trunkline rehearse --task rebase"),
        ("status restak", "did you mean restack?", "trunkline status restack"),
        ("rebase --pr 519 nope", "there is no task 'nope'", "trunkline --list"),
        ("rebase -p519 nope", "there is no task 'nope'", "trunkline --list"),
        ("rebase nope --pr 519", "there is no task 'nope'", "trunkline --list"),
        ("status extra", "there is no task 'extra'", "trunkline --list"),
        ("log log --pr 5", "log has no flag --pr", "trunkline --list"),
        ("init --stack docs", "next: trunkline --help init", "trunkline --list"),
        ("init --stack=docs", "next: trunkline --help init", "trunkline --list"),
        ("init --stack log", "did you mean --track?", "trunkline init --track log"),
        ("rebase --bogus", "next: trunkline --help rebase", "trunkline --list"),
        ("rebase --force", "next: trunkline --help rebase", "trunkline --list"),
        (
            "rebase --accept-un x",
            "did you mean --accept-unavailable?",
            "trunkline rebase --accept-unavailable x",
        ),
        ("rehearse -n", "it takes neither --dry-run nor --yes", "trunkline rehearse"),
        ("status --yes --json", "status moves no branch and publishes nothing", "trunkline status --json"),
        ("-n restack", "-n is a flag of a task, not of trunkline", "trunkline restack -n"),
        ("-n status", "it goes after the name of the task", "trunkline status"),
        ("-n -- status", "trunkline has no flag -n", "trunkline --list"),
        ("-yn --pr=519 stack.rebase --fresh", "they go after", "trunkline rebase -yn --pr=519 --fresh"),
        ("-p 519 rebase", "-p is a flag of a task", "trunkline rebase -p 519"),
        ("-c mine --skip fmt rebase", "--skip is a flag of a task", "trunkline -c mine rebase --skip fmt"),
    ],
)
def test_a_command_line_that_cannot_be_read(
    line: str, message: str, following: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest tasks and flags, exit code 2, and the same command with the nearest."""
    argv = ["trunkline", *line.split()]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", binary="trunkline", namespace=namespace).run(argv)
    shown = capsys.readouterr().err
    assert (ended.value.code, message in shown) == (2, True), shown
    assert shown.splitlines()[-1] == f"next: {following}"


@pytest.mark.parametrize(
    ("task", "listed"), [("schema", "trunkline schema status"), ("help", "trunkline help agents")]
)
def test_a_task_without_its_argument_lists_the_choices(
    task: str, listed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is no error: exit code 0, and a command for each choice."""
    monkeypatch.setattr("sys.argv", ["trunkline", task])
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", binary="trunkline", namespace=namespace).run(["trunkline", task])
    assert (ended.value.code, listed in capsys.readouterr().out.splitlines()) == (0, True)


@pytest.mark.parametrize("line", ["add --help", "add -h", "add name --help", "status --help", "switch --help"])
def test_help_after_the_name_of_a_task(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The flag is no value of a positional argument: `add --help` adds nothing."""
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", binary="trunkline", namespace=namespace).run(["trunkline", *line.split()])
    assert ended.value.code == 0
    assert f"Usage: trunkline [--core-opts] {line.split(maxsplit=1)[0]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "code", "last"),
    [
        ("statsu", 2, "next: invoke stack.status"),
        ("stack.statsu", 2, "next: invoke stack.status"),
        ("--help stack.statsu", 2, "next: invoke --help stack.status"),
        ("deplyo", 2, "next: invoke deploy"),
        ("xyz", 2, "next: invoke --list"),
        ("stack.rebase --drop-emtied", 2, "next: invoke stack.rebase --drop-emptied"),
        ("deploy --wher=1", 1, "No idea what '--wher' is!"),
        ("stack.status --watch=abc", 2, "next: invoke stack.status --watch"),
    ],
)
def test_under_invoke_beside_tasks_of_ones_own(
    line: str, code: int, last: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of `trunkline`; errors about the flags of a task that is not ours are Invoke's own."""
    root = Collection(Task(lambda _context, where="": where, name="deploy"))
    root.add_collection(namespace, name="stack")
    argv = ["invoke", *line.split()]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as ended:
        Program(name="invoke", namespace=root).run(argv)
    assert (ended.value.code, capsys.readouterr().err.splitlines()[-1]) == (code, last)


@pytest.mark.parametrize(
    ("line", "like", "following"),
    [
        ("rebase --skip fmt,gats", "did you mean gates?", "rebase --skip fmt,gates"),
        ("rebase --skip fmt,msrv", "msrv is a gate, not a step", "rebase --skip fmt --accept-unavailable msrv"),
        ("restack --skip doc", "doc is a gate, not a step", "restack"),
        ("restack --skip zzzz,fmt", "there is no step of that name", "restack --skip fmt"),
        ("land --method sqaush --watch", "did you mean squash?", "land --method squash --watch"),
        ("land --require gate", "did you mean gates?", "land --require gates"),
        ("rehearse --task rebse", "did you mean rebase?", "rehearse --task rebase"),
        ("gates --stack --pr 519", "--stack alone gates every entry, and --pr 519 names one", "gates --stack"),
        ("modify --move 2 --drop 3", "modify takes one operation at a time", "modify --print"),
        ("rebase --skip PUSH", "did you mean push?", "rebase --skip push"),
        ("add --mesage", "error: add has no flag --mesage", "--help add"),
        ("add --mesage x --all", "error: add has no flag --mesage", "add --message x --all"),
        ("rehearse restack", "and then run restack for real", "rehearse --task restack"),
        ("rehearse --pr 519 rebase --skip fmt", "nothing was done", "rehearse --pr 519 --task rebase --skip fmt"),
    ],
)
def test_a_name_is_looked_up_before_anything_runs(
    line: str, like: str, following: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Outside any repository even: the nearest known name, and the same command with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRUNKLINE_YES")
    monkeypatch.setattr("sys.argv", ["invoke", *line.split()])
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", namespace=namespace).run(["trunkline", *line.split()])
    shown = capsys.readouterr().err
    assert (ended.value.code, like in shown) == (2, True), shown
    assert shown.splitlines()[-1] == f"next: invoke {following}"


@pytest.mark.parametrize(
    ("line", "following"),
    [
        ("open --pr 519 --pr next", ["open --pr 519", "open --pr next"]),
        ("rehearse --task rebase --task=land -n", ["rehearse --task rebase", "rehearse --task=land"]),
        ("fetch rebase -n -p 520 -p520", ["fetch rebase -n -p 520", "fetch rebase -n -p520"]),
        ("rebase --pr 519 --pr 519", ["rebase --pr 519"]),
        ("rebase -np 519 --pr 520", ["--help rebase", "--list"]),
    ],
)
def test_a_flag_is_given_once(
    line: str, following: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invoke would run the second value as a task; each suggestion keeps one of the two values."""
    monkeypatch.setattr("sys.argv", ["trunkline", *line.split()])
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", namespace=namespace).run(["trunkline", *line.split()])
    shown = capsys.readouterr().err.splitlines()
    assert (ended.value.code, "is given twice" in shown[0]) == (2, True), shown
    assert shown[1:] == [f"next: trunkline {each}" for each in following]


@pytest.mark.parametrize("page", ["", "/files", "#discussion_r1"])
def test_the_address_of_a_pull_request_is_no_number(page: str) -> None:
    """The number in it is offered; it may be of another repository."""
    project = cast(Project, SimpleNamespace(git=None, stack=None))
    with pytest.raises(WrongFlag) as refused:
        loading._entry(project, f"https://github.com/octo/tiny/pull/519{page}")
    assert refused.value.choices == ({"pr": "519"},)


def test_a_list_flag_can_be_repeated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both values count: the second is no task, and its misspelling is found."""
    monkeypatch.chdir(tmp_path)
    argv = ["trunkline", "rebase", "--skip", "fmt", "--skip", "gate"]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit):
        Program(name="trunkline", namespace=namespace).run(argv)
    assert "error: --skip gate: there is no step of that name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["rebase", "--pr"], "error: --pr needs a value"),
        (["rebase", "--pr", "", "--yes"], "error: --pr needs a value"),  # a script's "$PR"
        (["undo", "--run="], "error: --run needs a value"),
        (["gates", "--accept-unavailable"], "error: --accept-unavailable needs a value"),
        ([""], "error: an empty argument is not a task"),
    ],
)
def test_an_error_of_the_parser_is_in_words(
    argv: list[str], error: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error shows no object of Invoke."""
    monkeypatch.setattr("sys.argv", ["trunkline", *argv])
    with pytest.raises(SystemExit) as ended:
        Program(name="trunkline", namespace=namespace).run(["trunkline", *argv])
    assert (ended.value.code, capsys.readouterr().err.splitlines()[0]) == (2, error)


def test_a_step_has_a_second_name() -> None:
    """`replay` is the task `onto`, also under a prefix, and `--skip` takes the second names."""
    argv = ("stack.replay", "--pr", "519")
    called = called_as("onto", task_names(), argv)
    assert called is not None
    assert called.name == "stack.replay"
    assert prefix("onto", task_names(), argv) == "stack."
    assert step_names("replay,cleanup") == {StepName.REPLAY, StepName.CLEANUP}


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("--skip fmt --skip=gates -np 7", {"skip": "fmt,gates", "dry-run": True, "pr": "7"}),
        ("--fork-point 1=a --fork-point 2=b", {"fork-point": "1=a,2=b"}),
        ("-p519 -yn", {"pr": "519", "yes": True, "dry-run": True}),
        ("--pr= -p=5", {"pr": "5"}),
        ("--echo --echo --keep", {"--echo": True, "keep": True}),
    ],
)
def test_the_flags_of_a_typed_task(words: str, flags: dict[str, str | bool]) -> None:
    """Long or short, joined or not; a flag of Invoke may be repeated."""
    assert command_line.flags_of(Typed("rehearse", words.split(), [])) == flags
