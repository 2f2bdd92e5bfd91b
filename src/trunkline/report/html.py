"""Render a report as one HTML file without scripts or network access, as Markdown, or as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from markupsafe import Markup, escape

from trunkline.domain.names import short
from trunkline.domain.receipt import GateOutcome
from trunkline.domain.report import EntryReport, Evidenced, Report, Timeline, timelines, verdict
from trunkline.domain.snapshot import PrState
from trunkline.domain.status import EntryStatus, State
from trunkline.report import templates
from trunkline.report.escape import for_terminal
from trunkline.report.stack import entry_facts, entry_state, mark_of, stack_data
from trunkline.report.terminal import duration
from trunkline.report.verdicts import look_of

_TICKS = 4
_EXCERPT = 12
"""The number of log lines in Markdown."""
_TONES = {"green": "good", "red": "bad", "yellow": "warn"}


def html(report: Report) -> str:
    """Return the page; foreign text is escaped, and its control characters are made visible."""
    environment = templates.environment()
    environment.autoescape = True
    environment.filters["code"] = _code
    # All values in a template are foreign: titles, logs, paths.
    environment.finalize = lambda value: for_terminal(value, lines=True) if type(value) is str else value
    return environment.from_string(templates.packaged("report.html.j2")).render(_view(report))


def _code(text: str) -> Markup:
    """Return a maintainer's Markdown as escaped HTML, with `code` as code elements."""
    parts = for_terminal(text).split("`")
    if len(parts) % 2 == 0:  # an unpaired backtick is literal
        return escape(for_terminal(text))
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def markdown(report: Report) -> str:
    """Return a validation summary for every open entry, for pasting into a pull request."""
    environment = templates.environment()
    return environment.from_string(templates.packaged("report.md.j2")).render(_view(report))


def data(report: Report) -> dict[str, Any]:
    """Return the report as JSON values; their keys are a public interface."""
    rows = [
        {
            "pr": entry.status.entry.number,
            **{kind: [_data(each) for each in getattr(entry, kind)] for kind in _KINDS},
            "coverage": entry.coverage.to_json(),
        }
        for entry in report.entries
    ]
    return {
        "made": report.made,
        "repository": report.repository,
        "verdict": verdict(report),
        "stack": stack_data(report.status),
        "evidence": rows,
        "runs": [msgspec.to_builtins(run) for run in report.runs],
    }


_KINDS = ("gates", "checks")


def _data(evidence: Evidenced) -> dict[str, Any]:
    outcome = evidence.outcome.to_json() if evidence.outcome else None
    return {"name": evidence.name, "title": evidence.title, "outcome": outcome}


def _view(report: Report) -> dict[str, Any]:
    entries = [_entry(entry) for entry in report.entries]
    ran = [line for entry in entries for line in entry["timelines"]]
    return {
        "made": report.made[:16].replace("T", " "),
        "repository": report.repository,
        "url": report.url,
        "trunk": report.status.stack.trunk,
        "trunk_oid": short(report.status.trunk) if report.status.trunk else "not fetched",
        "name": report.status.stack.name,
        "issue": report.status.stack.issue,
        "next": report.status.next,
        "verdict": verdict(report),
        "notes": ((report.status.run.what,) if report.status.run else ()) + report.status.notes,
        "entries": entries,
        "gate_names": [gate.name for gate in report.entries[0].gates],
        "open": [entry for entry in entries if not entry["merged"]],
        "ran": ran,
        "failures": [failure for entry in entries for failure in _failures(entry)],
        "receipts": [{**each, "of": entry} for entry in entries for each in entry["all"] if each["took"]],
        "checked": any(entry["checks"] for entry in entries),
        "runs": [msgspec.to_builtins(run) for run in report.runs],
        "duration": duration,
    }


def _failures(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an entry's failures; gates with one cause are merged, with the others as `same`."""
    groups: dict[str, dict[str, Any]] = {}
    for each in entry["all"]:
        if each["failed"]:
            key = (each["outcome"].cause_key if each["outcome"] else "") or each["id"]
            groups.setdefault(key, {**each, "of": entry, "same": []})["same"].append(each)
    return [{**group, "same": group["same"][1:]} for group in groups.values()]


def _entry(report: EntryReport) -> dict[str, Any]:
    status = report.status
    pr = status.pr
    gates, checks = ([_evidence(each, status) for each in kind] for kind in (report.gates, report.checks))
    return {
        "pr": status.entry.number,
        "url": pr.url if pr else "",
        "title": status.entry.title or (pr.title if pr else ""),
        "branch": status.entry.branch,
        "state": entry_state(status),
        "tone": _tone(status),
        "facts": [fact for fact in entry_facts(status) if fact],
        "why": status.standing.why,
        "current": status.current,
        "merged": pr is not None and pr.state is PrState.MERGED,
        "commit": short(status.head) if status.head else "",
        "gates": gates,
        "checks": checks,
        "all": gates + checks,
        "ran": any(each.outcome for each in report.all),
        "exceptions": report.coverage.sentence(),
        "timelines": [_timeline(line, status) for line in timelines(report.all)],
    }


def _tone(status: EntryStatus) -> str:
    return "done" if status.standing.state is State.MERGED else _TONES.get(mark_of(status)[1], "quiet")


def _evidence(evidence: Evidenced, status: EntryStatus) -> dict[str, Any]:
    outcome = evidence.outcome
    look = look_of(outcome)
    return {
        "id": f"pr{status.entry.key}-{evidence.name}",
        "name": evidence.name,
        "title": evidence.title or evidence.name,
        "outcome": outcome,
        "tone": look.tone,
        "failed": evidence.failed,
        "mark": look.mark,
        "word": outcome.words if outcome else "not run on this tree",
        "short": outcome.verdict.value if outcome else "",
        "took": duration(outcome.seconds) if outcome and outcome.started else "",
        "cores": _cores(outcome),
        "log": evidence.log,
        "excerpt": "\n".join(evidence.log.splitlines()[-_EXCERPT:]),
        "summary": (outcome.summary or outcome.command) if outcome else "",
    }


def _cores(outcome: GateOutcome | None) -> str:
    if outcome is None or not outcome.cpu_seconds or not outcome.seconds:
        return ""
    return f"{outcome.cpu_seconds / outcome.seconds:.1f}"


def _timeline(line: Timeline, status: EntryStatus) -> dict[str, Any]:
    whole = line.seconds or 1.0
    return {
        "pr": status.entry.number,
        "title": f"{status.entry.label} {status.entry.title}".strip(),
        "begun": line.begun[:16].replace("T", " "),
        "seconds": duration(line.seconds),
        "cores": f"{line.cores:.1f}" if line.cores else "",
        "ticks": [duration(line.seconds * tick / _TICKS) for tick in range(_TICKS + 1)],
        "bars": [
            {
                "name": bar.name,
                "tone": "good" if bar.passed else "bad",
                "left": f"{100 * bar.start / whole:.2f}",
                "width": f"{max(0.6, 100 * bar.seconds / whole):.2f}",
                "took": duration(bar.seconds),
                "start": duration(bar.start),
                "cores": f"{bar.cores:.1f}" if bar.cores else "",
            }
            for bar in line.bars
        ],
    }
