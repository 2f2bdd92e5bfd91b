"""Read-only tasks: status, plan and report."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection

from trunkline import commands, report
from trunkline import context as contexts
from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.options import Options
from trunkline.domain.redaction import redacted
from trunkline.report import as_json
from trunkline.system import installing, process
from trunkline.system.files import private_directory, replace_bytes
from trunkline.tasks import watching
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import options_of
from trunkline.tasks.opening import open_entry, open_stack
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.domain.report import Report


@landing_task("status", mutates=False, help={"watch": "show it again every 30 seconds, until Ctrl-C"})
def status(session: TaskSession, stack: str = "", offline: bool = False, watch: bool = False) -> None:
    """Show the stack: entries, pull requests, CI, receipts, and the next command."""
    if watch and not session.json_wanted:
        watching.watch(session.terminal, lambda: _show_status(session, stack, offline=offline))
        return
    _show_status(session, stack, offline=offline)


def _show_status(session: TaskSession, stack: str, *, offline: bool) -> None:
    run = contexts.open_run.find_open_run()  # first: it is shown even if stack.toml or GitHub fails
    session.account["run"] = None if run is None else as_json.open_run(run)
    if run is not None:
        session.terminal.open_run(run)
    context = open_stack(session.terminal, stack, Options())

    observed = commands.status.observe(context, offline=offline)
    session.account["stack"] = report.stack.stack_data(observed)
    session.terminal.console.print(report.stack.stack_tree(observed), soft_wrap=False)
    for note in observed.notes:
        session.terminal.line(("note: ", "yellow"), note, indent=2)
    for command in run.commands if run is not None else filter(None, (observed.next,)):
        session.terminal.next(command)


@landing_task("plan", mutates=False, help={"markdown": "print the runbook that people used to write by hand"})
def plan(
    session: TaskSession,
    pr: str | None = None,
    stack: str = "",
    skip: str = "",
    accept_unavailable: str = "",
    fork_point: str = "",
    no_push: bool = False,
    markdown: bool = False,
) -> None:
    """Predict a landing: steps, commands, conflicts, effects; --markdown writes the runbook."""
    options = options_of(skip, accept_unavailable, fork_point, no_push=no_push)
    context = open_entry(session.terminal, pr, stack, options)

    book = commands.plan.predict_landing(context)
    session.account.update(pr=context.entry.number, **report.runbook.data(book))
    if markdown and not session.json_wanted:
        sys.stdout.write(redacted(report.runbook.markdown(book), process.secrets()))
        return
    session.terminal.headline(f"{context.entry.full_label} -> {context.stack.trunk}")
    session.terminal.plan(book.plan)
    for line in report.runbook.forecast_lines(book):
        session.terminal.line(("   then ", "dim"), line, indent=len("   then "))
    session.terminal.next(task_command("rebase", "--pr", context.entry.key))


@landing_task(
    "report", mutates=True, help={"markdown": "print the validation summary that people used to write by hand"}
)
def report_(
    session: TaskSession,
    stack: str = "",
    offline: bool = False,
    output: str = "",
    open: bool = False,  # noqa: A002 -- the flag's name
    markdown: bool = False,
    junit: bool = False,
    mermaid: bool = False,
) -> None:
    """Write the stack, its gates, failures, receipts and runs as an HTML file, or print them."""
    one = [name for name, given in (("markdown", markdown), ("junit", junit), ("mermaid", mermaid)) if given]
    if len(one) > 1:
        raise UsageError(
            f"--{' and --'.join(one)} are different forms", next_command=task_command("report", f"--{one[0]}")
        )

    context = open_stack(session.terminal, stack, Options())
    found = commands.report.gather(context, offline=offline)
    if session.json_wanted:
        session.account["report"] = report.html.data(found)
        return
    if one:
        sys.stdout.write(redacted(_form(found, one[0]), process.secrets()))
        return
    page = redacted(report.html.html(found), process.secrets()).encode("utf-8", "backslashreplace")
    path = Path(output).resolve() if output else context.state / "report.html"
    if session.dry_run:
        session.terminal.line(f"would write {path}")
        return
    _write_page(path if output else private_directory(context.state) / "report.html", page, output)
    session.terminal.line(("✓ ", "green"), str(path))
    if open and not webbrowser.open(path.as_uri()):
        session.terminal.line(
            ("! ", "yellow"), "no browser could be opened here: set BROWSER, or open the file yourself"
        )


def _form(found: Report, form: str) -> str:
    """Return a report in one of its printed forms.

    Raises:
        UsageError: the form needs a package that is not installed.
    """
    if form == "markdown":
        return report.html.markdown(found)
    if form == "mermaid":
        return report.mermaid.mermaid(found)
    with installing.needing("junit", "--junit needs junitparser"):
        return report.junit.of_report(found)


def _write_page(path: Path, page: bytes, output: str) -> None:
    if not path.parent.is_dir():
        raise UsageError(
            f"--output {output}: there is no directory {path.parent}", next_command=f"mkdir -p {path.parent}"
        )
    try:
        replace_bytes(path, page)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written",
            why=error.strerror or "",
            next_command=task_command("report", "--output", "report.html"),
        ) from error


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(status)
    namespace.add_task(plan)
    namespace.add_task(report_)
