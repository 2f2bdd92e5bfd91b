"""The gates as nox sessions: `from trunkline.gates.sessions import gates` is a whole noxfile.

`nox -s gates` runs all of them, `nox -s "gates(clippy)"` one, `-j auto` several at once. Without posargs a clean
checkout's HEAD is gated, or the files of a dirty one as they are; `-- --commit OID` gates a commit, `-- --fresh`
ignores receipts and compiles the repository's own packages anew, `-- --clean` everything.
"""

from __future__ import annotations

import argparse
import atexit
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nox

from trunkline.domain.choices import nearest
from trunkline.domain.errors import ExitCode, TrunklineError, UsageError
from trunkline.domain.stack import DEFAULT_GATES
from trunkline.gates import request
from trunkline.report.escape import for_terminal

_STARTED_HERE = request.VARIABLE not in os.environ


def _request() -> request.Request | str:
    """Return what is asked: by whoever started us, else by the stack.toml of the checkout that we are in.

    Where that cannot be used, return why: the gates fail with it, other sessions are untouched.
    """
    if not _STARTED_HERE:
        return request.read(Path(os.environ[request.VARIABLE]))
    # Only the first process of a run pays for the schema; see gates/request.py.
    from trunkline.config import location, trust, validation  # noqa: PLC0415
    from trunkline.domain.stack import GateSettings  # noqa: PLC0415
    from trunkline.gates.catalogue import catalogue  # noqa: PLC0415
    from trunkline.git.git import Git  # noqa: PLC0415

    settings = GateSettings()
    try:
        here = Git(Path.cwd().resolve())
        here.common_dir()  # raises where this is no repository
        git = here.at(here.query("rev-parse", "--show-toplevel").path)
        found = location.locate(git, here.cwd)
        if found is not None:
            found = trust.effective(git, found)
            settings = validation.stacks_of(found)[0].gates
        asked = request.Request(
            str(git.cwd), settings.root, catalogue(settings), strict=settings.strict,
            trust=request.trust_of(settings),
        )  # fmt: skip
        run = request.new_run(git.common_dir())
    except UsageError as error:
        return _lines(error)
    except TrunklineError as error:  # a branch that is not trusted: nothing of its noxfile should run either
        sys.stderr.write(f"error: {_lines(error)}\n")
        raise SystemExit(int(error.code)) from None
    request.write(run, asked)
    os.environ[request.VARIABLE] = str(run)
    atexit.register(shutil.rmtree, run, ignore_errors=True)
    return asked


def _lines(error: TrunklineError) -> str:
    lines = [error.what, error.why, *(f"next: {command}" for command in error.next_commands)]
    return "\n".join(for_terminal(line, lines=True) for line in lines if line)


_ASKED = _request()
if isinstance(_ASKED, request.Request):
    # Of a run's processes the first to come here is its head; its sessions inherit this.
    _RUN = os.environ[request.VARIABLE]
    if not os.environ.get(request.HEAD_VARIABLE, "").startswith(f"{_RUN}:"):
        os.environ[request.HEAD_VARIABLE] = f"{_RUN}:{os.getpid()}"
_NAMES = DEFAULT_GATES if isinstance(_ASKED, str) else tuple(each.name for each in _ASKED.gates)


def _chosen(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the gates that a command line of nox names one by one; all of them where it names none."""
    named = tuple(name for name in _NAMES if any(f"gates({name})" in word for word in argv[1:]))
    return named or _NAMES


def _refuse_unknown(argv: Sequence[str]) -> None:
    """Refuse a gate that does not exist, before any session runs.

    Raises:
        SystemExit: with exit code 2; names the nearest one.
    """
    for word in argv[1:] if isinstance(_ASKED, request.Request) else ():
        named = re.fullmatch(r"gates\(([\w.-]+)\)", word)
        if named is None or named[1] in _NAMES:
            continue
        like = nearest(named[1], _NAMES)
        lines = [f"error: there is no gate {named[1]!r}", f"  Known: {', '.join(_NAMES)}"]
        lines.append(f"next: nox -s {shlex.quote(f'gates({like})')}" if like else "next: nox --list")
        sys.stderr.write("\n".join(lines) + "\n")
        raise SystemExit(int(ExitCode.USAGE))


_refuse_unknown(sys.argv)


@nox.session(venv_backend="none", allow_parallel=True)
@nox.parametrize("gate", [nox.param(each, id=each) for each in _NAMES])
def gates(session: nox.Session, gate: str) -> None:
    """Run one cargo gate on exactly one tree; unavailable is never passed."""
    if isinstance(_ASKED, str):
        session.error(_ASKED)
    from trunkline.gates.session import run_session  # noqa: PLC0415 -- not for `nox -l`

    parser = argparse.ArgumentParser(prog="nox -s gates --")
    parser.add_argument("--commit", default=_ASKED.commit)
    parser.add_argument("--fresh", action="store_true", default=_ASKED.fresh)
    parser.add_argument("--clean", action="store_true", default=_ASKED.clean)
    options = parser.parse_args(session.posargs)
    run = Path(os.environ[request.VARIABLE])
    message = run_session(
        _ASKED,
        gate,
        run,
        commit=options.commit,
        fresh=options.fresh,
        clean=options.clean,
        say=session.log,
        chosen=_chosen(sys.argv),
    )
    if message:
        session.error(message)
