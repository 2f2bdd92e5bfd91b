"""Read the settings outside a commit that change the files which a checkout writes.

They are git's configuration, filters and attribute files (git-config(1), gitattributes(5)), and the
umask. The gates' work trees follow them, as the user's checkout does: without the filters of Git
LFS or git-crypt, a tree does not build. So receipts contain `effect`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trunkline.domain.names import Oid
from trunkline.git.git import Git

_ACTS_ON_CHECKOUT = re.compile(
    r"(?:core\.(?:autocrlf|eol|symlinks|filemode|attributesfile|checkroundtripencoding|ignorecase)|filter\..*)"
)
_ON, _OFF = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0", ""})
# Setting -> the values with which a checkout writes the same as without it.
_WITHOUT_EFFECT = {
    "core.autocrlf": _OFF | {"input"}, "core.eol": frozenset({"lf", "native"}), "core.symlinks": _ON,
    "core.ignorecase": _OFF,
}  # fmt: skip
_WRITES = re.compile(r"(?!\s*#).*\b(?:text|eol|crlf|binary|ident|filter|working-tree-encoding)\b|\[attr\]")
_FILTER = re.compile(r"\bfilter=(\S+)")
_ATTRIBUTES = ":(top,glob)**/.gitattributes"
# The defaults of distributions; they differ in the write permission of the group, which git does not
# track either. Receipts of such machines remain comparable.
_USUAL_UMASKS = frozenset({0o002, 0o022})
_STATUS = Path("/proc/self/status")
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)


class CheckoutSettings(msgspec.Struct, frozen=True):
    """The settings that may change what a checkout writes.

    Attributes:
        values: name -> value of git's configuration.
        attributes: the texts of the attribute files outside the tree.
        umask: the umask.
    """

    values: Mapping[str, str]
    attributes: tuple[str, ...]
    umask: int

    @property
    def digest(self) -> str:
        """A hash of all of them."""
        return _hash([dict(self.values), self.attributes, self.umask])

    @property
    def drivers(self) -> frozenset[str]:
        """The filters that are configured."""
        return frozenset(
            name.split(".", 1)[1].rpartition(".")[0] for name in self.values if name.startswith("filter.")
        )

    def effect(self, named: frozenset[str]) -> str:
        """Return a hash of the settings that change a tree's files; "": none does.

        Args:
            named: the filters that attribute files of the tree name.
        """
        lines = [line for text in self.attributes for line in text.splitlines() if _WRITES.match(line)]
        filters = named.union(*map(_FILTER.findall, lines))
        acting = {name: value for name, value in self.values.items() if _acts(name, value, filters)}
        missing = sorted(
            name for name, value in acting.items() if name.startswith("filter.") and not _is_installed(value)
        )
        umask = self.umask if self.umask not in _USUAL_UMASKS else None
        return _hash([acting, missing, lines, umask]) if acting or lines or umask is not None else ""


def in_force(git: Git) -> CheckoutSettings:
    """Return the settings in force in a repository."""
    values = {}
    for each in git.query("config", "--list", "--null").text.split("\0"):
        name, newline, value = each.partition("\n")
        if _ACTS_ON_CHECKOUT.fullmatch(name.lower()):
            values[name] = value if newline else "true"
    named = values.pop("core.attributesfile", "")
    return CheckoutSettings(values, tuple(_outer_attributes(git, named)), umask())


def effect(git: Git, tree: Oid, settings: CheckoutSettings) -> str:
    """Return a hash of the settings that change the files of a tree; "": none does."""
    return settings.effect(_filters_of(git, tree, settings.drivers))


def filters_act(git: Git, settings: CheckoutSettings, tree: Oid) -> bool:
    """Return whether a filter of the user's writes files of a tree: its output may differ each time."""
    named = _filters_of(git, tree, settings.drivers)
    return bool(settings.drivers & named.union(*map(_FILTER.findall, settings.attributes)))


def _filters_of(git: Git, tree: Oid, drivers: frozenset[str]) -> frozenset[str]:
    """Return the configured filters that attribute files of a tree name; with submodules, all."""
    if not drivers:
        return frozenset()
    if git.cached_query("ls-tree", "-z", tree, "--", ".gitmodules").stdout:
        return drivers
    found = git.cached_query(
        "grep", "--no-color", "-h", "--fixed-strings", "-e", "filter=", tree, "--", _ATTRIBUTES, ok=(0, 1)
    )
    return frozenset(_FILTER.findall(found.text))


def _acts(name: str, value: str, filters: frozenset[str]) -> bool:
    driver, key = _filter_key(name)
    if driver:
        return driver in filters and key in {"smudge", "process"}
    return name in _WITHOUT_EFFECT and value.lower() not in _WITHOUT_EFFECT[name]


def _filter_key(name: str) -> tuple[str, str]:
    """Return the filter and the key of a setting `filter.FILTER.KEY`; ("", "") for another one."""
    driver, _, key = name.removeprefix("filter.").rpartition(".")
    return (driver, key) if name.startswith("filter.") else ("", "")


def _is_installed(command: str) -> bool:
    """Return whether the program of a filter's command is installed; git runs it with a shell."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    return bool(words) and shutil.which(words[0]) is not None


def _outer_attributes(git: Git, named: str) -> Iterator[str]:
    """Yield the texts of the attribute files outside the tree (gitattributes(5)).

    Args:
        git: the repository.
        named: the value of `core.attributesFile`, or "".
    """
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    # Only git expands `~user/` and `%(prefix)/`.
    file = git.query("config", "--type=path", "--get", "core.attributesFile", ok=(0, 1)).text if named else ""
    for path in (git.common_dir() / "info/attributes", Path(file or base / "git/attributes"),
                 Path("/etc/gitattributes")):  # fmt: skip
        with contextlib.suppress(OSError):
            yield path.read_text(encoding="utf-8", errors="surrogateescape")


def umask() -> int:
    """Return the process's umask; without /proc (macOS) it can only be read by setting it."""
    try:
        found = _UMASK.search(_STATUS.read_text(encoding="ascii", errors="replace"))
    except OSError:
        found = None
    if found:
        return int(found[1], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _hash(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()
