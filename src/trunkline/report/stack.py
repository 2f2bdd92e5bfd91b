"""Render a stack as a tree for the terminal, bottom entry first, or as JSON values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text
from rich.tree import Tree

from trunkline.domain.commits import counted
from trunkline.domain.names import short
from trunkline.domain.readiness import checks_summary, failed, review_summary
from trunkline.domain.receipt import GateOutcome, Verdict, in_words
from trunkline.domain.snapshot import PrState
from trunkline.domain.status import EntryStatus, StackStatus, State
from trunkline.report.escape import for_terminal
from trunkline.report.verdicts import NOT_RUN, look_of
from trunkline.report.wrapping import Hanging

_URL = re.compile(r"https://[!-~]+")
_MARKS = {
    State.MERGED: ("✓", "green"),
    State.READY: ("✓", "green"),
    State.CLOSED: ("✗", "red"),
    State.MISSING: ("✗", "red"),
    State.RENAMED: ("✗", "red"),
    State.FORK: ("✗", "red"),
    State.NO_BRANCH: ("✗", "red"),
    State.DIVERGED: ("✗", "red"),
    State.MISPLACED: ("✗", "red"),
    State.RED: ("✗", "red"),
    State.CONFLICT: ("✗", "red"),
    State.RESTACK: ("!", "yellow"),
    State.PUSH: ("!", "yellow"),
    State.FETCH: ("!", "yellow"),
}


def stack_tree(status: StackStatus) -> RenderableType:
    """Return the stack as a tree that starts at trunk, bottom entry first."""
    at = f" at {short(status.trunk)}" if status.trunk else ""
    tree = Tree(_text((f"{status.stack.trunk}{at}", "bold")), guide_style="dim")
    for entry in status.entries:
        tree.add(_entry(entry))
    return tree


def _entry(row: EntryStatus) -> RenderableType:
    mark, style = mark_of(row)
    title = row.entry.title or (row.pr.title if row.pr else "")
    head = _text(
        (f"{mark} ", style), (f"{row.entry.label} ", "bold"), f"{title}  " if title else "", (entry_state(row), style)
    )
    _link(head, row, len(f"{mark} "))
    lines = [head, _text((f"  {row.entry.branch}{'  (checked out)' if row.current else ''}", "dim"))]
    if row.standing.state is not State.MERGED:
        about = _about_the_entry(row)
        facts = "  ·  ".join(fact for fact in about if fact)
        lines += [_text((f"  {facts}", "dim"))] if facts else []
        lines += [
            _verdicts(name, known) for name, known in (("gates", row.gates), ("own checks", row.checks)) if known
        ]
        lines += [_text((f"  {why}", "yellow")) for why in row.standing.why if why not in about]
    return Group(*(Hanging(line, 2) for line in lines))


def _link(line: Text, row: EntryStatus, begin: int) -> None:
    """Link an entry's number to its pull request, if the terminal supports links (OSC 8)."""
    url = row.pr.url if row.pr else ""
    if _URL.fullmatch(url):
        line.stylize(Style(link=url), begin, begin + len(row.entry.label))


def mark_of(row: EntryStatus) -> tuple[str, str]:
    """Return an entry's mark and its colour.

    A gate that failed on its head makes it red, whatever GitHub shows.
    """
    over = row.standing.state in {State.MERGED, State.CLOSED}
    if not over and any(look_of(outcome).tone == "bad" for _, outcome in (*row.gates, *row.checks)):
        return "✗", "red"
    return _MARKS.get(row.standing.state, ("·", "cyan"))


def entry_state(row: EntryStatus) -> str:
    """Return the state of an entry, in a few words."""
    if row.pr is not None and row.pr.state is PrState.MERGED:
        by = f" as {short(row.pr.merge_commit)}" if row.pr.merge_commit else ""
        return f"merged {row.pr.merged_at[:10]}{by}" if row.pr.merged_at else f"closed, and landed{by}"
    return str(row.standing)


def entry_facts(row: EntryStatus) -> tuple[str, ...]:
    """Return the facts about an open entry, each in a few words or ""."""
    verdicts = (("gates", row.gates), ("own checks", row.checks))
    return (*_about_the_entry(row), *("".join(text for text, _ in _parts(*each)) for each in verdicts if each[1]))


def _about_the_entry(row: EntryStatus) -> tuple[str, ...]:
    pr = row.pr
    open_ = pr is not None and pr.state is PrState.OPEN
    is_named = row.standing.state is State.DRAFT  # in the line above
    return (
        short(row.head) if row.head else "",
        "" if row.own is None else counted(row.own),
        ("draft" if pr.draft else "ready for review") if pr and open_ and not is_named else "",
        review_summary(pr) if pr and open_ else "",
        checks_summary(pr) if pr and open_ else "",
        str(row.native) if row.native else "",
    )


def _verdicts(what: str, known: Sequence[tuple[str, GateOutcome | None]]) -> Text:
    return _text(("  ", ""), *_parts(what, known))


def _parts(what: str, known: Sequence[tuple[str, GateOutcome | None]]) -> list[tuple[str, str]]:
    """Return the number of passes, then every other gate with mark, verdict and colour.

    Gates that never ran come last, as one list.
    """
    proven = [name for name, outcome in known if outcome is not None and outcome.proven]
    idle = [name for name, outcome in known if outcome is None]
    if len(idle) == len(known):
        return [(f"{what}: none has run on this commit", "dim")]
    parts = [(f"{what} {len(proven)} of {len(known)} passed", "green" if len(proven) == len(known) else "dim")]
    for name, outcome in known:
        if outcome is not None and not outcome.proven:
            look = look_of(outcome)
            why = f" ({outcome.diagnosis})" if outcome.verdict is Verdict.STALE else ""
            parts += [("  ", ""), (f"{look.mark} {name} {outcome.words}{why}", look.style)]
    return [*parts, ("  ", ""), (f"{NOT_RUN.mark} not run: {', '.join(idle)}", "dim")] if idle else parts


def _text(*parts: tuple[str, str] | str) -> Text:
    text = Text()
    for part in parts:
        content, style = (part, "") if isinstance(part, str) else part
        text.append(for_terminal(content), style)
    return text


def stack_data(status: StackStatus) -> dict[str, Any]:
    """Return the stack as JSON values; their keys are a public interface."""
    return {
        "name": status.stack.name,
        "trunk": status.stack.trunk,
        "trunk_commit": status.trunk,
        "next": status.next,
        "notes": list(status.notes),
        "native": None if status.link is None else {"linked": status.link.link.value, "stack": status.link.stack},
        "entries": [_entry_data(row) for row in status.entries],
    }


def _entry_data(row: EntryStatus) -> dict[str, Any]:
    pr = row.pr
    return {
        "pr": row.entry.number,
        "branch": row.entry.branch,
        "title": row.entry.title or (pr.title if pr else ""),
        "state": row.standing.state.name.lower(),
        "message": str(row.standing),
        "why": list(row.standing.why),
        "blocked_by": row.standing.blocker,
        "commit": row.head,
        "own_commits": row.own,
        "checked_out": row.current,
        "native": None
        if row.native is None
        else {"stack": row.native.stack, "position": row.native.position, "size": row.native.size},
        "gates": {name: outcome.verdict.value if outcome else None for name, outcome in row.gates},
        "checks": {name: outcome.verdict.value if outcome else None for name, outcome in row.checks},
        "verdicts": {name: in_words(outcome) for name, outcome in (*row.gates, *row.checks)},
        "pull_request": None
        if pr is None
        else {
            "state": pr.state.value,
            "url": pr.url,
            "draft": pr.draft,
            "base": pr.base,
            "review": pr.review,
            "reviewers": [{"login": login, "state": state} for login, state in pr.opinions],
            "review_asked_of": list(pr.requested_reviewers),
            "open_threads": pr.open_threads,
            "failed_checks": [check.name for check in pr.checks if failed(check)],
            "checks": checks_summary(pr),
            "mergeable": pr.mergeable,
            "merge_state": pr.merge_state,
            "merged_at": pr.merged_at,
            "merge_commit": pr.merge_commit,
        },
    }
