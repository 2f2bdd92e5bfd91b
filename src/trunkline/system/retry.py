"""How often the outside is asked again, and how long is waited between: bounded, and as long as it asks for.

`TRUNKLINE_ATTEMPTS` (default 4) bounds the attempts of one call; `TRUNKLINE_WAIT_FACTOR` (default 1) scales every
wait: 0 in tests, where nobody sleeps.
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
"""Seconds; whoever asks for more is told to the user instead, who runs the task again later."""
_FIRST_WAIT, _GROWTH = 1.0, 2.0

# What git, ssh and curl print (LC_ALL=C) when the way there fails; refusals read otherwise, and are not repeated.
_PASSES = re.compile(
    r"Could not resolve host|Temporary failure in name resolution|Connection (?:reset|refused|timed out|closed)"
    r"|Operation timed out|[Nn]etwork is unreachable|early EOF|unexpected disconnect|hung up unexpectedly"
    r"|RPC failed|requested URL returned error: (?:429|5\d\d)|kex_exchange_identification|gnutls_handshake"
)


def passes(stderr: str) -> bool:
    """Say whether what a git network command printed is a failure that may pass by itself."""
    return bool(_PASSES.search(stderr))


def retrying(call: Callable[[], T], *, reporter: Callable[[str], None] | None = None) -> T:
    """Call, and call again while it fails in a way that passes.

    Args:
        call: raises `TransientError` for what may pass.
        reporter: told before each wait.

    Raises:
        TransientError: it did not pass within the attempts, or asks for more time than we wait.
    """
    try:
        return call()
    except TransientError as error:
        if wait_for(error, 1) > LONGEST_WAIT:
            raise
        first = error
    # Imported here: it brings asyncio with it, which a task that meets no failure can do without.
    from tenacity import Retrying, retry_if_exception, stop_after_attempt  # noqa: PLC0415

    def again(error: BaseException) -> bool:
        return isinstance(error, TransientError) and wait_for(error, 1) <= LONGEST_WAIT

    def pause(state: RetryCallState) -> float:
        failed = state.outcome.exception() if state.outcome else None
        return wait_for(failed, state.attempt_number + 1) if isinstance(failed, TransientError) else 0.0

    def say(error: TransientError, seconds: float) -> None:
        if reporter is not None:
            reporter(f"{error.what}; asked again in {seconds:g} s")

    def tell_pause(state: RetryCallState) -> None:
        failed = state.outcome.exception() if state.outcome else None
        if isinstance(failed, TransientError):
            say(failed, pause(state))

    rest = max(_attempts() - 1, 0)
    if not rest:
        raise first
    say(first, wait_for(first, 1))
    sleep(wait_for(first, 1))
    retrying = Retrying(
        retry=retry_if_exception(again), stop=stop_after_attempt(rest), wait=pause, sleep=sleep,
        before_sleep=tell_pause, reraise=True,
    )  # fmt: skip
    result: T = retrying(call)
    return result


BURST = 3
"""So many writes go at once: a landing's own. GitHub asks who makes "a large number" of them to wait a second between
(docs.github.com, "Best practices for using the REST API", "Pause between mutative requests")."""
_SPACE = 1.0
_writes: list[float] = []


def throttle() -> None:
    """Wait, before a write to GitHub, until the last one is a second ago; the first few of a task go at once."""
    if len(_writes) >= BURST and (early := _writes[-1] + _SPACE - time.monotonic()) > 0:
        sleep(early)
    _writes.append(time.monotonic())


def wait_for(error: TransientError, failures: int) -> float:
    """Return how long to wait after so many failures: what was asked for, else longer each time."""
    return error.wait if error.wait is not None else _FIRST_WAIT * _GROWTH ** (failures - 1)


def sleep(seconds: float) -> None:
    """Wait, scaled by TRUNKLINE_WAIT_FACTOR."""
    time.sleep(seconds * _number("TRUNKLINE_WAIT_FACTOR", 1.0))


def _attempts() -> int:
    return int(_number("TRUNKLINE_ATTEMPTS", ATTEMPTS))


def _number(name: str, default: float) -> float:
    try:
        return max(float(os.environ.get(name, "")), 0.0)
    except ValueError:
        return default
