"""The tasks that only look: the stack as a picture, a landing foreseen."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import ExitStack
from pathlib import Path

from invoke.collection import Collection

from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.report import Report
from trunkline.kernel import proc
from trunkline.kernel.files import private_directory, replace_bytes
from trunkline.report import as_json
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import options_of
from trunkline.tasks.telling import Told
from trunkline.workflows.context import Options
from trunkline.workflows.opening import open_context, open_stack
from trunkline.workflows.openrun import look_for_open_run


@landing_task("status", mutates=False, help={"watch": "show it again every 30 seconds, until Ctrl-C"})
def status(told: Told, stack: str = "", offline: bool = False, watch: bool = False) -> None:
    """Show the stack: what sits on what, pull requests, CI, receipts, and the one command to type next."""
    if watch and not told.json_wanted:
        from trunkline.tasks.watching import watch as watch_screen

        watch_screen(told.terminal, lambda: _show_status(told, stack, offline=offline, ends=None))
        return
    _show_status(told, stack, offline=offline, ends=None if offline else told.ends)


def _show_status(told: Told, stack: str, *, offline: bool, ends: ExitStack | None) -> None:
    run = look_for_open_run()  # first: it is shown whatever is wrong with stack.toml or GitHub
    told.account["run"] = None if run is None else as_json.open_run(run)
    if run is not None:
        told.terminal.open_run(run)
    context = open_stack(stack=stack, options=Options(), tell=told.terminal, ends=ends, with_trunk=True)
    from trunkline.report.stack import stack_data, stack_tree  # while GitHub answers
    from trunkline.workflows import status as status_workflow

    seen = status_workflow.look(context, offline=offline)
    told.account["stack"] = stack_data(seen)
    told.terminal.console.print(stack_tree(seen), soft_wrap=False)
    for note in seen.notes:
        told.terminal.line(("note: ", "yellow"), note, indent=2)
    for command in run.commands if run is not None else (seen.next,):
        told.terminal.next(command)


@landing_task("plan", mutates=False, help={"markdown": "print the runbook that people used to write by hand"})
def plan(
    told: Told,
    pr: str | None = None,
    stack: str = "",
    skip: str = "",
    accept_unavailable: str = "",
    fork_point: str = "",
    no_push: bool = False,
    markdown: bool = False,
) -> None:
    """Foresee a landing: steps, commands, conflicts, what a push sets going; --markdown writes the runbook."""
    options = options_of(skip, accept_unavailable, fork_point, no_push=no_push)
    context = open_context(pr, stack=stack, options=options, tell=told.terminal, ends=told.ends)
    from trunkline.domain.redaction import redacted  # while GitHub answers
    from trunkline.report import runbook
    from trunkline.workflows import plan as plan_workflow

    book = plan_workflow.foresee(context)
    told.account.update(pr=context.entry.pr, **runbook.data(book))
    if markdown and not told.json_wanted:
        sys.stdout.write(redacted(runbook.markdown(book), proc.secrets()))
        return
    told.terminal.headline(f"#{context.entry.pr} {context.entry.branch} -> {context.stack.trunk}")
    told.terminal.plan(book.plan)
    for line in runbook.forecast_lines(book):
        told.terminal.line(("   then ", "dim"), line)
    told.terminal.next(task_command("rebase", "--pr", context.entry.pr))


@landing_task(
    "report", mutates=True, help={"markdown": "print the validation summary that people used to write by hand"}
)
def report_(
    told: Told,
    stack: str = "",
    offline: bool = False,
    output: str = "",
    open: bool = False,  # noqa: A002 -- the flag's name
    markdown: bool = False,
    junit: bool = False,
    mermaid: bool = False,
) -> None:
    """Write the stack, its gates, failures, receipts and runs into one HTML file, or print them in another form."""
    one = [name for name, given in (("markdown", markdown), ("junit", junit), ("mermaid", mermaid)) if given]
    if len(one) > 1:
        raise UsageError(
            f"--{' and --'.join(one)} are different forms", next_command=task_command("report", f"--{one[0]}")
        )
    from trunkline.domain.redaction import redacted
    from trunkline.report import html
    from trunkline.workflows import report as report_workflow

    context = open_stack(stack=stack, options=Options(), tell=told.terminal)
    found = report_workflow.gather(context, offline=offline)
    if told.json_wanted:
        told.account["report"] = html.data(found)
        return
    if one:
        sys.stdout.write(redacted(_form(found, one[0]), proc.secrets()))
        return
    page = redacted(html.html(found), proc.secrets()).encode("utf-8", "backslashreplace")
    path = Path(output).resolve() if output else context.state / "report.html"
    if told.dry_run:
        told.terminal.line(f"would write {path}")
        return
    _write_page(path if output else private_directory(context.state) / "report.html", page, output)
    told.terminal.line(("✓ ", "green"), str(path))
    if open and not webbrowser.open(path.as_uri()):
        told.terminal.line(
            ("! ", "yellow"), "no browser could be opened here: set BROWSER, or open the file yourself"
        )


def _form(found: Report, form: str) -> str:
    """Return a report in one of its forms that are printed.

    Raises:
        UsageError: the form needs a package that is not installed.
    """
    from trunkline.report import exports, html

    if form == "markdown":
        return html.markdown(found)
    if form == "mermaid":
        return exports.mermaid(found)
    try:
        return exports.junit(found)
    except ModuleNotFoundError as missing:
        raise UsageError(
            "--junit needs junitparser", why=f"{missing.name} is not installed",
            next_command="pip install 'trunkline[junit]'",
        ) from missing  # fmt: skip


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
