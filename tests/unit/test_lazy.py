"""Modules that packages import at first use."""

from pathlib import Path

import pytest

from trunkline import commands, lazy


def test_a_module_is_an_attribute_of_its_package() -> None:
    """The attribute is the module that an import statement gives."""
    from trunkline.commands import move  # noqa: PLC0415 -- the import to compare with

    assert commands.move is move
    assert lazy.importer("trunkline.commands")("move") is move


def test_a_name_without_a_module_is_no_attribute() -> None:
    """A misspelt name is an AttributeError, as of any module, so that `hasattr` works."""
    assert not hasattr(commands, "rebased")
    with pytest.raises(AttributeError, match=r"module 'trunkline\.commands' has no attribute 'rebased'"):
        lazy.importer("trunkline.commands")("rebased")


def test_a_missing_package_of_a_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module whose own import fails raises that error: it names the package to install."""
    package = tmp_path / "half_installed"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "report.py").write_text("import package_that_is_not_there\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="package_that_is_not_there"):
        lazy.importer("half_installed")("report")
