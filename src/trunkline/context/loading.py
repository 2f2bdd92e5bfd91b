"""Load what a task works on: the checkout, its stack.toml, the entry and the GitHub repository."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from trunkline.config import location, reading, trust, validation
from trunkline.context.project import Project, Reporter
from trunkline.context.run import Context, open_run_context
from trunkline.domain.choices import nearest, require_known
from trunkline.domain.command import name_stack
from trunkline.domain.commits import counted
from trunkline.domain.errors import Refused, TrunklineError, UsageError, WrongFlag
from trunkline.domain.names import branch_ref, entry_key, short
from trunkline.domain.options import Options
from trunkline.domain.repository import repository_of
from trunkline.domain.snapshot import PrState, Snapshot
from trunkline.domain.stack import Entry, Stack, stack_of
from trunkline.gates.catalogue import catalogue
from trunkline.git import history, refs
from trunkline.git.arguments import ANY_REPOSITORY
from trunkline.git.git import Git


def open_context(
    pr: str | None,
    *,
    stack: str,
    options: Options,
    reporter: Reporter,
    cwd: Path | None = None,
) -> Context:
    """Find the checkout, its stack.toml, the entry and the repository on GitHub.

    Args:
        pr: `--pr`; None: TRUNKLINE_PR, else the pull request of the current branch.
        stack: `--stack`; "": the only one, or the one that has the entry.
        options: the other options.
        reporter: receives progress events.
        cwd: a directory inside the checkout; default: the current one.

    Raises:
        UsageError: one of them does not exist; the error says how to fix it.
        Refused: the repository is shallow, or its stack.toml is part of a branch and changes which
            programs run.
    """
    git, chosen, _ = _found(stack, _requested_entry(pr), cwd)
    project = _opened(git, chosen, "", options, reporter)
    return open_run_context(project, _entry(project, pr), stacked=False)


def open_stack(
    *,
    stack: str,
    options: Options,
    reporter: Reporter,
    cwd: Path | None = None,
) -> Context:
    """Find the checkout, its stack.toml and the repository, for a task of the whole stack.

    Args and errors are those of `open_context`; of several stacks, the branch that is checked out chooses.
    The entry is the bottom one.
    """
    git, chosen, source = _found(stack, "", cwd)
    return open_run_context(_opened(git, chosen, source, options, reporter), chosen.entries[0], stacked=True)


def _found(name: str, entry: str, cwd: Path | None) -> tuple[Git, Stack, str]:
    git = checkout(cwd)
    found = trust.effective(git, found_text(git))
    stacks = validation.stacks_of(found)
    if not name and len(stacks) > 1:
        name = stack_of(stacks, entry or refs.current_branch(git))
        name_stack(name)  # the commands that are printed are typed on another branch, perhaps
    return git, choose_stack(stacks, name), found.source


def _requested_entry(pr: str | None) -> str:
    """Return the entry that `--pr` or the environment names, or ""."""
    return (pr if pr is not None else os.environ.get("TRUNKLINE_PR")) or ""


def _opened(git: Git, chosen: Stack, source: str, options: Options, reporter: Reporter) -> Project:
    git.require_minimum_version()
    _refuse_shallow(git, chosen.remote)
    repository = repository_of(refs.remote_url(git, chosen.remote))
    pushes = repository_of(refs.remote_url(git, chosen.remote, push=True))
    if pushes.argument.lower() != repository.argument.lower():  # GitHub ignores case
        raise Refused(
            f"{chosen.remote} fetches from {repository.slug} but pushes to {pushes.slug}",
            why="a push would not reach the pull request's repository",
            next_command=shlex.join(
                ["git", "remote", "set-url", "--push", chosen.remote, refs.remote_url(git, chosen.remote)]
            ),
        )
    refuse_unknown_gates(chosen, options)
    return Project(git.with_echo(reporter.command), chosen, repository, options, reporter, source)


def refuse_unknown_gates(stack: Stack, options: Options) -> None:
    """Check that gates and checks that are waived by name exist, before anything runs.

    Raises:
        UsageError: one does not exist; the error suggests a similar name.
    """
    known = [
        *(gate.name for gate in catalogue(stack.gates)),
        *(check.name for entry in stack.entries for check in entry.checks),
    ]
    require_known("accept-unavailable", sorted(options.accept_unavailable), known, "gate or check")
    require_known("accept-flaky", sorted(options.accept_flaky), known, "gate or check")


def checkout(cwd: Path | None = None) -> Git:
    """Return the repository at the top of the work tree that a directory is in; see `top_of`.

    Args:
        cwd: the directory; default: the current one.
    """
    return top_of(Git(cwd or Path.cwd()))


def top_of(git: Git) -> Git:
    """Return the repository with the top of its work tree as the working directory.

    Raises:
        UsageError: this is not a repository, or it has no work tree.
    """
    git.load_places()
    done = git.cached_query("rev-parse", "--show-toplevel", ok=(0, 128))
    if done.returncode != 0 or not done.text:
        raise _no_work_tree(git)
    return git.at(done.path)


def _no_work_tree(git: Git) -> UsageError:
    """Return the error for a bare repository, or for a directory inside `.git`."""
    found = git.query(*ANY_REPOSITORY, "rev-parse", "--path-format=absolute", "--git-common-dir", ok=(0, 128))
    inside, top = git.cwd, (found.path if found.returncode == 0 else git.common_dir()).parent
    bare = git.query(*ANY_REPOSITORY, "rev-parse", "--is-bare-repository").text
    if bare != "true" and (top / ".git").exists():
        return UsageError(
            f"{inside} is inside the git directory",
            why="trunkline works in the checkout",
            next_command=f"cd {shlex.quote(str(top))}",
        )
    place = inside.parent / "checkout"
    leave = f"cd {shlex.quote(str(place))}"
    return UsageError(
        "this is a bare repository",
        why="trunkline needs a checkout that holds stack.toml",
        next_command=leave if (place / ".git").is_file() else (f"git worktree add {shlex.quote(str(place))}", leave),
    )


def load_stacks(git: Git) -> tuple[Stack, ...]:
    """Read the stack.toml at the top of a checkout, or the file in TRUNKLINE_STACK_FILE.

    Raises:
        UsageError: it does not exist, or it is invalid.
        Refused: it is part of a branch and changes which programs run (`config/trust.py`).
    """
    return validation.stacks_of(trust.effective(git, found_text(git)))


def found_text(git: Git) -> reading.StackText:
    """Return the stack.toml of a checkout before it is trusted; only the task `trust` uses it.

    Raises:
        UsageError: it does not exist, or it is not TOML.
    """
    found = location.locate(git, git.cwd)
    return reading.read(git.cwd / reading.FILE_NAME) if found is None else found


def choose_stack(stacks: Sequence[Stack], name: str) -> Stack:
    """Return the stack with a name, or the only one that has not landed.

    Raises:
        UsageError: there are several and no name was given, or none has the name.
    """
    listed = ", ".join(f"{stack.name} (landed)" if stack.landed else stack.name for stack in stacks)
    active = [stack for stack in stacks if not stack.landed] or stacks[-1:]
    if not name and len(active) == 1:
        return active[0]
    for stack in stacks:
        if name and stack.name == name:
            return stack
    what = f"stack.toml has no stack {name!r}" if name else "stack.toml has several stacks"
    first = active[0].name
    if not first:
        raise WrongFlag(what, why="it has one, without a name", flags={"stack": ""})
    others = () if name else tuple({"stack": stack.name} for stack in active[1:])
    raise WrongFlag(
        what,
        why=f"it has {listed}",
        flags={"stack": nearest(name, [stack.name for stack in stacks]) or first},
        otherwise=others,
    )


_PAGE = re.compile(r"https?://.*/pull/([1-9][0-9]{0,9})\b")


def _entry(project: Project, pr: str | None) -> Entry:
    git, stack = project.git, project.stack
    if requested := _requested_entry(pr):
        if page := _PAGE.match(requested):
            raise WrongFlag(
                f"not a pull request number: {requested!r}",
                why="expected a whole number, like 519; an address may be of another repository",
                flags={"pr": page[1]},
            )
        return stack.entry(entry_key(requested))
    current = refs.current_branch(git)
    for entry in stack.entries:
        if entry.branch == current:
            return entry
    if current and (renamed := _by_upstream(git, stack, current)) is not None:
        return renamed
    entries = _open_entries(project)
    listed = "\n".join(
        f"{entry.label}  {entry.branch if entry.number else 'no pull request yet'}  {entry.title}"
        for entry in entries
    )
    raise WrongFlag(
        "which pull request?",
        why=f"{current or 'a detached HEAD'} is no branch of the stack, which has\n{listed}",
        flags={"pr": str(entries[0].key)},
    )


def _open_entries(project: Project) -> tuple[Entry, ...]:
    """Return the entries whose pull requests are open or not created yet; all if none is, or if the request fails."""
    stack = project.stack
    try:
        with project.github.reading_stack(stack.numbers) as response:
            snapshot = response()
    except TrunklineError:
        return stack.entries
    over = {entry.key for entry in stack.entries if _is_over(snapshot, entry)}
    return tuple(entry for entry in stack.entries if entry.key not in over) or stack.entries


def _is_over(snapshot: Snapshot, entry: Entry) -> bool:
    pr = snapshot.pr(entry.key) if entry.number is not None else None
    return pr is not None and pr.state is not PrState.OPEN


def _by_upstream(git: Git, stack: Stack, current: str) -> Entry | None:
    """Return the entry whose remote branch is the upstream of a renamed local branch.

    Raises:
        Refused: it has unpushed commits, which a plan for the entry's branch would miss.
    """
    upstream = git.query("rev-parse", "--symbolic-full-name", "@{upstream}", ok=(0, 128)).text
    for entry in stack.entries:
        if upstream != refs.tracking_ref(stack.remote, entry.branch):
            continue
        local = branch_ref(entry.branch)
        held = refs.read_refs(git, local, upstream)
        head = git.resolve("HEAD")
        extra = history.reachable(git, [head] if head else [], held.values())
        if extra:
            listed = "\n".join(f'{short(commit.oid)} "{commit.subject}"' for commit in extra)
            move = f"git branch --move {shlex.quote(current)} {shlex.quote(entry.branch)}"
            raise Refused(
                f"{current} is {entry.branch} of {entry.label} under another name,"
                f" and holds {counted(len(extra))} more",
                why=f"stack.toml names {entry.branch}; without them it would be pushed:\n{listed}",
                next_command=move
                if local not in held
                else f"git fetch . {shlex.quote(current)}:{shlex.quote(entry.branch)}   # adds them",
            )
        return entry
    return None


def _refuse_shallow(git: Git, remote: str) -> None:
    if refs.is_shallow(git):
        raise Refused(
            "this is a shallow clone",
            why="an entry's fork point cannot be proven without the whole history",
            next_command=f"git fetch --unshallow {shlex.quote(remote)}",
        )
