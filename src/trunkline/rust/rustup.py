"""What rustup says is missing, and the commands that install it. Only rustup's own words make a gate unavailable."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from trunkline.domain.cause import Cause, CauseId
from trunkline.system import process

Ask = Callable[..., process.Completed]
"""Runs a program where gates would run, and returns what it said."""

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


@dataclass(frozen=True)
class Wish:
    """What a rust-toolchain file asks for.

    Attributes:
        channel: the toolchain, or "".
        components: beyond the profile's.
        targets: beyond the host.
        path: the file.
    """

    channel: str
    components: tuple[str, ...]
    targets: tuple[str, ...]
    path: Path


def wish(cwd: Path) -> Wish | None:
    """Return what the nearest rust-toolchain file asks for (the rustup book, "Overrides"); None: there is none."""
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


def _parsed(text: str, path: Path) -> Wish:
    table: Any = {}
    try:
        table = tomli.loads(text).get("toolchain", {})
    except tomli.TOMLDecodeError:
        if path.name == "rust-toolchain":
            table = {"channel": text.strip()}  # the old format: the name alone
    table = table if isinstance(table, dict) else {}
    channel = "".join(_names([table.get("channel")]))
    return Wish(channel, _names(table.get("components")), _names(table.get("targets")), path)


def _names(values: Any) -> tuple[str, ...]:
    """Return the names in a list; what a file of a pull request has in their place is no part of a command."""
    listed = values if isinstance(values, list) else []
    return tuple(each for each in listed if isinstance(each, str) and _NAME.fullmatch(each))


def missing_toolchain(ask: Ask, chosen: Sequence[str], cwd: Path) -> Cause | None:
    """Return the cause that a toolchain is missing; None: rustup does not say so.

    Args:
        ask: runs a program where gates would run.
        chosen: the toolchain that the command names, `("+1.89.0",)`, or ().
        cwd: where gates would run.
    """
    named = ("--toolchain", chosen[0][1:]) if chosen else ()
    done = ask("rustup", "which", *named, "cargo")
    found = _NOT_INSTALLED.search(done.error_text) if done.returncode else None
    if found is None:
        return None
    asked = None if chosen else wish(cwd)
    if chosen:
        name = chosen[0][1:]
    else:
        name = asked.channel if asked and asked.channel and found[1].startswith(asked.channel) else found[1]
    why = f"the toolchain {name} is not installed"
    why += f"; {asked.path.name} names it" if asked and asked.channel == name else ""
    return Cause(CauseId.TOOLCHAIN, why, name, _install(name, asked), _first(done))


def _install(name: str, asked: Wish | None) -> str:
    if not _CHANNEL.match(name):
        return f"rustup toolchain list   # {name} is a toolchain of your own: rustup toolchain link {name} PATH"
    # Where a rust-toolchain file chooses, it chooses for the gates that need clippy and rustfmt too.
    components = dict.fromkeys([*asked.components, "clippy", "rustfmt"] if asked else [])
    parts = [f"--component {each}" for each in components]
    parts += [f"--target {each}" for each in (asked.targets if asked else ())]
    return " ".join(["rustup toolchain install", name, "--profile minimal", *parts])


def missing_component(ask: Ask, chosen: Sequence[str], subcommand: str) -> Cause | None:
    """Return the cause that a component is missing; None: rustup does not say so, or it is no component's.

    `cargo clippy --version` would run an alias of the repository's configuration, or fail for another reason.

    Args:
        ask: runs a program where gates would run.
        chosen: see `missing_toolchain`.
        subcommand: cargo's.
    """
    if subcommand not in _COMPONENTS:
        return None
    done = ask(f"cargo-{subcommand}", *chosen, "--version")
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
    """Return the component that has a subcommand of cargo, or ""."""
    return _COMPONENTS.get(subcommand, "")


def _first(done: process.Completed) -> str:
    return next(iter(done.error_text.splitlines()), "")
