"""Poll until a result is final, with exponential waits and a limit on the time spent waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from trunkline.system import retry

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")


def poll(
    look: Callable[[], T],
    *,
    pending: Callable[[T], bool],
    limit: float,
    first: float,
    longest: float,
    report: Callable[[T], None] = lambda _: None,
) -> T:
    """Call a function until its result is final; return the last result when the limit is reached.

    Args:
        look: returns the current state; its errors are not retried.
        pending: returns whether a result can still change.
        limit: the limit on the sum of the requested waits in seconds, however long they took.
        first: the first wait in seconds; each further one is twice as long.
        longest: the longest wait in seconds.
        report: receives each result before a wait.
    """

    def pause(state: RetryCallState) -> float:
        return min(retry.backoff(first, state.attempt_number), longest)

    def before_sleep(state: RetryCallState) -> None:
        if state.outcome is not None:
            report(state.outcome.result())

    return retry.repeat(
        look,
        again=lambda state: bool(state.outcome and not state.outcome.failed and pending(state.outcome.result())),
        stop=lambda state: bool(state.idle_for >= limit),
        wait=pause,
        before_sleep=before_sleep,
    )
