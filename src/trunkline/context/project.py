"""The project that a task works on: checkout, stack, repository, options and reporter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trunkline.domain.names import BranchName
from trunkline.domain.options import Options
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import Snapshot
from trunkline.domain.stack import Stack
from trunkline.engine import ProgressReporter
from trunkline.git.git import Git
from trunkline.github.client import GitHub


class Reporter(ProgressReporter, Protocol):
    """Receives progress events while a task runs, and prompts the user."""

    def command(self, command_line: str) -> None:
        """Report a mutation as the command that a user would have typed."""

    def progress(self, text: str) -> None:
        """Report a line of progress within a step."""

    def ask(self, question: str, /) -> bool:
        """Prompt the user; return False without an interactive user, or with `--yes`."""

    def ask_person(self, question: str, /) -> bool:
        """Prompt the user, even with `--yes`; return False without an interactive user."""

    def require_approval(self, *publishes: str) -> None:
        """Require approval before publishing: by `--yes` or by the user.

        Args:
            publishes: lines that describe what others will see.

        Raises:
            UsageError: there is no interactive user, and `--yes` was not given.
            Declined: the answer was no.
        """

    def running(self, gates: Mapping[str, float], lines: Mapping[str, str]) -> None:
        """Report the running gates, with start times (monotonic clock) and their details."""

    def gates_ended(self, seconds: float) -> None:
        """Report that all gates have finished, after some seconds."""


@dataclass(frozen=True)
class Project:
    """A checkout with its stack, loaded once per task.

    Attributes:
        git: the user's checkout.
        stack: the stack.
        repository: the repository on GitHub.
        options: the task's options.
        reporter: receives progress events.
        stack_source: the file that the stack was read from, if it is not at the top of the work
            tree.
    """

    git: Git
    stack: Stack
    repository: Repository
    options: Options
    reporter: Reporter
    stack_source: str = ""

    @property
    def github(self) -> GitHub:
        """The stack's repository on GitHub."""
        return GitHub(self.repository, self.git.cwd, self.reporter.progress, self.git.changes)

    @property
    def state(self) -> Path:
        """The directory of this repository's journals and lock."""
        return self.git.state_dir()

    @property
    def tracking(self) -> str:
        """The name of trunk's tracking branch: `origin/main`."""
        return f"{self.stack.remote}/{self.stack.trunk}"

    def reading_pulls(
        self, *, merging: bool, trunk: BranchName | None = None
    ) -> AbstractContextManager[Callable[[], Snapshot]]:
        """Send the query for the stack's pull requests; the context's value waits for the response.

        Args and errors as of `GitHub.reading_stack`.
        """
        return self.github.reading_stack(self.stack.numbers, merging=merging, trunk=trunk)
