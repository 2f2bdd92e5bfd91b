"""Share the signed receipts of what a push publishes: `--attest`, or `auto` in `[attest]`."""

from __future__ import annotations

from msgspec.structs import replace

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain.command import exact_command
from trunkline.domain.errors import TrunklineError, UsageError
from trunkline.domain.names import short
from trunkline.domain.step import Outcome, StepStatus
from trunkline.domain.words import count_of
from trunkline.gates.catalogue import gate_names
from trunkline.git import signing
from trunkline.operations import attestation
from trunkline.state.lock import RepositoryLock


def is_wanted(scope: Scope) -> bool:
    """Return whether a push attests."""
    return scope.options.attest or scope.stack.attest.auto


def publishes(scope: Scope) -> tuple[str, ...]:
    """Return lines that describe the receipts that others will see."""
    if not is_wanted(scope):
        return ()
    return (f"push the receipts of {scope.entry.branch} to {scope.stack.remote} as git notes",)


def key_of(scope: Scope) -> str:
    """Return the key that will sign, before anything is pushed; "" if the push does not attest.

    Raises:
        UsageError: there is no key, or stack.toml names no signers.
        Refused: its signatures would not count.
    """
    if not is_wanted(scope):
        return ""
    settings = scope.stack.gates
    signers = signing.signers_of(scope.git, settings) if settings.signers else None
    if signers is None:
        raise UsageError(
            "--attest: stack.toml names no signers, so no receipt attests anything",
            why='[gates] signers names an allowed-signers file in the repository, like ".trunkline/allowed_signers"',
            next_command="${EDITOR:-vi} stack.toml   # [gates] signers",
        )
    key = attestation.key_of(scope.git, "", settings)
    attestation.require_signer(key, signers, scope.tracking)
    return key


def share(context: Context, lock: RepositoryLock, key: str, pushed: Outcome) -> Outcome:
    """Sign and share the receipts of the pushed commit, and of the one that the gates ran on.

    The branch is pushed by then, so a failure is a warning with the command that tries again.

    Args:
        context: the entry's context.
        lock: proof that the caller holds the repository lock.
        key: the key, see `key_of`; "": nothing is shared.
        pushed: the outcome of the push.
    """
    if not key:
        return pushed
    git, settings, tip = context.git, context.stack.gates, context.local_tip()
    names, trees = gate_names(settings), {git.tree(tip), git.tree(context.verified_commit())}
    try:
        signers = signing.signers_of(git, settings)
        assert signers is not None  # noqa: S101 -- `key_of` has refused that
        for tree in trees:
            attestation.sign_all(git, tree, names, key, signers)
        lines = [line for tree in trees for line in attestation.lines_of(git, tree, names)]
        moved = attestation.share(git, lock, context.stack.remote, lines)
    except TrunklineError as error:
        again = exact_command("attest", {"commit": short(tip)})
        details = (*pushed.details, f"the receipts were not shared: {error}", f"to share them: {again}")
        return replace(pushed, mark=StepStatus.WARNED, details=details)
    done = count_of(len(lines), "signed receipt") + (" shared" if moved else ", all shared before")
    mark = StepStatus.DONE if moved and pushed.mark is StepStatus.NOTHING else pushed.mark
    return replace(pushed, mark=mark, message=f"{pushed.message}; {done}")
