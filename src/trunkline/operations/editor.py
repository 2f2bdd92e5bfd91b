"""Let the user edit a text in their editor, as `git commit` does."""

from __future__ import annotations

import os
import shlex

from trunkline.context.scope import Scope
from trunkline.domain.errors import Refused
from trunkline.domain.submission import Words
from trunkline.domain.submission import edited as parsed
from trunkline.system import process
from trunkline.system.files import private_directory, replace_bytes


def edit(scope: Scope, name: str, text: str) -> str:
    """Open a text in the user's editor and return the edited one.

    Args:
        scope: the scope of the task; the file is in the repository's state directory.
        name: the file's name.
        text: the text to begin with.

    Raises:
        Refused: the editor failed.
        ExternalError: it is not installed.
    """
    path = private_directory(scope.state / "edit") / name
    replace_bytes(path, text.encode())
    command = _editor(scope)
    code = process.attached([*command, str(path)], cwd=scope.git.cwd, env=process.own_environment())
    if code != 0:
        raise Refused(
            f"the editor ended with exit code {code}",
            why=f"{shlex.join(command)}; your text is in {path}",
            next_command=f"{shlex.join(command)} {shlex.quote(str(path))}",
        )
    after = path.read_text(encoding="utf-8", errors="replace")
    path.unlink()
    return after


def words(scope: Scope, before: Words) -> Words | None:
    """Let the user edit a pull request's title and description; None if the title is empty."""
    return parsed(edit(scope, "PULL_REQUEST.md", before.as_text))


def _editor(scope: Scope) -> list[str]:
    """Return the editor that git would start (git-var(1)), without a shell."""
    configured = scope.git.query("config", "--get", "core.editor", ok=(0, 1)).text
    known = (os.environ.get("GIT_EDITOR"), configured, os.environ.get("VISUAL"), os.environ.get("EDITOR"), "vi")
    return shlex.split(next(each for each in known if each))
