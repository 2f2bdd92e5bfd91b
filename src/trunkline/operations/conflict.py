"""The temporary work tree of a conflict: create it for a pause, keep what is in it, remove it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from trunkline.context.project import Project
from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.commits import Commit
from trunkline.domain.conflicts import digests
from trunkline.domain.errors import TrunklineError, UsageError
from trunkline.domain.names import Oid, branch_name, labelled, oid, short
from trunkline.engine import StepContext
from trunkline.gates import slots
from trunkline.git import history, local_refs, obstacles
from trunkline.git.git import Git
from trunkline.git.replay import CRASHED, WITHOUT_MOVED_DIRECTORIES
from trunkline.operations import kept_work
from trunkline.state import journal
from trunkline.system.files import private_directory
from trunkline.system.process import Completed


def worktree_path(git: Git, step_context: StepContext) -> Path:
    """Return the path of the work tree for this run's conflict; it need not exist."""
    return current_path(git, _own_path(git, step_context))


def _own_path(git: Git, step_context: StepContext) -> Path:
    return slots.work_dir(git.common_dir()) / "replay" / step_context.lock.run


def open_worktree(
    scope: Scope, step_context: StepContext, *, onto: Oid, commit: Commit, taken: Sequence[Oid] = ()
) -> tuple[Path, tuple[str, ...], KeptContent]:
    """Create the linked work tree of a conflict, with the conflict as git itself shows it.

    Args:
        scope: the entry.
        step_context: the step's arguments.
        onto: the commit to create it from.
        commit: the commit that conflicts.
        taken: the commits that the run made of earlier resolutions; see `retire_worktree`.

    Returns:
        Its path; the files that git-rerere filled in if stack.toml enables it (they are not staged,
        because the user must review a reused resolution before the run continues); what was kept of
        the work tree of an earlier conflict.
    """
    kept = retire_worktree(scope.git, step_context, onto=onto, taken=taken)
    path = _own_path(scope.git, step_context)
    about = step_context.about(scope.entry)
    step_context.log_intent(records.WorktreeCreated(*about, path=str(path), onto=onto, commit=commit.oid))
    rerere = ("-c", "rerere.enabled=true", "-c", "rerere.autoUpdate=false") if scope.stack.rerere else ()
    done = _pick(scope.git, step_context, path, onto, commit, options=rerere, ok=(0, 1, *CRASHED))
    if done.returncode in CRASHED:
        options = (*rerere, *WITHOUT_MOVED_DIRECTORIES)
        done = _pick(scope.git, step_context, path, onto, commit, options=options)
    return path, tuple(_FILLED_IN.findall(done.error_text)), kept


def _pick(
    git: Git, step_context: StepContext, path: Path, onto: Oid, commit: Commit, *, options: Sequence[str],
    ok: Sequence[int] = (0, 1),
) -> Completed:  # fmt: skip
    """Cherry-pick a commit in a new work tree."""
    remove_worktree(git, step_context, path)
    private_directory(path.parent)
    with slots.registration_lock(git):
        git.mutate(
            step_context.lock, "worktree", "add", "--quiet", "--detach", "--force", "--force", "--end-of-options",
            str(path), onto,
        )  # fmt: skip
    return git.at(path).mutate(
        step_context.lock, *options, "-c", "commit.gpgSign=false", "cherry-pick", "--allow-empty",
        "--keep-redundant-commits", commit.oid, ok=ok,
    )  # fmt: skip


_FILLED_IN = re.compile(r"^Resolved '(.+)' using previous resolution\.$", re.MULTILINE)  # git's rerere.c, LC_ALL=C


def conflict_digests(path: Path, files: Sequence[str]) -> dict[str, list[str]]:
    """Return the conflicts in a work tree as a mapping of files to digests (`domain.conflicts`)."""
    texts = {name: path / name for name in files if (path / name).is_file() and not (path / name).is_symlink()}
    found = {name: sorted(digests(place.read_bytes())) for name, place in texts.items()}
    return {name: each for name, each in found.items() if each}


def record_resolution(project: Project, step_context: StepContext, path: Path) -> None:
    """Record the user's resolution of a conflict with git-rerere, if stack.toml enables it."""
    if project.stack.rerere:
        project.git.at(path).mutate(step_context.lock, "-c", "rerere.enabled=true", "rerere", ok=(0, 1, 128))


def earlier_resolutions(state: Path, conflicts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return messages about earlier resolutions of the same conflicts, from all journals."""
    message: dict[str, str] = {}
    for run in journal.runs(state):
        for paused in (record for record in run.records if isinstance(record, records.Paused)):
            earlier = {name: set(each) for name, each in paused.conflicts.items()}
            resolved = next((r.new for r in reversed(run.after(paused)) if isinstance(r, records.Resolved)), "")
            for name, each in conflicts.items():
                if resolved and earlier.get(name, set()) & set(each):
                    found = f"the same conflict in {name} was resolved for {labelled(paused.pr)}"
                    message.setdefault(name, f"{found}: git show {resolved}:{name}")
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


def keep_work(
    git: Git, step_context: StepContext, path: Path, *, onto: Oid, taken: Sequence[Oid] = ()
) -> tuple[str, ...]:
    """Commit the contents of a pause's work tree to backup refs, with any commits made there.

    Args:
        git: the repository.
        step_context: the step's arguments.
        path: the work tree; it may be missing.
        onto: the commit that it was created from, or one that contains it.
        taken: the commits that the run made of resolutions; equal changes need no backup.

    Returns:
        The backup refs.

    Raises:
        UsageError: it is no longer a work tree, or git cannot commit there; it must not be removed.
    """
    if not path.is_dir() or not any(path.iterdir()):
        return ()
    git = git.at(path)
    if not (path / ".git").is_file():
        raise UsageError("it is no longer a git work tree")
    known = {(made.tree, made.message.strip()) for made in history.read_commits(git, taken)}
    head, kept = git.resolve("HEAD"), []
    if git.query("status", "--porcelain", "-z").stdout:
        git.mutate(step_context.lock, "add", "--all")
        tree = oid(git.scratch("write-tree").text)
        if tree not in {each for each, _ in known}:
            parents = ("-p", head) if head is not None else ()
            made = git.scratch(
                "commit-tree", tree, *parents, stdin=b"work in progress of a pause\n", env=_FIXED_IDENTITY
            )
            kept.append(oid(made.text))
    visited = git.query("reflog", "--format=%H", "HEAD", ok=(0, 128)).text.split()
    commits = history.read_commits(git, list(dict.fromkeys(map(oid, visited))))
    kept += [
        each.oid
        for each in commits
        if (each.tree, each.message.strip()) not in known and not history.is_ancestor(git, each.oid, onto)
    ]
    # Commits that another backup contains need no ref of their own.
    tips = [each for each in kept if not any(each != one and history.is_ancestor(git, each, one) for one in kept)]
    return tuple(
        local_refs.back_up(git, step_context.lock, branch_name(f"resolution-{short(commit)}"), commit)
        for commit in tips
    )


_FIXED_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "trunkline"), ("EMAIL", "trunkline@invalid"), ("DATE", "@0 +0000"))
}  # equal contents give an equal commit, so a repeated call makes no second backup


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


class KeptContent(msgspec.Struct, frozen=True):
    """The contents of a work tree that were kept before it was removed.

    Attributes:
        refs: the backup refs that hold its contents and commits.
        files: messages about files that were moved, each with their new place.
    """

    refs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return a message for each thing kept."""
        backups = (f"work of the conflict's work tree that was not taken is kept: {ref}" for ref in self.refs)
        return (*backups, *self.files)


def retire_worktree(git: Git, step_context: StepContext, *, onto: Oid, taken: Sequence[Oid] = ()) -> KeptContent:
    """Remove this run's work tree of a conflict after keeping what the run did not take from it.

    Args:
        git: the repository.
        step_context: the step's arguments.
        onto: the commit that it was created from, or the tip of the replay; commits that this
            contains need no backup.
        taken: the commits that the run made of resolutions, the newest last.
    """
    path, kept = worktree_path(git, step_context), KeptContent()
    if path.is_dir() and _was_shown(step_context):
        kept = _keep(git, step_context, path, onto=onto, taken=taken)
    elif not path.is_dir():
        kept = KeptContent(files=kept_work.move_modules(git, step_context, path.name))
    remove_worktree(git, step_context, path)
    return kept


def _was_shown(step_context: StepContext) -> bool:
    """Return whether the work tree is one that a person may have worked in: the run paused after creating it."""
    run = journal.read(step_context.journal.path)
    made = run.last(records.WorktreeCreated)
    return made is None or any(isinstance(record, records.Paused) for record in run.after(made))


def _keep(git: Git, step_context: StepContext, path: Path, *, onto: Oid, taken: Sequence[Oid]) -> KeptContent:
    """Keep the contents of a work tree; move all of it where git cannot read it."""
    files: tuple[str, ...] = ()
    try:
        files = _move_files(git, step_context, path)
        if not (path / ".git").is_file():
            raise UsageError("it is no longer a git work tree")
        _unmark(git.at(path), step_context)
        refs: tuple[str, ...] = ()
        if not taken or is_edited(git, path, taken[-1]) or _has_commits(git, path):
            refs = keep_work(git, step_context, path, onto=onto, taken=taken)
        files += kept_work.move_submodules(git, step_context, path)
        return KeptContent(refs, files)
    except TrunklineError as error:
        place = kept_work.make(git, step_context) / path.name
        shutil.move(path, place)
        files += (f"the work tree of the conflict is kept, because {error}: {place}",)
        return KeptContent(
            files=(*files, *kept_work.move_modules(git, step_context, _own_path(git, step_context).name))
        )


def _unmark(git: Git, step_context: StepContext) -> None:
    """Let git see edits of files that are marked `--assume-unchanged`, or that exist despite `--skip-worktree`."""
    for flag in ("assume-unchanged", "skip-worktree"):
        marked = [name for name, each in obstacles.marked_paths(git).items() if each == flag]
        paths = b"".join(name + b"\0" for name in marked if obstacles.mode_of(git.cwd, name) is not None)
        if paths:
            git.mutate(step_context.lock, "update-index", f"--no-{flag}", "-z", "--stdin", stdin=paths)


def _has_commits(git: Git, path: Path) -> bool:
    """Return whether HEAD of a work tree has moved since it was created."""
    if not (path / ".git").is_file():
        return False
    return len(git.at(path).query("reflog", "--format=%H", "HEAD", ok=(0, 128)).lines) > 1


def _move_files(git: Git, step_context: StepContext, path: Path) -> tuple[str, ...]:
    """Move the files of a work tree that a backup ref cannot hold; return a message that names the directory.

    These are ignored files and other repositories. Cache directories are left (https://bford.info/cachedir/),
    because cargo's target directory may hold gigabytes.
    """
    if not (path / ".git").is_file():
        return ()
    worktree_git = git.at(path)
    ignored = worktree_git.query("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    others = worktree_git.query("ls-files", "--others", "--exclude-standard", "-z")
    repositories = [name for name in others.stdout.split(b"\0") if name.endswith(b"/")]
    found = [
        os.fsdecode(name.rstrip(b"/"))
        for name in (*ignored.stdout.split(b"\0"), *repositories)
        if name and not kept_work.is_cache(path / os.fsdecode(name))
    ]
    if not found:
        return ()
    place = kept_work.make(git, step_context)
    for name in found:
        if not os.path.lexists(path / name):
            continue  # git lists a directory of ignored files, and the files in it
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path / name, place / name)
    listed = ", ".join(found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")
    return (f"files that git ignores are kept from the work tree of the conflict ({listed}): {place}",)


_SHOWN = 5


def remove_worktree(git: Git, step_context: StepContext, path: Path) -> None:
    """Remove a pause's work tree, whose contents must be committed elsewhere.

    This includes one that a killed process left incomplete: without its `.git`, or locked as
    initializing.
    """
    if not path.is_dir() and not (git.common_dir() / "worktrees" / path.name).is_dir():
        return
    done = git.mutate(
        step_context.lock, "worktree", "remove", "--force", "--force", "--", str(path), ok=tuple(range(256))
    )
    if done.returncode != 0 and path.is_dir():
        shutil.rmtree(path)
        with slots.registration_lock(git):
            git.mutate(step_context.lock, "worktree", "prune")
