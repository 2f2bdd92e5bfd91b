"""Recognise cargo's own errors, as opposed to those of compilers.

Only cargo's messages are matched, never quoted output of programs (indented below `--- stdout` and
`--- stderr`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trunkline.domain.cause import Cause, CauseId

_LOCKED = re.compile(
    r"^error: (?:cannot (?:create|update) the lock file .* because --locked was passed|"
    r"the lock file .* needs to be updated but --locked was passed)"
)
_FEATURE = re.compile(
    r"^error: (?:none of the selected packages contains? (?:this|these|the) feature|"
    r"the package '.*' does not contain (?:this|these) feature)"
)
_RUST_VERSION = re.compile(
    r"^error: (?:rustc \S+ is not supported by the following packages?:|"
    r"package `.*` cannot be built because it requires rustc)"
)
_CONFIG = re.compile(
    r"^error: (?:could not load Cargo configuration|invalid configuration for key|error in /.*: |"
    r"could not parse TOML configuration)"
)
_MANIFEST = re.compile(
    r"^error: (?:failed to load manifest for workspace member|failed to parse manifest at|"
    r"failed to read `.*Cargo.toml`|package collision in the lockfile|current package believes it's in a workspace |"
    r"virtual manifests must |failed to select a version for |two packages named |cyclic package dependency)"
)
_NO_LIBRARY = re.compile(r"^error: no library targets found in packages?[ :]")
_SNIPPET = re.compile(r"^ *--> (.*Cargo\.toml:\d+:\d+)$")
_DEPENDENCY = re.compile(
    r"^error: (?:failed to get `|failed to load source for|failed to download|failed to fetch|unable to update|"
    r"no matching package named|unable to get packages|unable to find `)"
)
_PATH = re.compile(r"^(?:failed to read `|unable to update )(/.+?)(?:/Cargo\.toml`)?$")
_UNREACHABLE = re.compile(
    r"could not resolve host|failed to resolve address|network failure|could not connect|timed out|"
    r"but --offline was specified|you're using offline mode|\[(?:6|7|28|35)\] ",
    re.IGNORECASE,
)
_ALIAS = re.compile(r"^warning: user-defined alias `(.+)` is shadowing ")
_DISK = ("No space left on device (os error 28)", "Disk quota exceeded (os error 122)")
_SHOWN = 500
_KNOWN = (
    (CauseId.FEATURE, _FEATURE, "${EDITOR:-vi} stack.toml   # [gates] features"),
    (CauseId.RUST_VERSION, _RUST_VERSION, ""),
    (CauseId.CONFIG, _CONFIG, ""),
    (CauseId.MANIFEST, _MANIFEST, ""),
    (CauseId.NO_LIBRARY, _NO_LIBRARY, ""),
)


class Place(msgspec.Struct, frozen=True):
    """The work tree in which a gate ran.

    Attributes:
        tree: the top of the work tree.
        root: the Cargo workspace's directory inside it, `.` for the top.
        targets: the target directories beside it.
        submodules: paths of the tree whose submodule could not be checked out, with the reason.
    """

    tree: Path
    root: str = "."
    targets: Path | None = None
    submodules: tuple[tuple[str, str], ...] = ()

    @property
    def workspace(self) -> Path:
        """The Cargo workspace's directory."""
        return self.tree / self.root

    def relative(self, text: str) -> str:
        """Return a text with paths relative to the work tree."""
        for path in dict.fromkeys((str(self.tree.resolve()), str(self.tree))):
            text = text.replace(f"{path}/", "").replace(path, ".")
        return text

    def command_line(self, *commands: str) -> str:
        """Return commands as one line to type at the top of the checkout."""
        joined = " && ".join(commands)
        return joined if self.root in {"", "."} else f"(cd {shlex.quote(self.root)} && {joined})"


ENDED = re.compile(r"` \(((?:exit status|signal): [^()]*)\)")
"""The exit of a program started by cargo, as cargo prints it."""


def last_error(closing: Sequence[str], place: Place) -> str:
    """Return the first line of cargo's last error, or ""."""
    return place.relative(closing[0].strip()) if closing else ""


def own_words(closing: Sequence[str]) -> tuple[str, ...]:
    """Return an error of cargo with one line per cause, outermost first, without quoted output."""
    words: list[str] = []
    begins = True
    seen: set[str] = set()  # cargo names a package with several targets once for each
    for line in closing:
        if line.strip() in {"--- stdout", "--- stderr"}:
            break
        if not line.strip() or line == "Caused by:":
            begins = True
        elif begins or not words:
            words.append(line.strip())
            begins = False
        elif line not in seen:
            words[-1] += f" {line.strip()}"
        seen.add(line)
    return tuple(words)


def quoted(closing: Sequence[str], place: Place) -> str:
    """Return an error of cargo in one line, each cause after its effect."""
    text = place.relative(": ".join(own_words(closing))).removeprefix("error: ")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def refusal(closing: Sequence[str], before: Sequence[str], place: Place) -> Cause | None:
    """Return the cause of cargo's last error; None: it is unknown.

    Args:
        closing: the lines of the error.
        before: cargo's output before it.
        place: the work tree.
    """
    if not closing:
        return None
    text, head = quoted(closing, place), last_error(closing, place)
    if any(word.endswith(_DISK) for word in own_words(closing)):
        return disk_full(text, place)
    if _LOCKED.match(head):
        return lock_file(place, head)
    for known, pattern, fix in _KNOWN:
        if pattern.match(head):
            return Cause(known, text, place.relative(text), fix, head)
    if at := next((match[1] for line in closing if (match := _SNIPPET.match(line))), ""):
        message = place.relative(f"{head} ({at})").removeprefix("error: ")
        return Cause(CauseId.MANIFEST, message, message, "", head)
    return _dependency(closing, text, head, place) if _DEPENDENCY.match(head) else _alias(before, text, head, place)


def _alias(before: Sequence[str], text: str, head: str, place: Place) -> Cause | None:
    alias = next((match[1] for line in before if (match := _ALIAS.match(line))), None)
    if alias is None:
        return None
    why = f"`cargo {alias}` is an alias in .cargo/config.toml, and runs something else: {text}"
    return Cause(CauseId.ALIAS, why, alias, place.command_line("${EDITOR:-vi} .cargo/config.toml   # [alias]"), head)


def lock_file(place: Place, head: str) -> Cause:
    """Return the cause of a failed `--locked`: Cargo.lock is missing or out of date."""
    if not (place.workspace / "Cargo.lock").is_file() and not (place.tree / "Cargo.lock").is_file():
        commands = (
            "cargo generate-lockfile", "git add --force Cargo.lock",
            "git commit --message 'Add Cargo.lock' -- Cargo.lock",
        )  # fmt: skip
        why = "there is no Cargo.lock in the commit, and --locked demands one"
        why = f"{why}: commit it, or set `locked = false` in [gates] of stack.toml"
        return Cause(CauseId.NO_LOCK, why, "Cargo.lock", place.command_line(*commands), head)
    return stale_lock(place, f"Cargo.lock is out of date: {head.removeprefix('error: ')}", head)


def stale_lock(place: Place, text: str, said: str = "") -> Cause:
    """Return the cause that Cargo.lock does not match the manifests."""
    fix = place.command_line("cargo update --workspace")
    return Cause(CauseId.STALE_LOCK, text, "Cargo.lock", f"{fix}   # then commit Cargo.lock", said)


def disk_full(text: str, place: Place) -> Cause:
    """Return the cause that the disk is full; the gates' caches may be deleted."""
    fix = f"rm -r {shlex.quote(str(place.targets))}   # what gates have compiled" if place.targets else ""
    return Cause(CauseId.DISK, f"the disk is full: {text}", "disk", fix, text)


def _dependency(closing: Sequence[str], text: str, head: str, place: Place) -> Cause:
    words = own_words(closing)
    paths = [match[1] for word in words if (match := _PATH.match(word))]
    if paths and "No such file or directory (os error 2)" in words[-1]:
        missing = Path(paths[-1])
        relative = place.relative(str(missing))
        for submodule, why in place.submodules:
            if missing.is_relative_to(place.tree / submodule):
                message = f"{relative} is in the submodule {submodule}, which could not be checked out: {why}"
                fix = f"git submodule update --init --recursive -- {shlex.quote(submodule)}"
                return Cause(CauseId.SUBMODULE, message, submodule, fix, head)
        message = f"the path dependency {relative} is not in the commit: {text}"
        return Cause(CauseId.PATH_DEPENDENCY, message, relative, "", head)
    if _UNREACHABLE.search(" ".join(words)):
        message = f"a dependency is not in cargo's cache and cannot be fetched: {text}"
        return Cause(CauseId.NETWORK, message, head, place.command_line("cargo fetch --locked"), head)
    return Cause(CauseId.MANIFEST, text, text, "", head)
