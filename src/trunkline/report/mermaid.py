"""Draw a stack as a Mermaid diagram for Markdown."""

from __future__ import annotations

from trunkline.domain.names import short
from trunkline.domain.report import Report
from trunkline.report.escape import for_terminal
from trunkline.report.stack import entry_state, mark_of

_CLASSES = {"green": "good", "red": "bad", "yellow": "warn"}
_STYLES = (
    "  classDef good stroke:#1a7f37,stroke-width:2px",
    "  classDef bad stroke:#cf222e,stroke-width:2px",
    "  classDef warn stroke:#9a6700,stroke-width:2px",
)


def mermaid(report: Report) -> str:
    """Return the stack as a Mermaid flowchart that starts at trunk."""
    stack = report.status.stack
    at = f" at {short(report.status.trunk)}" if report.status.trunk else ""
    lines = ["flowchart BT", f'  trunk["{_label(f"{stack.trunk}{at}")}"]']
    below, links = "trunk", list[str]()
    for position, entry in enumerate(report.entries):
        row = entry.status
        name = f"pr{row.entry.number}" if row.entry.number is not None else f"entry{position}"
        title = row.entry.title or (row.pr.title if row.pr else "")
        label = "<br/>".join(
            _label(part) for part in (f"{row.entry.label} {title}".strip(), str(row.entry.branch), entry_state(row))
        )
        tone = _CLASSES.get(mark_of(row)[1], "")
        lines.append(f'  {below} --- {name}["{label}"]{f":::{tone}" if tone else ""}')
        if row.pr and row.pr.url.startswith("https://") and not set(row.pr.url) & set('"<>\\ \n'):
            links.append(f'  click {name} "{row.pr.url}"')
        below = name
    return "\n".join([*lines, *links, *_STYLES]) + "\n"


def _label(text: str) -> str:
    """Return foreign text as a quoted Mermaid label, with special characters as entities."""
    return "".join(each if each.isalnum() or each in " -_/.:," else f"#{ord(each)};" for each in for_terminal(text))
