"""Render the reviewer note as Markdown; only what receipts prove for the pushed commit is ticked."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from trunkline.domain.errors import UsageError
from trunkline.domain.note import BEGIN, END, NoteFacts
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.report import templates
from trunkline.report.escape import for_markdown
from trunkline.report.terminal import duration

_SHOWN = 20
"""The number of files that a note lists; the task's own outcome has all."""
PACKAGED = "note.md.j2"


def reviewer_note(facts: NoteFacts) -> str:
    """Return the note from the built-in template, without markers; equal facts give equal bytes."""
    text = templates.environment().from_string(templates.packaged(PACKAGED)).render(view(facts))
    return finished(facts, text)


def finished(facts: NoteFacts, text: str, name: str = PACKAGED) -> str:
    """Return a rendered note with the line that names its commit.

    Raises:
        UsageError: the template's output contains our markers.
    """
    text = text.strip("\n")
    if BEGIN in text or END in text:
        raise problem(f"{name} writes the note's own markers", name)
    # The checklist and later runs read from it which commit the note describes.
    return text if facts.commit in text else f"{text}\n\n<!-- {facts.commit} -->"


def problem(what: str, name: str, line: int = 0) -> UsageError:
    """Return the error for an invalid template."""
    at = f"+{line} " if line else ""
    return UsageError(what, why="the note's template cannot be used", next_command=f"${{EDITOR:-vi}} {at}{name}")


def view(facts: NoteFacts) -> dict[str, Any]:
    """Return the values for a template (docs/note.md): JSON values, with tuples for lists."""
    values = {name: getattr(facts, name) for name in facts.__struct_fields__}
    return values | {
        "since": None if facts.since is None else asdict(facts.since),
        "reverted": tuple(asdict(each) for each in facts.reverted),
        "accepted": tuple(sorted(facts.accepted)),
        "coverage": facts.coverage.to_json(),
        "position": facts.stack.index(facts.pr) + 1 if facts.pr in facts.stack else 0,
        "summary": _summary(facts),
        "exceptions": [{"path": each.path, "why": each.why} for each in facts.coverage.unverified[:_SHOWN]],
        "more_exceptions": max(0, len(facts.coverage.unverified) - _SHOWN),
        "gates": [_line(name, name, outcome, facts.accepted) for name, outcome in facts.gates],
        "checks": [_line(name, text, outcome, facts.accepted) for name, text, outcome in facts.checks],
    }


def _line(name: str, title: str, outcome: GateOutcome | None, accepted: frozenset[str]) -> dict[str, Any]:
    held = outcome or GateOutcome(name, Verdict.INTERRUPTED)
    # A predicted gate has no duration.
    took = duration(held.seconds) if held.seconds else ""
    return {
        "name": title,
        "passed": outcome is not None and outcome.proven,
        "said": _said(outcome, accepted=name in accepted),
        "facts": [part for part in (took, for_markdown(held.toolchain), _again(held)) if part],
        "seconds": held.seconds,
        "command": held.command,
        "fix": held.fix if held.verdict is Verdict.UNAVAILABLE else "",
        "summary": held.summary,
    }


def _again(outcome: GateOutcome) -> str:
    """Return a remark that a gate ran twice and why, or ""."""
    return "on the second attempt, after the compiler crashed" if outcome.attempts > 1 else ""


def _said(outcome: GateOutcome | None, *, accepted: bool) -> str:
    """Return why a line is not ticked, and whether the author accepted the verdict."""
    if outcome is None:
        return "not run on this commit"
    if outcome.verdict is Verdict.UNAVAILABLE:
        return "skipped (accepted as unavailable)" if accepted else "could not run where this was verified"
    if outcome.verdict is Verdict.STALE:
        return f"stale: {for_markdown(outcome.diagnosis)}"
    if outcome.on_base:
        message = f"{outcome.words}; {for_markdown(outcome.on_base)}"
        return f"{message} (accepted as inherited)" if accepted and outcome.inherited else message
    return f"{outcome.words} (accepted)" if accepted else outcome.words


def _summary(facts: NoteFacts) -> str:
    passed = sum(1 for _, outcome in facts.gates if outcome is not None and outcome.proven)
    total = len(facts.gates)
    what = "exactly this tree" if facts.result is None else f"what merging this commit into {facts.base} gives"
    if passed == total:
        return f"All {total} CPU-only gates verified locally on {what}:"
    if passed:
        return f"{passed} of {total} CPU-only gates verified locally on {what}; the others are not:"
    if any(outcome is not None for _, outcome in facts.gates):
        return "No gate is verified on this commit:"
    return "No gate has run on this commit yet:"
