"""What a sandbox sees of CARGO_HOME and RUSTUP_HOME: programs, downloads and settings, never a credential."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli

from trunkline.git.state_directory import state_home
from trunkline.system.files import private_directory, replace_bytes

_DOWNLOADS = ("registry", "git")
_LOCKS = (".package-cache", ".package-cache-mutate")  # cargo's own, held while it downloads
_CONFIGURATIONS = ("config.toml", "config")
_SECRET = frozenset({"token", "secret-key"})
_PROVIDERS = frozenset({"credential-provider", "global-credential-providers", "credential-alias"})


def cargo_home() -> Path:
    """Return cargo's home directory."""
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")


def rustup_home() -> Path:
    """Return rustup's home directory."""
    return Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")


def toolchains() -> Iterator[Path]:
    """Yield where programs of Rust are: rustup's proxies, its toolchains, and those linked into it."""
    yield cargo_home() / "bin"
    yield cargo_home() / "env"
    yield rustup_home()
    home = Path.home()
    for path in installed():
        target = path.resolve()
        # A link to a directory that holds your home would show all of it.
        if path.is_symlink() and target.is_dir() and not home.is_relative_to(target):
            yield target


def installed() -> tuple[Path, ...]:
    """Return the toolchains that rustup has, each a directory or a link to one."""
    try:
        return tuple(sorted((rustup_home() / "toolchains").glob("*")))
    except OSError:  # another user's
        return ()


def downloads() -> Iterator[Path]:
    """Yield where cargo keeps what it downloaded, and the locks that guard it; made where they are missing."""
    home = cargo_home()
    with contextlib.suppress(OSError):  # another user's: what is there is shown
        for name in _DOWNLOADS:
            (home / name).mkdir(parents=True, exist_ok=True)
        for name in _LOCKS:
            (home / name).touch()
    yield from (home / name for name in (*_DOWNLOADS, *_LOCKS) if (home / name).exists())


def configuration(*, network: bool) -> Iterator[tuple[Path, Path]]:
    """Yield cargo's user configuration: where cargo looks for it, and a file without secrets to show there.

    Directories of crates that it names are shown as they are.

    Args:
        network: the proxy is shown too; its address may hold a password.
    """
    for name in _CONFIGURATIONS:
        path = cargo_home() / name
        try:
            values = tomli.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        clean = _without_secrets(values, network=network)
        yield path, path if clean == values else _clean_copy(clean)
        yield from ((each, each) for each in _crate_directories(values) if each.is_dir())


def _without_secrets(values: Mapping[str, Any], *, network: bool) -> dict[str, Any]:
    left_out = _SECRET | _PROVIDERS | (frozenset() if network else {"proxy"})
    return {
        key: _without_secrets(value, network=network) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in left_out
    }


def _clean_copy(values: Mapping[str, Any]) -> Path:
    import tomlkit  # noqa: PLC0415 -- only where there is a secret to leave out

    text = tomlkit.dumps(values).encode()
    folder = private_directory(private_directory(state_home()) / "sandbox")
    path = folder / f"cargo-{hashlib.sha256(text).hexdigest()[:16]}.toml"
    if not path.is_file():
        replace_bytes(path, text)
    return path


def _crate_directories(values: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the absolute directories that `[source.NAME]` tables read crates from."""
    sources = values.get("source", {})
    for source in sources.values() if isinstance(sources, Mapping) else ():
        for key in ("directory", "local-registry"):
            path = source.get(key) if isinstance(source, Mapping) else None
            if isinstance(path, str) and Path(path).is_absolute() and not Path.home().is_relative_to(path):
                yield Path(path)
