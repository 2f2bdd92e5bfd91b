"""What workers answer: JSON, decoded by schema. A worker is trusted with running gates, and with nothing else."""

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


class _Answer(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class About(_Answer, frozen=True):
    """Who a worker is, and which commits of a repository it has."""

    version: _Text
    host: _Text
    heads: list[Annotated[str, Meta(pattern=r"\A[0-9a-f]{40}([0-9a-f]{24})?\Z")]]


class Surveyed(_Answer, frozen=True):
    """What would compile for a gate on a worker, or what it lacks."""

    missing: dict[str, Any]
    rustc: _Text
    cargo: _Text


class Survey(_Answer, frozen=True):
    """What a worker has for each gate, and a hash of cargo's configuration outside the tree."""

    gates: dict[str, Surveyed]
    config: Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]


class ReplayPreview(_Answer, frozen=True):
    """The outcomes of gates that cannot pass on a worker, found before anything is compiled."""

    stopped: dict[str, dict[str, Any]]


class Ran(_Answer, frozen=True):
    """What became of a gate: its outcome and its receipt as they stand in files, and its log."""

    outcome: dict[str, Any]
    receipt: dict[str, Any] | None
    log: bytes
    host: _Text
    said: list[_Text]


class Received(_Answer, frozen=True):
    """A worker has the commits."""


class Ended(_Answer, frozen=True):
    """How many gates of a run a worker has ended."""

    count: int


class GateEvent(_Answer, frozen=True):
    """A gate of a run: it began, printed a line, compiled units, or failed in a way that Dask tries again."""

    gate: _Text
    number: Annotated[int, Meta(ge=0)]
    host: _Text = ""
    worker: _Text = ""
    line: str | None = None
    units: Annotated[int, Meta(ge=0)] | None = None
    failed: str | None = None


def answering(function: Callable[_Given, Mapping[str, Any]]) -> Callable[_Given, str]:
    """Let a function answer in JSON; an expected error is an answer, too: Dask would pickle it."""

    @functools.wraps(function)
    def answer(*args: _Given.args, **kwargs: _Given.kwargs) -> str:
        try:
            return json.dumps({"answer": function(*args, **kwargs)})
        except TrunklineError as error:
            return json.dumps({"failed": str(error), "stderr": error.stderr})

    return answer


def decoded(kind: type[_Reply], text: object, whose: str) -> _Reply:
    """Decode an answer.

    Args:
        kind: what it should be.
        text: what came.
        whose: the worker, for messages.

    Raises:
        ExternalError: the worker failed, or answered something else.
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
    """Return bytes as JSON holds them."""
    return base64.b64encode(content).decode("ascii")
