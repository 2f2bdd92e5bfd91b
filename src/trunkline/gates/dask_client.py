"""A Dask client that accepts data from schedulers and workers, but no pickled objects.

Dask pickles what it sends, and unpickling executes code of the sender. `Client(deserializers=...)`
is not enough: it does not apply to the stream from the scheduler, and Dask unpickles errors,
warnings and types itself (distributed 2026.8, client.py and core.py). So responses are JSON in
msgpack, the serializers that unpickle are replaced, and an audit hook (PEP 578) refuses every class
that Dask tries to unpickle in this process.
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
"""The serializer for plain data: numbers, strings, bytes, lists, dictionaries."""
_ENCRYPTED = ("tls://", "wss://")


class DataClient(Client):  # type: ignore[misc]  # distributed is untyped
    """A client whose futures carry a fixed error text instead of an unpickled exception."""

    def _handle_task_erred(self, key: Any = None, exception: Any = None, traceback: Any = None) -> None:  # noqa: ARG002
        super()._handle_task_erred(key, RuntimeError("the task failed on its worker"), None)


def connect(address: str, security: Security | None = None) -> DataClient:
    """Connect to a scheduler, with Dask's configured timeout.

    Raises:
        OSError: it does not respond.
    """
    disable_unpickling()
    return DataClient(address, security=security, serializers=_DATA, deserializers=_DATA)


def require_encryption(address: str, *, insecure: bool, say: Callable[[str], None]) -> None:
    """Refuse a remote scheduler without mutual TLS, unless the user allows it.

    Args:
        address: the scheduler in stack.toml.
        insecure: `[gates] insecure`: allow it, with a warning each time.
        say: receives the warning.

    Raises:
        Refused: the connection would not be encrypted.
        UsageError: Dask has no certificates configured.
    """
    if not address.startswith(_ENCRYPTED):
        if not insecure:
            raise Refused(
                f"{address} is neither encrypted nor authenticated",
                why="anyone who reaches it, or is between, can run commands on every worker: use tls://, or write"
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
def disable_unpickling() -> None:
    """Stop Dask from unpickling, and from printing texts of a scheduler, in this process."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in {"distributed", "asyncio"}:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # trunkline reports what the user needs to know
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)  # the text comes from the scheduler
    Client._default_event_handlers.clear()  # noqa: SLF001 -- they print and unpickle events of any worker
    for family in ("pickle", "dask"):
        dumps, *_ = families[family]  # sent data is trusted: functions by name, and plain arguments
        register_serialization_family(family, dumps, _not_unpickled)
    sys.addaudithook(_refuse_classes)


class NotUnpickled:
    """Placeholder for an object that was not unpickled."""


def _not_unpickled(_header: Any, _frames: Any) -> type[NotUnpickled]:
    return NotUnpickled


def _refuse_classes(event: str, _arguments: tuple[object, ...]) -> None:
    if event == "pickle.find_class" and _called_by_dask():
        raise pickle.UnpicklingError("a scheduler or a worker sent an object; only data is taken")


def _called_by_dask() -> bool:
    return any(
        str(frame.f_globals.get("__name__")).partition(".")[0] == "distributed"
        for frame, _ in traceback.walk_stack(None)
    )
