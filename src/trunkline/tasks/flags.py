"""The flags that tasks share: what each means, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.domain.errors import UsageError
from trunkline.domain.step import PUBLISHING, step_names
from trunkline.workflows.context import Options

HELP = {
    "pr": "the pull request; default: TRUNKLINE_PR, else that of the branch checked out",
    "stack": "which stack, where stack.toml has several",
    "skip": "steps to leave out, by name, separated by commas; said in the note",
    "accept-unavailable": "gates that may be impossible here (a missing toolchain), separated by commas",
    "fork-point": "the last commit below the entry's own, where the evidence leaves a choice",
    "fresh": "run every gate, whatever the receipts say",
    "no-push": "stop before anything that others see: skips push, ready and note",
    "dry-run": "print the plan, change nothing",
    "require": "what a merge requires: checks (GitHub's are green) or gates (this machine's receipts suffice)",
    "method": "how to merge: squash, merge or rebase; default: stack.toml's, else squash where it is allowed",
    "watch": "wait for hours, for reviewers too",
    "json": "one JSON object on stdout; progress on stderr",
    "drop-emptied": "leave out commits that change nothing any more; else they are kept, and listed",
    "yes": "ask nothing",
}


def help_of(*names: str) -> dict[str, str]:
    """Return what these flags mean, as Invoke wants it."""
    return {name: HELP[name] for name in names}


STEP_FLAGS = ("pr", "stack", "skip", "accept-unavailable", "fork-point", "fresh", "dry-run", "json", "yes")
"""What every step of a landing takes."""


def options_of(
    skip: str, accept_unavailable: str, fork_point: str, *, fresh: bool, no_push: bool, drop_emptied: bool = False
) -> Options:
    """Return what the flags of a landing ask for.

    Raises:
        UsageError: `--skip` names no step.
    """
    skipped = step_names(skip) | (PUBLISHING if no_push else frozenset())
    accepted = frozenset(name.strip() for name in accept_unavailable.split(",") if name.strip())
    return Options(skipped, accepted, fork_point, fresh, drop_emptied=drop_emptied)


def one_of(flag: str, given: str, known: Sequence[str]) -> str:
    """Return what a flag was given, or "" where it was not.

    Raises:
        UsageError: it is none of what is known.
    """
    if given and given not in known:
        raise UsageError(
            f"{flag} {given}: there is no such choice", why=f"it is one of {', '.join(known)}",
            next_command="invoke --help land",
        )  # fmt: skip
    return given
