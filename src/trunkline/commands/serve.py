"""Command `serve`: run the simulated GitHub in the foreground, with the example on request."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

from trunkline.context.project import Reporter
from trunkline.domain.errors import UsageError
from trunkline.sim.client import exports, running
from trunkline.sim.faults import read_faults
from trunkline.sim.sandbox import sandbox


def serve(root: str, reporter: Reporter, *, example: bool = False, faults: str = "") -> None:
    """Serve until SIGINT or SIGTERM, and write the settings for a shell to a file.

    Args:
        root: the directory for its data; "": a temporary one.
        reporter: shows how to use the server.
        example: build the bundled example first.
        faults: a file of faults to inject; "" for none.

    Raises:
        UsageError: the directory cannot be created or is not empty, or the file of faults is
            invalid.
        ExternalError: the simulator did not start.
    """
    with contextlib.ExitStack() as stack:
        named = root or stack.enter_context(tempfile.TemporaryDirectory(prefix="sim-"))
        place = Path(named).resolve()
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{place} cannot be made", why=error.strerror or "") from error
        armed = read_faults(Path(faults), {}) if faults else ()
        if example:
            if any(place.iterdir()):
                raise UsageError(f"{place} is not empty", why="the example is built in a directory of its own")
            box = stack.enter_context(sandbox(place))
            github, variables, inside = box.github, box.variables(), box.checkout
        else:
            github = stack.enter_context(running(place))
            variables, inside = github.environment(), place
        github.arm(armed)
        _tell(variables, inside, place, reporter)
        ends = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)


def _tell(variables: Mapping[str, str], inside: Path, place: Path, reporter: Reporter) -> None:
    path = place / "environment.sh"
    path.write_text(exports(variables), encoding="utf-8")
    reporter.progress(f"a simulated GitHub answers in {place}; Ctrl-C ends it")
    reporter.progress(f"in another shell: . {path} && cd {inside}")
