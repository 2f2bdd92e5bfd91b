"""The scope of a task: a project, and one entry or the whole stack."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.context.project import Project, Reporter
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import EntryKey, Oid, entry_key
from trunkline.domain.options import Options
from trunkline.domain.repository import Repository
from trunkline.domain.stack import Entry, Stack
from trunkline.git import history, refs
from trunkline.git.git import Git
from trunkline.github.client import GitHub

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Scope:
    """An entry of a project; immutable, without anything that was observed.

    Attributes:
        project: the project.
        entry: the entry.
        stacked: entries below may be open, and the nearest of them is the base; otherwise all must
            be merged.
    """

    project: Project
    entry: Entry
    stacked: bool

    def of(self, entry: Entry) -> Self:
        """Return the same for another entry of the stack."""
        return replace(self, entry=entry)

    def of_pr(self, key: EntryKey) -> Self:
        """Return the same for the entry of a pull request, or of a branch.

        Raises:
            UsageError: the stack has no such entry.
        """
        return self.of(self.stack.entry(key))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries that the task works on: one, or all of the stack."""
        return self.stack.entries if self.stacked else (self.entry,)

    @property
    def git(self) -> Git:
        """The user's checkout."""
        return self.project.git

    @property
    def stack(self) -> Stack:
        """The stack."""
        return self.project.stack

    @property
    def repository(self) -> Repository:
        """The repository on GitHub."""
        return self.project.repository

    @property
    def options(self) -> Options:
        """The task's options."""
        return self.project.options

    @property
    def reporter(self) -> Reporter:
        """Receives progress events."""
        return self.project.reporter

    @property
    def github(self) -> GitHub:
        """The stack's repository on GitHub."""
        return self.project.github

    @property
    def state(self) -> Path:
        """The directory of this repository's journals and lock."""
        return self.project.state

    @property
    def tracking(self) -> str:
        """The name of trunk's tracking branch: `origin/main`."""
        return self.project.tracking

    def no_branch(self) -> Refused:
        """Return the error for a branch that exists neither locally nor on the remote."""
        what = f"there is no branch {self.entry.branch}, neither local nor on {self.stack.remote}"
        stale = refs.tracking_ref(self.stack.remote, self.entry.branch)
        if refs.read_ref(self.git, stale) is not None:
            why = f"{self.stack.remote}/{self.entry.branch} tracks a branch that was deleted on the remote"
            return Refused(what, why=why, next_command=f"git fetch --prune {shlex.quote(self.stack.remote)}")
        return Refused(
            what,
            next_command=f"gh pr view {self.entry.number}" if self.entry.number else task_command("status"),
        )

    def no_local_branch(self) -> UsageError:
        """Return the error for an entry without a local branch."""
        return UsageError(
            f"there is no local branch {self.entry.branch}",
            next_command=task_command("switch", "--pr", self.entry.key),
        )


def resolve_fork_point(scope: Scope) -> Oid | None:
    """Return the commit that `--fork-point` gives for the entry; None if it gives none.

    `COMMIT` is valid for a task of one entry; `PR=COMMIT`, separated by commas, for any task.

    Raises:
        UsageError: it names a missing commit, or no entry.
    """
    for answer in filter(None, scope.options.fork_point.split(",")):
        name, equals, commit = answer.partition("=")
        if not equals:
            commit = answer
        elif scope.stack.entry(entry_key(name)) != scope.entry:
            continue
        if not equals and scope.stacked:
            raise UsageError(
                f"--fork-point {commit}: of which entry?",
                why="this task moves several entries",
                next_command=task_command("restack", "--fork-point", f"{scope.entry.key}={commit}"),
            )
        return history.require_commit(scope.git, commit, "fork-point")
    return None
