"""Command `diff`: show what an entry itself changes, from the fork point that every task uses."""

from __future__ import annotations

from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, TrunklineError
from trunkline.domain.names import Oid, short
from trunkline.domain.own_diff import EntryDiff, FileChange, Reviewed
from trunkline.git import history, refs
from trunkline.git.git import Git
from trunkline.github.last_review import last_review
from trunkline.planning import heads
from trunkline.planning.ownership import CommitClass, Ownership
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import own_commits, preview_replay

_COLUMNS = 3
"""The fields of a line of `git diff --numstat`: added, deleted, path."""
_NOT_SERVED = ("not our ref", "unadvertised object")
"""Messages for an object that the remote lacks or does not serve (git's upload-pack.c and fetch-pack.c)."""


def own_diff(view: View, *, stat: bool = False) -> EntryDiff:
    """Return the diff of an entry's own commits.

    Where trunk was merged into the branch, the difference between fork point and head would show
    trunk's changes too. The own commits are then replayed in memory, and that result is compared
    with its base.

    Args:
        view: the entry, of the whole stack.
        stat: show the changed files and line counts only.

    Raises:
        OwnCommitsUnknown: the user must decide which commits are the entry's own.
        Refused: trunk was merged into the branch, and the own commits alone conflict with the base.
    """
    tip, found = _head(view)
    before, after, notes = found.fork, tip.oid, tip.reason
    if merges := found.of_kind(CommitClass.MERGE, CommitClass.HAND_MERGE):
        preview = preview_replay(view, trial=True)
        if preview.done.conflict is not None:
            commit, paths = preview.done.conflict
            raise Refused(
                f"{view.entry.full_label}: its own changes cannot be separated from a merge of {view.stack.trunk}",
                why=f'{short(commit.oid)} "{commit.subject}" conflicts with {preview.work.base_name} in'
                f" {', '.join(paths)}",
                next_command=f"git log --patch --no-merges {found.fork}..{tip.oid}",
            )
        before, after = preview.work.base, preview.done.tip
        notes = f"without {', '.join(short(each.oid) for each in merges)}, which merged {view.stack.trunk}"
    form = ("--stat",) if stat else ()
    arguments = ("diff", *form, before, after, "--")
    return EntryDiff(
        found.fork, tip.oid, found.own, arguments, _files(view.git, before, after), notes=(notes,) if notes else ()
    )


def since_review(view: View) -> EntryDiff:
    """Return the comparison of an entry's own commits with those that were last reviewed, commit by commit.

    Raises:
        OwnCommitsUnknown: the user must decide which commits are the entry's own.
        Refused: the pull request has no review, or the remote no longer has the reviewed head.
    """
    tip, found = _head(view)
    review = last_review(view.github, view.entry.pr)
    if review is None:
        raise Refused(
            f"{view.entry.full_label} has no review yet",
            why="there is no reviewed head to compare with",
            next_command=task_command("diff", "--pr", view.entry.key),
        )
    _fetch(view, review)
    reviewed = own_commits(view, review.head)
    old, new = f"{reviewed.fork}..{review.head}", f"{found.fork}..{tip.oid}"
    notes = (f"{review.author} reviewed {short(review.head)} on {review.at[:10]}: {review.state}",)
    arguments = ("range-diff", old, new, "--")
    return EntryDiff(found.fork, tip.oid, found.own, arguments, review=review, notes=notes)


def _head(view: View) -> tuple[heads.Tip, Ownership]:
    heads.load(view)
    tip = heads.entry_tip(view)
    found = own_commits(view, tip.oid)
    if found.questions:
        raise OwnCommitsUnknown(view.entry, found)
    return tip, found


def _fetch(scope: Scope, review: Reviewed) -> None:
    """Fetch the reviewed head, which GitHub serves by its id after a force-push too."""
    if not history.missing(scope.git, [review.head]):
        return
    try:
        refs.fetch_objects(scope.git, scope.stack.remote, [review.head])
    except TrunklineError as error:
        if not any(message in error.stderr for message in _NOT_SERVED):
            raise
        raise _gone(scope, review) from error


def _gone(scope: Scope, review: Reviewed) -> Refused:
    return Refused(
        f"{scope.entry.full_label}: {short(review.head)}, which {review.author} reviewed, is gone",
        why=f"{scope.stack.remote} does not serve it, and this clone never fetched it",
        next_command=task_command("diff", "--pr", scope.entry.key),
    )


def _files(git: Git, before: Oid, after: Oid) -> tuple[FileChange, ...]:
    done = git.query("diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", before, after, "--")
    rows = (line.split("\t", _COLUMNS - 1) for line in done.text.split("\0") if line)
    return tuple(FileChange(path, _count(added), _count(deleted)) for added, deleted, path in rows)


def _count(field: str) -> int | None:
    return int(field) if field.isdecimal() else None
