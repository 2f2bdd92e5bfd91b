"""Commands after a failed rehearsal: they rehearse again, and change nothing outside of the sandbox."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.commands import rehearse
from trunkline.domain import command
from trunkline.tasks import simulator
from trunkline.tasks.registry import taken_flags
from trunkline.tasks.session import TaskSession


@pytest.fixture(autouse=True)
def caller() -> Iterator[None]:
    """Call as `invoke rehearse`."""
    before = command.caller()
    command.called_by(command.Caller(takes=taken_flags()))
    yield
    command.called_by(before)


@pytest.mark.parametrize(
    ("printed", "rehearsals"),
    [
        ("invoke rebase --pr 2 --accept-unavailable msrv", ["--pr 2 --fault x --accept-unavailable msrv"]),
        ("invoke rebase --pr 1", ["--pr 1 --fault x"]),
        (
            "invoke rebase --fork-point 2=aa --fork-point 3=bb",
            ["--pr 2 --fault x --fork-point 2=aa --fork-point 3=bb"],
        ),
        ("invoke rebase --pr 2", []),
        ("invoke rebase --pr 2 --fresh", []),
        ("invoke land --pr 2", []),
        ("invoke continue", []),
        ("gh pr ready 2 --undo", []),
    ],
)
def test_commands_of_the_sandbox(printed: str, rehearsals: list[str]) -> None:
    """The rehearsed task with other flags is rehearsed; the other commands are for the sandbox, and are left out."""
    session = TaskSession("rehearse", json_wanted=False)
    session.given = {"pr": "2", "fault": "x"}
    assert list(simulator._outside(session, "rebase", [printed])) == [
        f"invoke rehearse {line}" for line in rehearsals
    ]


def test_variables_that_the_task_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRUNKLINE_SKIP is of no concern to `submit`; a flag that was typed is passed on, and refused by the task."""
    given: dict[str, str | bool] = {"skip": "fmt", "stack": "a", "pr": "", "no-push": False}
    monkeypatch.setattr("sys.argv", ["invoke", "rehearse", "--task", "submit"])
    assert simulator._taken("submit", given) == {"stack": "a"}
    assert simulator._taken("restack", given) == {"skip": "fmt", "stack": "a"}
    monkeypatch.setattr("sys.argv", ["invoke", "rehearse", "--task", "submit", "--skip", "fmt"])
    assert simulator._taken("submit", given) == {"skip": "fmt", "stack": "a"}


def test_a_rehearsal_imports_nothing_from_the_branch(tmp_path: Path) -> None:
    """Python itself does: a module of the branch with the name of a dependency would run."""
    (tmp_path / "msgspec.py").write_text("raise SystemExit('code of the branch')")
    run = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "code of the branch" in run([sys.executable, "-c", "import msgspec"]).stderr
    done = run(rehearse._argv(["--version"]))
    assert (done.returncode, done.stdout.split()[0]) == (0, "trunkline"), done.stderr
