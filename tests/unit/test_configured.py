"""Defaults of flags from Invoke's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.loader import FilesystemLoader
from invoke.program import Program

from trunkline.tasks import namespace
from trunkline.tasks.flags import FLAGS
from trunkline.tasks.registry import taken_flags
from trunkline.tasks.session import TaskSession

TASKS = "from trunkline.tasks import namespace as ns\n"


class Project:
    """A directory with tasks.py, and what the task `rebase` was given by `invoke rebase`."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.given = directory, dict[str, Any]()
        (directory / "tasks.py").write_text(TASKS)
        monkeypatch.chdir(directory)

        def body(session: TaskSession, /, **given: Any) -> None:  # a function: Invoke copies a bound method's object
            self.given = {**given, "yes": session.yes, "dry_run": session.dry_run}

        monkeypatch.setattr(namespace["rebase"], "body", body)

    def rebase(self, *flags: str, own: Collection | None = None, task: str = "rebase") -> dict[str, Any]:
        """Run the task as `invoke` does, with invoke.yaml and the environment, and return its flags."""
        loaded = own or namespace

        class Loader(FilesystemLoader):
            def load(self, name: str | None = None) -> Any:
                module, parent = super().load(name)
                setattr(module, "ns", loaded)  # noqa: B010 -- a module has no declared attribute
                return module, parent

        Program(name="invoke", loader_class=Loader).run(["invoke", task, *flags], exit=False)
        return self.given


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a directory with tasks.py alone."""
    return Project(tmp_path, monkeypatch)


def test_a_default_in_invoke_yaml(project: Project) -> None:
    """A key is a flag with underscores; lists are joined; the command line and TRUNKLINE_* take precedence."""
    assert (project.rebase()["no_push"], project.given["skip"]) == (False, "")
    (project.directory / "invoke.yaml").write_text(
        "trunkline: {no_push: true, skip: [note, push], accept_unavailable: msrv, pr: 519}\n"
    )
    given = project.rebase()
    assert (given["no_push"], given["skip"], given["accept_unavailable"]) == (True, "note,push", "msrv")
    assert given["pr"] == "519"
    assert project.rebase("--skip", "fmt", "--pr", "2") == {**given, "skip": "fmt", "pr": "2"}


def test_the_environment_is_above_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """INVOKE_TRUNKLINE_* as Invoke reads it; a variable of trunkline's own is above both."""
    (project.directory / "invoke.yaml").write_text("trunkline: {skip: note, fresh: true}\n")
    monkeypatch.setenv("INVOKE_TRUNKLINE_SKIP", "fmt")
    assert (project.rebase()["skip"], project.given["fresh"]) == ("fmt", True)
    monkeypatch.setenv("TRUNKLINE_SKIP", "push")
    monkeypatch.setenv("TRUNKLINE_FRESH", "0")
    assert (project.rebase()["skip"], project.given["fresh"]) == ("push", False)


def test_ns_configure(project: Project) -> None:
    """In a collection of the user's, with ours as a part of it."""
    own = Collection()
    own.add_collection(namespace, name="stack")
    own.configure({"trunkline": {"drop_emptied": True}})
    assert project.rebase(own=own, task="stack.rebase")["drop_emptied"] is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trunkline: {no_psh: true}", "trunkline.no_psh does not exist\n  did you mean no_push?"),
        ("trunkline: {'yes': true}", "trunkline.yes does not exist"),
        ("trunkline: {yes: true}", "Invoke's settings cannot be read"),  # YAML 1.1: the key is True
        ("trunkline: {no_push: maybe}", "trunkline.no_push is 'maybe'\n  expected true or false"),
        ("trunkline: {skip: 1.5}", "trunkline.skip is 1.5\n  expected text, or a list of texts"),
        ("trunkline: {skip: {a: b}}", "Invoke's settings cannot be read"),
        ("trunkline: 3", "Invoke's settings cannot be read"),
    ],
)
def test_a_wrong_value_is_named(
    project: Project, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing runs: the setting may have meant to hold a push back."""
    (project.directory / "invoke.yaml").write_text(f"{text}\n")
    assert project.rebase() == {}
    printed = capsys.readouterr()
    assert message in printed.out + printed.err
    assert "next: " in printed.out + printed.err


def test_a_wrong_variable_is_to_be_unset(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The printed command removes the very variable."""
    monkeypatch.setenv("INVOKE_TRUNKLINE_NO_PUSH", "perhaps")
    assert project.rebase() == {}
    assert "next: unset INVOKE_TRUNKLINE_NO_PUSH" in "".join(capsys.readouterr())


def test_every_flag_with_a_variable_has_a_key() -> None:
    """The exceptions approve (`yes`), print (`json`), or are Invoke's own (`dry_run`)."""
    keys = set(namespace.configuration()["trunkline"])
    assert {name.replace("-", "_") for name, flag in FLAGS.items() if flag.env} - keys == {"dry_run", "json", "yes"}
    assert keys <= {flag.replace("-", "_") for flags in taken_flags().values() for flag in flags}
