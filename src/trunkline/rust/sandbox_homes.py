"""Select the parts of CARGO_HOME and RUSTUP_HOME that a sandbox sees, without credentials."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trunkline.git.state_directory import state_home
from trunkline.rust import toml_text
from trunkline.system.files import private_directory, replace_bytes

_DOWNLOADS = ("registry", "git")
_LOCKS = (".package-cache", ".package-cache-mutate")  # cargo's own, held during downloads
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
    """Yield the directories of Rust programs: rustup's proxies and all toolchains."""
    yield cargo_home() / "bin"
    yield cargo_home() / "env"
    yield rustup_home()
    home = Path.home()
    for path in installed():
        target = path.resolve()
        # A link to a parent of the home directory would expose the whole home directory.
        if path.is_symlink() and target.is_dir() and not home.is_relative_to(target):
            yield target


def installed() -> tuple[Path, ...]:
    """Return the installed toolchains of rustup, each a directory or a link to one."""
    try:
        return tuple(sorted((rustup_home() / "toolchains").glob("*")))
    except OSError:  # another user's directory
        return ()


def downloads() -> Iterator[Path]:
    """Yield cargo's download directories and their lock files, creating those that are missing."""
    home = cargo_home()
    with contextlib.suppress(OSError):  # another user's directory: only existing paths are shown
        for name in _DOWNLOADS:
            (home / name).mkdir(parents=True, exist_ok=True)
        for name in _LOCKS:
            (home / name).touch()
    # Path.exists raises where the user may not look; os.path.exists does not.
    yield from (home / name for name in (*_DOWNLOADS, *_LOCKS) if os.path.exists(home / name))  # noqa: PTH110


def configuration(*, network: bool) -> Iterator[tuple[Path, Path]]:
    """Yield cargo's user configuration files: the path, and a file without secrets to mount there.

    Directories of crates that they name are mounted as they are.

    Args:
        network: keep the proxy; its URL may contain a password.
    """
    for name in _CONFIGURATIONS:
        path = cargo_home() / name
        values = toml_text.read(path)
        if values is None:
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
    import tomlkit  # noqa: PLC0415 -- 8 ms; few configurations hold a secret

    text = tomlkit.dumps(values).encode()
    folder = private_directory(private_directory(state_home()) / "sandbox")
    path = folder / f"cargo-{hashlib.sha256(text).hexdigest()[:16]}.toml"
    if not path.is_file():
        replace_bytes(path, text)
    return path


def _crate_directories(values: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the absolute directories from which `[source.NAME]` tables read crates."""
    sources = values.get("source", {})
    for source in sources.values() if isinstance(sources, Mapping) else ():
        for key in ("directory", "local-registry"):
            path = source.get(key) if isinstance(source, Mapping) else None
            if isinstance(path, str) and Path(path).is_absolute() and not Path.home().is_relative_to(path):
                yield Path(path)
