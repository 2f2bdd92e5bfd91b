"""Run one nox session: determine the commit, lock a slot, run the gate, write the outcome."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import Oid, short
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.reuse import Reuse
from trunkline.gates import invalidation, preflight, proof, slots
from trunkline.gates.catalogue import Gate
from trunkline.gates.execute import execute, tools_for
from trunkline.gates.gate_workspace import GateWorkspace
from trunkline.gates.request import HEAD_VARIABLE, OUTCOMES_VARIABLE, Request, report_units
from trunkline.git.git import Git
from trunkline.git.history import require_commit
from trunkline.rust.cargo import Tools
from trunkline.system import orphans
from trunkline.system.files import replace_bytes

_PR_SET_PDEATHSIG = 1  # prctl(2), linux/prctl.h


def run_session(
    run_request: Request,
    name: str,
    run: Path,
    *,
    commit: str,
    reuse: Reuse,
    say: Callable[[str], None],
    chosen: Collection[str] = (),
) -> str:
    """Run one gate; return the reason why its session fails, or "" if it passed.

    Args:
        run_request: the run's request.
        name: the gate.
        run: the run's directory; the outcome is written there as `NAME.json`.
        commit: the commit; "": the one that the run's sessions share.
        reuse: the results of earlier runs that may be reused.
        say: receives progress messages.
        chosen: all gates of this process, which run one after the other.
    """
    _end_with_parent(int(os.environ[HEAD_VARIABLE].rpartition(":")[2]))
    try:
        git = _repository(run_request)
        tip = _resolved(run_request, git, run, commit, say)
        say(f"{name} on {short(tip)}: {run_request.gate(name).command_line}")
        known = _KnownOutcomes.of(run, tip)
        if name in known.outcomes:
            _write_outcome(run, known.outcomes[name])
            return _report(known.outcomes[name], say)
        with slots.slot(git, tip) as slot:
            workspace = GateWorkspace(
                git, slot, run_request.root, run, run_request.settings, _executor(),
                least=invalidation.LEAST[reuse], on_units=report_units(name),
            )  # fmt: skip
            toolchain = run_request.toolchains.get(name) if tip == run_request.commit else None
            # A caller that passes toolchains has made the preflight checks already.
            if not toolchain:
                known = _determine(workspace, run_request, name, chosen, reuse, say=say)
            outcome = known.outcomes.get(name) or execute(
                workspace, run_request.gate(name), fresh=not reuse.receipts, toolchain=toolchain, say=say
            )
    except TrunklineError as error:
        stopped = GateOutcome(
            name, Verdict.INTERRUPTED, command=run_request.gate(name).command_line, diagnosis=str(error)
        )
        _write_outcome(run, stopped)
        return "\n".join([str(error), error.stderr, *(f"next: {command}" for command in error.next_commands)])
    _write_outcome(run, outcome)
    return _report(outcome, say)


def _repository(run_request: Request) -> Git:
    git = Git(Path(run_request.top))
    if run_request.common_dir:
        git.prime_cache(Path(run_request.common_dir), Oid(run_request.commit), Oid(run_request.tree))
    return git


def _resolved(run_request: Request, git: Git, run: Path, commit: str, say: Callable[[str], None]) -> Oid:
    """Return the commit that a session is about; see `run_session`."""
    if not commit:
        return _agreed(git, run, say)
    is_resolved = commit == run_request.commit  # by the caller
    return Oid(commit) if is_resolved else require_commit(git, commit, "commit")


class _KnownOutcomes(msgspec.Struct, frozen=True):
    """The outcomes of gates that need no run: a receipt proves them, or they cannot pass.

    The first session of a run determines them for all gates of its process. The other sessions then need
    neither a slot nor a toolchain: six sessions took 0.70 s of CPU time, with this 0.37 s; six of a bare nox 0.20 s.

    Attributes:
        checked: the gates that were checked.
        outcomes: gate -> its outcome, for those that need no run.
    """

    checked: tuple[str, ...] = ()
    outcomes: Mapping[str, GateOutcome] = {}

    @staticmethod
    def of(run: Path, commit: Oid) -> _KnownOutcomes:
        """Return what earlier sessions of a run have determined about a commit."""
        with contextlib.suppress(FileNotFoundError):
            return msgspec.json.decode(_record_of(run, commit).read_bytes(), type=_KnownOutcomes)
        return _KnownOutcomes()


def _record_of(run: Path, commit: Oid) -> Path:
    return run / f"known-outcomes-{commit}.json"


def _determine(
    workspace: GateWorkspace,
    run_request: Request,
    name: str,
    chosen: Collection[str],
    reuse: Reuse,
    *,
    say: Callable[[str], None],
) -> _KnownOutcomes:
    """Determine the gates of this process that need no run, unless an earlier session has."""
    run, commit = workspace.run, workspace.slot.commit
    with (run / "known-outcomes.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _KnownOutcomes.of(run, commit)
        if name in known.checked:
            return known
        gates = [run_request.gate(each) for each in dict.fromkeys([name, *chosen])]
        tools = tools_for(workspace.slot.tree, run_request.root, sandbox=any(gate.sandbox for gate in gates))
        proven = _proven(workspace, gates, tools, say) if reuse.receipts else {}
        rest = [gate for gate in gates if gate.name not in proven]
        stopped = preflight.stopped_gates(rest, tools, preflight.place_of(workspace.slot, run_request.root))
        for outcome in stopped.values():
            say(f"{outcome.gate} will not pass ({outcome.verdict.value}): {outcome.diagnosis}")
            if outcome.fix:
                say(f"next: {outcome.fix}")
        checked = (*known.checked, *(gate.name for gate in gates))
        known = _KnownOutcomes(checked, {**known.outcomes, **proven, **stopped})
        replace_bytes(_record_of(run, commit), msgspec.json.encode(known))
    return known


def _proven(
    workspace: GateWorkspace, gates: Sequence[Gate], tools: Tools, say: Callable[[str], None]
) -> dict[str, GateOutcome]:
    """Return the gates that a receipt proves; the messages about others follow when those run."""
    messages: list[str] = []
    known = proof.known_receipts(workspace.git, workspace.tree, workspace.settings, messages.append)
    found = preflight.proven(known, gates, workspace.tree, tools)
    for message in messages if len(found) == len(gates) else ():
        say(message)
    return found


def _executor() -> str:
    # docs.github.com, "Variables reference": always true in a workflow on GitHub Actions.
    return "actions" if os.environ.get("GITHUB_ACTIONS") == "true" else "nox"


def _write_outcome(run: Path, outcome: GateOutcome) -> None:
    """Write an outcome for the caller, and for the workflow of `ci.workflow`."""
    for folder in (run, *(Path(each) for each in [os.environ.get(OUTCOMES_VARIABLE, "")] if each)):
        folder.mkdir(parents=True, exist_ok=True)
        replace_bytes(folder / f"{outcome.gate}.json", json.dumps(outcome.to_json()).encode())


def _agreed(git: Git, run: Path, say: Callable[[str], None]) -> Oid:
    """Return the commit that all sessions of this run share; the first session determines it."""
    with (run / "commit").open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = file.read().strip()
        if known:
            return require_commit(git, known, "commit")
        commit, dirty = slots.snapshot(git)
        if dirty:
            say(f"the checkout has uncommitted changes: gating its files as they are, {short(commit)}")
        file.write(commit)
        return commit


def _report(outcome: GateOutcome, say: Callable[[str], None]) -> str:
    if outcome.verdict is Verdict.PASSED:
        say(f"{outcome.gate} passed" + (" (receipt)" if outcome.reused else f" in {outcome.seconds:.1f} s"))
        return ""
    lines = [f"{outcome.gate} {outcome.verdict.value}", outcome.diagnosis]
    lines += [f"log: {outcome.log}"] if outcome.log else []
    lines += [f"next: {command}" for command in (outcome.fix, outcome.again) if command]
    return "\n".join(line for line in lines if line)


def _end_with_parent(head: int) -> None:
    """Terminate with the nox that started this process, and terminate the gate's processes too.

    nox starts each parallel session in its own process session, so neither Ctrl-C nor the death of
    nox reaches it.

    Args:
        head: the process id of the first nox; a single session runs in that process.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    orphans.become_subreaper()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    elif sys.platform == "darwin":
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    if head not in {os.getpid(), os.getppid()}:
        raise KeyboardInterrupt  # it ended before the signal was requested


if sys.platform == "darwin":

    def _watch(parent: int) -> None:
        """Wait for a process's end (kqueue(2)), then terminate; macOS has no PR_SET_PDEATHSIG."""
        queue = select.kqueue()
        ended = select.kevent(
            parent, filter=select.KQ_FILTER_PROC, flags=select.KQ_EV_ADD, fflags=select.KQ_NOTE_EXIT
        )
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            queue.control([ended], 1)
        os.kill(os.getpid(), signal.SIGTERM)
