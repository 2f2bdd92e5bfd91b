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
    # Imported here: it takes 50 ms (asyncio), and most tasks do not wait.
    from tenacity import Retrying, retry_if_result, wait_exponential  # noqa: PLC0415

    def before_sleep(state: RetryCallState) -> None:
        if state.outcome is not None:
            report(state.outcome.result())

    polling = Retrying(
        retry=retry_if_result(pending),
        wait=wait_exponential(multiplier=first, max=longest),
        stop=lambda state: bool(state.idle_for >= limit),
        sleep=retry.sleep,
        before_sleep=before_sleep,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    result: T = polling(look)
    return result
