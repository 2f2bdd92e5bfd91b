"""Step `rewrite`: move an entry's branch to the commits that were written for it."""

from __future__ import annotations

from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.commits import counted
from trunkline.domain.errors import Refused
from trunkline.domain.names import short
from trunkline.domain.rewrite import Rewrite, Staged
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName
from trunkline.engine import StepContext
from trunkline.git import history, index
from trunkline.git.git import Git
from trunkline.operations import local_branch


def plan(view: View, rewrite: Rewrite, *, description: str, keeps_files: bool = False) -> Step:
    """Plan the step.

    Args:
        view: the entry.
        rewrite: the commits before and after.
        description: the change, in one line.
        keeps_files: files and index stay as they are.

    Raises:
        Refused: the branch cannot be moved.
    """
    result = rewrite.result
    local_branch.check_move(view, view.local, result.new, keeps_files=keeps_files)
    command = local_branch.move_command(view.local, new=result.new, old=rewrite.local, keeps_files=keeps_files)
    return Step(StepName.REWRITE, description, (command,), mutates=True, pr=rewrite.pr)


def run(context: Context, step_context: StepContext, rewrite: Rewrite, staged: Staged | None) -> Outcome:
    """Move the branch to its new commits.

    Raises:
        Refused: the branch moved since, its checkout is not clean, the staged changes are others
            by now, or the new commits no longer exist.
    """
    result, git = rewrite.result, context.git
    keeps_files = staged is not None and staged.branch == result.branch
    if history.missing(git, [result.new]):
        raise Refused(
            f"{context.entry.full_label}: the rewritten commit {short(result.new)} is gone",
            why="the run was interrupted before it was stored durably; the branch is as it was",
            next_command=task_command("abort"),
        )
    if context.observer.local_now(context.entry.branch).local != result.new:
        if staged is not None and keeps_files:
            _require_as_planned(git, context.entry, staged)
        local_branch.move(
            context, step_context, new=result.new, old=rewrite.local, why=step_context.step.description,
            keeps_files=keeps_files,
        )  # fmt: skip
    if staged is not None and keeps_files:
        # After the move: an abort finds in the journal what to take back. A killed process may not have come here.
        index.put_back(git, step_context.lock, held=staged.index, wanted=staged.wanted)
    message = f"{counted(len(result.mapped))}: {short(result.tip)}..{short(result.new)}"
    data = {"branch": result.branch, "tip": result.tip, "new": result.new, "mapped": [list(e) for e in result.mapped]}
    return Outcome("rewritten", message, details=rewrite.notes, data=data, replayed=result)


def _require_as_planned(git: Git, entry: Entry, staged: Staged) -> None:
    """Check that the index is as it was when the run was planned.

    Raises:
        Refused: something was staged since.
    """
    if index.staged_tree(git) not in {staged.index, staged.wanted}:
        raise Refused(
            f"{entry.full_label}: the staged changes are not those of the plan",
            why="nothing of it was changed",
            next_command=(task_command("abort"), "git status"),
        )
