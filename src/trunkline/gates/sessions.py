"""The gates as nox sessions; `from trunkline.gates.sessions import gates` is a whole noxfile.

`nox -s gates` runs all of them, `nox -s "gates(clippy)"` one, `-j auto` several in parallel.
Without further arguments the gates run on HEAD of a clean checkout, or on a snapshot of a modified
one. `-- --commit OID` selects a commit, `-- --fresh` ignores receipts and rebuilds the repository's
own packages, `-- --clean` rebuilds everything.
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
from typing import NoReturn

import nox

from trunkline.config import location, trust, validation
from trunkline.domain.choices import nearest
from trunkline.domain.command import Command
from trunkline.domain.errors import ExitCode, TrunklineError, UsageError
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import DEFAULT_GATES, GateSettings
from trunkline.gates import request
from trunkline.gates.catalogue import catalogue
from trunkline.git.git import Git
from trunkline.report.escape import for_terminal

_STARTED_HERE = request.VARIABLE not in os.environ


def _request() -> request.Request | str:
    """Return the request of the parent process, else one for the stack.toml of the checkout.

    If stack.toml is unusable, return the reason: the gates fail with it, and other sessions still
    run.
    """
    if not _STARTED_HERE:
        return request.read(Path(os.environ[request.VARIABLE]))
    settings = GateSettings()
    try:
        start = Git(Path.cwd().resolve())
        start.common_dir()  # raises outside a repository
        git = start.at(start.query("rev-parse", "--show-toplevel").path)
        found = location.locate(git, start.cwd)
        if found is not None:
            found = trust.effective(git, found)
            settings = validation.stacks_of(found)[0].gates
        run_request = request.Request(
            str(git.cwd), settings.root, catalogue(settings), strict=settings.strict,
            trust=request.trust_of(settings), is_default=found is None,
        )  # fmt: skip
        run = request.new_run(git.common_dir())
    except UsageError as error:
        return _lines(error)
    except TrunklineError as error:  # an untrusted branch: its noxfile must not run either
        sys.stderr.write(f"error: {_lines(error)}\n")
        raise SystemExit(int(error.code)) from None
    request.write(run, run_request)
    os.environ[request.VARIABLE] = str(run)
    atexit.register(shutil.rmtree, run, ignore_errors=True)
    return run_request


def _lines(error: TrunklineError) -> str:
    lines = [error.what, error.why, *(f"next: {command}" for command in error.next_commands)]
    return "\n".join(for_terminal(line, lines=True) for line in lines if line)


_RUN_REQUEST = _request()
if isinstance(_RUN_REQUEST, request.Request):
    # The first process of a run to get here is the parent of its sessions, which inherit this
    # variable.
    _RUN = os.environ[request.VARIABLE]
    if not os.environ.get(request.HEAD_VARIABLE, "").startswith(f"{_RUN}:"):
        os.environ[request.HEAD_VARIABLE] = f"{_RUN}:{os.getpid()}"
_NAMES = DEFAULT_GATES if isinstance(_RUN_REQUEST, str) else tuple(each.name for each in _RUN_REQUEST.gates)


def _chosen(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the gates that a nox command line names individually; all gates if it names none."""
    named = tuple(name for name in _NAMES if any(f"gates({name})" in word for word in argv[1:]))
    return named or _NAMES


def _refuse_unknown(argv: Sequence[str]) -> None:
    """Refuse an unknown gate before any session runs.

    Raises:
        SystemExit: with exit code 2, suggesting the most similar name.
    """
    for word in argv[1:] if isinstance(_RUN_REQUEST, request.Request) else ():
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
    if isinstance(_RUN_REQUEST, str):
        _fail(session, _RUN_REQUEST)
    from trunkline.gates.session import run_session  # noqa: PLC0415 -- 33 ms, which `nox -l` and other sessions save

    parser = argparse.ArgumentParser(prog="nox -s gates --")
    parser.add_argument("--commit", default=_RUN_REQUEST.commit)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--clean", action="store_true")
    options = parser.parse_args(session.posargs)
    reuse = Reuse.by_flags(fresh=options.fresh, clean=options.clean)
    run = Path(os.environ[request.VARIABLE])
    message = run_session(
        _RUN_REQUEST,
        gate,
        run,
        commit=options.commit,
        reuse=_RUN_REQUEST.reuse if reuse is Reuse.ALL else reuse,
        say=session.log,
        chosen=_chosen(sys.argv),
    )
    if message and _RUN_REQUEST.is_default:
        init = Command(("trunkline", "init"))  # without a stack.toml there is hardly a tasks.py for Invoke
        message += f"\nthere is no stack.toml here: {gate} is the default gate\nnext: {init}"
    if message:
        _fail(session, message)


def _fail(session: nox.Session, message: str) -> NoReturn:
    """End a session. The first line comes last: nox ends it with a full stop, which would end a printed command."""
    what, *details = message.split("\n")
    for line in details:
        session.log(line)
    session.error(what)
