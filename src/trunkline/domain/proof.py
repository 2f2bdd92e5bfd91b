"""Decide what receipts prove. A pure function: a query and receipts in, a verdict out.

Every task that uses receipts calls it: gates, push, note, checklist, status, land, report,
receipts.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from trunkline.domain.cause import OF_MACHINE
from trunkline.domain.receipt import Receipt, Toolchain, Verdict
from trunkline.domain.signers_file import Person, covers, names_of
from trunkline.domain.words import count_of

if TYPE_CHECKING:
    from trunkline.domain.names import Oid


class Terms(msgspec.Struct, frozen=True):
    """Conditions of an attestation: receipts of others that replace CI must meet them too.

    Attributes:
        repository: the repository (`repository.identity`).
        now: the current time.
        max_age: how long before `now` a run may have started.
        commit: only a run on this commit counts; None: on any commit with the tree.
        release: the release of rustc, like `1.95.0` or `1.95`; "" for any.
        signers: the only signers who count; None: everybody in the signers file.
        authors: email addresses of the authors, none of whom counts as a signer; None: they do.
        persons: the persons of the signers file, for the comparison of signers with authors.
    """

    repository: str
    now: dt.datetime
    max_age: dt.timedelta
    commit: Oid | None = None
    release: str = ""
    signers: frozenset[str] | None = None
    authors: frozenset[str] | None = None
    persons: tuple[Person, ...] = ()

    def mismatch(self, receipt: Receipt) -> str:
        """Return why a receipt does not meet the conditions, or ""."""
        age, ran = self.now - receipt.began, _release(receipt.toolchain)
        fits = not self.release or f"{ran}.".startswith(f"{self.release}.")
        differences = (
            (not receipt.repository, "it does not say of which repository it is"),
            (
                receipt.repository != self.repository,
                f"it is a receipt of {receipt.repository}, not of this repository",
            ),
            (age < -_SKEW, f"it says that it began at {receipt.started}, which is yet to come"),
            (age > self.max_age, f"it is {days(age)} old, and [attest] max-age is {days(self.max_age)}"),
            (
                self.commit not in {None, receipt.commit},
                f'it ran on commit {receipt.commit[:12]}, and [attest] rebase is "refuse"',
            ),
            (not fits, f"it ran with rustc {ran or 'unknown'}, and the policy demands {self.release}"),
            (bool(receipt.outside), outside_package(next(iter(receipt.outside), ""))),
            (bool(receipt.missing), f"the submodule {next(iter(receipt.missing), '')} was missing when it ran"),
        )
        return next((why for differs, why in differences if differs), "")

    def distrust(self, signer: str) -> str:
        """Return why a signature of a trusted signer does not count, or "".

        Args:
            signer: the names of the signer in the signers file, joined by commas.
        """
        names = signer.split(",")
        if self.signers is not None and not self.signers.intersection(names):
            return f"{signer} may not waive it: [attest] waive names {', '.join(sorted(self.signers)) or 'nobody'}"
        if self.authors is None:
            return ""
        if not all("@" in name for name in names):
            return f"[attest] independent needs email addresses in the signers file; {signer} is none"
        also = sorted(names_of(names, self.persons))
        same = [who for who in sorted(self.authors) for name in also if covers(name, who)]
        return (
            f"{signer} signed it and is an author of the commits ({same[0]}): another person must sign"
            if same
            else ""
        )


_SKEW = dt.timedelta(minutes=10)
"""The largest accepted difference between the clocks of two machines."""
_RELEASE = re.compile(r"rustc (\d+\.\d+\.\d+)")


def _release(toolchain: Toolchain) -> str:
    match = _RELEASE.match(toolchain.name)
    return match[1] if match else ""


def days(span: dt.timedelta) -> str:
    """Return a duration as `12 days`, `5 hours` or `3 minutes`, rounded down."""
    seconds = span.total_seconds()
    for unit, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            return count_of(int(seconds // unit), noun)
    return "less than a minute"


class ReceiptQuery(msgspec.Struct, frozen=True):
    """A gate on a tree, as it would run now; receipts must match it.

    Attributes:
        gate: the gate's name.
        tree: the tree.
        argv: the command.
        env: the variables it sets.
        toolchain: the current toolchain; None: the gates run elsewhere, so the newest receipt's
            toolchain is used.
        config_sha256: see Receipt; None as for the toolchain.
        sandboxed: only a run inside the sandbox counts.
        expects: the exit code that counts as a pass.
        root: the directory in which it runs.
        executor: only a run of this executor counts; "" for any.
        signed: a pass counts only with a signature of a trusted signer.
        terms: the further conditions of an attestation, if any.
    """

    gate: str
    tree: Oid
    argv: tuple[str, ...]
    env: Mapping[str, str]
    toolchain: Toolchain | None = None
    config_sha256: str | None = None
    sandboxed: bool = False
    expects: int = 0
    root: str = "."
    executor: str = ""
    signed: bool = False
    terms: Terms | None = None


class KnownReceipt(msgspec.Struct, frozen=True):
    """A valid receipt.

    Attributes:
        file: the path of its file.
        receipt: its content.
        signer: the trusted signer who signed it, names joined by commas; "" for none.
        signature: it has any signature.
        problem: why its signature does not count, if known.
        changed: why what was outside of the repository is no longer as it was when it ran, or "".
    """

    file: str
    receipt: Receipt
    signer: str = ""
    signature: bool = False
    problem: str = ""
    changed: str = ""


class Proof(msgspec.Struct, frozen=True):
    """The result of a query.

    Attributes:
        verdict: PASSED, FAILED, FLAKY or STALE; None: the gate never finished on this tree.
        known: the deciding receipt: the newest matching one, or the newest of all if stale.
        passes: the number of matching receipts that passed.
        runs: the number of matching receipts.
        reason: why the verdict is stale, or "".
        since: the start of the latest unbroken series of failures, ISO 8601; "" if the newest
            passed.
    """

    verdict: Verdict | None
    known: KnownReceipt | None = None
    passes: int = 0
    runs: int = 0
    reason: str = ""
    since: str = ""


def is_of_machine(receipt: Receipt) -> bool:
    """Return whether a run failed because of the machine, such as a full disk: it proves nothing about the tree."""
    return not receipt.passed and receipt.failure.get("cause") in OF_MACHINE


def concerns(query: ReceiptQuery, receipt: Receipt) -> bool:
    """Return whether a receipt is for the query's gate and tree, with any command."""
    return (receipt.gate, receipt.tree) == (query.gate, query.tree)


def prove(query: ReceiptQuery, receipts: Sequence[KnownReceipt]) -> Proof:
    """Return the verdict that receipts prove for a gate on a tree.

    The newest receipt that matches the query decides. If both passes and failures match, the
    verdict is FLAKY. A pass without a required signature is ignored. A failure needs no signature,
    because a forged one can only withhold a proof. A failure because of the machine is ignored.

    Args:
        query: the gate and tree.
        receipts: valid receipts, of any gates and trees.
    """
    about = sorted(
        (known for known in receipts if concerns(query, known.receipt) and not is_of_machine(known.receipt)),
        key=lambda known: known.receipt.began,
        reverse=True,
    )
    counted = _counted(query, about)
    if not counted:
        return _stale(query, about)
    passes = sum(known.receipt.passed for known in counted)
    if passes == len(counted):
        verdict = Verdict.PASSED
    elif passes:
        verdict = Verdict.FLAKY
    else:
        verdict = Verdict.FAILED
    return Proof(verdict, counted[0], passes, len(counted), since=_since(counted))


def _counted(query: ReceiptQuery, about: Sequence[KnownReceipt]) -> list[KnownReceipt]:
    """Return the matching receipts, newest first, without untrusted passes.

    If the current toolchain and configuration are unknown, those of the newest trusted receipt are
    used, since receipts of different toolchains are not comparable.
    """
    counted = [
        known
        for known in about
        if not known.changed and not mismatch(query, known.receipt) and not untrusted(query, known)
    ]
    if not counted:
        return []
    newest = counted[0].receipt
    toolchain = newest.toolchain if query.toolchain is None else query.toolchain
    config = newest.config_sha256 if query.config_sha256 is None else query.config_sha256
    same = toolchain, config
    return [known for known in counted if (known.receipt.toolchain, known.receipt.config_sha256) == same]


def _stale(query: ReceiptQuery, about: Sequence[KnownReceipt]) -> Proof:
    if not about:
        return Proof(None)
    newest = about[0]
    reason = mismatch(query, newest.receipt) or untrusted(query, newest)
    if not reason and newest.changed:
        reason = newest.changed
    return Proof(Verdict.STALE, newest, reason=reason)


def _since(counted: Sequence[KnownReceipt]) -> str:
    since = ""
    for known in counted:
        if known.receipt.passed:
            break
        since = known.receipt.started
    return since


def untrusted(query: ReceiptQuery, known: KnownReceipt) -> str:
    """Return why a receipt's signature does not suffice, or ""."""
    if not query.signed or not known.receipt.passed:
        return ""
    if known.signer:
        return query.terms.distrust(known.signer) if query.terms else ""
    return known.problem or (UNKNOWN_SIGNER if known.signature else UNSIGNED)


UNSIGNED = "its receipt is not signed, and stack.toml demands a signature"
UNKNOWN_SIGNER = "its receipt is signed with a key that stack.toml does not trust"


def mismatch(query: ReceiptQuery, receipt: Receipt) -> str:
    """Return why a receipt of the query's gate and tree does not match the query, or "".

    The words are the same in every task.
    """
    then, now = receipt.toolchain, query.toolchain
    elsewhere = f"it ran by {receipt.executor or 'trunkline'}, and stack.toml has executor {query.executor}"
    differences = (
        (receipt.argv != query.argv, "the gate's command has changed since"),
        (receipt.root != query.root, f"it ran in {receipt.root}, and [gates] root is {query.root}"),
        (dict(receipt.env) != dict(query.env), "the gate's environment has changed since"),
        (receipt.expects != query.expects, "the exit code that counts as a pass has changed since"),
        (now is not None and then != now, f"it ran with {_named(then, now)}"),
        (query.config_sha256 not in {None, receipt.config_sha256}, OTHER_CONFIG),
        (query.sandboxed and receipt.sandbox == "none", "it ran without the sandbox"),
        (query.executor not in {"", receipt.executor}, elsewhere),
    )
    why = next((why for differs, why in differences if differs), "")
    return why or (query.terms.mismatch(receipt) if query.terms else "")


def outside_package(place: str) -> str:
    """Return why a receipt of a run with a package outside of the repository proves nothing to others."""
    return f"it was compiled with {place}, which is not in the commit"


def changed_outside(place: str) -> str:
    """Return why a receipt of a run with a package or file outside of the repository proves nothing any more."""
    return f"{place}, which it was compiled with, has changed since, or is too large to compare"


def found_since(submodule: str) -> str:
    """Return why a receipt of a run without a submodule proves nothing any more."""
    return f"the submodule {submodule} was missing when it ran, and is available now"


OTHER_CONFIG = (
    "settings outside the repository have changed since: those of cargo, rustfmt or clippy, those of git that change"
    " what a checkout writes, or the paths of libraries"
)


def _named(then: Toolchain, now: Toolchain | None) -> str:
    if now is None:
        return then.name
    if then.name != now.name:
        return f"{then.name or 'no toolchain'}, now it is {now.name or 'no toolchain'}"
    if then.cargo != now.cargo:
        return f"{then.cargo or 'no cargo'}, now it is {now.cargo or 'no cargo'}"
    return f"another build of {now.name}"
