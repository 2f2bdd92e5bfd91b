"""Retry calls to the network a limited number of times, with exponential backoff.

`TRUNKLINE_ATTEMPTS` (default 4) limits the attempts of one call. `TRUNKLINE_WAIT_FACTOR` (default
1) scales every wait; the tests set it to 0.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from trunkline.domain.errors import TransientError

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
ATTEMPTS = 4
LONGEST_WAIT = 120.0
"""Seconds. If a server asks for a longer wait, the call fails, and the user retries later."""
_FIRST_WAIT, _GROWTH = 1.0, 2.0

# Messages of git, ssh and curl (LC_ALL=C) when a connection fails. Refusals have other messages and
# are not retried.
_TRANSIENT = re.compile(
    r"Could not resolve host|Temporary failure in name resolution|Connection (?:reset|refused|timed out|closed)"
    r"|Operation timed out|[Nn]etwork is unreachable|early EOF|unexpected disconnect|hung up unexpectedly"
    r"|RPC failed|requested URL returned error: (?:429|5\d\d)|kex_exchange_identification|gnutls_handshake"
)


def is_transient(stderr: str) -> bool:
    """Return whether the error output of a git network command shows a transient failure."""
    return bool(_TRANSIENT.search(stderr))


def retrying(call: Callable[[], T], *, reporter: Callable[[str], None] | None = None) -> T:
    """Call a function, with retries after transient failures.

    Args:
        call: raises `TransientError` for transient failures.
        reporter: receives a message before each wait.

    Raises:
        TransientError: every attempt failed, or the server demanded too long a wait.
    """
    try:
        return call()
    except TransientError as error:
        failed = [error]

    def attempt() -> T:
        if failed:  # the first attempt is over: made without the loop, it loads no tenacity
            raise failed.pop()
        return call()

    def again(state: RetryCallState) -> bool:
        error = _failure(state)
        return error is not None and wait_for(error, 1) <= LONGEST_WAIT

    def pause(state: RetryCallState) -> float:
        error = _failure(state)
        return wait_for(error, state.attempt_number) if error is not None else 0.0

    def report(state: RetryCallState) -> None:
        if reporter is not None and (error := _failure(state)) is not None:
            reporter(f"{error.what}; retrying in {pause(state):g} s")

    attempts = _attempts()
    return repeat(
        attempt, again=again, stop=lambda state: state.attempt_number >= attempts, wait=pause, before_sleep=report
    )


def _failure(state: RetryCallState) -> TransientError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TransientError) else None


def repeat(
    call: Callable[[], T],
    *,
    again: Callable[[RetryCallState], bool],
    stop: Callable[[RetryCallState], bool],
    wait: Callable[[RetryCallState], float],
    before_sleep: Callable[[RetryCallState], None],
) -> T:
    """Call a function while `again` holds and `stop` does not; return its last result, or raise its last error.

    The other arguments are those of `tenacity.Retrying`; waits are scaled by TRUNKLINE_WAIT_FACTOR.
    """
    from tenacity import Retrying  # noqa: PLC0415 -- 16 ms, and most tasks neither fail nor wait

    loop = Retrying(
        retry=again, stop=stop, wait=wait, sleep=sleep, before_sleep=before_sleep,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )  # fmt: skip
    result: T = loop(call)
    return result


BURST = 10
"""Number of mutations that are sent without a wait, as many as a `submit` of ten entries sends.

GitHub asks clients that send "a large number" of them to wait a second between two
(docs.github.com, "Best practices for using the REST API", "Pause between mutative requests"), and
takes 80 a minute that create content ("Rate limits for the REST API", "About secondary rate
limits"). Ten at once and one each second after them make 70 in the first minute.
"""
_SPACE = 1.0
_drained: list[float] = [0.0]
"""When the bucket of mutations is full again: each of them takes out `_SPACE` seconds."""


def throttle() -> None:
    """Wait before a mutation on GitHub if `BURST` were sent lately: a token bucket, one more each second."""
    now = time.monotonic()
    full_at = max(_drained[0], now) + _SPACE
    _drained[0] = full_at
    if (early := full_at - now - BURST * _SPACE) > 0:
        sleep(early)


def wait_for(error: TransientError, failures: int) -> float:
    """Return the seconds to wait after a failure: as the server demanded, else exponential backoff."""
    return error.wait if error.wait is not None else backoff(_FIRST_WAIT, failures)


def backoff(first: float, attempts: int) -> float:
    """Return the seconds to wait after some attempts: the first wait, then twice as long each time."""
    return first * _GROWTH ** (attempts - 1)


def sleep(seconds: float) -> None:
    """Sleep, scaled by TRUNKLINE_WAIT_FACTOR."""
    time.sleep(seconds * _number("TRUNKLINE_WAIT_FACTOR", 1.0))


def _attempts() -> int:
    return int(_number("TRUNKLINE_ATTEMPTS", ATTEMPTS))


def _number(name: str, default: float) -> float:
    try:
        return max(float(os.environ.get(name, "")), 0.0)
    except ValueError:
        return default
