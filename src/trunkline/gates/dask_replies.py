"""Responses of workers: JSON, validated by a schema.

A worker is trusted to run gates, and with nothing else.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec
from msgspec import Meta, Struct

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, TrunklineError

_Given = ParamSpec("_Given")
_Reply = TypeVar("_Reply", bound=Struct)
_Text = Annotated[str, Meta(max_length=100_000)]


class _Response(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class WorkerInfo(_Response, frozen=True):
    """A worker's version and host, and the commits of a repository that it has."""

    version: _Text
    host: _Text
    heads: list[Annotated[str, Meta(pattern=r"\A[0-9a-f]{40}([0-9a-f]{24})?\Z")]]


class Surveyed(_Response, frozen=True):
    """A worker's toolchain for a gate, or the prerequisite that it lacks."""

    missing: dict[str, Any]
    rustc: _Text
    cargo: _Text


class Survey(_Response, frozen=True):
    """A worker's toolchains for all gates, and a hash of cargo's configuration outside the tree."""

    gates: dict[str, Surveyed]
    config: Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]


class GatePreview(_Response, frozen=True):
    """Outcomes of gates that cannot pass on a worker, found before compilation."""

    stopped: dict[str, dict[str, Any]]


class GateReply(_Response, frozen=True):
    """The result of a gate: its outcome and receipt as in files, and its log."""

    outcome: dict[str, Any]
    receipt: dict[str, Any] | None
    log: bytes
    host: _Text
    said: list[_Text]


class Received(_Response, frozen=True):
    """Confirmation that a worker has the commits."""


class Ended(_Response, frozen=True):
    """The number of gates of a run that a worker terminated."""

    count: int


class GateEvent(_Response, frozen=True):
    """Progress of a gate: it started, printed a line, compiled units, or failed and is retried."""

    gate: _Text
    number: Annotated[int, Meta(ge=0)]
    host: _Text = ""
    worker: _Text = ""
    line: str | None = None
    units: Annotated[int, Meta(ge=0)] | None = None
    failed: str | None = None


def returning_json(function: Callable[_Given, Mapping[str, Any]]) -> Callable[_Given, str]:
    """Make a function return JSON, also for expected errors, because Dask would pickle those."""

    @functools.wraps(function)
    def answer(*args: _Given.args, **kwargs: _Given.kwargs) -> str:
        try:
            return json.dumps({"answer": function(*args, **kwargs)})
        except TrunklineError as error:
            return json.dumps({"failed": str(error), "stderr": error.stderr})

    return answer


def decoded(kind: type[_Reply], text: object, whose: str) -> _Reply:
    """Parse a response.

    Args:
        kind: the expected type.
        text: the response.
        whose: the worker, for messages.

    Raises:
        ExternalError: the worker failed, or its response is invalid.
    """
    try:
        values = msgspec.json.decode(text if isinstance(text, str) else "")
        if "failed" in values:
            raise ExternalError(
                f"the worker {whose} failed: {values['failed']}", stderr=str(values.get("stderr", "")),
                next_command=task_command("continue"),
            )  # fmt: skip
        return msgspec.convert(values["answer"], kind)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExternalError(
            f"the worker {whose} answered something else than a worker of trunkline does",
            why=next(iter(str(error).splitlines()), ""),
            next_command=task_command("continue"),
        ) from None


def packed(content: bytes) -> str:
    """Encode bytes for JSON."""
    return base64.b64encode(content).decode("ascii")
