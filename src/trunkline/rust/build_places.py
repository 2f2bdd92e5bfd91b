"""Determine the directories in which cargo builds for a work tree, from its configuration files.

The nearest configuration decides, then those outside the tree (The Cargo Book, "Hierarchical
structure"). Gates build inside the work tree only, because elsewhere nothing invalidates the output
of other commits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from trunkline.rust import cargo_settings, toml_text

_VARIABLES = {
    "target-dir": ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"), "build-dir": ("CARGO_BUILD_BUILD_DIR",),
}  # fmt: skip


def workspace_root(top: Path, cwd: Path) -> Path:
    """Return the workspace directory of a directory, as cargo finds it in a work tree."""
    named = _toml(cwd / "Cargo.toml").get("package", {})
    if isinstance(named, dict) and isinstance(named.get("workspace"), str):
        return Path(os.path.normpath(cwd / named["workspace"]))
    for folder in (cwd, *cwd.parents):
        if "workspace" in _toml(folder / "Cargo.toml"):
            return folder
        if folder == top:
            break
    return cwd


def locations(top: Path, root: str) -> tuple[str, ...]:
    """Return cargo's target and build directories, relative to a work tree.

    Those behind a symbolic link are left out (`linked`): a commit may lead them to files of the
    user, and these directories are cleaned.

    Args:
        top: the work tree.
        root: the Cargo workspace's directory in it, relative.
    """
    return tuple(each for each in _inside(top, root) if not _link_in(top, each))


def linked(top: Path, root: str) -> str:
    """Return the first symbolic link in the path of a target or build directory, or "".

    Args:
        top: the work tree.
        root: the Cargo workspace's directory in it, relative.
    """
    return next((link for each in _inside(top, root) if (link := _link_in(top, each))), "")


def _link_in(top: Path, path: str) -> str:
    """Return the first symbolic link on a path below a directory, or ""."""
    parts = PurePosixPath(path)
    ways = [str(each) for each in reversed((parts, *parts.parents))]
    return next((each for each in ways if each != "." and os.path.islink(top / each)), "")  # noqa: PTH114 -- a name may be too long


def _inside(top: Path, root: str) -> tuple[str, ...]:
    """Return the directories inside a work tree that cargo would build in, relative to it."""
    top = Path(os.path.normpath(top))
    cwd = Path(os.path.normpath(top / root))
    workspace = workspace_root(top, cwd)
    named = (place for key in _VARIABLES for place in _places(_inner(top, cwd), key, workspace))
    inside = (place for place in (workspace / "target", *named) if place is not None and top in place.parents)
    return tuple(dict.fromkeys(str(place.relative_to(top)) for place in inside))


def overrides(top: Path, root: str) -> dict[str, str]:
    """Return variables that cancel settings which move builds out of a work tree, or wrap compilers.

    Such a wrapper is one of the configuration outside the tree. Usually there are no such settings,
    and the result is empty.
    """
    top = Path(os.path.normpath(top))
    cwd = Path(os.path.normpath(top / root))
    workspace = workspace_root(top, cwd)
    inner, outer = _inner(top, cwd), _outer(top)
    found: dict[str, str] = {}
    for key, (variable, *_) in _VARIABLES.items():
        places = _places(inner, key, workspace) or _places(outer, key, workspace)
        if any(place is None or top not in place.parents for place in places):
            kept = (place for place in places if place is not None and top in place.parents)
            found[variable] = str(next(kept, workspace / "target"))
    wrapper = "rustc-wrapper"
    if any(wrapper in build for _, build in outer) and not any(wrapper in build for _, build in inner):
        found["RUSTC_WRAPPER"] = ""
    return found


def outside(top: Path, root: str, argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return the setting of a command that moves its build out of a work tree, or "".

    Args:
        top: the work tree.
        root: the Cargo workspace's directory in it, relative.
        argv: the command.
        env: the variables that it sets.
    """
    top = Path(os.path.normpath(top))
    cwd = Path(os.path.normpath(top / root))
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    pairs = zip(own, [*own[1:], ""], strict=True)
    given = [(f"{name} {value}", value) for name, value in pairs if name == "--target-dir"]
    given += [(each, each.partition("=")[2]) for each in own if each.startswith("--target-dir=")]
    given += [
        (each, each.rpartition("=")[2].strip(" '\""))
        for each in own
        if any(f"{key}=" in each.replace(" ", "") for key in _VARIABLES)
    ]
    given += [(f"{name}={env[name]}", env[name]) for names in _VARIABLES.values() for name in names if env.get(name)]
    for shown, value in given:
        place = Path(os.path.normpath(cwd / value))
        if "{" in value or top not in place.parents:
            return shown
    return ""


def _inner(top: Path, cwd: Path) -> list[tuple[Path, dict[str, object]]]:
    """Return the `[build]` tables of the configurations in a work tree, nearest first."""
    return _builds(path for path in cargo_settings.places(cwd) if top in path.parents)


def _outer(top: Path) -> list[tuple[Path, dict[str, object]]]:
    """Return the `[build]` tables of the configurations outside a work tree."""
    return _builds(cargo_settings.places(top.parent))


def _builds(files: Iterable[Path]) -> list[tuple[Path, dict[str, object]]]:
    found = ((base, values.get("build", {})) for base, values in cargo_settings.tables(files))
    return [(base, build) for base, build in found if isinstance(build, dict)]


def _places(builds: Sequence[tuple[Path, dict[str, object]]], key: str, workspace: Path) -> list[Path | None]:
    """Return the directories that a key of these tables names; None for a template that cargo fills in."""
    texts = [(base, build[key]) for base, build in builds if build.get(key)]
    known = [
        (base, value.replace("{workspace-root}", str(workspace))) for base, value in texts if isinstance(value, str)
    ]
    return [None if "{" in value else Path(os.path.normpath(base / value)) for base, value in known]


def _toml(path: Path) -> dict[str, object]:
    return toml_text.read(path) or {}
