"""Finds what will keep gates from passing before anything is compiled: missing tools, and what cargo refuses.

Cargo is asked for the metadata of the workspace with the gates' own features, with `--locked` and without network. It
then reads manifests, configuration and lock file as the gates will, and refuses what they would be refused. What
depends on the network is left to the gates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from trunkline.adapters.cargo import Tools
from trunkline.adapters.cargo_output import subcommand_of, toolchain_argument
from trunkline.domain.cause import Cause, CauseId
from trunkline.domain.receipt import GateOutcome
from trunkline.gates import diagnosis, execute
from trunkline.gates.catalogue import Gate
from trunkline.gates.refusal import Place

_COMPILING = frozenset({"bench", "build", "check", "clippy", "doc", "run", "rustc", "rustdoc", "test"})
_ALONE = frozenset({"--all-features", "--no-default-features"})
_WITH_VALUE = frozenset({"--config", "--features", "--manifest-path", "-F", "-Z"})
_LOCKING = frozenset({"--frozen", "--locked"})
_LOCK = frozenset({CauseId.NO_LOCK, CauseId.STALE_LOCK})
_CERTAIN = _LOCK | {
    CauseId.CONFIG, CauseId.FEATURE, CauseId.MANIFEST, CauseId.PATH_DEPENDENCY, CauseId.SUBMODULE,
}  # fmt: skip


def foreseen(gates: Collection[Gate], tools: Tools, place: Place) -> dict[str, GateOutcome]:
    """Return the gates that cannot pass, with the cause: unavailable where a tool is missing, else failed.

    Args:
        gates: those that would run.
        tools: what is installed, as seen from the tree.
        place: the tree.
    """
    found: dict[str, GateOutcome] = {}
    answers: dict[tuple[str, ...], Cause | None] = {}
    for gate in gates:
        if missing := execute.missing(gate, tools):
            found[gate.name] = execute.unavailable(gate, missing)
            continue
        question = _question(gate)
        if question and question not in answers:
            answers[question] = _refused(question, tools, place)
        cause = answers.get(question) if question else None
        if cause and (cause.id not in _LOCK or _LOCKING.intersection(gate.argv)):
            found[gate.name] = execute.failed(gate, cause)
    return found


def _question(gate: Gate) -> tuple[str, ...]:
    """Return the command that asks cargo about a gate's workspace; () where there is none."""
    chosen, subcommand = toolchain_argument(gate.argv), subcommand_of(gate.argv)
    if subcommand == "fmt":
        return ("cargo", *chosen, "metadata", "--format-version=1", "--offline", "--no-deps")
    if subcommand not in _COMPILING:
        return ()
    asked = ("cargo", *chosen, "metadata", "--format-version=1", "--offline", "--locked")
    return (*asked, *_about_features(gate.argv))


def _about_features(argv: Sequence[str]) -> Iterator[str]:
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    for at, part in enumerate(own):
        if part in _ALONE or part.partition("=")[0] in _WITH_VALUE:
            yield part
            if part in _WITH_VALUE:
                yield from own[at + 1 : at + 2]


def _refused(question: tuple[str, ...], tools: Tools, place: Place) -> Cause | None:
    done = tools.ask(*question)
    if not done.returncode:
        return None
    cause = diagnosis.refused(done.error_text, place)
    return cause if cause is not None and cause.id in _CERTAIN else None
