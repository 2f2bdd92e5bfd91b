"""Compare the commit statuses on GitHub with the receipts that they name (`verify --status`)."""

from __future__ import annotations

import datetime as dt

import msgspec

from trunkline.commands.verify import Policy, lines_about, question_of
from trunkline.domain.attestation import named_receipt, status_problem
from trunkline.domain.names import Oid
from trunkline.domain.receipt import receipt_id
from trunkline.domain.repository import repository_of
from trunkline.domain.snapshot import OUR_CONTEXTS
from trunkline.gates.attested import evaluate
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.github.client import GitHub
from trunkline.state.receipt_store import SharedReceipt


class PublishedStatus(msgspec.Struct, frozen=True):
    """A commit status of ours, and why it is not true, or ""."""

    gate: str
    state: str
    description: str
    problem: str


def check_statuses(
    git: Git, remote: str, policy: Policy, commit: Oid, *, now: dt.datetime, fetched: bool
) -> tuple[PublishedStatus, ...]:
    """Return the commit statuses `trunkline/GATE` on GitHub, each compared with the receipt that it names.

    Raises:
        ExternalError: the request to GitHub failed.
    """
    github = GitHub(repository_of(refs.remote_url(git, remote)), git.cwd)
    question = question_of(git, remote, policy, commit, merged=False, now=now)
    shared = [
        (line, SharedReceipt.of_line(line)) for line in lines_about(git, remote, question.tree, fetched=fetched)[0]
    ]
    found = []
    for context, (state, text) in sorted(github.statuses(commit).items()):
        if not context.startswith(OUR_CONTEXTS):
            continue
        gate, named = context.removeprefix(OUR_CONTEXTS), named_receipt(text)
        lines = [line for line, receipt in shared if receipt and receipt_id(receipt.name) == named]
        rows = evaluate(question, lines) if lines else ()
        row = next((each for each in rows if each.gate == gate), None)
        found.append(PublishedStatus(gate, state, text, status_problem(state, text, row)))
    return tuple(found)
