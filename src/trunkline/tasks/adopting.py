"""The tasks that bring trunkline into a repository: init and doctor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.context import Context as InvokeContext
from invoke.tasks import task

from trunkline.domain.errors import CheckFailed, UsageError
from trunkline.domain.health import Health
from trunkline.tasks.flags import HELP, help_of
from trunkline.tasks.telling import Told, telling

if TYPE_CHECKING:
    from trunkline.workflows import discover as discover_workflow


def _tell_seen(told: Told, seen: discover_workflow.Seen) -> None:
    told.account["stacks"] = [
        [{"pr": entry.pr, "branch": entry.branch, "title": entry.title} for entry in stack] for stack in seen.stacks
    ]
    left_out = sorted(seen.found.left_out.items())
    told.account["left_out"] = {str(number): why.value for number, why in left_out}
    for stack in seen.stacks:
        told.terminal.headline(f"{' '.join(f'#{entry.pr}' for entry in stack)} -> {seen.trunk}")
        for entry in stack:
            told.terminal.line(f"  #{entry.pr} {entry.branch}  {entry.title}")
    for number, why in left_out:
        told.terminal.line(("  left out: ", "yellow"), f"#{number}: {why.value}")
    for note in seen.notes:
        told.terminal.line(("note: ", "yellow"), note)


def _tell_differences(told: Told, checked: tuple[discover_workflow.Checked, ...]) -> list[str]:
    lines = [
        f"{each.stack.name}: {one.told}" if each.stack.name else one.told
        for each in checked
        for one in each.differences
    ]
    told.account["differences"] = lines
    return lines


def _write_tasks(told: Told, *, alone: bool) -> None:
    from trunkline.workflows import scaffold

    if alone:
        raise UsageError(
            "--write-tasks is a thing of its own",
            why="it writes the files that are not there, and says of the others what they lack",
            next_command="trunkline init --write-tasks",
        )
    files = scaffold.write()
    told.account["files"] = [{"name": file.name, "wrote": file.wrote, "add": file.add} for file in files]
    for file in files:
        if file.add:
            told.terminal.line(("! ", "yellow"), f"{file.name} is yours and stays; add: {file.add}")
        else:
            told.terminal.line(("✓ ", "green"), f"{'wrote' if file.wrote else 'has it already:'} {file.name}")
    told.terminal.next("invoke --list")


@task(help={
    "check": "say how stack.toml differs from GitHub, change nothing; exit code 1 where it does",
    "update": "mend stack.toml; comments and order stay",
    "remote": "the git remote; default: origin, or the only one",
    "trunk": "the branch that stacks land on; default: GitHub's default branch",
    "write-tasks": "write tasks.py, noxfile.py and a Makefile fragment; what is there stays",
    "alone": "a pull request that sits on trunk alone is a stack too",
    "dry-run": HELP["dry-run"],
    **help_of("json"),
})  # fmt: skip
def init(
    _: InvokeContext,
    check: bool = False,
    update: bool = False,
    remote: str = "",
    trunk: str = "",
    alone: bool = False,
    write_tasks: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Write stack.toml from the repository's open pull requests; or say how it differs from them, and mend it."""
    from trunkline.workflows import discover as discover_workflow

    with telling("init", json_wanted=json) as told:
        if check and update:
            raise UsageError("--check and --update are two things", next_command="invoke init --check")
        if write_tasks:
            _write_tasks(told, alone=check or update or dry_run)
            return
        if not (check or update or dry_run):
            discover_workflow.refuse_second()
        seen = discover_workflow.look(told.terminal, remote=remote, trunk=trunk, alone=alone)
        if not (check or update):
            _tell_seen(told, seen)
            if not dry_run:
                told.terminal.line(f"wrote {discover_workflow.write(seen)}")
                told.terminal.next("invoke status")
            return
        checked = discover_workflow.check(seen)
        lines = _tell_differences(told, checked)
        if not lines:
            told.terminal.line("stack.toml says what GitHub has")
            return
        if check:
            raise CheckFailed(
                f"stack.toml differs from GitHub in {len(lines)} {'place' if len(lines) == 1 else 'places'}",
                why="\n".join(lines),
                next_command="invoke init --update",
            )
        for line in lines:
            told.terminal.line(f"  {line}")
        if not dry_run:
            told.terminal.line(f"mended {discover_workflow.update(seen, checked)}")


_MARKS = {Health.WELL: ("✓", "green"), Health.NOTE: ("!", "yellow"), Health.ILL: ("✗", "red")}


@task(help={"offline": "do not ask GitHub or the remote", **help_of("json")})
def doctor(_: InvokeContext, offline: bool = False, json: bool = False) -> None:
    """Look at tools, sign-in, toolchains, settings that would surprise; each with the command that mends it."""
    from trunkline.workflows import doctor as doctor_workflow

    with telling("doctor", json_wanted=json) as told:
        found = doctor_workflow.examine(told.terminal, offline=offline)
        told.account["findings"] = [
            {"about": each.about, "told": each.told, "health": each.health.name.lower(), "cure": each.cure}
            for each in found
        ]
        for each in found:
            told.terminal.line(" ", _MARKS[each.health], " ", (f"{each.about:13}", "bold"), each.told)
            if each.cure:
                told.terminal.line((f"   $ {each.cure}", "dim"))
        ill = [each for each in found if each.health is Health.ILL]
        if ill:
            raise CheckFailed(
                f"{len(ill)} {'thing is' if len(ill) == 1 else 'things are'} in the way",
                next_command=next((each.cure for each in ill if each.cure), ()),
            )


@task(help={
    "check": "say whether the file is what would be written, change nothing; exit code 1 where it is not",
    "runner": "the label of the machines that run the jobs",
    **help_of("stack", "dry-run", "json"),
})  # fmt: skip
def workflow(
    _: InvokeContext,
    check: bool = False,
    runner: str = "",
    stack: str = "",
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Write .github/workflows/trunkline.yml: a job for each gate, which runs the very same nox session."""
    from pathlib import Path

    from trunkline.adapters.git import Git
    from trunkline.workflows import ci
    from trunkline.workflows.opening import choose_stack, load_stacks, top_of

    with telling("ci.workflow", json_wanted=json) as told:
        git = top_of(Git(Path.cwd()))
        text = ci.text(git, choose_stack(load_stacks(git), stack), runner=runner or ci.RUNNER)
        told.account.update(path=ci.PATH, text=text)
        if check:
            ci.check(git, text)
            told.terminal.line(("✓ ", "green"), f"{ci.PATH} is what would be written")
        elif dry_run:
            if not json:
                sys.stdout.write(text)  # a file's text, as it is: no escapes, no wrapping
        else:
            path, changed = ci.write(git, text)
            told.terminal.line(
                ("✓ ", "green"), f"{'wrote' if changed else 'has it already:'} {path.relative_to(git.cwd)}"
            )
            told.terminal.next(f"git add {ci.PATH}")


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(init)
    namespace.add_task(doctor)
    namespace.add_collection(Collection("ci", workflow))
