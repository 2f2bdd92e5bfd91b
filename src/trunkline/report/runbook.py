"""Render a predicted landing as a Markdown runbook, or as JSON values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trunkline.domain.merge_choice import MergeChoice, described
from trunkline.domain.names import EntryKey, PrNumber
from trunkline.domain.runbook import Runbook
from trunkline.domain.snapshot import CiState, PrState, PullRequest
from trunkline.report import as_json, templates


def markdown(book: Runbook) -> str:
    """Return the runbook; equal facts give equal bytes."""
    environment = templates.environment(trimmed=False)
    text = templates.packaged("runbook.md.j2")
    known: dict[EntryKey, PullRequest] = {book.pr.number: book.pr, **{pr.number: pr for pr, _ in book.merged}}
    known |= {each.pr.number: each.pr for each in book.above if each.pr}
    reference = [
        (entry, _state_of(known.get(entry.key), is_current=entry == book.entry)) for entry in book.stack.entries
    ]
    return environment.from_string(text).render(
        {name: getattr(book, name) for name in book.__struct_fields__}
        | {
            "position": book.stack.entries.index(book.entry) + 1,
            "ci_down": book.ci[0] is CiState.BILLING,
            "root": book.stack.gates.root,
            "reference": reference,
        }
    )


def _state_of(pr: PullRequest | None, *, is_current: bool) -> str:
    if pr is None:
        return "in the stack"
    state = "draft" if pr.state is PrState.OPEN and pr.draft else pr.state.value.lower()
    return f"{state}, this one" if is_current else state


def forecast_lines(book: Runbook) -> tuple[str, ...]:
    """Return the consequences of the plan, for the terminal."""
    above = (f"{each.entry.label}: {each.description}" for each in book.above)
    return (*above, *book.effects, *(_merge_line(number, choice) for number, choice in book.merges))


def _merge_line(number: PrNumber, choice: MergeChoice) -> str:
    return f"by land, #{number} would be {described(choice)}"


def merges_data(merges: Iterable[tuple[PrNumber, MergeChoice]]) -> list[dict[str, Any]]:
    """Return the merge choices of entries as JSON values."""
    return [
        {"pr": number, "as_is": not choice.reason, "rewritten_because": choice.reason} for number, choice in merges
    ]


def data(book: Runbook) -> dict[str, Any]:
    """Return the prediction as JSON values; their keys are a public interface."""
    replay = book.replay
    return {
        "plan": as_json.plan(book.plan),
        "fork_point": {"commit": replay.fork, "from": replay.about},
        "base": {"name": replay.base_name, "commit": replay.base},
        "own_commits": [{"commit": commit.oid, "subject": commit.subject} for commit in replay.own],
        "commits_over_base": replay.over_base,
        "conflict": {"commit": replay.conflict[0].oid, "files": list(replay.conflict[1])}
        if replay.conflict
        else None,
        "above": [
            {"pr": each.entry.number, "branch": each.entry.branch, "description": each.description}
            for each in book.above
        ],
        "effects": list(book.effects),
        "merges": merges_data(book.merges),
        "ci": {"state": book.ci[0].name.lower(), "why": book.ci[1]},
    }
