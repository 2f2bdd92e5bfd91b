"""Render gates and receipts as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from trunkline.domain.receipt import GateOutcome, Receipt, Verdict
from trunkline.report.escape import for_terminal
from trunkline.report.verdicts import NOT_RUN, look_of


def stack_table(names: Sequence[str], rows: Sequence[tuple[str, Mapping[str, GateOutcome]]]) -> Table:
    """Return a table of entries and gates; a cell has the verdict's mark and seconds, or `receipt`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("entry")
    for name in names:
        table.add_column(for_terminal(name))
    for head, outcomes in rows:
        table.add_row(Text(for_terminal(head)), *(_cell(outcomes.get(name)) for name in names))
    return table


def _cell(outcome: GateOutcome | None) -> Text:
    if outcome is None:
        return Text("")
    look = look_of(outcome)
    if outcome.verdict in {Verdict.PASSED, Verdict.FAILED} and outcome.tests != 0:
        return Text(f"{look.mark} receipt" if outcome.reused else f"{look.mark} {outcome.seconds:.1f}s", look.style)
    return Text(f"{look.mark} {outcome.words}", look.style)


def _version(rustc: str) -> str:
    """Return `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`."""
    return next(iter(rustc.split()[1:]), rustc)


def receipts_table(rows: Sequence[tuple[Receipt, str, str]]) -> Table:
    """Return a table of receipts from rows of (receipt, current validity, signer)."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "gate", "commit", "tree", "seconds", "with", "sandbox", "started, UTC", "signed"):
        table.add_column(name, no_wrap=bool(name), min_width=1)
    marks = {verdict.value: look_of(GateOutcome("", verdict)) for verdict in Verdict}
    for receipt, standing, signed in rows:
        parts = (
            receipt.gate, receipt.commit[:7], receipt.tree[:7], f"{receipt.seconds:.1f}",
            _version(receipt.toolchain.name), receipt.sandbox, receipt.started[:16], signed or "no",
        )  # fmt: skip
        look = marks.get(standing, NOT_RUN)
        table.add_row(Text(look.mark, look.style), *(Text(for_terminal(part)) for part in parts))
    return table
