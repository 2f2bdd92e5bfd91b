"""The temporary work tree of a conflict: create it for a pause, read its resolution, remove it."""

from __future__ import annotations

import re
import shlex
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from trunkline.context.open_run import go_on
from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.conflicts import digests
from trunkline.domain.errors import Paused, UsageError
from trunkline.domain.names import Oid, branch_name, labelled, oid, short
from trunkline.engine import Pause, StepContext
from trunkline.gates import slots
from trunkline.git import history, refs
from trunkline.git.git import Git
from trunkline.state import journal
from trunkline.system.files import private_directory


def worktree_path(scope: Scope, step_context: StepContext) -> Path:
    """Return the path of the work tree for this run's conflict; it need not exist."""
    return current_path(scope.git, _own_path(scope, step_context))


def _own_path(scope: Scope, step_context: StepContext) -> Path:
    return slots.work_dir(scope.git.common_dir()) / "replay" / step_context.lock.run


def open_worktree(
    scope: Scope, step_context: StepContext, *, onto: Oid, commit: Commit
) -> tuple[Path, tuple[str, ...]]:
    """Create the linked work tree of a conflict, with the conflict as git itself shows it.

    Returns:
        Its path, and the files that git-rerere filled in if stack.toml enables it. They are not
        staged, because the user must review a reused resolution before the run continues.
    """
    remove_worktree(scope, step_context, worktree_path(scope, step_context))
    path = _own_path(scope, step_context)
    about = step_context.about(scope.entry)
    step_context.log_intent(records.WorktreeCreated(*about, path=str(path), onto=onto, commit=commit.oid))
    remove_worktree(scope, step_context, path)
    private_directory(path.parent)
    with slots.registration_lock(scope.git):
        scope.git.mutate(
            step_context.lock, "worktree", "add", "--quiet", "--detach", "--force", "--force", "--end-of-options",
            str(path), onto,
        )  # fmt: skip
    rerere = ("-c", "rerere.enabled=true", "-c", "rerere.autoUpdate=false") if scope.stack.rerere else ()
    done = scope.git.at(path).mutate(
        step_context.lock, *rerere, "-c", "commit.gpgSign=false", "cherry-pick", "--allow-empty",
        "--keep-redundant-commits", commit.oid, ok=(0, 1),
    )  # fmt: skip
    return path, tuple(_FILLED_IN.findall(done.error_text))


_FILLED_IN = re.compile(r"^Resolved '(.+)' using previous resolution\.$", re.MULTILINE)  # git's rerere.c, LC_ALL=C


def conflict_digests(path: Path, files: Sequence[str]) -> dict[str, list[str]]:
    """Return the conflicts in a work tree as a mapping of files to digests (`domain.conflicts`)."""
    texts = {name: path / name for name in files if (path / name).is_file() and not (path / name).is_symlink()}
    found = {name: sorted(digests(place.read_bytes())) for name, place in texts.items()}
    return {name: each for name, each in found.items() if each}


def record_resolution(scope: Scope, step_context: StepContext, path: Path) -> None:
    """Record the user's resolution of a conflict with git-rerere, if stack.toml enables it."""
    if scope.stack.rerere:
        scope.git.at(path).mutate(step_context.lock, "-c", "rerere.enabled=true", "rerere", ok=(0, 1, 128))


def earlier_resolutions(scope: Scope, conflicts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return messages about earlier resolutions of the same conflicts, from all journals."""
    message: dict[str, str] = {}
    for run in journal.runs(scope.state):
        for paused in (record for record in run.records if isinstance(record, records.Paused)):
            earlier = {name: set(each) for name, each in paused.conflicts.items()}
            resolved = next((r.new for r in reversed(run.after(paused)) if isinstance(r, records.Resolved)), "")
            for name, each in conflicts.items():
                if resolved and earlier.get(name, set()) & set(each):
                    seen = f"the same conflict in {name} was resolved for {labelled(paused.pr)}"
                    message.setdefault(name, f"{seen}: git show {resolved}:{name}")
    return tuple(message.values())


def current_path(git: Git, recorded: Path) -> Path:
    """Return the current path of a pause's work tree, which `git worktree move` may have changed.

    Git keeps a linked work tree's metadata under its original name.
    """
    try:
        moved = Path((git.common_dir() / "worktrees" / recorded.name / "gitdir").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return recorded
    return moved.parent if moved.is_file() else recorded


def keep_work(scope: Scope, step_context: StepContext, path: Path, *, onto: Oid) -> tuple[str, ...]:
    """Commit the contents of a pause's work tree to backup refs, with any commits made there.

    Args:
        scope: the entry.
        step_context: the step's arguments.
        path: the work tree; it may be missing.
        onto: the commit that it was created from.

    Raises:
        UsageError: it is no longer a work tree, or git cannot commit there; it must not be removed.
    """
    if not path.is_dir() or not any(path.iterdir()):
        return ()
    git = scope.git.at(path)
    if not (path / ".git").is_file():
        raise UsageError("it is no longer a git work tree")
    head, kept = git.resolve("HEAD"), []
    if head is not None and git.query("status", "--porcelain", "-z").stdout:
        git.mutate(step_context.lock, "add", "--all")
        tree = git.query("write-tree").text
        made = git.query("commit-tree", tree, "-p", head, stdin=b"a resolution begun, kept by abort\n").text
        kept.append(oid(made))
    seen = git.query("reflog", "--format=%H", "HEAD", ok=(0, 128)).text.split()
    kept += [commit for commit in dict.fromkeys(map(oid, seen)) if not history.is_ancestor(git, commit, onto)]
    # Commits that another backup contains need no ref of their own.
    tips = [each for each in kept if not any(each != one and history.is_ancestor(git, each, one) for one in kept)]
    return tuple(
        refs.back_up(git, step_context.lock, branch_name(f"resolution-{short(commit)}"), commit) for commit in tips
    )


def is_edited(git: Git, path: Path, decided: Oid) -> bool:
    """Return whether a pause's work tree holds content that a recorded resolution lacks.

    Files that only the work tree lacks do not count: a killed process may have removed a part of it.
    """
    if not (path / ".git").is_file():
        return False
    tree = git.at(path)
    queries = (
        ("diff", "--cached", "--name-only", "-z", decided),
        ("diff", "--name-only", "--diff-filter=d", "-z", decided),
        ("ls-files", "--others", "--exclude-standard", "-z"),
    )
    return any(tree.query(*query).stdout for query in queries)


def remove_worktree(scope: Scope, step_context: StepContext, path: Path) -> None:
    """Remove a pause's work tree, whose contents must be committed elsewhere.

    This includes one that a killed process left incomplete: without its `.git`, or locked as
    initializing.
    """
    if not path.is_dir() and not (scope.git.common_dir() / "worktrees" / path.name).is_dir():
        return
    done = scope.git.mutate(
        step_context.lock, "worktree", "remove", "--force", "--force", "--", str(path), ok=tuple(range(256))
    )
    if done.returncode != 0 and path.is_dir():
        shutil.rmtree(path)
        with slots.registration_lock(scope.git):
            scope.git.mutate(step_context.lock, "worktree", "prune")


def resolution(scope: Scope, path: Path, onto: Oid, paused: records.Paused) -> Oid:
    """Return the tree of the user's resolution; never the tree of the commit below.

    The resolution may be staged or committed (`git commit`, `git cherry-pick --continue`).

    Raises:
        Pause: the conflict is not resolved yet; the error lists what is left.
    """
    tree_git = scope.git.at(path)
    head = tree_git.resolve("HEAD")
    unmerged = tree_git.query("diff", "--name-only", "--diff-filter=U", "-z").text.split("\0")
    if left := [name for name in unmerged if name]:
        raise _unresolved(path, paused, f"not resolved yet, or not added: {', '.join(left)}")
    if marked := [name for name in paused.files if _has_new_markers(tree_git, path, name, paused)]:
        raise _unresolved(path, paused, f"conflict markers are left in {', '.join(marked)}")
    loose = tree_git.query("diff", "--name-only", "-z").text.split("\0")
    loose += tree_git.query("ls-files", "--others", "--exclude-standard", "-z").text.split("\0")
    if left := [name for name in loose if name]:
        raise _unresolved(path, paused, f"changed but not added: {', '.join(left)}")
    if head != onto and (head is None or tree_git.resolve(f"{head}^") != onto or tree_git.resolve(f"{head}^2")):
        raise _unresolved(path, paused, f"HEAD is at {head}, neither {onto} nor one commit on top of it")
    tree = oid(tree_git.query("write-tree").text)
    if tree == scope.git.tree(onto) and not _drops_on_request(scope, tree_git, head == onto):
        raise _nothing_resolved(path, paused)
    return tree


def _drops_on_request(scope: Scope, tree_git: Git, is_staged: bool) -> bool:  # noqa: FBT001 -- computed by the caller
    """Return whether an empty resolution drops the commit, as --drop-emptied requests.

    This holds only while the cherry-pick is in progress: the state after `git cherry-pick --abort`,
    `--skip` or `git reset --hard` is not a resolution.
    """
    return scope.options.drop_emptied and is_staged and tree_git.resolve("CHERRY_PICK_HEAD") is not None


def _unresolved(path: Path, paused: records.Paused, why: str) -> Pause:
    where = f"{paused.full_label}, in {path}"
    return Pause(Paused("the conflict is not resolved", why=f"{why}\n{where}", next_command=go_on()), paused)


def _nothing_resolved(path: Path, paused: records.Paused) -> Pause:
    commit, git = paused.rest[0], f"git -C {shlex.quote(str(path))}"
    again = f"{git} reset --quiet --hard {paused.onto} && {git} cherry-pick {commit}"
    error = Paused(
        f"nothing was resolved: {path} holds nothing of commit {short(commit)}",
        why=f"the commit of {paused.full_label} would be pushed empty.\n"
        f"To resolve it: pick it again, resolve, `git add`, then {task_command('continue')}.\n"
        f"To leave it out, because what it does is there already or is not wanted: {task_command('skip')}.\n"
        f"To go back to before the run: {task_command('abort')}.",
        next_command=(again, task_command("skip"), task_command("abort")),
    )
    return Pause(error, paused)


_MARKERS = (b"<<<<<<< ", b">>>>>>> ")


def _has_new_markers(git: Git, top: Path, name: str, paused: records.Paused) -> bool:
    """Return whether a file contains conflict markers that neither merged version contains.

    Documentation and test data may contain such lines, so both versions are compared.
    """
    path = top / name
    if path.is_symlink() or not path.is_file():
        return False
    own = [_marker_lines(_version(git, commit, name)) for commit in (paused.rest[0], paused.onto)]
    found = _marker_lines(path.read_bytes())
    return all(any(line.startswith(kind) for line in found - (own[0] | own[1])) for kind in _MARKERS)


def _marker_lines(content: bytes) -> Counter[bytes]:
    return Counter(line for line in content.splitlines() if line.startswith(_MARKERS))


def _version(git: Git, commit: str, name: str) -> bytes:
    """Return the contents of a file at a commit; b"" if it does not exist."""
    done = git.query("cat-file", "blob", f"{commit}:{name}", ok=(0, 128))
    return done.stdout if done.returncode == 0 else b""
