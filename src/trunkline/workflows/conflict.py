"""A conflict's work tree: made for the pause, read when a person has resolved it, removed afterwards."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trunkline.adapters import journal, worktrees
from trunkline.domain.commits import Commit
from trunkline.domain.conflicts import digests
from trunkline.domain.errors import Paused, UsageError
from trunkline.domain.names import Oid, oid
from trunkline.engine import Acting, Pause
from trunkline.kernel.files import private_directory
from trunkline.workflows.context import Context


def worktree_path(context: Context, acting: Acting) -> Path:
    """Return where the work tree of this run's conflict is, if it has one."""
    return worktrees.work_dir(context.git.common_dir()) / "replay" / acting.lease.run


def open_worktree(context: Context, acting: Acting, *, onto: Oid, commit: Commit) -> tuple[Path, tuple[str, ...]]:
    """Make the disposable linked work tree of a conflict, with the conflict in it as git itself shows it.

    Returns:
        Where it is, and the files that git-rerere filled in where stack.toml asks for it; none of them is staged, so
        nobody goes on without having looked (promises, fault 11).
    """
    path = worktree_path(context, acting)
    acting.intend(worktree=str(path), onto=onto, commit=commit.oid)
    remove_worktree(context, acting, path)
    private_directory(path.parent)
    with worktrees.registering(context.git):
        context.git.mutate(
            acting.lease, "worktree", "add", "--quiet", "--detach", "--force", "--force", "--end-of-options",
            str(path), onto,
        )  # fmt: skip
    rerere = ("-c", "rerere.enabled=true", "-c", "rerere.autoUpdate=false") if context.stack.rerere else ()
    done = context.git.at(path).mutate(
        acting.lease, *rerere, "-c", "commit.gpgSign=false", "cherry-pick", "--allow-empty",
        "--keep-redundant-commits", commit.oid, ok=(0, 1),
    )  # fmt: skip
    return path, tuple(_FILLED_IN.findall(done.error_text))


_FILLED_IN = re.compile(r"^Resolved '(.+)' using previous resolution\.$", re.MULTILINE)  # git's rerere.c, LC_ALL=C


def met(path: Path, files: Sequence[str]) -> dict[str, list[str]]:
    """Return which conflicts stand in a work tree: file -> digests (`domain.conflicts`)."""
    texts = {name: path / name for name in files if (path / name).is_file() and not (path / name).is_symlink()}
    found = {name: sorted(digests(place.read_bytes())) for name, place in texts.items()}
    return {name: each for name, each in found.items() if each}


def remember(context: Context, acting: Acting, path: Path) -> None:
    """Let git-rerere record how a person resolved a pause's conflict, where stack.toml asks for it."""
    if context.stack.rerere:
        context.git.at(path).mutate(acting.lease, "-c", "rerere.enabled=true", "rerere", ok=(0, 1, 128))


def known(context: Context, conflicts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Say where the same conflicts were resolved before, by this run's journal and older ones."""
    told: dict[str, str] = {}
    for run in journal.runs(context.state):
        for paused in (record for record in run.records if record.kind == "paused"):
            earlier = {name: set(each) for name, each in dict(paused.data.get("conflicts", {})).items()}
            resolved = next((r.data["new"] for r in run.after(paused) if r.kind == "resolved"), "")
            for name, each in conflicts.items():
                if resolved and earlier.get(name, set()) & set(each):
                    seen = f"the same conflict in {name} was resolved for #{paused.data.get('pr')}"
                    told.setdefault(name, f"{seen}: git show {resolved}:{name}")
    return tuple(told.values())


def remove_worktree(context: Context, acting: Acting, path: Path) -> None:
    """Remove a pause's work tree; it holds nothing that is not committed elsewhere.

    What a kill left half made or half removed is removed too: it may lack its `.git`, or be locked as initializing.
    """
    if not path.is_dir():
        return
    done = context.git.mutate(
        acting.lease, "worktree", "remove", "--force", "--force", "--", str(path), ok=tuple(range(256))
    )
    if done.returncode != 0:
        shutil.rmtree(path)
        with worktrees.registering(context.git):
            context.git.mutate(acting.lease, "worktree", "prune")


def resolution(context: Context, path: Path, onto: Oid, paused: dict[str, Any]) -> Oid:
    """Return the tree that a person resolved the conflict to.

    They may have staged it, or have committed it (`git commit`, `git cherry-pick --continue`).

    Raises:
        Pause: it is not resolved yet; says what is left.
        UsageError: the work tree is gone.
    """
    if not path.is_dir():
        raise UsageError(
            "the work tree of the conflict is gone",
            why=f"it was {path}; your branch is as it was",
            next_command="invoke abort",
        )
    tree_git = context.git.at(path)
    head = tree_git.resolve("HEAD")
    unmerged = tree_git.query("diff", "--name-only", "--diff-filter=U", "-z").text.split("\0")
    if left := [name for name in unmerged if name]:
        raise _unresolved(path, paused, f"not resolved yet, or not added: {', '.join(left)}")
    if marked := [name for name in paused["files"] if _has_markers(path / name)]:
        raise _unresolved(path, paused, f"conflict markers are left in {', '.join(marked)}")
    loose = tree_git.query("diff", "--name-only", "-z").text.split("\0")
    loose += tree_git.query("ls-files", "--others", "--exclude-standard", "-z").text.split("\0")
    if left := [name for name in loose if name]:
        raise _unresolved(path, paused, f"changed but not added: {', '.join(left)}")
    if head != onto and (head is None or tree_git.resolve(f"{head}^") != onto or tree_git.resolve(f"{head}^2")):
        raise _unresolved(path, paused, f"HEAD is at {head}, neither {onto} nor one commit on top of it")
    return oid(tree_git.query("write-tree").text)


def _unresolved(path: Path, paused: dict[str, Any], why: str) -> Pause:
    error = Paused(
        "the conflict is not resolved", why=f"{why}\nin {path}", next_command=("invoke continue", "invoke abort")
    )
    return Pause(error, **paused)


def _has_markers(path: Path) -> bool:
    """Say whether a file still has a line that begins a conflict and one that ends it."""
    if path.is_symlink() or not path.is_file():
        return False
    lines = path.read_bytes().splitlines()
    return any(line.startswith(b"<<<<<<< ") for line in lines) and any(line.startswith(b">>>>>>> ") for line in lines)
