"""Find gates that cannot pass before anything is compiled: missing tools, and errors of cargo.

`cargo metadata` runs with the gates' features, with `--locked` and without network. It reads
manifests, configuration and lock file as the gates would, and fails with the same errors. Errors
that depend on the network are left to the gates.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence

from trunkline.domain.cause import Cause, CauseId
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.gates import diagnosis, execute, proof, slots
from trunkline.gates.catalogue import Gate
from trunkline.gates.outer_settings import outer_settings
from trunkline.gates.refusal import Place
from trunkline.git import submodules
from trunkline.git.git import Git
from trunkline.rust.cargo import Tools
from trunkline.rust.cargo_output import subcommand_of, toolchain_argument

_COMPILING = frozenset({"bench", "build", "check", "clippy", "doc", "run", "rustc", "rustdoc", "test"})
_STANDALONE = frozenset({"--all-features", "--no-default-features"})
_WITH_VALUE = frozenset({"--config", "--features", "--manifest-path", "-F", "-Z"})
_LOCKING = frozenset({"--frozen", "--locked"})
_LOCK = frozenset({CauseId.NO_LOCK, CauseId.STALE_LOCK})
_CERTAIN = _LOCK | {
    CauseId.CONFIG, CauseId.FEATURE, CauseId.MANIFEST, CauseId.PATH_DEPENDENCY, CauseId.SUBMODULE,
}  # fmt: skip

_ANYWHERE = frozenset({*_LOCK, CauseId.FEATURE, CauseId.PATH_DEPENDENCY})


def in_slot(gates: Collection[Gate], slot: slots.Slot, root: str) -> dict[str, GateOutcome]:
    """Return `stopped_gates` for gates on the commit of a slot.

    Args:
        gates: the gates to run.
        slot: the locked work tree.
        root: the Cargo workspace's directory inside it.
    """
    tools = execute.tools_for(slot.tree, root, sandbox=any(gate.sandbox for gate in gates))
    return stopped_gates(gates, tools, place_of(slot, root))


def place_of(slot: slots.Slot, root: str) -> Place:
    """Return the gates' working directory, for messages."""
    return Place(slot.tree, root, slot.path / "target", submodules.missing(slot.tree))


def refused_anywhere(git: Git, commit: Oid, gates: Collection[Gate], root: str) -> dict[str, GateOutcome]:
    """Return the gates that cannot pass on any machine, because the commit lacks something.

    This machine's tools do not count, so without cargo here the result is empty.

    Args:
        git: the repository.
        commit: the commit.
        gates: the gates to run.
        root: the Cargo workspace's directory.
    """
    asking = [gate for gate in gates if _metadata_command(gate)]
    if not asking or shutil.which("cargo") is None:
        return {}
    with slots.slot(git, commit) as slot:
        found = in_slot(asking, slot, root)
    certain = {cause.value for cause in _ANYWHERE}
    return {name: each for name, each in found.items() if each.verdict is Verdict.FAILED and each.cause in certain}


def proven(known: proof.Known, gates: Collection[Gate], tree: Oid, tools: Tools) -> dict[str, GateOutcome]:
    """Return the gates that need not run again with the current toolchains.

    Args:
        known: the receipts of the tree.
        gates: the gates.
        tree: the tree.
        tools: the tools for a work tree at it.
    """
    found, config = {}, outer_settings(known.git, tree)
    for gate in gates:
        # Without the toolchain there is nothing to compare a receipt with.
        if proof.ran(known, gate, tree) and execute.missing(gate, tools) is None:
            query = proof.query_now(gate, tree, tools.toolchain(gate.argv), config)
            if outcome := proof.reusable(known, query, gate):
                found[gate.name] = outcome
    return found


def stopped_gates(gates: Collection[Gate], tools: Tools, place: Place) -> dict[str, GateOutcome]:
    """Return the gates that cannot pass: unavailable if a tool is missing, else failed.

    Args:
        gates: the gates to run.
        tools: the tools for the tree.
        place: the tree.
    """
    found: dict[str, GateOutcome] = {}
    causes: dict[tuple[str, ...], Cause | None] = {}
    for gate in gates:
        if missing := execute.missing(gate, tools):
            found[gate.name] = execute.unavailable(gate, missing)
            continue
        command = _metadata_command(gate)
        if command and command not in causes:
            causes[command] = _refused(command, tools, place)
        cause = causes.get(command) if command else None
        if cause and (cause.id not in _LOCK or _LOCKING.intersection(gate.argv)):
            found[gate.name] = execute.failed(gate, cause)
    return found


def _metadata_command(gate: Gate) -> tuple[str, ...]:
    """Return the cargo query for a gate's workspace; (): there is none."""
    chosen, subcommand = toolchain_argument(gate.argv), subcommand_of(gate.argv)
    if subcommand == "fmt":
        return ("cargo", *chosen, "metadata", "--format-version=1", "--offline", "--no-deps")
    if subcommand not in _COMPILING:
        return ()
    command = ("cargo", *chosen, "metadata", "--format-version=1", "--offline", "--locked")
    return (*command, *_about_features(gate.argv))


def _about_features(argv: Sequence[str]) -> Iterator[str]:
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    for at, part in enumerate(own):
        if part in _STANDALONE or part.partition("=")[0] in _WITH_VALUE:
            yield part
            if part in _WITH_VALUE:
                yield from own[at + 1 : at + 2]


def _refused(command: tuple[str, ...], tools: Tools, place: Place) -> Cause | None:
    done = tools.query(*command)
    if not done.returncode:
        return None
    cause = diagnosis.refused(done.error_text, place)
    return cause if cause is not None and cause.id in _CERTAIN else None
