"""Evaluate the checks of an entry on a commit; each has a verdict and a receipt, as a gate has.

Commands and tests run like gates. Patterns are searched in the commit's objects without a checkout.
A person's confirmation of a manual check is a receipt too, valid for exactly that tree.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from trunkline.domain.check import Check, CommandCheck, ManualCheck, Match, PatternCheck, TestCheck, judge
from trunkline.domain.names import Oid
from trunkline.domain.proof import ReceiptQuery
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import execute, invalidation, proof, request, slots
from trunkline.gates.catalogue import Gate, catalogue, feature_flags
from trunkline.gates.gate_workspace import GateWorkspace
from trunkline.git.git import Git
from trunkline.rust import structure
from trunkline.state.receipt_store import Store

_SHOWN = 10  # matches shown for a failed check; the log has all of them
_HUNK = re.compile(rb"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")


class Subject(msgspec.Struct, frozen=True):
    """A commit whose checks are evaluated.

    Attributes:
        git: the repository.
        commit: the entry's tip.
        base: the parent of its first own commit; added lines are relative to it.
        settings: the `[gates]` table.
    """

    git: Git
    commit: Oid
    base: Oid
    settings: GateSettings

    @property
    def tree(self) -> Oid:
        """The commit's tree, which receipts refer to."""
        return self.git.tree(self.commit)


def proven_outcomes(
    subject: Subject,
    checks: Collection[Check],
    surroundings: proof.Surroundings | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, GateOutcome]:
    """Return the outcomes that receipts prove for exactly this tree, by check; nothing runs.

    Commands and tests are evaluated as gates are (`proof.of_commit`); patterns and manual checks
    need no toolchain.
    """
    gates = [(check, _gate(subject, check)) for check in checks]
    commands = [gate for check, gate in gates if isinstance(check, CommandCheck | TestCheck)]
    rest = [gate for check, gate in gates if not isinstance(check, CommandCheck | TestCheck)]
    local_settings = replace(subject.settings, executor="local")  # checks run locally, whatever runs the gates
    known = proof.known_receipts(subject.git, subject.tree, local_settings, say)
    found = (
        proof.of_commit(subject.git, subject.commit, local_settings, commands, surroundings, known)
        if commands
        else {}
    )
    return {**found, **proof.of_queries(known, ((_bare_query(subject, gate), gate) for gate in rest))}


def _bare_query(subject: Subject, gate: Gate) -> ReceiptQuery:
    """Return the receipt query of a pattern or manual check: no environment or toolchain."""
    return ReceiptQuery(gate.name, subject.tree, gate.argv, {})


def run(
    subject: Subject,
    checks: Collection[Check],
    *,
    fresh: bool = False,
    clean: bool = False,
    progress: Callable[[GateOutcome], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[GateOutcome, ...]:
    """Evaluate checks in order; those with a valid receipt do not run again.

    Args:
        subject: the commit.
        checks: the entry's checks.
        fresh: ignore receipts, except those of manual checks.
        clean: ignore earlier build output.
        progress: receives each outcome.
        say: receives messages for the user besides the verdicts.

    Raises:
        UsageError: a pattern is invalid.
    """
    kept = [check for check in checks if not fresh or isinstance(check, ManualCheck)]
    found = proven_outcomes(subject, kept, say=say)
    least = invalidation.least(fresh=fresh, clean=clean)
    outcomes = []
    for check in checks:
        outcome = found.get(check.name)
        known = outcome is not None and proof.newest_passed(outcome)
        outcomes.append(outcome if known and outcome else _evaluated(subject, check, least, say=say))
        progress(outcomes[-1])
    return tuple(outcomes)


def tick(subject: Subject, check: ManualCheck, *, who: str, reason: str, say: Callable[[str], None]) -> GateOutcome:
    """Record a person's confirmation of a manual check for exactly this tree.

    Args:
        subject: the commit that was reviewed.
        check: the manual check.
        who: the person's name, from git.
        reason: why the check holds.
        say: receives messages for the user besides the verdict.
    """
    _store_receipt(
        subject, check, f"{who}: {reason}", f"{check.text}\n\n{who}\n{reason}\n", Toolchain("", ""), 0.0, 0, say
    )
    found = proven_outcomes(subject, [check]).get(check.name)
    return found or GateOutcome(check.name, Verdict.FAILED, diagnosis="its receipt cannot be read")


def stale_tick(subject: Subject, check: ManualCheck) -> Receipt | None:
    """Return the newest confirmation of a check on another tree; None: there is none."""
    gate = _gate(subject, check)
    ticks = (
        receipt
        for receipt in Store(subject.git.state_dir()).receipts_of_gate(check.name)
        if receipt.argv == gate.argv
    )
    return max(ticks, key=lambda receipt: receipt.started, default=None)


def _evaluated(
    subject: Subject, check: Check, least: invalidation.Reset, *, say: Callable[[str], None]
) -> GateOutcome:
    if isinstance(check, PatternCheck):
        return _searched(subject, check, say)
    if isinstance(check, ManualCheck):
        return _unticked(subject, check)
    with slots.slot(subject.git, subject.commit) as slot:
        place = request.new_run(subject.git.common_dir())
        workspace = GateWorkspace(
            subject.git, slot, subject.settings.root, place, subject.settings, executor="", least=least
        )
        return execute.execute(workspace, _gate(subject, check), fresh=True, toolchain=None, say=say)


def _unticked(subject: Subject, check: ManualCheck) -> GateOutcome:
    earlier = stale_tick(subject, check)
    if earlier is None:
        why = "nobody has ticked it"
    else:
        why = f"the tree has changed since {earlier.summary} ({earlier.started[:10]}, tree {earlier.tree[:7]})"
    return GateOutcome(check.name, Verdict.FAILED, command=_gate(subject, check).command_line, diagnosis=why)


def _searched(subject: Subject, check: PatternCheck, say: Callable[[str], None]) -> GateOutcome:
    tool, gate = structure.version(), _gate(subject, check)
    if not tool:
        return GateOutcome(check.name, Verdict.UNAVAILABLE, command=gate.command_line, fix=structure.INSTALL)
    began = time.monotonic()
    files = _named_files(subject, check.paths) if check.paths else _added_lines(subject)
    sources, lines = _read(subject, files), {file.path: file.lines for file in files}
    matches = structure.search(sources, check.pattern, check.inside, partial(_source, subject))
    counted = tuple(match for match in matches if _counts(match, lines[match.path]))
    judgement = judge(check, counted, len(sources))
    shown = [str(match) for match in judgement.shown]
    log = "\n".join([gate.command_line, "", judgement.summary, *shown, ""])
    seconds, code = time.monotonic() - began, 0 if judgement.holds else 1
    found = f": {shown[0]}" if judgement.holds and len(shown) == 1 else ""
    path = _store_receipt(subject, check, judgement.summary + found, log, Toolchain(tool, ""), seconds, code, say)
    more = [f"and {len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
    outcome = GateOutcome(
        check.name,
        Verdict.PASSED if judgement.holds else Verdict.FAILED,
        seconds,
        gate.command_line,
        tool,
        "" if judgement.holds else "\n".join([judgement.summary, *shown[:_SHOWN], *more]),
        log=str(path),
        summary=judgement.summary + found,
    )
    known = proof.known_receipts(subject.git, subject.tree, subject.settings)
    return proof.confirmed(known, _bare_query(subject, gate), outcome)


def _counts(match: Match, lines: range | frozenset[int]) -> bool:
    return not lines or any(line in lines for line in range(match.line, match.end + 1))


_WHOLE = range(0)
"""All lines of a file."""


class _File(msgspec.Struct, frozen=True):
    """A Rust source of the commit to search.

    Attributes:
        path: from the repository's top; bytes that are not UTF-8 are surrogates.
        blob: its content.
        lines: the lines in which a match counts.
    """

    path: str
    blob: Oid
    lines: range | frozenset[int] = _WHOLE


def _named_files(subject: Subject, paths: Collection[str]) -> tuple[_File, ...]:
    git = subject.git
    nothing = git.cached_query(
        "hash-object", "-t", "tree", "/dev/null"
    ).text  # the empty tree, in the repository's hash
    specs = [f":(top,glob){path}" for path in paths]
    changes = git.query("diff-tree", "-r", "-z", "--raw", "--no-renames", nothing, subject.commit, "--", *specs)
    return tuple(_File(path, blob) for path, _, blob in _raw(changes.text) if path.endswith(".rs"))


def _added_lines(subject: Subject) -> tuple[_File, ...]:
    """Return the files to which the entry's own commits add lines, with those line numbers.

    A patch quotes and escapes file names, so files are matched by their old and new blob.
    """
    compared = (
        "--no-renames", "--diff-filter=AMT", subject.base, subject.commit, "--", ":(top,glob)**/*.rs",
    )  # fmt: skip
    changes = subject.git.query("diff-tree", "-r", "-z", "--raw", *compared).text
    patch = subject.git.query(
        "diff-tree", "-r", "-p", "--unified=0", "--inter-hunk-context=0", "--full-index", "--text", "--no-color",
        "--no-ext-diff", "--no-textconv", *compared,
    ).stdout  # fmt: skip
    numbers = dict(_hunks(patch.split(b"\n")))
    found = ((path, blob, numbers.get((old, blob), frozenset())) for path, old, blob in _raw(changes))
    return tuple(_File(path, blob, lines) for path, blob, lines in found if lines)


def _raw(text: str) -> Iterator[tuple[str, Oid, Oid]]:
    """Parse `git diff-tree --raw -z` into path, old blob (zeros: no file) and new blob."""
    fields = iter(text.split("\0"))
    for about, path in zip(fields, fields, strict=False):
        before, mode, old, new, _ = about.removeprefix(":").split(" ")
        if mode in _REGULAR:
            yield path, Oid(old if before in _REGULAR else "0" * len(old)), Oid(new)


_REGULAR = frozenset({"100644", "100755"})
"""Modes of files; links and submodules are not searched."""
_INDEX = re.compile(rb"index ([0-9a-f]{40,64})\.\.([0-9a-f]{40,64})")


def _hunks(lines: Sequence[bytes]) -> Iterator[tuple[tuple[Oid, Oid], frozenset[int]]]:
    """Yield old and new blob and the added line numbers of each file in a patch without context.

    A source line cannot look like a header, because each begins with `+` or `-`.
    """
    blobs, numbers = (Oid(""), Oid("")), set[int]()
    for line in lines:
        if line.startswith(b"diff --git"):
            yield blobs, frozenset(numbers)
            blobs, numbers = (Oid(""), Oid("")), set()
        elif index := _INDEX.match(line):
            blobs = Oid(index[1].decode()), Oid(index[2].decode())
        elif hunk := _HUNK.match(line):
            start, count = int(hunk[1]), int(hunk[2] or 1)
            numbers.update(range(start, start + count))
    yield blobs, frozenset(numbers)


def _read(subject: Subject, files: Collection[_File]) -> dict[str, str]:
    request_lines = "".join(f"{file.blob}\n" for file in files).encode()
    output = subject.git.query("cat-file", "--batch", stdin=request_lines).stdout
    return dict(zip((file.path for file in files), _blobs(output), strict=True))


def _source(subject: Subject, path: str) -> str | None:
    done = subject.git.cached_query("cat-file", "blob", f"{subject.commit}:{path}", ok=(0, 128))
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _blobs(output: bytes) -> Iterator[str]:
    """Parse the contents in the output of `git cat-file --batch`."""
    start = 0
    while start < len(output):
        end = output.index(b"\n", start)
        size = int(output[start:end].split()[-1])
        start = end + 1 + size + 1
        yield output[end + 1 : start - 1].decode("utf-8", "replace")


def _gate(subject: Subject, check: Check) -> Gate:
    """Return a check as a gate.

    A pattern or manual check has a descriptive command that never runs.
    """
    settings = subject.settings
    own = Gate(check.name, (), {}, check.name, (), settings.timeout, settings.sandbox)
    if isinstance(check, CommandCheck):
        return replace(own, argv=check.run, env={**settings.env, **check.env}, expects=check.exit)
    if isinstance(check, TestCheck):
        return _test_gate(check, settings)
    if isinstance(check, ManualCheck):
        return replace(own, argv=("tick", check.text))
    inside = [part for place in check.inside for part in ("--inside", place)]
    scope = check.paths or ("--added-since", subject.base)
    return replace(own, argv=("ast-grep", "--lang", "rust", f"--{check.expect.value}", check.sought, *inside, *scope))


def _test_gate(check: TestCheck, settings: GateSettings) -> Gate:
    """Return the stack's test gate with test filters: it reuses the gate's compiled units."""
    gate = next(gate for gate in catalogue(settings) if gate.name == "test")
    locked = ("--locked",) if settings.locked else ()
    argv = gate.argv if check.args is None else ("cargo", "test", *locked, *feature_flags(settings), *check.args)
    filtered = (*argv, *(() if "--" in argv else ("--",)), *check.tests)
    return replace(gate, name=check.name, argv=filtered, must_run=check.tests)


def _store_receipt(
    subject: Subject,
    check: Check,
    summary: str,
    log: str,
    tool: Toolchain,
    seconds: float,
    code: int,
    say: Callable[[str], None],
) -> Path:
    """Write the receipt of a check that ran no command; return the path of its log."""
    content = log.encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(content).hexdigest()
    receipt = Receipt(
        gate=check.name,
        commit=subject.commit,
        tree=subject.tree,
        argv=_gate(subject, check).argv,
        env={},
        passed_through=(),
        toolchain=tool,
        lock_sha256="",
        sandbox="none",
        started=dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds"),
        seconds=round(seconds, 3),
        exit_code=code,
        log=f"{digest[:32]}.log",
        log_sha256=digest,
        summary=summary,
    )
    return execute.store_receipt(subject.git, subject.settings, receipt, content, say)
