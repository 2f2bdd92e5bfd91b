"""Load a custom template of the reviewer note from trunk and render it with resource limits."""

from __future__ import annotations

import json
import sys
from pathlib import Path, PurePosixPath

from trunkline.context.project import Project
from trunkline.context.view import View
from trunkline.domain.errors import ExternalError, UsageError
from trunkline.domain.note import NoteFacts, Template
from trunkline.report import note
from trunkline.system import process
from trunkline.system.files import read_inside

SECONDS = 20.0
"""The limit on wall time; the rendering process has a limit of a few seconds of CPU time."""
LONGEST = 2**18
_LITERAL = "--literal-pathspecs"
_PROGRAM = "from trunkline.report import bounded; bounded.main()"


def template_of(view: View) -> Template | None:
    """Return the template that stack.toml names; None if it names none.

    The version in trunk is used if there is one, so that a pull request cannot change what is
    rendered. Otherwise an untracked file of the checkout is read.

    Raises:
        UsageError: it cannot be read, is a symbolic link, or exists on a branch only.
    """
    name = view.stack.note.template
    if not name:
        return None
    try:
        content = _of_trunk(view, name)
        if content is None:
            _refuse_tracked(view.project, name)
            content = read_inside(view.git.cwd, PurePosixPath(name), LONGEST)
        return Template(name, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _unreadable(name, f"it is not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from None


def _of_trunk(view: View, name: str) -> bytes | None:
    trunk = view.world.trunk
    listed = view.git.query(_LITERAL, "ls-tree", "-z", "--full-tree", "-l", trunk, "--", name).text
    if not listed:
        return None
    entry_line = listed.partition("\t")[0]
    mode, _, blob, size = entry_line.split()
    if mode not in {"100644", "100755"}:
        raise _unreadable(name, f"{view.tracking} has no file there, but a link, a directory or a submodule")
    if int(size) > LONGEST:
        raise _unreadable(name, f"it has more than {LONGEST} bytes")
    return view.git.query("cat-file", "blob", blob).stdout


def _refuse_tracked(project: Project, name: str) -> None:
    if project.git.query(_LITERAL, "ls-files", "-z", "--", name).stdout:
        raise _unreadable(name, f"{project.tracking} has no such file; a branch's own template is not used")


def _unreadable(name: str, why: str) -> UsageError:
    return UsageError(
        f"stack.toml: note.template: {name} cannot be read", why=why, next_command="${EDITOR:-vi} stack.toml"
    )


def written(facts: NoteFacts, own: Template | None) -> str:
    """Return the note without its markers, rendered with a custom or the built-in template.

    Raises:
        UsageError: the template is invalid; the error has its file, the line if known, and the
            reason.
    """
    if own is None:
        return note.reviewer_note(facts)
    request = json.dumps({"text": own.text, "view": note.view(facts)}).encode()
    argv = [sys.executable, "-c", _PROGRAM]
    try:
        # Not in the checkout, because Python would import modules from there.
        done = process.run(argv, cwd=Path("/"), env=process.own_environment(), timeout=SECONDS, stdin=request)
    except ExternalError as error:
        raise note.problem(f"{own.name}: it was not rendered within {SECONDS:g} s", own.name) from error
    if done.returncode != 0:
        raise note.problem(f"{own.name}: it takes more time or memory than a note may", own.name)
    answer = json.loads(done.stdout)
    if "error" in answer:
        at = f":{answer['line']}" if answer["line"] else ""
        raise note.problem(f"{own.name}{at}: {answer['error']}", own.name, answer["line"])
    return note.finished(facts, str(answer["rendered"]), own.name)
