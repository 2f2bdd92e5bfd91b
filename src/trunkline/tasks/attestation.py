"""Tasks of attested CI: `attest` and `verify`."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from invoke.collection import Collection
from msgspec.structs import asdict

from trunkline import commands, operations, report
from trunkline.domain.attestation import Attestation, Standing, to_data
from trunkline.domain.choices import listed, require_known
from trunkline.domain.command import exact_command
from trunkline.domain.errors import CheckFailed, UsageError
from trunkline.domain.names import PrNumber, pr_number, short
from trunkline.domain.redaction import redacted
from trunkline.domain.words import count_of
from trunkline.system import process
from trunkline.tasks.definition import landing_task
from trunkline.tasks.opening import checkout
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.gates.attested import Question


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)


def _number(commit: str, pr: str) -> PrNumber | None:
    """Return the pull request's number.

    Raises:
        UsageError: a commit was named, too.
    """
    if commit and pr:
        raise UsageError("--commit and --pr exclude each other", next_command=exact_command("verify", {"pr": pr}))
    return pr_number(pr) if pr else None


@landing_task(
    "verify",
    mutates=True,
    help={
        "pr": "the pull request whose head is verified",
        "markdown": "print a Markdown table, as for a step summary",
    },
)
def verify(
    session: TaskSession,
    pr: str = "",
    commit: str = "",
    remote: str = "",
    merged: bool = False,
    fetch: bool = False,
    status: bool = False,
    markdown: bool = False,
) -> None:
    """Verify that signed receipts attest every gate that trunk's policy requires; exit code 1 if not."""
    number = _number(commit, pr)
    git = checkout()
    base = commands.verify.remote_of(git, remote)
    if fetch and not session.dry_run:
        commands.verify.fetch(git, base, number)
    policy = commands.verify.policy_of(git, base)
    oid = commands.verify.commit_of(git, base, commit, number, fetched=fetch)
    found = commands.verify.verify(git, base, policy, oid, merged=merged, now=_now(), fetched=fetch)
    _print(session, found, markdown=markdown)
    if status:
        _check_statuses(
            session, commands.verify_status.check_statuses(git, base, policy, oid, now=_now(), fetched=fetch)
        )
    if found.missing:
        flags: Mapping[str, str | bool] = {"merged": True} if merged else {}
        raise CheckFailed(
            f"{short(oid)} is not attested: {len(found.missing)} of {count_of(len(found.gates), 'gate')}",
            why="\n".join(f"{each.gate}: {each.reason}" for each in found.missing),
            next_command=exact_command("attest", {**({"pr": pr} if pr else {"commit": short(oid)}), **flags}),
        )


def _check_statuses(session: TaskSession, statuses: Sequence[commands.verify_status.PublishedStatus]) -> None:
    session.account["statuses"] = [asdict(each) for each in statuses]
    for each in statuses:
        mark = ("✗ ", "red") if each.problem else ("✓ ", "green")
        session.terminal.line(mark, f"status trunkline/{each.gate}: {each.description}")
    if not statuses:
        session.terminal.line("there is no status trunkline/GATE on this commit")
    if wrong := [each for each in statuses if each.problem]:
        raise CheckFailed(
            f"{count_of(len(wrong), 'commit status', 'commit statuses')} not true",
            why="\n".join(f"trunkline/{each.gate}: {each.problem}" for each in wrong),
            next_command=session.again({"status": "", "fetch": True}),
        )


def _print(session: TaskSession, found: Attestation, *, markdown: bool = False) -> None:
    session.account["attestation"] = to_data(found)
    if markdown and not session.json_wanted:
        sys.stdout.write(redacted(report.attestation.markdown(found, _now()), process.secrets()))
        return
    session.terminal.headline(report.attestation.headline(found))
    session.terminal.console.print(report.attestation.table(found, _now()))
    for notice in found.notices:
        session.terminal.line(("note: ", "yellow"), notice)


@landing_task("attest", mutates=True, help={"pr": "the pull request whose local branch is attested"})
def attest(
    session: TaskSession,
    pr: str = "",
    commit: str = "",
    remote: str = "",
    merged: bool = False,
    fresh: bool = False,
    sign: str = "",
    waive: str = "",
    reason: str = "",
    accept_unavailable: str = "",
) -> None:
    """Run the gates of trunk's policy, sign their receipts, and share them as git notes."""
    number = _number(commit, pr)
    waived = frozenset(listed(waive))
    if bool(waived) != bool(reason):
        raise UsageError(
            "--waive and --reason belong together",
            next_command=exact_command("attest", {"waive": "msrv", "reason": "WHY"}),
        )
    git = checkout()
    base = commands.verify.remote_of(git, remote)
    policy = commands.verify.policy_of(git, base)
    oid = commands.attest.local_commit(git, commit, number)
    request = commands.attest.AttestRequest(
        git.with_echo(session.terminal.command), base, policy, oid,
        commands.attest.gated_commit(git, policy, oid, merged=merged),
        operations.attestation.key_of(git, sign, policy.stack.gates), waived, reason,
        frozenset(listed(accept_unavailable)), fresh, merged,
    )  # fmt: skip
    question = commands.attest.question(request, _now())
    names = [gate.name for gate in question.gates()]
    require_known("waive", sorted(waived), names, "gate")
    require_known("accept-unavailable", sorted(request.without), names, "gate")
    _perform(session, request, question)


def _perform(session: TaskSession, request: commands.attest.AttestRequest, question: Question) -> None:
    gates = count_of(len(question.gates()), "gate")
    what = f"the receipts of {short(request.commit)} ({gates}) to {request.remote} as git notes"
    if session.dry_run:
        for row in commands.attest.plan(request, question):
            done = "attested" if row.standing is Standing.ATTESTED else "would run"
            session.terminal.line(f"  {row.gate}: {'waived' if row.gate in request.waive else done}")
        session.terminal.line(f"would push {what}")
        return
    session.approve([f"push {what}"])
    with session.terminal.gating():
        found, moved = commands.attest.run(request, question, session.terminal)
    session.account["shared"] = moved
    _print(session, found)
    session.terminal.line(f"{request.remote}: " + ("pushed" if moved else "nothing to push, it has every receipt"))


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(verify)
    namespace.add_task(attest)
