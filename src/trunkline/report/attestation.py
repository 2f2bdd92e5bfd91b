"""Show an attestation as a table on the terminal, or as Markdown for a step summary."""

from __future__ import annotations

import datetime as dt

from rich.table import Table
from rich.text import Text

from trunkline.domain.attestation import Attestation, AttestedGate, Standing
from trunkline.domain.names import short
from trunkline.domain.words import count_of
from trunkline.report.checklist import age
from trunkline.report.escape import for_markdown, for_terminal

_MARKS = {Standing.ATTESTED: ("✓", "green"), Standing.WAIVED: ("~", "yellow"), Standing.MISSING: ("✗", "red")}
_COLUMNS = ("gate", "signed by", "ran on", "toolchain", "age", "receipt")


def headline(found: Attestation) -> str:
    """Return the result in one sentence."""
    what = f"{short(found.commit)}{' merged with trunk' if found.merged else ''} (tree {short(found.tree)})"
    policy = f"policy of {found.trunk} at {short(found.policy)}"
    if found.missing:
        return f"{len(found.missing)} of {count_of(len(found.gates), 'gate')} not attested for {what}; {policy}"
    waived = sum(each.standing is Standing.WAIVED for each in found.gates)
    also = f", {waived} of them waived" if waived else ""
    return f"{count_of(len(found.gates), 'gate')} attested{also} for {what}; {policy}"


def table(found: Attestation, now: dt.datetime) -> Table:
    """Return a table with a row for each gate."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", *_COLUMNS, ""):
        made.add_column(name, no_wrap=name in {"", "gate", "age", "receipt"}, overflow="fold")
    for each in found.gates:
        mark, style = _MARKS[each.standing]
        cells = (*_cells(each, now), each.reason)
        made.add_row(Text(mark, style), *(Text(for_terminal(cell)) for cell in cells))
    return made


def markdown(found: Attestation, now: dt.datetime) -> str:
    """Return a Markdown table, as GitHub's step summary shows it."""
    rows = [
        f"**{for_markdown(headline(found))}**",
        "",
        f"| | {' | '.join(_COLUMNS)} | |",
        "|---" * (len(_COLUMNS) + 2) + "|",
    ]
    for each in found.gates:
        cells = (*_cells(each, now), each.reason)
        shown = " | ".join(for_markdown(cell) for cell in cells)
        rows.append(f"| {_MARKS[each.standing][0]} | {shown} |")
    rows += ["", *(f"- {for_markdown(notice)}" for notice in found.notices)]
    return "\n".join(rows).rstrip() + "\n"


def _cells(each: AttestedGate, now: dt.datetime) -> tuple[str, ...]:
    if each.receipt is None:
        return (each.gate, "", "", "", "", "")
    toolchain = " ".join(each.receipt.toolchain.name.split()[:2])
    return (each.gate, each.signer, each.where, toolchain, age(each.receipt.started, now), each.id)
