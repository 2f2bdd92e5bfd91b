"""Read Invoke's project settings beside the checkout, for the program that has no tasks.py.

`invoke` reads invoke.yaml, invoke.yml or invoke.json beside tasks.py. The program `trunkline` brings
its own tasks, and Invoke then reads no project settings (`Program.parse_collection`). Only `run.dry` is
taken: the defaults of flags (tasks/configured.py) decide what runs, and a checkout may be of somebody else.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

_VARIABLE = "INVOKE_RUN_DRY"
_SIZE = 65_536
"""The largest settings file that is read, in bytes."""


def take_dry_run(directory: Path | None = None) -> None:
    """Make every task a dry run if the project's settings say `run: {dry: true}`.

    The environment and the command line rank above the project's settings, as in Invoke.

    Args:
        directory: where to begin; default: the working directory. The settings are in it or above it.

    Raises:
        SystemExit: the settings cannot be read, so it is not known whether they ask for a dry run.
    """
    if _VARIABLE in os.environ:
        return
    try:
        path = _settings_file(directory or Path.cwd())
    except FileNotFoundError:  # the working directory was removed: the task says so
        return
    if path is not None and _is_dry(path):
        os.environ[_VARIABLE] = "1"


def _settings_file(directory: Path) -> Path | None:
    for folder in (directory, *directory.parents):
        for suffix in ("yaml", "yml", "json"):  # Invoke's order; its invoke.py would be code of the checkout
            path = folder / f"invoke.{suffix}"
            if path.is_file():
                return path
        if (folder / ".git").exists():
            break
    return None


def _is_dry(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            text = stream.read(_SIZE + 1)
        if len(text) > _SIZE:
            _refuse(path, f"it is larger than {_SIZE:,} bytes")
        settings = _parser(path)(text)
    except (OSError, ValueError, RecursionError) as error:
        _refuse(path, str(error))
    run = settings.get("run") if isinstance(settings, dict) else None
    return bool(run.get("dry")) if isinstance(run, dict) else False


def _parser(path: Path) -> Callable[[bytes], Any]:
    if path.suffix == ".json":
        return json.loads
    yaml = importlib.import_module("invoke.util").yaml  # Invoke's own copy; 15 ms, for the few who have the file

    def parse(text: bytes) -> Any:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error

    return parse


def _refuse(path: Path, why: str) -> NoReturn:
    first = next(iter(why.splitlines()), "")
    again = f"{_VARIABLE}=0 {shlex.join(['trunkline', *sys.argv[1:]])}"
    sys.stderr.write(
        f"error: {path} cannot be read\n  {first}\n"
        f"  it may ask for dry runs (run.dry), so nothing was done\nnext: {again}\n"
    )
    raise SystemExit(2)
