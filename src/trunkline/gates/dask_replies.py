"""What workers answer: JSON, decoded by schema. A worker is trusted with running gates, and with nothing else."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ParamSpec, TypeVar

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, TrunklineError

_Given = ParamSpec("_Given")
_Reply = TypeVar("_Reply", bound=BaseModel)
_Text = Annotated[str, Field(max_length=100_000)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class About(_Answer):
    """Who a worker is, and which commits of a repository it has."""

    version: _Text
    host: _Text
    heads: list[Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]]


class Surveyed(_Answer):
    """What would compile for a gate on a worker, or what it lacks."""

    missing: dict[str, Any]
    rustc: _Text
    cargo: _Text


class Survey(_Answer):
    """What a worker has for each gate, and a hash of cargo's configuration outside the tree."""

    gates: dict[str, Surveyed]
    config: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class ReplayPreview(_Answer):
    """The outcomes of gates that cannot pass on a worker, found before anything is compiled."""

    stopped: dict[str, dict[str, Any]]


class Ran(_Answer):
    """What became of a gate: its outcome and its receipt as they stand in files, and its log."""

    outcome: dict[str, Any]
    receipt: dict[str, Any] | None
    log: Base64Bytes
    host: _Text
    said: list[_Text]


class Received(_Answer):
    """A worker has the commits."""


class Ended(_Answer):
    """How many gates of a run a worker has ended."""

    count: int


class InitialTips(_Answer):
    """A gate of a run: it began, printed a line, compiled units, or failed in a way that Dask tries again."""

    gate: _Text
    number: Annotated[int, Field(ge=0)]
    host: _Text = ""
    worker: _Text = ""
    line: str | None = None
    units: Annotated[int, Field(ge=0)] | None = None
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
        values = json.loads(text if isinstance(text, str) else "")
        if "failed" in values:
            raise ExternalError(
                f"the worker {whose} failed: {values['failed']}", stderr=str(values.get("stderr", "")),
                next_command=task_command("continue"),
            )  # fmt: skip
        return kind.model_validate(values["answer"])
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise ExternalError(
            f"the worker {whose} answered something else than a worker of trunkline does",
            why=next(iter(str(error).splitlines()), ""),
            next_command=task_command("continue"),
        ) from None


def packed(content: bytes) -> str:
    """Return bytes as JSON holds them."""
    return base64.b64encode(content).decode("ascii")
