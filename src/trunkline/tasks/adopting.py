"""The tasks that bring trunkline into a repository: init and doctor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection

from trunkline.adapters import stackplace
from trunkline.domain.command import task_command, task_list
from trunkline.domain.discover import OpenPullRequest, beside
from trunkline.domain.errors import CheckFailed, Refused, UsageError
from trunkline.domain.health import Health
from trunkline.tasks.definition import landing_task
from trunkline.tasks.telling import Told

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
            next_command=task_command("init", "--write-tasks"),
        )
    files = scaffold.write(dry_run=told.dry_run)
    told.account["files"] = [{"name": file.name, "wrote": file.wrote, "add": file.add} for file in files]
    new = "would write" if told.dry_run else "wrote"
    for file in files:
        if file.add:
            told.terminal.line(("! ", "yellow"), f"{file.name} is yours and stays; add at its end:")
            for line in file.add.splitlines():
                told.terminal.line(f"    {line}")
        else:
            told.terminal.line(("✓ ", "green"), f"{new if file.wrote else 'has it already:'} {file.name}")
    if not told.dry_run:
        told.terminal.next(task_list())


@landing_task("init", mutates=True, help={"check": "say how stack.toml differs from GitHub; exit code 1 if it does"})
def init(
    told: Told,
    check: bool = False,
    update: bool = False,
    remote: str = "",
    trunk: str = "",
    alone: bool = False,
    write_tasks: bool = False,
    track: bool = False,
    top: str = "",
) -> None:
    """Write stack.toml from the repository's open pull requests; or say how it differs from them, and mend it."""
    from trunkline.workflows import discover as discover_workflow

    if check and update:
        raise UsageError("--check and --update are two things", next_command=task_command("init", "--check"))
    if write_tasks:
        _write_tasks(told, alone=check or update)
        return
    if not (check or update or told.dry_run):
        discover_workflow.refuse_second()
    seen = discover_workflow.look(told.terminal, remote=remote, trunk=trunk, alone=alone, top=top)
    if check or update:
        _compare(told, seen, check=check)
        return
    _tell_seen(told, seen)
    if not told.dry_run:
        _tell_written(told, discover_workflow.write(seen, track=track), track=track)
    _tell_branches(told, [each for stack in seen.found.stacks for each in beside(seen.open, stack)])
    _tell_proposals(told, seen)
    if not told.dry_run:
        told.terminal.next(task_command("status"))


def _tell_written(told: Told, path: Path, *, track: bool) -> None:
    told.account.update(path=str(path), tracked=track)
    told.terminal.line(f"wrote {path}")
    if track:
        told.terminal.line(f"  to be committed: git add {path.name} .trunkline")
    else:
        told.terminal.line(
            "  untracked, and hidden from git status: it is there on every branch; --track keeps it in git"
        )


def _tell_branches(told: Told, branches: Sequence[tuple[OpenPullRequest, OpenPullRequest]]) -> None:
    """Name each pull request beside an entry on the same base, and the command that makes it a stack of its own."""
    told.account["branches"] = [{"pr": pr.number, "beside": other.number, "base": pr.base} for pr, other in branches]
    for pr, other in branches:
        told.terminal.line(
            ("! ", "yellow"),
            f"#{pr.number} {pr.head} sits on {pr.base}, as #{other.number} does: a stack does not branch;"
            " as a second stack, in a file of its own:",
            indent=2,
        )
        own = f"{stackplace.VARIABLE}=stack-{pr.number}.toml"
        told.terminal.line((f"    {own} {task_command('init', '--top', pr.number)}", "dim"))


def _tell_proposals(told: Told, seen: discover_workflow.Seen) -> None:
    """Print the gates that a person could add, and why; stack.toml keeps the six defaults."""
    from trunkline.workflows import discover as discover_workflow

    found = discover_workflow.proposals(seen)
    told.account["proposals"] = [{"why": each.why, "table": each.table, "needed": each.needed} for each in found]
    for each in found:
        told.terminal.line(("! ", "yellow"), f"{each.why}; a gate for it, in stack.toml:")
        for line in each.table.splitlines():
            told.terminal.line((f"    {line}", "dim"))


def _compare(told: Told, seen: discover_workflow.Seen, *, check: bool) -> None:
    from trunkline.workflows import discover as discover_workflow

    checked = discover_workflow.check(seen)
    lines = _tell_differences(told, checked)
    _tell_branches(told, [branch for each in checked for branch in each.branches])
    if not lines:
        landed = all(each.landed for each in checked)
        told.terminal.line(
            "all is merged, and no other stack is open" if landed else "stack.toml says what GitHub has"
        )
        return
    if check:
        raise CheckFailed(
            f"stack.toml differs from GitHub in {len(lines)} {'place' if len(lines) == 1 else 'places'}",
            why="\n".join(lines),
            next_command=task_command("init", "--update"),
        )
    for line in lines:
        told.terminal.line(f"  {line}")
    if not told.dry_run:
        told.terminal.line(f"mended {discover_workflow.update(seen, checked)}")


@landing_task("trust", mutates=True)
def trust(told: Told) -> None:
    """Confirm what the branch's stack.toml changes of trunk's: which commands run, where, and whose word counts."""
    from trunkline.workflows import trust as trust_workflow

    question = trust_workflow.look()
    told.account.update(differences=list(question.lines), trusted=bool(question.why) or not told.dry_run)
    if question.why:
        told.terminal.line(("✓ ", "green"), f"{question.found.path.name} is trusted: {question.why}")
        return
    for line in question.lines:
        told.terminal.line(f"  {line}")
    count = f"{len(question.lines)} {'setting' if len(question.lines) == 1 else 'settings'}"
    if told.dry_run:
        told.terminal.line(f"would trust {count} of {question.found.path.name}; nothing was confirmed")
        return
    trust_workflow.confirm(question)
    told.terminal.line(("✓ ", "green"), f"trusted {count} of {question.found.path.name}, until one of them changes")
    told.terminal.next(task_command("status"))


_MARKS = {Health.WELL: ("✓", "green"), Health.NOTE: ("!", "yellow"), Health.ILL: ("✗", "red")}


@landing_task("doctor", mutates=False, help={"offline": "do not query GitHub or the remote"})
def doctor(told: Told, offline: bool = False) -> None:
    """Look at tools, sign-in, toolchains, settings that would surprise; each with the command that mends it."""
    from trunkline.workflows import doctor as doctor_workflow

    found = doctor_workflow.examine(told.terminal, offline=offline)
    told.account["findings"] = [
        {"about": each.about, "told": each.told, "health": each.health.name.lower(), "cure": each.cure}
        for each in found
    ]
    for each in found:
        told.terminal.line(" ", _MARKS[each.health], " ", (f"{each.about:13}", "bold"), each.told)
        if each.cure:
            told.terminal.line((f"   $ {each.cure}", "dim"))
    for each in found:
        if each.about == "stack.toml" and isinstance(each.error, Refused):
            raise each.error
    ill = [each for each in found if each.health is Health.ILL]
    if ill:
        raise CheckFailed(
            f"{len(ill)} {'thing is' if len(ill) == 1 else 'things are'} in the way",
            next_command=next((each.cure for each in ill if each.cure), ()),
        )


@landing_task(
    "ci.workflow",
    mutates=True,
    help={"check": "compare the file with what would be written; exit code 1 if it differs"},
)
def workflow(told: Told, check: bool = False, runner: str = "", stack: str = "") -> None:
    """Write .github/workflows/trunkline.yml: a job for each gate, which runs the very same nox session."""
    from trunkline.adapters.git import Git
    from trunkline.workflows import ci
    from trunkline.workflows.opening import choose_stack, load_stacks, top_of

    git = top_of(Git(Path.cwd()))
    text = ci.text(git, choose_stack(load_stacks(git), stack), runner=runner or ci.RUNNER)
    told.account.update(path=ci.PATH, text=text)
    if check:
        ci.check(git, text)
        told.terminal.line(("✓ ", "green"), f"{ci.PATH} is what would be written")
    elif told.dry_run:
        if not told.json_wanted:
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
    namespace.add_task(trust)
    namespace.add_collection(Collection("ci", workflow))
