"""Asks GitHub before it is known that its answer is needed: what would read it is loaded meanwhile.

The answer takes 0.1 s and more, and loading pydantic, rich and the workflows as long again (measured,
tests/bench/restack.py): of a restack of 20 entries, a sixth.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trunkline.config.reading import StackText
from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import BranchName, PrNumber
from trunkline.domain.snapshot import Snapshot
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.github.client import GitHub, Repository, repository_of

_HOLDS = 5.0
"""Seconds that a question was sent not too long ago: a person who is asked first may think for minutes."""


@dataclass(frozen=True)
class Question:
    """What GitHub is asked about a stack.

    Attributes:
        repository: where its pull requests are.
        numbers: of the pull requests.
        merging: also what a merge needs to know: review and mergeability.
        trunk: also the tip of this branch.
    """

    repository: Repository
    numbers: tuple[PrNumber, ...]
    merging: bool = False
    trunk: BranchName | None = None


@dataclass(frozen=True)
class Ahead:
    """A question that was sent ahead.

    Attributes:
        question: which.
        answer: called for the answer.
        sent: when, by the monotonic clock.
        ends: closed, it is over.
    """

    question: Question
    answer: Callable[[], Snapshot]
    sent: float
    ends: contextlib.ExitStack

    def answers(self, question: Question) -> bool:
        """Say whether its answer is as good as that of a question sent now."""
        return self.question == question and time.monotonic() - self.sent < _HOLDS

    @contextlib.contextmanager
    def taken(self) -> Iterator[Callable[[], Snapshot]]:
        """Give what is called for the answer; with the context the question is over."""
        with self.ends:
            yield self.answer


def ask(
    git: Git,
    found: StackText,
    name: str,
    *,
    merging: bool,
    with_trunk: bool,
    reporter: Callable[[str], None],
    ends: contextlib.ExitStack,
) -> Ahead | None:
    """Send the question that a task over a stack is going to ask; None: that takes a closer look first.

    Whatever is wrong is said by who looks closer.

    Args:
        git: the checkout.
        found: its stack.toml.
        name: of the stack.
        merging: as in `Question`.
        with_trunk: ask also for the tip of the trunk.
        reporter: told when GitHub is asked again after a failure.
        ends: with it ends the question, should nobody want the answer.
    """
    seen = found.preview(name)
    if seen is None or not seen.numbers:
        return None
    with contextlib.suppress(TrunklineError):
        repository = repository_of(refs.remote_url(git, seen.remote))
        question = Question(repository, seen.numbers, merging, seen.trunk if with_trunk else None)
        asking = GitHub(repository, git.cwd, reporter).reading_stack(
            question.numbers, merging=merging, trunk=question.trunk
        )
        own = ends.enter_context(contextlib.ExitStack())
        return Ahead(question, own.enter_context(asking), time.monotonic(), own)
    return None
