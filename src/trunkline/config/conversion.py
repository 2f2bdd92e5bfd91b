"""What a stack.toml says that was judged sound, as the domain's values; what it leaves out, their defaults say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from trunkline.domain.check import Check, CommandCheck, Expect, ManualCheck, PatternCheck, TestCheck
from trunkline.domain.names import branch_name, pr_number
from trunkline.domain.stack import (
    DEFAULT_REMOTE,
    DEFAULT_TRUNK,
    Entry,
    GateOverride,
    GateSettings,
    LandSettings,
    NoteSettings,
    PublishSettings,
    RebaseSettings,
    Stack,
)


def stacks(data: Mapping[str, Any]) -> tuple[Stack, ...]:
    """Return the stacks of a stack.toml; at least one, each with at least one entry.

    Args:
        data: what tomli read in it, and `config.judge` found sound.
    """
    trunk, remote = branch_name(data.get("trunk", DEFAULT_TRUNK)), str(data.get("remote", DEFAULT_REMOTE))
    shared: dict[str, Any] = {
        "gates": _gates(data.get("gates", {}), remote=remote, trunk=trunk),
        "land": LandSettings(**_typed(data.get("land", {}))),
        "publish": PublishSettings(**_typed(data.get("publish", {}))),
        "rebase": RebaseSettings(**_typed(data.get("rebase", {}))),
        "note": NoteSettings(**_typed(data.get("note", {}))),
        **{key: data[key] for key in ("rerere", "lockfile") if key in data},
    }
    issue = data.get("issue")
    return tuple(
        Stack(
            trunk, remote, tuple(_entry(entry) for entry in table["entry"]),
            table.get("name", ""), table.get("issue", issue), **shared,
        )
        for table in data.get("stack") or [data]
    )  # fmt: skip


def _typed(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table's values as the domain has them: tuples, seconds with a fraction, paths without a last slash."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    values |= {key: float(values[key]) for key in ("timeout", "wait") if key in values}
    values |= {key: str(PurePosixPath(values[key])) for key in ("root", "template") if values.get(key)}
    return values


def _gates(table: Mapping[str, Any], *, remote: str, trunk: str) -> GateSettings:
    """Return the gates' settings; a table in the table is a gate (`msrv` may be either), but for `env`."""
    tables = {name: value for name, value in table.items() if isinstance(value, dict) and name != "env"}
    gates = {name: GateOverride(**_typed(value)) for name, value in tables.items()}
    settings = {key: value for key, value in table.items() if key not in gates}
    return GateSettings(**_typed(settings), remote=remote, trunk=trunk, overrides=gates)


def _entry(table: Mapping[str, Any]) -> Entry:
    checks = tuple(_check(check) for check in table.get("check", ()))
    pr, branch = pr_number(table["pr"]), branch_name(table["branch"])
    return Entry(pr, branch, table.get("title", ""), table.get("next", ""), checks)


def _check(table: Mapping[str, Any]) -> Check:
    values = {"title": "", **_typed(table)}
    kind = values.pop("kind")
    if kind == "pattern":
        return PatternCheck(**{**values, "expect": Expect(values.get("expect", Expect.PRESENT))})
    kinds: dict[str, type[CommandCheck | TestCheck | ManualCheck]] = {
        "command": CommandCheck, "test": TestCheck, "manual": ManualCheck,
    }  # fmt: skip
    return kinds[kind](**values)
