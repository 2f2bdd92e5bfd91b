"""Read the resolution of a conflict from the pause's work tree, and reject everything that is none."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from trunkline.context.open_run import go_on
from trunkline.context.project import Project
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit, counted
from trunkline.domain.conflicts import has_both_ends, marker_lines, resolves, written_by_git
from trunkline.domain.errors import Paused
from trunkline.domain.names import Oid, branch_name, short
from trunkline.engine import Pause, StepContext
from trunkline.git import history, index, local_refs, refs
from trunkline.git.git import Git


def resolution(project: Project, step_context: StepContext, path: Path, paused: records.Paused) -> Oid:
    """Return the tree of the user's resolution; never the tree of the commit below.

    The resolution may be staged while git picks the stopped commit, or be committed (`git commit`,
    `git cherry-pick --continue`) and amended.

    Raises:
        Pause: the conflict is not resolved yet, and the error lists what is left; or other work is
            there, which is named and kept.
    """
    git, onto = project.git.at(path), paused.onto
    unmerged = git.query("diff", "--name-only", "--diff-filter=U", "-z").text.split("\0")
    if left := [name for name in unmerged if name]:
        raise _unresolved(path, paused, f"not resolved yet, or not added: {', '.join(left)}")
    _refuse_markers(git, path, paused, committed=git.resolve("HEAD") != onto)
    loose = git.query("diff", "--name-only", "-z").text.split("\0")
    loose += git.query("ls-files", "--others", "--exclude-standard", "-z").text.split("\0")
    if left := [name for name in loose if name]:
        raise _unresolved(path, paused, f"changed but not added: {', '.join(left)}")
    tree = index.staged_tree(git)  # of a copy: an index.lock that a dead git left is no obstacle
    if other := _other_work(git, path, paused, tree):
        raise _not_the_resolution(project, step_context, path, paused, *other)
    # An empty resolution drops the commit, as --drop-emptied requests, only while the cherry-pick is
    # in progress: the state after `git cherry-pick --abort`, `--skip` or `git reset --hard` is none.
    is_picking = git.resolve("HEAD") == onto and git.resolve("CHERRY_PICK_HEAD") is not None
    if tree == project.git.tree(onto) and not (project.options.drop_emptied and is_picking):
        raise _nothing_resolved(path, paused)
    return tree


def _other_work(git: Git, path: Path, paused: records.Paused, tree: Oid) -> tuple[str, str] | None:
    """Return why a work tree does not hold exactly the stopped commit's resolution, and the command that mends it.

    None if it does. No command discards anything.
    """
    onto, at, head, stopped = paused.onto, f"git -C {shlex.quote(str(path))}", git.resolve("HEAD"), paused.rest[0]
    contains = head is not None and history.is_ancestor(git, onto, head)
    made = history.chain(git, onto, head) if contains and head else ()
    stash = f"{at} stash push --quiet && " if head is not None and git.tree(head) != tree else ""
    again = f"{stash}{at} checkout --quiet --detach {onto} && {at} cherry-pick {stopped}"
    if not contains:
        where = _named(history.read_commits(git, [head] if head else [])) or "no commit"
        return f"HEAD is at {where}, which does not contain {short(onto)}; to start again", again
    if other := _other_operation(git, stopped):
        return f"git has {other} in progress there; to start again", again
    if any(len(each.parents) > 1 for each in made):
        return f"a merge was made there: {_named(made)}; to start again", again
    if len(made) == 1 and not _resolves(git, made[0], paused):
        return f"{_named(made)} has not the author and author date of the stopped commit; to start again", again
    return _to_take(git, at, paused, made, is_changed=tree != git.tree(onto))


def _resolves(git: Git, made: Commit, paused: records.Paused) -> bool:
    stopped, *others = history.read_commits(git, paused.rest)
    return resolves(made, stopped, [*others, *history.read_commits(git, list({*paused.own} - {*paused.rest}))])


def _to_take(
    git: Git, at: str, paused: records.Paused, made: Sequence[Commit], *, is_changed: bool
) -> tuple[str, str] | None:
    """Return why work needs the user's confirmation to be a resolution, and the command; None if it needs none."""
    take = f"{at} commit --quiet --reuse-message={paused.rest[0]}"
    if len(made) > 1:
        squash = f"{at} reset --quiet --soft {paused.onto} && {take}"
        return f"{counted(len(made))} were made there instead of one: {_named(made)}; to take all of it", squash
    if not made and is_changed and git.resolve("CHERRY_PICK_HEAD") is None:
        return f"git no longer picks {short(paused.rest[0])}, but changes are staged; to take them", take
    if branch := refs.current_branch(git):
        detach = f"{at} checkout --quiet --detach"
        return f"HEAD is on branch {branch}, which may hold other work; to take the resolution", detach
    return None


def _other_operation(git: Git, stopped: Oid) -> str | None:
    """Return a name for an operation in progress, other than the pick of the stopped commit."""
    for name, what in (("MERGE_HEAD", "a merge"), ("REVERT_HEAD", "a revert"), ("CHERRY_PICK_HEAD", "a cherry-pick")):
        at = git.resolve(name)
        if at is not None and (name != "CHERRY_PICK_HEAD" or at != stopped):
            return f"{what} of {short(at)}"
    return None


def _named(commits: Sequence[Commit]) -> str:
    return ", ".join(f'{short(each.oid)} "{each.subject}"' for each in commits)


def _unresolved(path: Path, paused: records.Paused, why: str) -> Pause:
    where = f"{paused.full_label}, in {path}"
    return Pause(Paused("the conflict is not resolved", why=f"{why}\n{where}", next_command=go_on()), paused)


def _not_the_resolution(
    project: Project, step_context: StepContext, path: Path, paused: records.Paused, why: str, command: str
) -> Pause:
    """Return the pause for other work; a backup ref keeps its commits."""
    git, kept = project.git.at(path), ""
    head = git.resolve("HEAD")
    if head is not None and not history.is_ancestor(git, head, paused.onto):
        ref = local_refs.back_up(git, step_context.lock, branch_name(f"resolution-{short(head)}"), head)
        kept = f"; {short(head)} is kept under {ref}"
    error = Paused(
        f"the work in {path} is not the resolution of commit {short(paused.rest[0])}",
        why=f"of {paused.full_label}; nothing was changed or pushed{kept}\n{why}: the first command",
        next_command=(command, *go_on()[1:]),
    )
    return Pause(error, paused)


def _nothing_resolved(path: Path, paused: records.Paused) -> Pause:
    commit, git = paused.rest[0], f"git -C {shlex.quote(str(path))}"
    again = f"{git} reset --quiet --hard {paused.onto} && {git} cherry-pick {commit}"
    error = Paused(
        f"nothing was resolved: {path} holds nothing of commit {short(commit)}",
        why=f"the commit of {paused.full_label} would be pushed empty.\n"
        f"To resolve it: pick it again, resolve, `git add`, then {task_command('continue')}.\n"
        f"To leave it out, because its change is on the base already or is not wanted: {task_command('skip')}.\n"
        f"To go back to before the run: {task_command('abort')}.",
        next_command=(again, task_command("skip"), task_command("abort")),
    )
    return Pause(error, paused)


def _refuse_markers(git: Git, path: Path, paused: records.Paused, *, committed: bool) -> None:
    """Check that no file of the conflict holds conflict markers that neither merged version holds.

    Documentation and test data may contain such lines. If the user committed the file, only the
    markers that git wrote for this conflict count.

    Raises:
        Pause: a file holds new markers.
    """
    found = {name: _new_markers(git, path, name, paused) for name in paused.files}
    written = [name for name, markers in found.items() if written_by_git(markers, paused.rest[0])]
    if written:
        raise _unresolved(path, paused, f"conflict markers are left in {', '.join(written)}")
    others = [name for name, markers in found.items() if has_both_ends(markers)]
    if others and not committed:
        hint = "If they belong there, commit the file (`git commit --no-edit`), and go on."
        raise _unresolved(path, paused, f"conflict markers are left in {', '.join(others)}. {hint}")


def _new_markers(git: Git, top: Path, name: str, paused: records.Paused) -> Counter[bytes]:
    """Return the marker lines of a file that neither merged version has."""
    path = top / name
    if path.is_symlink() or not path.is_file():
        return Counter()
    own = [marker_lines(_version(git, commit, name)) for commit in (paused.rest[0], paused.onto)]
    return marker_lines(path.read_bytes()) - (own[0] | own[1])


def _version(git: Git, commit: str, name: str) -> bytes:
    """Return the contents of a file at a commit; b"" if it does not exist."""
    done = git.query("cat-file", "blob", f"{commit}:{name}", ok=(0, 128))
    return done.stdout if done.returncode == 0 else b""
