"""Command `serve`: run the simulated GitHub in the foreground: empty, with the example, or with a copy of a clone."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from trunkline.commands.local_copy import read_local_stack
from trunkline.context.project import Reporter
from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.local_stack import LocalStack
from trunkline.sim.client import exports, running
from trunkline.sim.faults import read_faults
from trunkline.sim.sandbox import local_copy, sandbox


def serve(
    root: str,
    reporter: Reporter,
    *,
    example: bool = False,
    repository: str = "",
    trunk: str = "",
    faults: str = "",
) -> None:
    """Serve until SIGINT or SIGTERM, and write the settings for a shell to a file.

    Args:
        root: the directory for its data; "": a temporary one.
        reporter: shows how to use the server.
        example: build the bundled example first.
        repository: a directory in a clone, of which a copy is served; "" for none.
        trunk: the trunk of that clone; "": as `local_copy.read_local_stack` finds it.
        faults: a file of faults to inject; "" for none.

    Raises:
        UsageError: the directory cannot be created or is not empty, the file of faults is invalid,
            or the clone cannot be served.
        ExternalError: the simulator did not start.
    """
    if example and repository:
        raise UsageError(
            "--example and --repository are two repositories",
            next_command=task_command("sim.serve", "--repository", repository),
        )
    local = read_local_stack(Path(repository), trunk) if repository else None
    with contextlib.ExitStack() as stack:
        named = root or stack.enter_context(tempfile.TemporaryDirectory(prefix="sim-"))
        place = _directory(Path(named).resolve())
        armed = read_faults(Path(faults), {}) if faults else ()
        if example or local:
            _require_empty(place, repository)
        if example or local:
            box = stack.enter_context(sandbox(place) if local is None else local_copy(place, local))
            github, variables, inside = box.github, box.variables(), box.checkout
        else:
            github = stack.enter_context(running(place))
            variables, inside = github.environment(), place
        github.arm(armed)
        if local is not None:
            _report_pulls(local, repository, reporter)
        _report(variables, inside, place, reporter)
        ends = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)


def _directory(place: Path) -> Path:
    """Return a directory after creating it, if it does not exist.

    Raises:
        UsageError: it cannot be created.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{place} cannot be created", why=error.strerror or "") from error
    return place


def _require_empty(place: Path, repository: str) -> None:
    """Check that a directory for the example, or for the copy of a repository, is empty.

    Args:
        place: the directory.
        repository: the repository; "" for the example.

    Raises:
        UsageError: it is not.
    """
    if any(place.iterdir()):
        flags = ("--repository", repository) if repository else ("--example",)
        raise UsageError(
            f"{place} is not empty",
            why=f"{'the copy' if repository else 'the example'} is made in a directory of its own",
            next_command=task_command("sim.serve", *flags, comment="in a temporary directory"),
        )


def _report_pulls(stack: LocalStack, repository: str, reporter: Reporter) -> None:
    """Show the pull requests that were made of the branches, and the command to adopt them."""
    reporter.progress(f"a copy of {Path(repository).resolve()} as {stack.slug}; the original is not touched")
    for pull in stack.pulls:
        reporter.progress(f"  #{pull.number} {pull.branch} -> {pull.base}  {pull.title}")
    if not stack.pulls:
        reporter.progress(f"  no local branch has commits of its own above {stack.trunk}")


def _report(variables: Mapping[str, str], inside: Path, place: Path, reporter: Reporter) -> None:
    path = place / "environment.sh"
    # pipx, `uv tool` and uvx put no other program on PATH: not invoke, not the gh of the extra `sim`.
    programs = f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n'
    path.write_text(programs + exports(variables), encoding="utf-8")
    reporter.progress(f"a simulated GitHub runs in {place}; Ctrl-C ends it")
    reporter.progress(f"in another shell: . {shlex.quote(str(path))} && cd {shlex.quote(str(inside))}")
