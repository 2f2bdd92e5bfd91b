"""Run the command of a gate once: in its environment, with a job slot, in the sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from trunkline.gates import proof
from trunkline.gates.catalogue import Gate
from trunkline.gates.gate_workspace import GateWorkspace
from trunkline.gates.jobserver import Token, inherited, pool, token
from trunkline.rust import bubblewrap, build_places, cargo, sources
from trunkline.rust.cargo_output import CargoOutput, reporting
from trunkline.system import logged_process
from trunkline.system.files import private_directory
from trunkline.system.process import Completed

_DIAGNOSIS_SECONDS = 600.0


class Attempt(msgspec.Struct, frozen=True):
    """Result of one run of a gate's command.

    Attributes:
        done: its exit; the output is in `log`.
        log: its output.
        output: its parsed output: messages of cargo, compilers and programs.
    """

    done: Completed
    log: bytes
    output: CargoOutput

    @property
    def text(self) -> str:
        """The output as text."""
        return self.log.decode("utf-8", "replace")

    @property
    def ended(self) -> bool:
        """True if it exited by itself."""
        return not self.done.timed_out and self.done.returncode >= 0


def run_command(workspace: GateWorkspace, gate: Gate, log: Path, extra: Mapping[str, str]) -> Attempt:
    """Run a gate's command with a job slot; after a failure, cargo again for messages that can be parsed.

    Args:
        workspace: the work tree.
        gate: the gate.
        log: the file for the output.
        extra: more environment variables.
    """
    with pool(workspace.run) as own, token(Path(inherited() or own)) as job:
        against = build_places.overrides(workspace.slot.tree, workspace.root)
        env = cargo.environment({**against, **proof.gate_environment(gate), **gate.joined, **extra})
        if gate.sandbox:
            sources.fetch(gate.argv, tree=workspace.slot.tree, cwd=workspace.cwd, env=env)
        done, output = _done(workspace, gate, log, env, job)
        attempt = Attempt(done, log.read_bytes(), output)
        again = cargo.diagnosis_command(gate.argv)
        if not attempt.ended or done.returncode == gate.expects or not again:
            return attempt
        seconds = min(gate.timeout, _DIAGNOSIS_SECONDS)
        diagnosed = cargo.diagnose(_sandboxed(workspace, gate, again), cwd=workspace.cwd, env=env, timeout=seconds)
        return Attempt(done, attempt.log, diagnosed or output)


def _done(
    workspace: GateWorkspace, gate: Gate, log: Path, env: Mapping[str, str], job: Token
) -> tuple[Completed, CargoOutput]:
    """Run a gate's command; compile tests first with the job pool, then run them without it.

    In a sandbox, code other than build scripts and macros gets a copy of cargo's directories, which
    is deleted afterwards. So no test can make another tree's build look up to date.
    """
    log.unlink(missing_ok=True)
    compiling, spent = cargo.compiling(gate.argv), 0.0
    left_before: tuple[str, ...] = ()
    compiled = 0
    if compiling:
        done, output = _command(workspace, gate, compiling, log, env, job, gate.timeout)
        if done.returncode or done.timed_out:
            return done, output
        spent, left_before, compiled = done.seconds, done.left, output.units
        workspace.workplace.prepare_next_command()
    exposed = gate.sandbox and not cargo.only_compiles(gate.argv)
    with workspace.workplace.private_copy() if exposed else contextlib.nullcontext():
        left = max(gate.timeout - spent, 0.0)
        done, output = _command(workspace, gate, gate.argv, log, env, None if compiling else job, left)
    output.units = max(output.units, compiled)  # nextest's second command does not report units
    return replace(done, seconds=spent + done.seconds, left=(*left_before, *done.left)), output


def _command(
    workspace: GateWorkspace,
    gate: Gate,
    command: tuple[str, ...],
    log: Path,
    env: Mapping[str, str],
    job: Token | None,
    seconds: float,
) -> tuple[Completed, CargoOutput]:
    argv = reporting(command)
    output = CargoOutput(structured=argv != command)

    def sort(stream: logged_process.Stream, line: bytes) -> bytes:
        before, kept = output.units, output.parse_line(stream, line)
        if output.units != before:
            workspace.on_units(output.units)
        return kept

    done = logged_process.run_logged(
        _sandboxed(workspace, gate, argv),
        cwd=workspace.cwd,
        env={**env, **(job.variables if job else {})},
        timeout=seconds,
        log=log,
        on_line=workspace.on_line,
        sort=sort,
        pass_fds=(job.handle,) if job else (),
    )
    return done, output


def _sandboxed(workspace: GateWorkspace, gate: Gate, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command wrapped in the sandbox, if the gate demands it."""
    if not gate.sandbox:
        return argv
    writable = tuple(private_directory(each) for each in workspace.workplace.directories())
    return bubblewrap.Sandbox(workspace.slot.tree, writable=writable).wrap(argv, workspace.cwd)
