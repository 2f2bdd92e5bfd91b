"""Find settings of a repository's own git configuration that run commands.

A clone never copies configuration. But an unpacked archive, a shared disk or a script can leave a
`.git/config` whose keys run commands at the next `git status` (git-config(1)).
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import msgspec

from trunkline.git.git import Git

# git-config(1): every variable whose value git gives to a shell or executes. Wildcards stand for a
# subsection.
_COMMANDS = re.compile(
    r"core\.(fsmonitor|sshcommand|editor|pager|askpass|gitproxy|alternaterefscommand)"
    r"|sequence\.editor|diff\.external|diff\..+\.(command|textconv)|merge\..+\.driver|mergetool\..+\.cmd"
    r"|difftool\..+\.cmd|filter\..+\.(clean|smudge|process)|credential(\..+)?\.helper|gpg(\..+)?\.program"
    r"|gpg\.ssh\.defaultkeycommand|uploadpack\.packobjectshook|remote\..+\.(uploadpack|receivepack|vcs|proxy)"
    r"|protocol\.(ext|allow)(\.allow)?|interactive\.difffilter|trailer\..+\.(command|cmd)|pager\..+|web\..+\.cmd"
    r"|browser\..+\.cmd|man\..+\.cmd|guitool\..+\.cmd|tar\..+\.command|hook\..+\.command|submodule\..+\.update"
)
_PLACES = re.compile(r"core\.(hookspath|worktree)|include(if\..+)?\.path|url\..+\.(insteadof|pushinsteadof)")
RUN_HOOKS = ("pre-push", "reference-transaction", "pre-commit", "prepare-commit-msg", "commit-msg")
"""The hooks that tasks run: the first two in `git push`, the others by `operations.commit_hooks`."""
_HARMLESS = {"core.fsmonitor": {"true", "false", "0", "1", ""}, "protocol.ext.allow": {"never"}}


class Setting(msgspec.Struct, frozen=True):
    """One configuration value; `scope` is git's: system, global, local, worktree or command."""

    scope: str
    origin: str
    key: str
    value: str

    @property
    def unset(self) -> str:
        """The command that removes the setting."""
        return shlex.join(["git", "config", f"--{self.scope}", "--unset-all", self.key])


def settings(git: Git) -> tuple[Setting, ...]:
    """Return every configuration value in force here, in git's order: later values win."""
    output = git.query("config", "--list", "--show-scope", "--show-origin", "-z").text
    parts = output.split("\0")
    found = []
    for scope, origin, entry in zip(parts[0::3], parts[1::3], parts[2::3], strict=False):
        key, _, value = entry.partition("\n")
        found.append(Setting(scope, origin, key, value))
    return tuple(found)


def command_settings(values: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """Return the repository's own settings that run commands or redirect git to other paths."""
    own = (each for each in values if each.scope in {"local", "worktree"})
    return tuple(
        each
        for each in own
        if (_COMMANDS.fullmatch(each.key) or _PLACES.fullmatch(each.key) or _is_alias(each))
        and each.value not in _HARMLESS.get(each.key, ())
        and not _is_lfs(each)
    )


def _is_lfs(setting: Setting) -> bool:
    """Return whether `git lfs install --local` made this setting, which git-lfs needs."""
    return setting.key.startswith("filter.lfs.") and setting.value.startswith("git-lfs ")


def _is_alias(setting: Setting) -> bool:
    return setting.key.startswith("alias.") and setting.value.startswith("!")


def hooks(git: Git, values: tuple[Setting, ...]) -> tuple[str, ...]:
    """Return the hooks of this repository that tasks run."""
    # Our own git has core.hooksPath=/dev/null on its command line.
    own = tuple(each for each in values if (each.scope, each.value) != ("command", os.devnull))
    named = value_of(own, "core.hookspath")
    folder = git.cwd / Path(named).expanduser() if named else git.common_dir() / "hooks"
    return tuple(name for name in RUN_HOOKS if os.access(folder / name, os.X_OK))


def value_of(values: tuple[Setting, ...], key: str) -> str:
    """Return the value that wins, or ""."""
    return next((each.value for each in reversed(values) if each.key == key), "")
