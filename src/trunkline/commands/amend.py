"""Command `amend`: put the staged changes into a commit of the current entry, and replay what sits above."""

from __future__ import annotations

import msgspec

from trunkline.commands import rewriting, runner
from trunkline.commands.rewriting import Rewriting
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid, oid, short
from trunkline.domain.rewrite import NewCommit, Staged
from trunkline.domain.step import Outcome, StepName, StepStatus
from trunkline.git import history, index, rewrite, work_trees
from trunkline.git.git import Git
from trunkline.operations import local_branch
from trunkline.planning.rewrite_plan import OpenEntry, open_entries, rewritten

TASK = "amend"


class Request(msgspec.Struct, frozen=True):
    """The request of an amend.

    Attributes:
        all: take all changes of tracked files, not only the staged ones.
        commit: the commit of the entry; "": its last one.
        message: the commit's new message; "": it keeps its own.
    """

    all: bool = False
    commit: str = ""
    message: str = ""


def nothing_to_do(scope: Scope, request: Request) -> Outcome | None:
    """Return the outcome if nothing is staged and no message was given; else None.

    Raises:
        Paused: an earlier run is paused, or stopped half way.
        UsageError: the message is blank.
    """
    runner.refuse_while_paused(scope, (StepName.REWRITE, StepName.REPLAY))
    git = scope.git
    if request.message and not request.message.strip():
        raise UsageError("--message is blank", why="nothing was changed", next_command="git commit --amend")
    if request.message or _changed(git, request):
        return None
    changed = work_trees.changed_paths(git)
    details = (f"to take in {', '.join(changed)}: {task_command('amend', '--all')}",) if changed else ()
    return Outcome("nothing to do", "nothing is staged", StepStatus.NOTHING, details)


def _changed(git: Git, request: Request) -> bool:
    tree = index.tree_with_all(git) if request.all else index.staged_tree(git)
    head = git.resolve("HEAD")
    return head is None or tree != git.tree(head)


def plan(view: View, request: Request) -> Rewriting:
    """Plan an amend, with everything computed in memory; no ref, index or file changes.

    Raises:
        Refused: the entry is not checked out, the changes do not apply to the commit, or a branch
            cannot be moved.
        UsageError: `--commit` names no commit of the entry.
        Paused: an earlier run is paused, or the user must answer a question.
    """
    require_checked_out(view, task=TASK)
    entries = open_entries(view, task=TASK)
    position, current = at(view, entries)
    target = _target(view.git, current, request.commit)
    staged = staged_changes(view.git, current, everything=request.all)
    before, after = view.git.tree(current.tip), staged.wanted
    change = (rewrite.change_of(view.git, before, after),) if before != after else ()
    message = f"{request.message.strip()}\n".encode() if request.message else None
    commits = [
        NewCommit(commit, (commit, *change), message) if commit == target else NewCommit.unchanged(commit)
        for commit in current.own
    ]
    rewrites = rewritten(view, (current,), {current.entry.key: commits})
    require_tree(view.git, current, rewrites[-1].result.new, after)
    description = f'amend {short(target.oid)} "{target.subject}"'
    descriptions = {current.entry.key: description}
    above = entries[position + 1 :]
    return rewriting.plan(view, TASK, rewrites, above, descriptions=descriptions, staged=staged)


def require_checked_out(view: View, *, task: str) -> None:
    """Check that the entry's own branch is checked out.

    Raises:
        Refused: another branch, or none, is checked out, git is in the middle of a merge there, or the pull
            request is not open.
    """
    entry, local = view.entry, view.local
    if local.checked_out:
        index.refuse_unfinished(view.git, task=task)
        return
    if entry.number is not None:
        view.pull_request()
    if local.local is None and local.remote is None:
        raise view.no_branch()
    raise Refused(
        f"{entry.full_label} is not checked out",
        why=f"{task} takes what is staged in your checkout, which is at another branch; nothing was changed",
        next_command=local_branch.to_its_checkout(local),
    )


def at(view: View, entries: tuple[OpenEntry, ...]) -> tuple[int, OpenEntry]:
    """Return the position of the view's entry among the open ones, and the entry.

    Raises:
        Refused: its pull request is not open, or it has no commits of its own.
    """
    if view.entry.number is not None:
        view.pull_request()
    position = next(index for index, each in enumerate(entries) if each.entry == view.entry)
    current = entries[position]
    if not current.own:
        raise Refused(
            f"{view.entry.full_label} has no commits of its own",
            why="there is no commit that the changes could go into; nothing was changed",
            next_command="git commit",
        )
    return position, current


def staged_changes(git: Git, current: OpenEntry, *, everything: bool) -> Staged:
    """Return the staged changes of the checkout, or with `everything` all of tracked files."""
    held = index.staged_tree(git)
    wanted = index.tree_with_all(git) if everything else held
    return Staged(branch=current.entry.branch, index=held, wanted=wanted)


def require_tree(git: Git, current: OpenEntry, tip: Oid, tree: Oid) -> None:
    """Check that a rewritten entry has the expected tree.

    Raises:
        Refused: it has another; the branch was merged with trunk, or is not on the entry below.
    """
    differing = history.differing(git, git.tree(tip), tree)
    if differing:
        raise Refused(
            f"{current.entry.full_label}: the rewritten commits would not give the files of your checkout",
            why=f"they differ in {', '.join(differing)}: the branch is not based on its own commits alone;"
            " nothing was changed",
            next_command=("git stash", task_command("restack")),
        )


def message_of(git: Git, planned: Rewriting) -> str:
    """Return the message of the commit that a plan amends; "" if it is not in UTF-8."""
    target = next((old for old, new in planned.rewrites[0].result.mapped if old != new), None)
    if target is None:
        return ""
    (commit,) = history.read_commits(git, [target])
    try:
        return "" if commit.encoding else commit.message.decode()
    except UnicodeDecodeError:
        return ""


def _target(git: Git, current: OpenEntry, given: str) -> Commit:
    if not given:
        return current.own[-1]
    found = git.resolve(given)
    for commit in current.own:
        if found is not None and commit.oid == oid(found):
            return commit
    listed = "\n".join(f'{short(each.oid)} "{each.subject}"' for each in current.own)
    raise UsageError(
        f"--commit {given} is no commit of {current.entry.full_label}",
        why=f"its own commits are\n{listed}",
        next_command=task_command("amend", "--commit", current.own[-1].oid),
    )
