"""A hook of mkdocs: the reference pages, made from the tasks, stack.toml's schema and the exit codes themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from mkdocs.structure.files import File

from trunkline.config.schema import json_schema
from trunkline.domain.errors import ExitCode, TrunklineError
from trunkline.tasks import namespace

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"tasks": _tasks(), "stack-toml": _stack_toml(), "exit-codes": _exit_codes()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Make text of links that lead out of docs/: they are for readers of the repository."""
    return re.sub(r"\[([^\]]+)\]\(\.\./(?:src|tests|examples|scripts)[^)]*\)", r"\1", markdown)


def _tasks() -> str:
    return "\n".join(["# Tasks", "", "Made from the tasks themselves: `invoke --help TASK` says the same.", "",
                      *_of(namespace, "")])  # fmt: skip


def _of(collection: Collection, prefix: str) -> Iterator[str]:
    for name, task in sorted(collection.tasks.items()):
        yield f"## {prefix}{name}\n\n{inspect.cleandoc(task.body.__doc__ or '')}\n"
        flags = [argument for argument in task.get_arguments() if argument.names]
        if flags:
            yield "| flag | |\n|---|---|"
            for flag in flags:
                named = ", ".join(f"`{'--' if len(each) > 1 else '-'}{each}`" for each in _spelled(flag.names))
                yield f"| {named} | {(flag.help or '').replace('|', chr(92) + '|')} |"
            yield ""
    for name, inner in sorted(collection.collections.items()):
        yield from _of(inner, f"{prefix}{name}.")


def _spelled(names: tuple[str, ...]) -> list[str]:
    return sorted({name.replace("_", "-").strip("-") for name in names}, key=len, reverse=True)


def _stack_toml() -> str:
    schema = json_schema()
    about = "Made from the model that judges the file; `stack.schema.json` in the package is the same, for editors."
    parts = ["# stack.toml", "", about, "", *_table("At the top", schema)]
    named = {
        "EntryTable": "[[entry]]", "PatternTable": '[[entry.check]], kind = "pattern"',
        "CommandTable": '[[entry.check]], kind = "command"', "TestTable": '[[entry.check]], kind = "test"',
        "ManualTable": '[[entry.check]], kind = "manual"', "GatesTable": "[gates]", "GateTable": "[gates.NAME]",
        "LandTable": "[land]", "RebaseTable": "[rebase]",
        "PublishTable": "[publish]", "NoteTable": "[note]", "StackTable": "[[stack]]",
    }  # fmt: skip
    missing = {name for name, model in schema["$defs"].items() if "properties" in model} - named.keys()
    if missing:
        raise ValueError(f"stack.toml has tables without a heading here: {sorted(missing)}")
    for key, heading in named.items():
        parts += _table(f"`{heading}`", schema["$defs"][key])
    return "\n".join(parts)


def _table(heading: str, model: dict[str, Any]) -> Iterator[str]:
    yield f"## {heading}\n\n{model.get('description', '')}\n\n| key | default | |\n|---|---|---|"
    for key, about in model["properties"].items():
        default = "required" if key in model.get("required", ()) else f"`{_toml(about.get('default'))}`"
        yield f"| `{key}` | {default} | {about.get('description', '')} |"
    yield ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value == "":
        return '""'
    return "none" if value is None else "a table" if isinstance(value, dict) else str(value).replace("'", '"')


def _exit_codes() -> str:
    raised: dict[ExitCode, list[str]] = {}
    for error in _subclasses(TrunklineError):
        if "code" in error.__dict__:  # its descendants have the same
            first = inspect.cleandoc(error.__doc__ or "").partition("\n")[0]
            raised.setdefault(error.code, []).append(re.sub(r" \(exit \d+\)", "", first))
    message = {ExitCode.OK: ["All is as asked for; also when there was nothing to do."],
            ExitCode.INTERRUPTED: ["Interrupted (Ctrl-C); nothing is lost."]}  # fmt: skip
    rows = [f"| {int(code)} | {' '.join(message.get(code) or raised.get(code, []))} |" for code in ExitCode]
    return "\n".join(["# Exit codes", "", "Made from the errors themselves. Makefiles may rely on them.", "",
                      "| code | meaning |", "|---|---|", *rows, ""])  # fmt: skip


def _subclasses(error: type[TrunklineError]) -> Iterator[type[TrunklineError]]:
    for each in error.__subclasses__():
        yield each
        yield from _subclasses(each)
