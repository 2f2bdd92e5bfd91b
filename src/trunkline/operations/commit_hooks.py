"""Run the user's commit hooks as `git commit` does, before anything moves (githooks(5))."""

from __future__ import annotations

from trunkline.domain.errors import CheckFailed, Refused
from trunkline.git import index
from trunkline.git.git import Git

_QUIET = {"GIT_EDITOR": ":"}  # as `git commit` tells its hooks if it opens no editor


def check_changes(git: Git, *, everything: bool = False) -> bool:
    """Run pre-commit on what is staged; return whether the hook staged something else.

    Args:
        git: the checkout.
        everything: on all changes of tracked files, in an index of their own.

    Raises:
        CheckFailed: the hook failed.
        Refused: with `everything`, the hook staged something else.
    """
    with index.of_commit(git, everything=everything) as (env, tree):
        before = tree()
        _run(git, "pre-commit", env=env)
        changed = tree() != before
    if changed and everything:
        raise Refused(
            "the pre-commit hook changed what would be committed",
            why="with --all that is in no index of yours; nothing was changed",
            next_command="git add --update   # then the same command without --all",
        )
    return changed


def message_of(git: Git, message: str, *, source: str = "message") -> str:
    """Run prepare-commit-msg and commit-msg on a message; return the message that they leave.

    Args:
        git: the checkout.
        message: the message.
        source: what git tells prepare-commit-msg about it: `message`, or `commit` for an older one.

    Raises:
        CheckFailed: a hook failed, or left no message.
    """
    path = git.query("rev-parse", "--path-format=absolute", "--git-path", "COMMIT_EDITMSG").path
    path.write_text(f"{message.rstrip()}\n", encoding="utf-8")
    _run(git, "prepare-commit-msg", str(path), source)
    _run(git, "commit-msg", str(path))
    left = path.read_text(encoding="utf-8", errors="replace").rstrip()
    if not left.strip():
        raise CheckFailed("the commit hooks left no message", why="nothing was committed, nothing moved")
    return message if left == message.rstrip() else f"{left}\n"


def _run(git: Git, name: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    done = git.hook(name, *arguments, env={**_QUIET, **(env or {})})
    if done.returncode != 0:
        raise CheckFailed(
            f"the {name} hook failed with exit code {done.returncode}",
            why="nothing was committed, nothing moved",
            command=done.command_line,
            stderr=f"{done.error_text}\n{done.text}".strip(),
        )
