"""Fill the submodules of a work tree, because cargo finds path dependencies in them.

The files come from the user's own clones of the submodules (`.git/modules`) if those have the
commit; else they are fetched into a cache. `git submodule` is not used: it writes to the
repository's configuration, and a linked work tree would clone every submodule again. The files have
no `.git`, so git calls the superproject's work tree clean.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import Oid, oid
from trunkline.git.git import Git
from trunkline.git.state_directory import work_dir
from trunkline.system.files import private_directory, replace_bytes

_GITLINK = "160000"
_DEEPEST = 10
_RELATIVE = re.compile(r"^\.\.?/")
# A pull request chooses these URLs. So they are fetched as `git submodule update` would
# (git-config(1), protocol.allow): no local paths, no helper programs. Only a URL that the user
# registered (`git submodule init`) may be a local path.
_NETWORK = ("protocol.allow=never", *(f"protocol.{each}.allow=always" for each in ("https", "http", "ssh", "git")))


class _Link(msgspec.Struct, frozen=True):
    """A submodule as recorded in a commit.

    Attributes:
        path: relative to the top of its superproject.
        commit: the recorded commit.
        name: its name in `.gitmodules`; "": it has none.
        url: its URL in `.gitmodules`.
    """

    path: str
    commit: Oid
    name: str
    url: str


def fill(git: Git, tree: Path, commit: Oid, *, anew: bool = False) -> None:
    """Fill the submodules of a commit's work tree; `missing` returns those that failed.

    Args:
        git: the repository.
        tree: a work tree of ours, at the commit.
        commit: the commit checked out in it.
        anew: also rewrite submodules at the right commit, since their files may have been modified.
    """
    record = _record(tree)
    links = list(_links(git, commit))
    if not links:
        record.unlink(missing_ok=True)
        return
    known = _read(record)
    state = {link.path: link.commit for link in links}
    if not anew and known.get("links") == state and not known.get("missing"):
        return
    cache = private_directory(work_dir(git.common_dir()) / "modules")
    own = _Superproject(git, git.common_dir() / "modules", _remote(git), cache, trusted=True)
    problems = dict(_filled(own, links, tree, depth=0))
    replace_bytes(record, json.dumps({"links": state, "missing": problems}).encode())


def missing(tree: Path) -> tuple[tuple[str, str], ...]:
    """Return the submodules of a work tree that could not be filled: (path, reason)."""
    found = _read(_record(tree)).get("missing", {})
    return tuple(sorted(found.items()))


def unavailable(git: Git, tree: Oid) -> frozenset[str]:
    """Return the submodules of a tree, also nested ones, of which no repository on this machine has the commit."""
    cache = work_dir(git.common_dir()) / "modules"
    own = _Superproject(git, git.common_dir() / "modules", _remote(git), cache, trusted=True)
    return frozenset(_unavailable(own, list(_links(git, tree)), depth=0))


def _unavailable(own: _Superproject, links: list[_Link], *, depth: int) -> Iterator[str]:
    for link in links:
        try:
            store, url = _store(own, link, fetch=False)
            inner = list(_links(store, link.commit)) if depth < _DEEPEST else []
        except TrunklineError:
            yield link.path
            continue
        below = _Superproject(store, store.cwd / "modules", url, own.cache)
        yield from (f"{link.path}/{path}" for path in _unavailable(below, inner, depth=depth + 1))


def _record(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}.submodules.json")


def _read(record: Path) -> dict[str, dict[str, str]]:
    try:
        known = json.loads(record.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _links(git: Git, commit: Oid) -> Iterator[_Link]:
    entries = git.query("ls-tree", "-r", "-z", "--full-tree", commit).text.split("\0")
    found = [(path, facts.split()[2]) for facts, _, path in (each.partition("\t") for each in entries)
             if facts.startswith(_GITLINK)]  # fmt: skip
    settings = _settings(git, commit) if found else {}
    names = {values.get("path"): name for name, values in settings.items()}
    for path, target in found:
        name = names.get(path, "")
        yield _Link(path, oid(target), name, settings.get(name, {}).get("url", ""))


def _settings(git: Git, commit: Oid) -> dict[str, dict[str, str]]:
    """Return the submodule settings of a commit's `.gitmodules`: name -> key -> value."""
    done = git.query(
        "config", "--blob", f"{commit}:.gitmodules", "--null", "--get-regexp", r"^submodule\..*\.(path|url)$",
        ok=(0, 1, 128),
    )  # fmt: skip
    found: dict[str, dict[str, str]] = {}
    for entry in done.text.split("\0") if done.returncode == 0 else ():
        key, newline, value = entry.partition("\n")
        if newline:
            _, _, rest = key.partition(".")
            name, _, field = rest.rpartition(".")
            found.setdefault(name, {})[field] = value
    return found


class _Superproject(msgspec.Struct, frozen=True):
    """A repository whose submodules are filled.

    Attributes:
        git: the repository.
        modules: the directory of the user's clones of its submodules, by name.
        url: its URL.
        cache: the directory of our own clones.
        trusted: its configuration belongs to the user.
    """

    git: Git
    modules: Path
    url: str
    cache: Path
    trusted: bool = False


def _filled(own: _Superproject, links: list[_Link], tree: Path, *, depth: int) -> Iterator[tuple[str, str]]:
    """Fill submodules recursively; yield those that failed, with the reason."""
    for link in links:
        try:
            place = _place(tree, link)
            store, url = _store(own, link)
            _write(store, place, link.commit)
            inner = list(_links(store, link.commit)) if depth < _DEEPEST else []
        except TrunklineError as error:
            yield link.path, next(iter(error.stderr.splitlines()), "") or error.what
            continue
        below = _Superproject(store, store.cwd / "modules", url, own.cache)
        for path, why in _filled(below, inner, place, depth=depth + 1):
            yield f"{link.path}/{path}", why


def _store(own: _Superproject, link: _Link, *, fetch: bool = True) -> tuple[Git, str]:
    """Return a git directory that has a submodule's commit, and the submodule's URL.

    Args:
        own: the superproject.
        link: the submodule.
        fetch: fetch the commit if no repository has it.

    Raises:
        TrunklineError: no repository has the commit, and it cannot be fetched.
    """
    registered = ""
    if own.trusted and link.name:
        registered = own.git.query("config", "--get", f"submodule.{link.name}.url", ok=(0, 1)).text
    url = registered or _resolved(link.url, own.url)
    if _is_name(link.name):
        clone = Git(own.modules / link.name, git_dir=".")
        if (clone.cwd / "HEAD").is_file() and _has(clone, link.commit):
            return clone, url
    if not url:
        raise TrunklineError(f".gitmodules does not say where {link.path} comes from")
    place = own.cache / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.git"
    if not fetch:
        if (place / "HEAD").is_file() and _has(store := Git(place, git_dir="."), link.commit):
            return store, url
        raise TrunklineError(f"{link.path} was not fetched")
    private_directory(place)
    if not (place / "HEAD").is_file():
        Git(place).scratch("init", "--quiet", "--bare", ".")
    store = Git(place, git_dir=".")
    if not _has(store, link.commit):
        _fetch(store, url, link.commit, local=bool(registered))
    return store, url


def _has(store: Git, commit: Oid) -> bool:
    return store.query("cat-file", "-e", f"{commit}^{{commit}}", ok=(0, 1, 128)).returncode == 0


def _fetch(store: Git, url: str, commit: Oid, *, local: bool) -> None:
    """Fetch one commit, or all branches and tags if the server does not serve single commits."""
    allowed = [
        part for each in (*_NETWORK, *(["protocol.file.allow=always"] if local else [])) for part in ("-c", each)
    ]
    fetch = [*allowed, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]
    done = store.scratch(*fetch, "--depth=1", "--end-of-options", url, commit, ok=(0, 1, 128), network=True)
    if done.returncode or not _has(store, commit):
        refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        store.scratch(*fetch, "--end-of-options", url, *refs, network=True)
    if not _has(store, commit):
        raise TrunklineError(f"{url} has no commit {commit}")


def _place(tree: Path, link: _Link) -> Path:
    """Return the directory of a submodule in its superproject's work tree.

    A server can send a tree that has a name twice, once for a link. Git writes one of the two, so
    the other may lead out of the work tree.

    Raises:
        TrunklineError: a part of the path is a symbolic link.
    """
    place = tree
    for part in PurePosixPath(link.path).parts:
        place /= part
        if place.is_symlink():
            raise TrunklineError(f"{link.path}: {part} is a symbolic link")
    return place


def _write(store: Git, place: Path, commit: Oid) -> None:
    """Write a commit's files into a directory, replacing its content."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    index = place.with_name(f".{place.name}.index-{os.getpid()}")
    try:
        store.scratch(
            "-c", "core.bare=false", "-c", "core.sparseCheckout=false", f"--work-tree={place}",
            "read-tree", "--reset", "-u", commit, env={"GIT_INDEX_FILE": str(index)},
        )  # fmt: skip
    finally:
        index.unlink(missing_ok=True)


def _is_name(name: str) -> bool:
    """Return whether a name of `.gitmodules` is a path below `.git/modules`."""
    return bool(name) and not name.startswith(("/", "-")) and ".." not in PurePosixPath(name).parts


def _remote(git: Git) -> str:
    """Return the URL that relative URLs of submodules start from."""
    names = git.query("remote").text.splitlines()
    name = "origin" if "origin" in names else next(iter(names), "")
    return git.query("config", "--get", f"remote.{name}.url", ok=(0, 1)).text if name else ""


def _resolved(url: str, base: str) -> str:
    """Return a submodule's URL; `./` and `../` start from its superproject's (git-submodule(1))."""
    if not _RELATIVE.match(url):
        return url
    base = base.rstrip("/")
    while _RELATIVE.match(url):
        if url.startswith("../"):
            head, slash, _ = base.rpartition("/")
            base = head if slash else base.rpartition(":")[0]
        url = url.partition("/")[2]
    return f"{base}/{url}" if base else ""
