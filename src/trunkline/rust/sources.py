"""Run cargo commands on a tree other than gates: fetch dependencies, format, update Cargo.lock.

Each of them may run code of a pull request (`.cargo/config.toml`, aliases, `rust-toolchain.toml`),
and rustfmt follows `#[path]` and symbolic links out of the tree. So they run in the sandbox if that
is enabled.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec.structs import replace

from trunkline.domain.errors import CheckFailed, ExternalError, UsageError
from trunkline.domain.flags import NO_FLAGS, Flags
from trunkline.git.state_directory import state_home
from trunkline.rust import bubblewrap, cargo, rustflags, sandbox_homes, toml_text
from trunkline.system import process
from trunkline.system.files import private_directory, read_inside

_SECONDS = 600.0
_LONGEST = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ORIGINS = frozenset({"replace-with", "registry", "local-registry", "directory", "git", "branch", "tag", "rev"})
_LOCAL = frozenset({"directory", "local-registry"})
_CONFIGURATIONS = (".cargo/config.toml", ".cargo/config")
_TOOLCHAINS = ("rust-toolchain.toml", "rust-toolchain")


def wrap_for(tree: Path, *, sandbox: bool) -> cargo.Wrap:
    """Return the wrapper for programs that read a tree."""
    return bubblewrap.Sandbox(tree).wrap if sandbox else cargo.unwrapped


def fetch(argv: tuple[str, ...], *, tree: Path, cwd: Path, env: Mapping[str, str]) -> None:
    """Download a gate's dependencies before it runs without network; the gate reports failures.

    Only this command has network access, so nothing that the tree names may run. Cargo and rustup
    read settings from their working directory, which is therefore not the tree. Of the tree's
    settings only the sources of crates are passed on.

    Args:
        argv: the gate's command.
        tree: the sources.
        cwd: the Cargo workspace's directory.
        env: the gate's environment.
    """
    if argv[0] != "cargo":
        return
    chosen = argv[1:2] if argv[1:2] and argv[1].startswith("+") else ()
    named = {} if chosen else _toolchain_variable(tree, cwd)
    places = [part for setting in _crate_places(tree, cwd) for part in ("--config", setting)]
    command = ["cargo", *chosen, "fetch", "--locked", "--manifest-path", str(cwd / "Cargo.toml"), *places]
    fetching = bubblewrap.Sandbox(tree, network=True)
    outside = Path("/")
    with contextlib.suppress(ExternalError):
        process.run(fetching.wrap(command, outside), cwd=outside, env={**env, **named}, timeout=_SECONDS)


def flags_in_force(argv: Sequence[str], env: Mapping[str, str], *, tree: Path, cwd: Path, sandbox: bool) -> Flags:
    """Return the flags that cargo passes to rustc and rustdoc for a command.

    Args:
        argv: the command.
        env: the variables that it sets, without those whose flags are to be added.
        tree: the sources.
        cwd: its working directory.
        sandbox: run cargo in the sandbox.

    Raises:
        FlagsUnknown: cargo fails before it passes flags.
    """
    if not rustflags.may_be_set(argv, env, cwd):
        return NO_FLAGS
    base = private_directory(private_directory(state_home()) / "flags")
    with tempfile.TemporaryDirectory(dir=base) as folder:
        scratch = Path(folder)
        wrap = bubblewrap.Sandbox(tree, writable=(scratch,)).wrap if sandbox else cargo.unwrapped
        return rustflags.Probe(cwd, scratch, wrap).flags(argv, cargo.environment(env))


def _folders(tree: Path, cwd: Path) -> Iterator[Path]:
    """Yield the directories whose settings apply, nearest first."""
    yield cwd
    if cwd != tree:
        yield from _folders(tree, cwd.parent)


def _toolchain_variable(tree: Path, cwd: Path) -> dict[str, str]:
    """Return RUSTUP_TOOLCHAIN from the tree's rust-toolchain file, if installed."""
    for path in (folder / name for folder in _folders(tree, cwd) for name in _TOOLCHAINS):
        text = _read(tree, path)
        if not text:
            continue
        values = toml_text.parsed(text)
        if values is not None:
            table = values.get("toolchain")
            text = str(table.get("channel", "")) if isinstance(table, dict) else ""
        name = text.strip()
        installed = [each.name for each in sandbox_homes.installed()]
        if _NAME.fullmatch(name) and any(each == name or each.startswith(f"{name}-") for each in installed):
            return {"RUSTUP_TOOLCHAIN": name}
        return {}
    return {}


def _crate_places(tree: Path, cwd: Path) -> Iterator[str]:
    """Yield the tree's own sources of crates as arguments of `--config`, the nearest last."""
    for folder in reversed([*_folders(tree, cwd)]):
        text = next((text for name in _CONFIGURATIONS if (text := _read(tree, folder / name))), "")
        values = toml_text.parsed(text)
        if values is None:
            continue
        for name, key, value in _pairs(values.get("registries")):
            if key == "index":
                yield f"registries.{json.dumps(name)}.index={json.dumps(value)}"
        for name, key, value in _pairs(values.get("source")):
            if key in _ORIGINS:
                place = str(folder / value) if key in _LOCAL else value
                yield f"source.{json.dumps(name)}.{key}={json.dumps(place)}"


def _pairs(tables: Any) -> Iterator[tuple[str, str, str]]:
    for name, table in tables.items() if isinstance(tables, dict) else ():
        for key, value in table.items() if isinstance(table, dict) else ():
            if isinstance(value, str):
                yield name, key, value


def _read(tree: Path, path: Path) -> str:
    """Return a small text file of the tree, "" if there is none; links are not followed."""
    try:
        return read_inside(tree, PurePosixPath(path.relative_to(tree)), _LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def format_workspace(tree: Path, root: str, *, sandbox: bool) -> process.Completed:
    """Run `cargo fmt --all` so that it writes only into the tree; the caller checks the exit code.

    Args:
        tree: the sources.
        root: the Cargo workspace's directory inside it.
        sandbox: run it in the sandbox, where only the tree is writable; else check the list of
            files first.

    Raises:
        CheckFailed: it would write outside the tree; nothing was written.
    """
    cwd = tree / root
    if sandbox:
        return _cargo_fmt((), cwd, bubblewrap.Sandbox(tree, writable=(tree,)).wrap)
    listed = _cargo_fmt(("--", "--check", "-l"), cwd, cargo.unwrapped)
    names = listed.stdout.decode("utf-8", "surrogateescape").splitlines()
    if not names:
        # nothing to change, or an error, which the output explains
        return listed if listed.returncode else replace(listed, returncode=0)
    outside = [name for name in names if not _is_file_of(tree, cwd / name)]
    if outside:
        raise CheckFailed(
            f"cargo fmt would write outside the tree: {outside[0]}",
            why="a `#[path]` or a symbolic link leads there; nothing was written",
            next_command="cargo fmt --all -- --check -l",
        )
    return _cargo_fmt((), cwd, cargo.unwrapped)


def _cargo_fmt(flags: tuple[str, ...], cwd: Path, wrap: cargo.Wrap) -> process.Completed:
    command = ["cargo", "fmt", "--all", *flags]
    done = process.run(wrap(command, cwd), cwd=cwd, env=cargo.environment({}), timeout=_SECONDS)
    return replace(done, argv=tuple(command))


def _is_file_of(tree: Path, path: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(tree.resolve())


def update_lock(tree: Path, folder: Path, *, sandbox: bool) -> bool:
    """Update a workspace's Cargo.lock to its manifests, changing nothing else, without network.

    Args:
        tree: the sources.
        folder: the directory of the lock file.
        sandbox: run cargo in the sandbox, where only the tree is writable.

    Returns:
        Whether `--locked` now accepts it.
    """
    if sandbox and bubblewrap.missing_tool():
        return False
    wrap = bubblewrap.Sandbox(tree, writable=(tree,)).wrap if sandbox else cargo.unwrapped
    update = ["cargo", "update", "--workspace", "--offline"]
    check = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1"]
    env = cargo.environment({})
    try:
        return all(
            process.run(wrap(argv, folder), cwd=folder, env=env, timeout=_SECONDS).returncode == 0
            for argv in (update, check)
        )
    except (ExternalError, UsageError):
        return False
