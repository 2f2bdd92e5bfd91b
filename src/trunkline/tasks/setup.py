"""Tasks for setting up trunkline in a repository: init, trust, doctor and the CI workflow."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection

from trunkline import commands
from trunkline.domain.command import task_command, task_list
from trunkline.domain.errors import CheckFailed, Refused, UsageError
from trunkline.domain.health import Health
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import one_of
from trunkline.tasks.opening import checkout, read_stack
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.domain.discover import OpenPullRequest


def _print_stacks(session: TaskSession, discovered: commands.init.PullRequestStacks) -> None:
    session.account["stacks"] = [
        [{"pr": entry.number, "branch": entry.branch, "title": entry.title} for entry in stack]
        for stack in discovered.stacks
    ]
    session.account["native"] = [{"stack": stack.number, "prs": list(stack.open)} for stack in discovered.native]
    left_out = sorted(discovered.found.left_out.items())
    session.account["left_out"] = {str(number): why.value for number, why in left_out}
    for stack in discovered.stacks:
        session.terminal.headline(f"{' '.join(f'{entry.label}' for entry in stack)} -> {discovered.trunk}")
        for entry in stack:
            session.terminal.line(f"  {entry.full_label}  {entry.title}")
    for number, why in left_out:
        session.terminal.line(("  left out: ", "yellow"), f"#{number}: {why.value}")
    for note in discovered.notes:
        session.terminal.line(("note: ", "yellow"), note)


def _print_differences(session: TaskSession, checked: tuple[commands.init_update.Checked, ...]) -> list[str]:
    lines = [
        f"{each.stack.name}: {one.message}" if each.stack.name else one.message
        for each in checked
        for one in each.differences
    ]
    session.account["differences"] = lines
    return lines


def _write_tasks(session: TaskSession, *, alone: bool) -> None:
    if alone:
        raise UsageError(
            "--write-tasks excludes --check and --update",
            why="it writes the missing files, and names what the existing ones lack",
            next_command=task_command("init", "--write-tasks"),
        )
    files = commands.init_files.write(dry_run=session.dry_run)
    session.account["files"] = [{"name": file.name, "wrote": file.wrote, "add": file.add} for file in files]
    new = "would write" if session.dry_run else "wrote"
    for file in files:
        if file.add:
            session.terminal.line(("! ", "yellow"), f"{file.name} is yours and stays; add at its end:")
            for line in file.add.splitlines():
                session.terminal.line(f"    {line}")
        else:
            session.terminal.line(("✓ ", "green"), f"{new if file.wrote else 'has it already:'} {file.name}")
    if not session.dry_run:
        session.terminal.next(task_list())


@landing_task("init", mutates=True, help={"check": "say how stack.toml differs from GitHub; exit code 1 if it does"})
def init(
    session: TaskSession,
    check: bool = False,
    update: bool = False,
    remote: str = "",
    trunk: str = "",
    alone: bool = False,
    write_tasks: bool = False,
    track: bool = False,
    top: str = "",
) -> None:
    """Write stack.toml from the repository's open pull requests; or compare it, and update it."""
    if check + update + track > 1:
        named = [name for name, given in (("--check", check), ("--update", update), ("--track", track)) if given]
        raise UsageError(f"{' and '.join(named)} exclude each other", next_command=task_command("init", named[0]))
    if write_tasks:
        _write_tasks(session, alone=check or update)
        return
    if track and _track(session):
        return
    exists = not (check or update or session.dry_run) and commands.init.exists()
    discovered = commands.init.observe(session.terminal, remote=remote, trunk=trunk, alone=alone, top=top)
    if check or update:
        _compare(session, discovered, check=check)
        return
    if exists:
        _begin_next(session, discovered)
        return
    discovered = commands.init_local.with_local(discovered)
    _print_stacks(session, discovered)
    if not session.dry_run:
        _print_written(session, commands.init.write(discovered, track=track), discovered.trunk if track else "")
    _print_branches(session, discovered.branches)
    _print_assumptions(session, discovered)
    _print_proposals(session, discovered)
    if not session.dry_run:
        for flags in _each_stack(discovered):
            session.terminal.next(task_command("status", *flags))


def _each_stack(discovered: commands.init.PullRequestStacks) -> Iterable[tuple[str, ...]]:
    """Return the flags of `status` for each stack: of several, it shows the one that is named."""
    if len(discovered.stacks) == 1:
        return ((),)
    return (("--stack", str(stack[-1].branch)) for stack in discovered.stacks)


def _track(session: TaskSession) -> bool:
    """Let git track the existing stack.toml; return False if there is none."""
    kept = commands.init_track.track(dry_run=session.dry_run)
    if kept is None:
        return False
    session.account.update(path=str(kept.path), tracked=True)
    if kept.is_tracked:
        at = f"it counts for everybody once it is on {kept.remote}/{kept.trunk}"
        session.terminal.line(("✓ ", "green"), f"git tracks stack.toml already; {kept.source or at}")
        session.terminal.next(task_command("status"))
        return True
    removed = "would be removed" if session.dry_run else "was removed"
    session.terminal.line(f"{kept.path} stays as it is, and {removed} from .git/info/exclude")
    if not session.dry_run:
        _print_add(session, kept.path, kept.trunk)
    return True


def _print_add(session: TaskSession, path: Path, trunk: str) -> None:
    files = " ".join(each for each in (path.name, ".trunkline") if (path.parent / each).exists())
    session.terminal.line(f"  to be committed, and to be brought onto {trunk}:")
    session.terminal.next(f"git -C {shlex.quote(str(path.parent))} add {files}")


def _begin_next(session: TaskSession, discovered: commands.init.PullRequestStacks) -> None:
    """Begin the next stack in a stack.toml whose entries are all merged."""
    checked = commands.init_update.refuse_unfinished(discovered)
    for line in _print_differences(session, checked):
        session.terminal.line(f"  {line}")
    session.terminal.line(f"wrote {commands.init_update.update(discovered, checked)}")
    session.terminal.next(task_command("status"))


def _print_written(session: TaskSession, path: Path, trunk: str) -> None:
    """Report the new file.

    Args:
        session: the session.
        path: the file.
        trunk: the branch that will have it, if git shall track it; else "".
    """
    session.account.update(path=str(path), tracked=bool(trunk))
    session.terminal.line(f"wrote {path}")
    if trunk:
        _print_add(session, path, trunk)
    else:
        session.terminal.line("  untracked, and hidden from git status: every branch has it; --track keeps it in git")


def _print_branches(session: TaskSession, branches: Sequence[tuple[OpenPullRequest, OpenPullRequest]]) -> None:
    """Print pull requests with the same base as an entry, and the commands for their own stacks."""
    session.account["branches"] = [
        {"pr": pr.number, "beside": other.number, "base": pr.base} for pr, other in branches
    ]
    for pr, other in branches:
        session.terminal.line(
            ("! ", "yellow"),
            f"#{pr.number} {pr.head} sits on {pr.base}, as #{other.number} does: a stack does not branch;"
            " as a second stack, in a file of its own:",
            indent=2,
        )
        own = commands.init.own_file(pr.number)
        session.terminal.line((f"    {own} {task_command('init', '--top', pr.number)}", "dim"))


def _print_assumptions(session: TaskSession, discovered: commands.init.PullRequestStacks) -> None:
    """Print the settings that the Cargo workspace does not declare."""
    for each in commands.init.assumptions(discovered):
        session.terminal.line(("! ", "yellow"), each)


def _print_proposals(session: TaskSession, discovered: commands.init.PullRequestStacks) -> None:
    """Print gates that could be added, and why; stack.toml keeps the six defaults."""
    found = commands.init.proposals(discovered)
    session.account["proposals"] = [{"why": each.why, "table": each.table, "needed": each.needed} for each in found]
    for each in found:
        session.terminal.line(("! ", "yellow"), f"{each.why}; a gate for it, in stack.toml:")
        for line in each.table.splitlines():
            session.terminal.line((f"    {line}", "dim"))


def _compare(session: TaskSession, discovered: commands.init.PullRequestStacks, *, check: bool) -> None:
    checked = commands.init_update.check(discovered, local=not check)
    lines = _print_differences(session, checked)
    _print_branches(session, [branch for each in checked for branch in each.branches])
    if not lines:
        landed = all(each.landed for each in checked)
        session.terminal.line(
            "all is merged, and no other stack is open" if landed else "stack.toml says what GitHub has"
        )
        return
    if check:
        raise CheckFailed(
            f"stack.toml differs from GitHub in {len(lines)} {'place' if len(lines) == 1 else 'places'}",
            why="\n".join(lines),
            next_command=task_command("init", "--update"),
        )
    commands.init_update.refuse_while_paused(discovered, checked)
    for line in lines:
        session.terminal.line(f"  {line}")
    if not session.dry_run:
        session.terminal.line(f"mended {commands.init_update.update(discovered, checked, drop=True)}")
        session.terminal.next(task_command("status"))


@landing_task("trust", mutates=True)
def trust(session: TaskSession) -> None:
    """Confirm the branch's changes to trunk's stack.toml: commands to run, and trusted signers."""
    question = commands.trust.question_of()
    session.account.update(differences=list(question.lines), trusted=bool(question.why) or not session.dry_run)
    if question.why:
        session.terminal.line(("✓ ", "green"), f"{question.found.path.name} is trusted: {question.why}")
        return
    for line in question.lines:
        session.terminal.line(f"  {line}")
    count = f"{len(question.lines)} {'setting' if len(question.lines) == 1 else 'settings'}"
    if session.dry_run:
        session.terminal.line(f"would trust {count} of {question.found.path.name}; nothing was confirmed")
        return
    commands.trust.confirm(question)
    session.terminal.line(
        ("✓ ", "green"), f"trusted {count} of {question.found.path.name}, until one of them changes"
    )
    session.terminal.next(task_command("status"))


_MARKS = {Health.OK: ("✓", "green"), Health.WARNING: ("!", "yellow"), Health.ERROR: ("✗", "red")}


@landing_task("doctor", mutates=False, help={"offline": "do not query GitHub or the remote"})
def doctor(session: TaskSession, offline: bool = False) -> None:
    """Check tools, sign-in, toolchains and settings; each problem with the command that fixes it."""
    found = commands.doctor.examine(session.terminal, offline=offline)
    session.account["findings"] = [
        {"about": each.about, "message": each.message, "health": each.health.name.lower(), "fix": each.fix}
        for each in found
    ]
    for each in found:
        session.terminal.line(" ", _MARKS[each.health], " ", (f"{each.about:13}", "bold"), each.message)
        if each.fix:
            session.terminal.line((f"   $ {each.fix}", "dim"))
    for each in found:
        if each.about == "stack.toml" and isinstance(each.error, Refused):
            raise each.error
    ill = [each for each in found if each.health is Health.ERROR]
    if ill:
        raise CheckFailed(
            f"{len(ill)} {'thing is' if len(ill) == 1 else 'things are'} in the way",
            next_command=next((each.fix for each in ill if each.fix), ()),
        )


@landing_task(
    "ci.workflow",
    mutates=True,
    help={"check": "compare the file with what would be written; exit code 1 if it differs"},
)
def workflow(
    session: TaskSession,
    check: bool = False,
    runner: str = "",
    stack: str = "",
    attested: bool = False,
    merged: bool = False,
    fallback: str = "",
) -> None:
    """Write the Actions workflow: a job per gate; or with --attested, one that verifies receipts."""
    git = checkout()
    chosen, label = read_stack(git, stack), runner or commands.ci_workflow.RUNNER
    if not attested and (merged or fallback):
        raise UsageError(
            "--merged and --fallback belong to --attested", next_command=session.again({"attested": True})
        )
    name = commands.ci_workflow.ATTESTED if attested else commands.ci_workflow.PATH
    if attested:
        runs = one_of("fallback", fallback, ("run",)) == "run"
        text = commands.ci_workflow.attested_text(git, chosen, runner=label, merged=merged, fallback=runs)
    else:
        text = commands.ci_workflow.text(git, chosen, runner=label)
    session.account.update(path=name, text=text)
    if check:
        switches: dict[str, str | bool] = {"attested": attested, "merged": merged, "fallback": fallback}
        commands.ci_workflow.check(git, text, name, {flag: value for flag, value in switches.items() if value})
        session.terminal.line(("✓ ", "green"), f"{name} is what would be written")
    elif session.dry_run:
        if not session.json_wanted:
            sys.stdout.write(text)  # file content, printed without escapes and wrapping
    else:
        path, changed = commands.ci_workflow.write(git, text, name)
        session.terminal.line(
            ("✓ ", "green"), f"{'wrote' if changed else 'has it already:'} {path.relative_to(git.cwd)}"
        )
        session.terminal.next(f"git add {name}")


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(init)
    namespace.add_task(doctor)
    namespace.add_task(trust)
    namespace.add_collection(Collection("ci", workflow))
