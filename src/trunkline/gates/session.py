"""What one nox session does: agree on the commit, hold the slot, run the gate, leave the outcome."""

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
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from trunkline.domain.errors import TrunklineError, UsageError
from trunkline.domain.names import Oid, short
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.gates import invalidation, preflight, proof, slots
from trunkline.gates.catalogue import Gate
from trunkline.gates.execute import GateWorkspace, execute, tools_for
from trunkline.gates.request import HEAD_VARIABLE, OUTCOMES_VARIABLE, Request, report_units
from trunkline.git.git import Git
from trunkline.system import orphans
from trunkline.system.files import replace_bytes

_PR_SET_PDEATHSIG = 1  # prctl(2), linux/prctl.h


def run_session(
    asked: Request,
    name: str,
    run: Path,
    *,
    commit: str,
    fresh: bool,
    clean: bool,
    say: Callable[[str], None],
    chosen: Collection[str] = (),
) -> str:
    """Run one gate and return why its session fails, or "" when it passed.

    Args:
        asked: the run's question.
        name: the gate.
        run: the run's directory; the outcome is left there as `NAME.json`.
        commit: what to gate; "": what the run agreed on.
        fresh: run whatever the receipts say, the repository's own packages compiled anew.
        clean: the same, with nothing that was compiled before.
        say: told what happens.
        chosen: the gates that this process is to run, one after the other.
    """
    _end_with_parent(int(os.environ[HEAD_VARIABLE].rpartition(":")[2]))
    try:
        git = Git(Path(asked.top))
        if asked.common_dir:
            git.prime_cache(Path(asked.common_dir), Oid(asked.commit), Oid(asked.tree))
        tip = _named(git, commit) if commit else _agreed(git, run, say)
        say(f"{name} on {short(tip)}: {asked.gate(name).command_line}")
        with slots.slot(git, tip) as slot:
            ground = GateWorkspace(
                git, slot, asked.root, run, asked.settings, _executor(),
                least=invalidation.least(fresh=fresh, clean=clean), on_units=report_units(name),
            )  # fmt: skip
            toolchain = asked.toolchains.get(name) if tip == asked.commit else None
            # Whoever asks with toolchains has looked already.
            ahead = {} if toolchain else _foreseen(ground, asked, name, chosen, fresh=fresh or clean, say=say)
            outcome = ahead.get(name) or execute(
                ground, asked.gate(name), fresh=fresh or clean, toolchain=toolchain, say=say
            )
    except TrunklineError as error:
        stopped = GateOutcome(name, Verdict.INTERRUPTED, command=asked.gate(name).command_line, diagnosis=str(error))
        _leave(run, stopped)
        return "\n".join([str(error), error.stderr, *(f"next: {command}" for command in error.next_commands)])
    _leave(run, outcome)
    return _told(outcome, say)


def _foreseen(
    ground: GateWorkspace,
    asked: Request,
    name: str,
    chosen: Collection[str],
    *,
    fresh: bool,
    say: Callable[[str], None],
) -> dict[str, GateOutcome]:
    """Return the gates that cannot pass; the first session of a run looks for all, before anything is compiled."""
    record = ground.run / f"foreseen-{ground.slot.commit}.json"
    with (ground.run / "foreseen.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known: dict[str, Any] = json.loads(record.read_bytes()) if record.exists() else {"asked": [], "stopped": {}}
        if name not in known["asked"]:
            gates = [asked.gate(each) for each in dict.fromkeys([name, *chosen])]
            stopped = _look_ahead(ground, asked, gates, fresh=fresh)
            for outcome in stopped.values():
                say(f"{outcome.gate} will not pass ({outcome.verdict.value}): {outcome.diagnosis}")
                if outcome.fix:
                    say(f"next: {outcome.fix}")
            known["asked"] += [gate.name for gate in gates]
            known["stopped"] |= {each: outcome.to_json() for each, outcome in stopped.items()}
            replace_bytes(record, json.dumps(known).encode())
    return {each: GateOutcome.from_json(values) for each, values in known["stopped"].items()}


def _look_ahead(
    ground: GateWorkspace, asked: Request, gates: Sequence[Gate], *, fresh: bool
) -> dict[str, GateOutcome]:
    """Return the gates that cannot pass, those with a receipt left out."""
    proven: Collection[str] = ()
    if not fresh:
        tools = tools_for(ground.slot.tree, asked.root, sandbox=any(gate.sandbox for gate in gates))
        known = proof.known_receipts(ground.git, ground.tree, ground.settings)
        proven = preflight.proven(known, gates, ground.tree, ground.slot, tools)
    return preflight.in_slot([gate for gate in gates if gate.name not in proven], ground.slot, asked.root)


def _executor() -> str:
    # docs.github.com, "Variables reference": always true when Actions runs the workflow.
    return "actions" if os.environ.get("GITHUB_ACTIONS") == "true" else "nox"


def _leave(run: Path, outcome: GateOutcome) -> None:
    """Leave an outcome for whoever started the run, and where the workflow of `ci.workflow` collects them."""
    for folder in (run, *(Path(each) for each in [os.environ.get(OUTCOMES_VARIABLE, "")] if each)):
        folder.mkdir(parents=True, exist_ok=True)
        replace_bytes(folder / f"{outcome.gate}.json", json.dumps(outcome.to_json()).encode())


def _named(git: Git, commit: str) -> Oid:
    found = git.resolve(commit)
    if found is None:
        raise UsageError(f"--commit {commit!r} is no commit here", next_command="git log --oneline")
    return found


def _agreed(git: Git, run: Path, say: Callable[[str], None]) -> Oid:
    """Return the commit that all sessions of this run gate: whoever comes first looks at the checkout."""
    with (run / "commit").open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = file.read().strip()
        if known:
            return _named(git, known)
        commit, dirty = slots.snapshot(git)
        if dirty:
            say(f"the checkout has uncommitted changes: gating its files as they are, {short(commit)}")
        file.write(commit)
        return commit


def _told(outcome: GateOutcome, say: Callable[[str], None]) -> str:
    if outcome.verdict is Verdict.PASSED:
        say(f"{outcome.gate} passed" + (" (receipt)" if outcome.reused else f" in {outcome.seconds:.1f} s"))
        return ""
    lines = [f"{outcome.gate} {outcome.verdict.value}", outcome.diagnosis]
    lines += [f"log: {outcome.log}"] if outcome.log else []
    lines += [f"next: {command}" for command in (outcome.fix, outcome.again) if command]
    return "\n".join(line for line in lines if line)


def _end_with_parent(head: int) -> None:
    """End with the nox that started us, and end the gate's processes with us.

    nox puts each parallel session into a session of its own, so neither Ctrl-C nor the death of nox reaches it.

    Args:
        head: the process id of the nox that was started by a person or by us; a single session runs in it.
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
        raise KeyboardInterrupt  # it ended before we asked to end with it


if sys.platform == "darwin":

    def _watch(parent: int) -> None:
        """Wait for a process's end (kqueue(2)), then ask ourselves to end: macOS has no PR_SET_PDEATHSIG."""
        queue = select.kqueue()
        ended = select.kevent(
            parent, filter=select.KQ_FILTER_PROC, flags=select.KQ_EV_ADD, fflags=select.KQ_NOTE_EXIT
        )
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            queue.control([ended], 1)
        os.kill(os.getpid(), signal.SIGTERM)
