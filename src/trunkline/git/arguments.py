"""Options and environment of every git command, the commands that only read, and commands as a person types them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

SEALED = (
    "--no-pager",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",  # a repository's own configuration could name a command here
    # A branch can hold a directory that looks like a bare repository, with a configuration that names commands. Git
    # would use it in that directory (git-config(1), safe.bareRepository).
    "-c", "safe.bareRepository=explicit",
    "-c", "core.fsync=all",  # by default git makes no fsync call for refs and objects
    "-c", "rerere.enabled=false",
    "-c", "advice.detachedHead=false",
    "-c", "advice.graftFileDeprecated=false",  # we set GIT_GRAFT_FILE; the advice would hide git's own error
    "-c", "gc.auto=0",  # no garbage collection during a run: it could delete our objects, or block on its lock
    "-c", "maintenance.auto=false",
)  # fmt: skip
ANY_REPOSITORY = ("-c", "safe.bareRepository=all")
"""Let git find a bare repository: for `rev-parse`, which runs nothing that a configuration names."""
ENV = {
    "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_EDITOR": "true",
    # Replacements and grafts exist in this clone only (git-replace(1)): a replay would publish
    # them.
    "GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull,
}  # fmt: skip

SHOWN_ENV = ("GIT_OPTIONAL_LOCKS", "GIT_NO_REPLACE_OBJECTS", "GIT_GRAFT_FILE")
"""Settings of `Git.page`: the history as in queries, colours and pager as the user has them."""

READING = frozenset({
    "blame", "cat-file", "check-ignore", "config", "diff", "diff-files", "diff-tree", "for-each-ref", "grep",
    "hash-object", "log", "ls-files", "ls-remote", "ls-tree", "merge-base", "notes", "pack-objects", "patch-id",
    "range-diff", "reflog", "remote", "rev-list", "rev-parse", "show", "stash", "status", "symbolic-ref", "var",
    "version", "worktree",
})  # fmt: skip
"""The commands of `Git.query`; a few of them, like config, in forms that read alone (tests/unit/test_doors.py)."""


_FOR_PROGRAMS = frozenset({
    "--create-reflog", "--end-of-options", "--no-auto-maintenance", "--no-deref", "--no-follow-tags",
    "--no-force-if-includes", "--no-guess", "--no-overwrite-ignore", "--no-recurse-submodules",
    "--no-write-fetch-head", "--porcelain", "--quiet", "--recurse-submodules=no", "--",
})  # fmt: skip


def typed(args: Sequence[str]) -> str:
    """Return a git command as a person would type it: its arguments without the options that only programs need."""
    return shlex.join(["git", *(part for part in args if part not in _FOR_PROGRAMS)])


def subcommand(args: Sequence[str]) -> str:
    """Return the name of a git command, after options of git itself: `("-c", "a.b=c", "diff")` gives `diff`."""
    rest = iter(args)
    for part in rest:
        if part == "-c":
            next(rest, "")
        elif not part.startswith("-"):
            return part
    return ""
