"""A hook of mkdocs: reference pages made from the code, and the pages that are kept at the repository's top."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from mkdocs.structure.files import File

from trunkline.config.schema import json_schema
from trunkline.domain.errors import ExitCode, TrunklineError
from trunkline.report.json_schema import schema_of
from trunkline.tasks import namespace
from trunkline.tasks.registry import taken_flags
from trunkline.tasks.session import SCHEMA

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page


ROOT = Path(__file__).resolve().parents[1]
# What a newcomer looks for comes before the logs.
BOOSTS = {
    "troubleshooting.md": 4,
    "faq.md": 2,
    "usage.md": 2,
    "limits.md": 2,
    "decisions.md": 0.1,
    "changelog.md": 0.1,
    "gates.md": 2,
    "simulator.md": 0.6,
    "security.md": 0.5,
    "journal-records.md": 0.3,
    "gate-internals.md": 0.5,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/tasks": _tasks(),
        "reference/stack-toml": _stack_toml(),
        "reference/exit-codes": _exit_codes(),
        "reference/json": _json(),
        "agents": (ROOT / "src/trunkline/help/agents.md").read_text(encoding="utf-8"),
        "changelog": _top("CHANGELOG.md"),
        "security": _top("SECURITY.md"),
        "contributing": _top("CONTRIBUTING.md"),
    }
    for name, text in pages.items():
        files.append(File.generated(config, f"{name}.md", content=text))
    return files


def _top(name: str) -> str:
    """Return a page of the repository's top, its links as they are from docs/."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/", "](", text)
    text = re.sub(r"\]\((SECURITY|CHANGELOG|CONTRIBUTING)\.md", lambda found: f"]({found[1].lower()}.md", text)
    return re.sub(r"\]\((?!https?:|#|[\w/-]+\.md)([^)]+)\)", r"](../src/\1)", text)


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Weigh the page in the search; make text of links that lead out of docs/, for readers of the repository."""
    name = page.file.src_uri
    boost = BOOSTS.get(name, 2 if name.startswith("howto/") else 1)
    page.meta.setdefault("search", {"boost": boost})
    return re.sub(r"\[([^\]]+)\]\(\.\./(?:src|tests|examples|scripts)[^)]*\)", r"\1", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Colour the output of trunkline in console blocks: marks, a heading that is no root prompt, the next command."""
    html = re.sub(
        r'<span class="gp">#</span><span class="m">(\d+)</span>', r'<span class="go"><b>#\1</b></span>', html
    )
    for mark, name in (("✓", "done"), ("!", "warning"), ("✗", "failed")):
        pattern = rf'<span class="go">( *|[├└│─ ]+){re.escape(mark)} ([\w-]+(?: [\w-]+)*)?'
        shown = rf'<span class="go">\1<b class="term-{name}">{mark} \2</b>'
        html = re.sub(pattern, shown, html)
    html = re.sub(r'<span class="go">(error:)', r'<span class="go"><b class="term-failed">\1</b>', html)
    return re.sub(r'<span class="go">(next:[^<]*)', r'<span class="go"><b>\1</b>', html)


def on_post_page(output: str, **_: Any) -> str:
    """Name the search's dialog, and load its script before Material's, which sends the query of `?q=` at once."""
    output = re.sub(r'(data-md-component="search" role="dialog")', r'\1 aria-label="Search"', output)
    found = re.search(r'<script src="[^"]*javascripts/search\.js"></script>', output)
    if found is None:
        return output
    rest = output.replace(found[0], "")
    return re.sub(r'(?=<script src="[^"]*assets/javascripts/bundle)', found[0], rest, count=1)


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
    about = "Generated from the schema that validates the file; `stack.schema.json` in the package is the same."
    example = "[Adopt it](../howto/adopt.md#stacktoml) has an example."
    parts = ["# stack.toml", "", about, example, "", *_table("At the top", schema)]
    named = {
        "EntryTable": "[[entry]]", "PatternTable": '[[entry.check]], kind = "pattern"',
        "CommandTable": '[[entry.check]], kind = "command"', "TestTable": '[[entry.check]], kind = "test"',
        "ManualTable": '[[entry.check]], kind = "manual"', "GatesTable": "[gates]", "GateTable": "[gates.NAME]",
        "LandTable": "[land]", "RebaseTable": "[rebase]",
        "PublishTable": "[publish]", "NoteTable": "[note]", "AttestTable": "[attest]",
        "SubmitTable": "[submit]", "StackTable": "[[stack]]",
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


def _json() -> str:
    """Return the page on `--json`: the common keys, and the schema of each task."""
    parts = [
        "# JSON output",
        "",
        f"Made from the schemas themselves (`trunkline schema TASK`), version {SCHEMA} (the key `schema`).",
        "With `--json` a task prints one object on stdout and its progress on stderr.",
        "[For agents and scripts](../agents.md) says which exit code asks for which action.",
        "",
    ]
    schemas = {task: schema_of(task, SCHEMA) for task in sorted(taken_flags())}
    common = set.intersection(*(set(schema["properties"]) for schema in schemas.values()))
    parts += ["## Every task", "", "| key | type | always |", "|---|---|---|"]
    one = schemas["status"]
    for key in sorted(common):
        parts.append(f"| `{key}` | {_kind(one['properties'][key])} | {'yes' if key in one['required'] else ''} |")
    for task, schema in schemas.items():
        own = {key: value for key, value in schema["properties"].items() if key not in common}
        if own:
            parts += ["", f"## {task}", "", "| key | type |", "|---|---|"]
            parts += [f"| `{key}` | {_kind(value)} |" for key, value in own.items()]
            text = json.dumps(own, indent=2)
            parts += ["", '??? note "Schema of these keys"', "", "    ```json"]
            parts += [f"    {line}" for line in text.splitlines()] + ["    ```"]
    return "\n".join([*parts, ""])


def _kind(schema: dict[str, Any]) -> str:
    """Return a schema's type in words."""
    kind = schema.get("type", "any")
    if "anyOf" in schema:
        kind = [_kind(each) for each in schema["anyOf"]]
    elif "const" in schema:
        kind = f"`{json.dumps(schema['const'])}`"
    elif "enum" in schema:
        kind = [f"`{each}`" for each in schema["enum"]]
    elif kind == "array":
        kind = f"array of {_kind(schema['items'])}"
    elif kind == "object" and schema.get("properties"):
        kind = "object: " + ", ".join(f"`{key}`" for key in schema["properties"])
    return " or ".join([kind] if isinstance(kind, str) else kind)


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
