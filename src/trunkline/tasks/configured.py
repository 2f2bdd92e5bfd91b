"""Read defaults of flags from Invoke's configuration, section `trunkline`.

Invoke merges invoke.yaml, `ns.configure` of tasks.py, `~/.invoke.yaml` and `INVOKE_TRUNKLINE_*` of the
environment (https://docs.pyinvoke.org/en/stable/concepts/configuration.html). A key is a flag's name
with underscores, and holds for every task that has the flag. The command line and `TRUNKLINE_*` take
precedence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from invoke.context import Context as InvokeContext

from trunkline.domain.choices import nearest
from trunkline.domain.command import task_list
from trunkline.domain.errors import UsageError
from trunkline.tasks.flags import FALSE, FLAGS, TRUE

SECTION = "trunkline"
_NEVER = frozenset({"dry-run", "json", "yes"})
"""Flags without a default of one's own: an approval is for one command, and dry runs are Invoke's `run.dry`."""


def keys() -> frozenset[str]:
    """Return the keys of the section: the flags that also have an environment variable."""
    return frozenset(name.replace("-", "_") for name, flag in FLAGS.items() if flag.env and name not in _NEVER)


def nothing_configured() -> dict[str, dict[str, None]]:
    """Return the section without a value, for `Collection.configure`: Invoke reads only variables of known keys."""
    return {SECTION: dict.fromkeys(sorted(keys()))}


def section(context: InvokeContext) -> Mapping[str, Any]:
    """Return the values that are configured, by key.

    Raises:
        UsageError: the section is not a mapping, or has an unknown key.
    """
    values: object = context.config.get(SECTION, {})
    if not isinstance(values, Mapping):
        raise UsageError(
            f"Invoke's setting {SECTION} is {values!r}",
            why=f"expected keys, as in `{SECTION}: {{no_push: true}}`",
            next_command=task_list(),
        )
    for key in values.keys() - keys():
        like = nearest(str(key), sorted(keys()))
        raise UsageError(
            f"Invoke's setting {SECTION}.{key} does not exist",
            why=(f"did you mean {like}? " if like else "") + f"Known: {', '.join(sorted(keys()))}",
            next_command=task_list(),
        )
    return {key: value for key, value in values.items() if value is not None}


def default_of(configured: Mapping[str, Any], flag: str, default: Any) -> Any:
    """Return the configured default of a flag, else its own.

    Args:
        configured: the section.
        flag: the flag's name, without dashes before it.
        default: the default of its task; a switch has a bool.

    Raises:
        UsageError: the value has another type than the flag takes.
    """
    value = configured.get(flag.replace("-", "_"))
    if value is None:
        return default
    if FLAGS[flag].switch:
        if str(value).lower() not in TRUE | FALSE:
            raise _wrong(flag, value, "true or false")
        return str(value).lower() in TRUE
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(flag, value, "text, or a list of texts")
    return str(value)


def _wrong(flag: str, value: object, expected: str) -> UsageError:
    """Return the error for a value; its command removes the variable, if it was in the environment."""
    key = flag.replace("-", "_")
    variable = f"INVOKE_{SECTION}_{key}".upper()
    return UsageError(
        f"Invoke's setting {SECTION}.{key} is {value!r}",
        why=f"expected {expected}: the default of --{flag}",
        next_command=f"unset {variable}" if variable in os.environ else task_list(),
    )
