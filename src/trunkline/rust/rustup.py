"""Find missing toolchains and components from rustup's messages, and how to install them.

A gate is "unavailable" only if rustup itself reports what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from trunkline.domain.cause import Cause, CauseId
from trunkline.rust import toml_text
from trunkline.system import process

Query = Callable[..., process.Completed]
"""Runs a program as gates would run it, and returns its result."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FILES = ("rust-toolchain", "rust-toolchain.toml")  # in rustup's order
_NOT_INSTALLED = re.compile(r"^error: .*?toolchain '([^']+)'.* is not installed", re.MULTILINE)
_NO_COMPONENT = re.compile(
    r"^error: (?:the )?'cargo-\w+' (?:is not installed for|binary, .* is not applicable to) "
    r"the (custom )?(?:toolchain )?'([^']+)'",
    re.MULTILINE,
)
_CHANNEL = re.compile(r"(?:stable|beta|nightly|\d+\.\d+(?:\.\d+)?)(?:-(?:beta\.\d+|\d{4}-\d{2}-\d{2}))?")
_COMPONENTS = {"clippy": "clippy", "fmt": "rustfmt"}
_LARGEST = 1 << 16


class ToolchainFile(msgspec.Struct, frozen=True):
    """Content of a rust-toolchain file.

    Attributes:
        channel: the toolchain, or "".
        components: components besides those of the profile.
        targets: targets besides the host.
        path: the file.
    """

    channel: str
    components: tuple[str, ...]
    targets: tuple[str, ...]
    path: Path


def toolchain_file(cwd: Path) -> ToolchainFile | None:
    """Parse the nearest rust-toolchain file (the rustup book, "Overrides"); None: there is none."""
    for folder in (cwd, *cwd.parents):
        for name in _FILES:
            if (text := _read(folder / name)) is not None:
                return _parsed(text, folder / name)
    return None


def _read(path: Path) -> str | None:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _parsed(text: str, path: Path) -> ToolchainFile:
    values = toml_text.parsed(text)
    table: Any = values.get("toolchain", {}) if values is not None else {}
    if values is None and path.name == "rust-toolchain":
        table = {"channel": text.strip()}  # the old format: only the name
    table = table if isinstance(table, dict) else {}
    channel = "".join(_names([table.get("channel")]))
    return ToolchainFile(channel, _names(table.get("components")), _names(table.get("targets")), path)


def _names(values: Any) -> tuple[str, ...]:
    """Return the valid names of a list.

    A pull request must not insert anything else into a command.
    """
    listed = values if isinstance(values, list) else []
    return tuple(each for each in listed if isinstance(each, str) and _NAME.fullmatch(each))


def missing_toolchain(query: Query, chosen: Sequence[str], cwd: Path) -> Cause | None:
    """Return the cause of a missing toolchain; None: rustup does not report one.

    Args:
        query: runs a program as gates would run it.
        chosen: the toolchain argument of the command, `("+1.89.0",)`, or ().
        cwd: the gates' working directory.
    """
    named = ("--toolchain", chosen[0][1:]) if chosen else ()
    done = query("rustup", "which", *named, "cargo")
    found = _NOT_INSTALLED.search(done.error_text) if done.returncode else None
    if found is None:
        return None
    file = None if chosen else toolchain_file(cwd)
    if chosen:
        name = chosen[0][1:]
    else:
        name = file.channel if file and file.channel and found[1].startswith(file.channel) else found[1]
    why = f"the toolchain {name} is not installed"
    why += f"; {file.path.name} names it" if file and file.channel == name else ""
    return Cause(CauseId.TOOLCHAIN, why, name, _install(name, file), _first(done))


def _install(name: str, file: ToolchainFile | None) -> str:
    if not _CHANNEL.match(name):
        return f"rustup toolchain list   # {name} is a toolchain of your own: rustup toolchain link {name} PATH"
    # If a rust-toolchain file chooses the toolchain, the gates that need clippy and rustfmt use it
    # too.
    components = dict.fromkeys([*file.components, "clippy", "rustfmt"] if file else [])
    parts = [f"--component {each}" for each in components]
    parts += [f"--target {each}" for each in (file.targets if file else ())]
    return " ".join(["rustup toolchain install", name, "--profile minimal", *parts])


def missing_component(query: Query, chosen: Sequence[str], subcommand: str) -> Cause | None:
    """Return the cause of a missing component; None: rustup reports none, or it is no component.

    `cargo clippy --version` is not used: it could run an alias of the repository's configuration,
    or fail for another reason.

    Args:
        query: runs a program as gates would run it.
        chosen: see `missing_toolchain`.
        subcommand: the subcommand of cargo.
    """
    if subcommand not in _COMPONENTS:
        return None
    done = query(f"cargo-{subcommand}", *chosen, "--version")
    found = _NO_COMPONENT.search(done.error_text) if done.returncode else None
    if found is None:
        return None
    component, toolchain = _COMPONENTS[subcommand], found[2]
    named = f" --toolchain {chosen[0][1:]}" if chosen else f" --toolchain {toolchain}"
    fix = f"rustup component add {component}{named}"
    if found[1]:
        fix = f"rustup toolchain list   # {toolchain} is a toolchain of your own, which lacks cargo-{subcommand}"
    why = f"the toolchain {toolchain} has no {component}"
    return Cause(CauseId.COMPONENT, why, f"{component} {toolchain}", fix, _first(done))


def component(subcommand: str) -> str:
    """Return the component that provides a subcommand of cargo, or ""."""
    return _COMPONENTS.get(subcommand, "")


def _first(done: process.Completed) -> str:
    return next(iter(done.error_text.splitlines()), "")
