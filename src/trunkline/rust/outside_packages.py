"""Find the packages outside a work tree that cargo would compile for it, and determine whether they changed.

These are path dependencies of the tree's manifests, what `paths` and `[patch]` of cargo's configuration name, and the
locked packages of directory sources. A commit does not contain them, so a receipt about its tree must say which ones
it depends on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from trunkline.rust import build_places, cargo, cargo_settings, toml_text
from trunkline.system.files import LONGEST, read_regular

_MOST = 50_000  # files; a manifest may name a directory as large as the whole machine
_OF_THE_KERNEL = ("/dev/", "/proc/", "/sys/")
_BUILT = frozenset({"target", ".git"})
_DEPENDENCIES = frozenset({
    "dependencies", "dev-dependencies", "build-dependencies", "dev_dependencies", "build_dependencies", "patch",
    "replace",
})  # fmt: skip


def states(top: Path, root: str, manifests: Iterable[str], links: Iterable[str] = ()) -> dict[str, str]:
    """Return the packages outside a work tree that it may be compiled with: directory -> `state_of` it.

    Args:
        top: the work tree.
        root: the Cargo workspace's directory in it, relative.
        manifests: the paths of the tree's Cargo.toml files, relative to it.
        links: the paths of its symbolic links, any of which may be a member of the workspace.
    """
    top = Path(os.path.realpath(top))
    waiting = [_place(top, each) for each in links]
    waiting += [place for name in manifests for place in _named_by((top / name).parent)]
    waiting += _configured(Path(os.path.normpath(top / root)))
    found: dict[str, str] = {}
    while waiting:
        place = waiting.pop()
        inside = place == top or top in place.parents
        if inside or str(place) in found or not (place / "Cargo.toml").is_file():
            continue
        found[str(place)] = state_of(str(place))
        waiting += _named_by(place)
    return found


def linked(top: Path, links: Iterable[str]) -> dict[str, str]:
    """Return the files outside a work tree to which its links lead, as `states` does.

    Directories other than packages are left out: `/tmp` changes all the time, and so do the files
    of kernel file systems.

    Args:
        top: the work tree.
        links: the paths of its symbolic links.
    """
    top = Path(os.path.realpath(top))
    places = sorted({os.path.realpath(top / each) for each in links})
    outside = (each for each in places if not each.startswith((f"{top}/", *_OF_THE_KERNEL)))
    return {each: state_of(each) for each in outside if os.path.isfile(each)}  # noqa: PTH113 -- a name may be too long


def vendored(top: Path, root: str) -> dict[str, str]:
    """Return the packages of directory sources outside a work tree that it may be compiled with, as `states` does.

    Cargo never compiles such a package again, and compares only the checksums that the source
    itself lists (The Cargo Book, "Source Replacement").

    Args:
        top: the work tree.
        root: the Cargo workspace's directory in it, relative.
    """
    top = Path(os.path.realpath(top))
    places = {place for place in _sources(Path(os.path.normpath(top / root))) if not place.is_relative_to(top)}
    names = _locked(top, root) if places else None
    packages = (
        each for place in sorted(places) for each in _listed(place) if names is None or _is_of(each.name, names)
    )
    return {str(each): state_of(str(each)) for each in packages if (each / "Cargo.toml").is_file()}


def state_of(directory: str) -> str:
    """Return a hash that changes if a file, or one of a directory, does; "" if there are too many files.

    It is over names, sizes and times, not over contents: a receipt may be published.
    """
    digest, left = hashlib.sha256(), _MOST
    if not Path(directory).is_dir():
        digest.update(_line(directory))
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in _BUILT)
        left -= len(names) + len(folders)
        if left < 0:
            return ""
        for name in sorted(names):
            digest.update(_line(os.path.join(folder, name)))  # noqa: PTH118 -- thousands of them
    return digest.hexdigest()


def changed(recorded: Mapping[str, str], state_now: Callable[[str], str] = state_of) -> str:
    """Return the first of these directories that is not in the recorded state, or "".

    Args:
        recorded: directory -> its state in a receipt.
        state_now: returns the present state of a directory; a cached `state_of` for several receipts.
    """
    return next((place for place, state in recorded.items() if not state or state_now(place) != state), "")


def _line(path: str) -> bytes:
    try:
        about = os.stat(path)  # noqa: PTH116
    except OSError:
        return os.fsencode(path) + b"\0\0"
    facts = about.st_mode, about.st_size, about.st_mtime_ns, about.st_ctime_ns
    return b"%s\0%s\0" % (os.fsencode(path), repr(facts).encode())


def _configured(cwd: Path) -> Iterator[Path]:
    for base, values in cargo_settings.tables(cargo_settings.places(cwd)):
        paths = values.get("paths")
        yield from (
            _place(base, each) for each in (paths if isinstance(paths, list) else ()) if isinstance(each, str)
        )
        yield from _paths_in(values.get("patch"), base)


def _sources(cwd: Path) -> Iterator[Path]:
    """Yield the directories of directory sources in cargo's configuration."""
    for base, values in cargo_settings.tables(cargo_settings.places(cwd)):
        named = values.get("source")
        for source in named.values() if isinstance(named, dict) else ():
            place = source.get("directory") if isinstance(source, dict) else None
            if isinstance(place, str):
                yield _place(base, place)


def _locked(top: Path, root: str) -> frozenset[str] | None:
    """Return the names of the packages in the lock file; None: there is none that can be read."""
    lock = build_places.workspace_root(top, Path(os.path.normpath(top / root))) / "Cargo.lock"
    try:
        return frozenset(name for name, _ in cargo.lock_packages(read_regular(lock, LONGEST).decode("utf-8")))
    except (OSError, ValueError):
        return None


def _is_of(directory: str, names: Collection[str]) -> bool:
    """Return whether a directory is named `NAME` or `NAME-VERSION`, as `cargo vendor` does."""
    parts = directory.split("-")
    return any("-".join(parts[:end]) in names for end in range(1, len(parts) + 1))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _named_by(folder: Path) -> Iterator[Path]:
    """Yield the directories that the dependencies of a manifest name."""
    yield from _of_table(toml_text.read(folder / "Cargo.toml") or {}, folder)


def _of_table(table: Mapping[str, object], base: Path) -> Iterator[Path]:
    for key, value in table.items():
        if key in _DEPENDENCIES:
            yield from _paths_in(value, base)
        elif isinstance(value, dict):
            yield from _of_table(value, base)


def _paths_in(table: object, base: Path) -> Iterator[Path]:
    """Yield what `path` names in a table of dependencies, or in one of such tables."""
    for key, value in table.items() if isinstance(table, dict) else ():
        if key == "path" and isinstance(value, str):
            yield _place(base, value)
        else:
            yield from _paths_in(value, base)


def _place(base: Path, path: str) -> Path:
    return Path(os.path.realpath(base / path))
