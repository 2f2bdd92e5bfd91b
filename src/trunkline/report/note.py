"""The reviewer note as Markdown: only what receipts prove for the pushed commit is ticked."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trunkline.domain.errors import UsageError
from trunkline.domain.note import BEGIN, END, NoteFacts
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.report import templates
from trunkline.report.escape import for_markdown
from trunkline.report.terminal import duration

_UNPROVEN = {
    None: "not run on this commit",
    Verdict.FAILED: "failed",
    Verdict.UNAVAILABLE: "could not run where this was verified",
    Verdict.TIMED_OUT: "ran out of time",
    Verdict.INTERRUPTED: "interrupted",
}
PACKAGED = "note.md.j2"


def reviewer_note(facts: NoteFacts) -> str:
    """Return the note by our own template, without its markers; the same facts give the same bytes."""
    text = templates.environment().from_string(templates.packaged(PACKAGED)).render(view(facts))
    return finished(facts, text)


def finished(facts: NoteFacts, text: str, name: str = PACKAGED) -> str:
    """Return a rendered note as it is written: with the commit that it describes.

    Raises:
        UsageError: the template wrote our markers.
    """
    text = text.strip("\n")
    if BEGIN in text or END in text:
        raise problem(f"{name} writes the note's own markers", name)
    # The checklist and the next run find by it which commit the note describes.
    return text if facts.commit in text else f"{text}\n\n<!-- {facts.commit} -->"


def problem(what: str, name: str, line: int = 0) -> UsageError:
    """Return the error of a template that cannot be used."""
    at = f"+{line} " if line else ""
    return UsageError(what, why="the note's template cannot be used", next_command=f"${{EDITOR:-vi}} {at}{name}")


def view(facts: NoteFacts) -> dict[str, Any]:
    """Return what a template is given (docs/note.md): JSON values, tuples for lists."""
    values = {name: getattr(facts, name) for name in facts.__dataclass_fields__}
    return values | {
        "since": None if facts.since is None else asdict(facts.since),
        "position": facts.stack.index(facts.pr) + 1 if facts.pr in facts.stack else 0,
        "summary": _summary(facts),
        "gates": [_line(name, outcome) for name, outcome in facts.gates],
        "checks": [_line(name, outcome) for name, outcome in facts.checks],
    }


def _line(name: str, outcome: GateOutcome | None) -> dict[str, Any]:
    held = outcome or GateOutcome(name, Verdict.INTERRUPTED)
    # A gate that is only foreseen has taken no time.
    took = duration(held.seconds) if held.seconds else ""
    return {
        "name": name,
        "passed": outcome is not None and outcome.verdict is Verdict.PASSED,
        "said": _UNPROVEN.get(outcome.verdict if outcome is not None else None, ""),
        "facts": [part for part in (took, for_markdown(held.toolchain)) if part],
        "seconds": held.seconds,
        "command": held.command,
        "cure": held.cure,
        "summary": held.summary,
    }


def _summary(facts: NoteFacts) -> str:
    passed = sum(1 for _, outcome in facts.gates if outcome and outcome.verdict is Verdict.PASSED)
    total = len(facts.gates)
    if passed == total:
        return f"All {total} CPU-only gates verified locally on exactly this tree:"
    return f"{passed} of {total} CPU-only gates verified locally on exactly this tree; the others are not:"
