"""A Dask client that takes data from schedulers and workers, and never objects.

Dask pickles what it sends, and unpickling runs code of whoever sent it. `Client(deserializers=...)` is not enough:
the stream from the scheduler is read without it, and errors, warnings and types are unpickled by hand (distributed
2026.8, client.py and core.py). So replies are JSON in msgpack, the families of serializers that unpickle are
replaced, and an audit hook (PEP 578) refuses every class that an unpickler looks up for Dask in this process.
"""

from __future__ import annotations

import functools
import logging
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from distributed import Client
from distributed.protocol import register_serialization_family
from distributed.protocol.serialize import families
from distributed.security import Security
from distributed.versions import VersionMismatchWarning

from trunkline.domain.errors import Refused, UsageError

_DATA = ["msgpack"]
"""The serializer whose values are data: numbers, texts, bytes, lists, dictionaries."""
_ENCRYPTED = ("tls://", "wss://")


class DataClient(Client):  # type: ignore[misc]  # distributed is untyped
    """A client whose futures' errors are texts of our own."""

    def _handle_task_erred(self, key: Any = None, exception: Any = None, traceback: Any = None) -> None:  # noqa: ARG002
        super()._handle_task_erred(key, RuntimeError("the task failed on its worker"), None)


def connect(address: str, security: Security | None = None) -> DataClient:
    """Connect to a scheduler; waits as long as Dask is configured to.

    Raises:
        OSError: it does not answer.
    """
    take_data_alone()
    return DataClient(address, security=security, serializers=_DATA, deserializers=_DATA)


def require_encryption(address: str, *, insecure: bool, say: Callable[[str], None]) -> None:
    """See that a scheduler of somebody else's is reached by TLS, both sides known to each other by certificates.

    Args:
        address: the scheduler's, as stack.toml has it.
        insecure: `[gates] insecure`: it need not be; said each time.
        say: called with what a person should know.

    Raises:
        Refused: it would be reached without.
        UsageError: Dask has no certificates.
    """
    if not address.startswith(_ENCRYPTED):
        if not insecure:
            raise Refused(
                f"{address} is neither encrypted nor authenticated",
                why="whoever reaches it, or stands between, can run commands on every worker: use tls://, or write"
                " `insecure = true` in [gates] of stack.toml",
                next_command="${EDITOR:-vi} stack.toml",
            )
        say(f"{address} is neither encrypted nor authenticated, as `insecure = true` in stack.toml allows")
    elif not Security().get_connection_args("client").get("ssl_context"):
        raise UsageError(
            f"Dask has no certificates to reach {address} with",
            why="its configuration names none: distributed.comm.tls, or DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
            next_command="${EDITOR:-vi} ~/.config/dask/distributed.yaml",
        )


@functools.cache
def take_data_alone() -> None:
    """Let Dask in this process unpickle no object, print nothing and warn of nothing that a scheduler says."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in {"distributed", "asyncio"}:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what people should know of it, we say
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)  # its text is the scheduler's
    Client._default_event_handlers.clear()  # noqa: SLF001 -- they print, and unpickle, what any worker says
    for family in ("pickle", "dask"):
        dumps, *_ = families[family]  # what we send is ours: a function by its name, and plain arguments
        register_serialization_family(family, dumps, _not_taken)
    sys.addaudithook(_refuse_classes)


class NotTaken:
    """What stands in the place of an object that was not unpickled: nothing."""


def _not_taken(_header: Any, _frames: Any) -> type[NotTaken]:
    return NotTaken


def _refuse_classes(event: str, _arguments: tuple[object, ...]) -> None:
    if event == "pickle.find_class" and _asked_by_dask():
        raise pickle.UnpicklingError("a scheduler or a worker sent an object; only data is taken")


def _asked_by_dask() -> bool:
    return any(
        str(frame.f_globals.get("__name__")).partition(".")[0] == "distributed"
        for frame, _ in traceback.walk_stack(None)
    )
