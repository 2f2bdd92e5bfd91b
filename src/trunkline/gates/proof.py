"""Collect receipts and the current environment, and evaluate what the receipts prove.

`domain.proof.prove` decides. Its inputs are the receipts of a tree with their signers, the
toolchain that would compile now, cargo's configuration outside the repository, and the rules of
stack.toml.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import structs

from trunkline.domain.names import Oid
from trunkline.domain.proof import KnownReceipt, Proof, ReceiptQuery, changed_outside, concerns, found_since, prove
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict, receipt_id
from trunkline.domain.stack import GateSettings
from trunkline.gates import outer_settings, slots
from trunkline.gates.catalogue import Gate
from trunkline.gates.outer_settings import OuterSettings
from trunkline.git import signing, submodules
from trunkline.git.git import Git
from trunkline.rust import bubblewrap, outside_packages, sources
from trunkline.rust.cargo import Tools
from trunkline.state.receipt_store import Store
from trunkline.system.files import private_directory

_SKEW = dt.timedelta(minutes=10)
_LINK = "120000"
_TOOLCHAIN_FILES = ("rust-toolchain", "rust-toolchain.toml")


def gate_environment(gate: Gate) -> dict[str, str]:
    """Return the variables recorded in a gate's receipt: those that the gate sets itself."""
    return dict(gate.env)


@dataclass
class Surroundings:
    """The local toolchains, and the settings outside a tree; cached.

    Attributes:
        git: the repository.
        sandbox: run rustup and cargo in the sandbox, because they read the tree's `rust-toolchain`.
    """

    git: Git
    sandbox: bool = False
    _tools: dict[tuple[tuple[str, str], ...], Tools] = field(default_factory=dict, repr=False)
    _settings: list[OuterSettings] = field(default_factory=list, repr=False)

    def tools(self, tree: Oid, root: str) -> Tools:
        """Return the tools that the gates of a tree would use.

        rustup reads the nearest `rust-toolchain` file (the rustup book, "Overrides"). If the tree
        has one, it is written to a separate directory, because the gates' work tree may be at
        another commit.
        """
        folders = (PurePosixPath(root), *PurePosixPath(root).parents)
        names = [str(folder / name) for folder in folders for name in _TOOLCHAIN_FILES]
        listed = self.git.cached_query("ls-tree", "-z", tree, "--", *names).text.split("\0")
        blobs = tuple(sorted(self._blob(tree, *line.split("\t", 1)) for line in listed if line))
        if blobs not in self._tools:
            home = self._home(blobs)
            (home / root).mkdir(parents=True, exist_ok=True)
            self._tools[blobs] = Tools(home / root, sources.wrap_for(home, sandbox=self.sandbox))
        return self._tools[blobs]

    def _blob(self, tree: Oid, facts: str, path: str) -> tuple[str, str]:
        """Return a path of a tree and its blob; "" for a link that leads to none, since rustup follows links."""
        mode, _, blob = facts.split(" ")
        if mode == _LINK:
            follow = ("cat-file", "--batch-check=%(objectname)", "--follow-symlinks")
            found = self.git.cached_query(*follow, stdin=f"{tree}:{path}\n".encode()).text
            blob = "" if " " in found else found
        return path, blob

    def toolchain(self, gate: Gate, tree: Oid, root: str) -> Toolchain:
        """Return the toolchain that would compile for a gate.

        Empty if it or the sandbox is missing.
        """
        if not (shutil.which("rustc") and shutil.which("cargo")) or (self.sandbox and bubblewrap.missing_tool()):
            return Toolchain("", "")
        return self.tools(tree, root).toolchain(gate.argv)

    def _home(self, blobs: Sequence[tuple[str, str]]) -> Path:
        """Return a directory that holds only these files, beside the gates' work trees."""
        base = private_directory(slots.work_dir(self.git.common_dir()) / "toolchains")
        home = private_directory(base / hashlib.sha256(json.dumps(blobs).encode()).hexdigest()[:16])
        for path, blob in blobs:
            target = home / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if blob:
                target.write_bytes(self.git.cached_query("cat-file", "blob", blob).stdout)
        return home

    def outer_settings(self, tree: Oid) -> str:
        """Return the hash of the settings outside a tree, as the gates see them."""
        if not self._settings:
            self._settings.append(outer_settings.read(self.git))
        return self._settings[0].digest(self.git, tree)


class Known(msgspec.Struct, frozen=True):
    """The valid receipts of one tree.

    Attributes:
        git: the repository.
        settings: the `[gates]` table.
        receipts: newest first; signatures are not verified yet.
    """

    git: Git
    settings: GateSettings
    receipts: tuple[KnownReceipt, ...]

    def prove(self, query: ReceiptQuery) -> Proof:
        """Evaluate the receipts; verify signatures if stack.toml requires them.

        Raises:
            UsageError: stack.toml names a missing file of signers.
        """
        full_query = structs.replace(query, signed=signing.demanded(self.settings))
        about = [known for known in self.receipts if concerns(full_query, known.receipt)]
        if full_query.signed and about:
            allowed = signing.signers_of(self.git, self.settings)
            about = [_with_signer(known, allowed) for known in about]
        return prove(full_query, about)


def _with_signer(known: KnownReceipt, signers: signing.Signers | None) -> KnownReceipt:
    signature = signing.signature_path(Path(known.file))
    if not (known.receipt.passed and signature.is_file()):
        return known
    if signers is None:
        return structs.replace(known, signature=True)
    found = signing.examine(Path(known.file).read_bytes(), signature.read_bytes(), signers)
    return structs.replace(known, signer=found.signer, signature=True, problem=found.problem)


def known_receipts(git: Git, tree: Oid, settings: GateSettings, say: Callable[[str], None] = lambda _: None) -> Known:
    """Return the valid receipts of a tree; report corrupt ones and those from the future.

    Args:
        git: the repository.
        tree: the tree.
        settings: the `[gates]` table.
        say: receives a line for each ignored receipt.
    """
    found = []
    state_now = functools.cache(outside_packages.state_of)  # receipts of several gates name the same directories
    latest = dt.datetime.now(dt.timezone.utc) + _SKEW
    for path, receipt in Store(git.state_dir()).read(tree):
        if isinstance(receipt, str):
            say(f"receipt {path.name} is ignored: {receipt}")
        elif receipt.began > latest:
            say(f"receipt {path.name} is ignored: it says that it began at {receipt.started}, which is yet to come")
        else:
            place = outside_packages.changed(receipt.outside, state_now)
            changed = changed_outside(place) if place else _found_since(git, receipt)
            found.append(KnownReceipt(str(path), receipt, changed=changed))
    return Known(git, settings, tuple(found))


def _found_since(git: Git, receipt: Receipt) -> str:
    """Return why a run without a submodule no longer counts, or "" if the submodule is still missing."""
    missing = set(receipt.missing)
    available = missing - submodules.unavailable(git, receipt.tree) if missing else missing
    return found_since(min(available)) if available else ""


def ran(known: Known, gate: Gate, tree: Oid) -> bool:
    """Return whether any receipt is of this gate and tree."""
    return any(concerns(query_of(gate, tree), each.receipt) for each in known.receipts)


def query_of(gate: Gate, tree: Oid) -> ReceiptQuery:
    """Return the receipt query of a gate on a tree, with any toolchain and configuration."""
    env = gate_environment(gate)
    return ReceiptQuery(gate.name, tree, gate.argv, env, sandboxed=gate.sandbox, expects=gate.expects, root=gate.root)


def query_now(gate: Gate, tree: Oid, toolchain: Toolchain | None, config: str | None) -> ReceiptQuery:
    """Return the receipt query of a gate on a tree as it would run now."""
    return structs.replace(query_of(gate, tree), toolchain=toolchain, config_sha256=config)


def of_commit(
    git: Git,
    commit: Oid,
    settings: GateSettings,
    gates: Iterable[Gate],
    surroundings: Surroundings | None = None,
    known: Known | None = None,
) -> dict[str, GateOutcome]:
    """Return the outcomes that receipts prove for a commit's tree, by gate; nothing runs.

    Gates that never finished on this tree are left out.

    Args:
        git: the repository.
        commit: the commit.
        settings: the `[gates]` table.
        gates: the gates.
        surroundings: cached toolchains, if any.
        known: the tree's receipts, if read already.

    Raises:
        UsageError: stack.toml names a missing file of signers.
    """
    if signing.demanded(settings):
        signing.signers_of(git, settings)  # a missing file is an error even without receipts
    tree = git.tree(commit)
    known = known or known_receipts(git, tree, settings)
    local = surroundings or Surroundings(git, settings.sandbox)
    found = {}
    for gate in gates:
        if ran(known, gate, tree):
            outcome = outcome_of(gate, known.prove(query_on(gate, tree, settings, local)))
            if outcome is not None:
                found[gate.name] = outcome
    return found


def query_on(gate: Gate, tree: Oid, settings: GateSettings, local: Surroundings) -> ReceiptQuery:
    """Return the receipt query of a gate.

    The toolchain is only known if gates run on this machine.
    """
    if settings.executor == "local":
        toolchain = local.toolchain(gate, tree, settings.root)
        return query_now(gate, tree, toolchain, local.outer_settings(tree))
    executor = settings.executor if settings.executor == "actions" else ""
    return structs.replace(query_of(gate, tree), executor=executor)


def of_queries(known: Known, queries: Iterable[tuple[ReceiptQuery, Gate]]) -> dict[str, GateOutcome]:
    """Return the outcomes that receipts prove, by gate; gates that never finished are left out."""
    found = ((gate.name, outcome_of(gate, known.prove(query))) for query, gate in queries)
    return {name: outcome for name, outcome in found if outcome is not None}


def reusable(known: Known, query: ReceiptQuery, gate: Gate) -> GateOutcome | None:
    """Return the outcome if the gate's newest run passed; None: the gate has to run.

    The outcome may be flaky; the caller decides whether that is accepted.
    """
    outcome = outcome_of(gate, known.prove(query))
    return outcome if outcome is not None and newest_passed(outcome) else None


def newest_passed(outcome: GateOutcome) -> bool:
    """Return whether the newest valid run passed, for an outcome from receipts."""
    return outcome.verdict in {Verdict.PASSED, Verdict.FLAKY} and not outcome.since


def confirmed(known: Known, query: ReceiptQuery, outcome: GateOutcome) -> GateOutcome:
    """Return the outcome of a finished run in view of its receipts: flaky, or without a signature.

    Args:
        known: the tree's receipts, including the new one.
        query: the gate as it ran.
        outcome: the outcome of the run; only a pass or a failure can change.
    """
    if outcome.verdict not in {Verdict.PASSED, Verdict.FAILED}:
        return outcome
    proof = known.prove(query)
    if proof.verdict is Verdict.FLAKY:
        why = _flaky(outcome.diagnosis if outcome.verdict is Verdict.FAILED else "")
        return replace(
            outcome, verdict=Verdict.FLAKY, diagnosis=why, passes=proof.passes, runs=proof.runs, since=proof.since
        )
    if outcome.verdict is Verdict.PASSED and proof.verdict is not Verdict.PASSED:
        why = proof.reason or "it left no receipt that proves it"
        return replace(outcome, verdict=Verdict.STALE, diagnosis=f"it passed, but does not count: {why}")
    return outcome


def _flaky(failure: str) -> str:
    """Return the diagnosis of a flaky gate; `failure` is "" if its newest run passed."""
    return f"the newest run failed: {failure}" if failure else "an older run failed"


def outcome_of(gate: Gate, proof: Proof) -> GateOutcome | None:
    """Return a proof as a gate's outcome; None: the gate never finished on this tree."""
    known = proof.known
    if proof.verdict is None or known is None:
        return None
    receipt, log = known.receipt, Path(known.file).with_name(known.receipt.log)
    command = replace(gate, flags=receipt.flags).command_line
    outcome = GateOutcome(
        gate.name, proof.verdict, receipt.seconds, command, receipt.toolchain.name, log=str(log), reused=True,
        sandbox=receipt.sandbox, summary=receipt.summary, started=receipt.started, cpu_seconds=receipt.cpu_seconds,
        attempts=receipt.attempts,
        passes=proof.passes, runs=proof.runs, since=proof.since, tests=receipt.tests, sources=receipt.sources,
        receipt=receipt_id(Path(known.file).name), signer=known.signer,
    )  # fmt: skip
    if proof.verdict is Verdict.STALE:
        return replace(outcome, diagnosis=proof.reason)
    if receipt.passed:
        return replace(outcome, diagnosis=_flaky("") if proof.verdict is Verdict.FLAKY else "")
    why = receipt.failure.get("diagnosis") or receipt.lacked or receipt.summary or "see its log"
    if proof.verdict is Verdict.FLAKY:
        why = _flaky(why)
    return replace(outcome.with_failure(receipt.failure), diagnosis=why)
