"""The reviewer note as Markdown: only what receipts prove for the pushed commit is ticked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.domain.errors import UsageError
from trunkline.domain.note import BEGIN, END, NoteFacts, Template
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.report import templates
from trunkline.report.escape import for_markdown
from trunkline.report.terminal import duration

if TYPE_CHECKING:
    import jinja2

_UNPROVEN = {
    None: "not run on this commit",
    Verdict.FAILED: "failed",
    Verdict.UNAVAILABLE: "could not run where this was verified",
    Verdict.TIMED_OUT: "ran out of time",
    Verdict.INTERRUPTED: "interrupted",
}
PACKAGED = "note.md.j2"


def reviewer_note(facts: NoteFacts, own: Template | None = None) -> str:
    """Return the note, without its markers; the same facts give the same bytes.

    Args:
        facts: all that it may state.
        own: a template of the user's own; None: ours.

    Raises:
        UsageError: the template is none, asks for what there is not, or writes our markers.
    """
    from jinja2 import TemplateError  # noqa: PLC0415 -- as in templates

    template = own or Template(PACKAGED, templates.packaged(PACKAGED))
    name = template.name
    try:
        text = parsed(template).render(_view(facts))
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise _problem(f"{name}: {error}", name) from None
    text = text.strip("\n")
    if BEGIN in text or END in text:
        raise _problem(f"{name} writes the note's own markers", name)
    # The checklist and the next run find by it of which commit the note speaks.
    return text if facts.commit in text else f"{text}\n\n<!-- {facts.commit} -->"


def parsed(template: Template) -> jinja2.Template:
    """Return a template ready to use.

    Raises:
        UsageError: it is none; names its line.
    """
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 -- as in templates

    try:
        return templates.environment().from_string(template.text)
    except TemplateSyntaxError as error:
        what = f"{template.name}:{error.lineno}: {error.message}"
        raise _problem(what, template.name, error.lineno) from None


def _problem(what: str, name: str, line: int | None = None) -> UsageError:
    at = f"+{line} " if line else ""
    return UsageError(what, why="the note's template cannot be used", next_command=f"${{EDITOR:-vi}} {at}{name}")


def _view(facts: NoteFacts) -> dict[str, Any]:
    values = {name: getattr(facts, name) for name in facts.__dataclass_fields__}
    return values | {
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
