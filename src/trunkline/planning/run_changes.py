"""Read from a run's journal what it changed, and compare that with the current state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from trunkline.config import reading, validation
from trunkline.context.observation import World
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.changes import (
    Change,
    EntryInserted,
    EntryTakenOut,
    LocalMoved,
    NoteChanged,
    OpenStateChanged,
    RemoteMoved,
    StackFileChanged,
    StateChanged,
    TitleChanged,
    is_different,
    is_pushed_back,
    joined,
    note_of,
    rank,
)
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import BranchName, EntryKey, branch_ref, short
from trunkline.domain.records import Intent
from trunkline.domain.reverted_text import reverted
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import StepName
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.state.journal import Run


def changes_of(stack: Stack, run: Run, observe: Callable[[], World] | None = None) -> tuple[Change, ...]:
    """Return the changes of a run, completed or only intended, in the order of their reversal (`rank`).

    Args:
        stack: the run's stack.
        run: the run.
        observe: observes whether an intended merge happened; None: assume that it did.

    Raises:
        TrunklineError: the request to GitHub failed.
    """
    of_created, intended = _of_created_pulls(run), _intents(stack, run)
    merged = {key for key, intents in intended.items() if _stays(run, key, intents, observe)}
    lost_bases = {stack.entry(key).branch for key in merged}
    changes = (change for key, each in intended.items() if key not in merged for change in _joined(key, each))
    revertible = (_without_base(change, lost_bases) for change in changes)
    found = [each for each in revertible if is_different(each) and not _is_taken_over(stack, each, of_created)]
    return tuple(sorted((_with_index(change, run) for change in found), key=rank))


def _with_index(change: Change, run: Run) -> Change:
    """Return a move beneath a checkout with the trees of the index that `--all` changed."""
    if not isinstance(change, LocalMoved) or not change.keeps_files:
        return change
    staged = run.begun.staged
    if staged is None or staged.index == staged.wanted:
        return change
    return replace(change, index=staged.index, index_left=staged.wanted)


def _without_base(change: Change, merged: Collection[BranchName]) -> Change:
    """Return a change that keeps the base which the run set, if the former base is a branch that it merged.

    Such a branch is deleted sooner or later, and GitHub then closes what is based on it (cli/cli#1168).

    Args:
        change: the change.
        merged: the branches of the entries that the run merged.
    """
    if isinstance(change, StateChanged) and change.before.base in merged:
        return replace(change, before=replace(change.before, base=change.left.base))
    return change


def _of_created_pulls(run: Run) -> frozenset[BranchName]:
    """Return the branches whose pull requests the run created, or closed because a reverted run had created them."""
    ended = (record for record in run.records if isinstance(record, records.PullRequestClosed))
    return frozenset(record.branch for record in ended if record.number is not None)


def _is_taken_over(stack: Stack, change: Change, of_created: frozenset[BranchName]) -> bool:
    """Return whether a change is a push to a pull request that existed before the run, which recorded its number.

    The push stays: without its commits GitHub could close that pull request for good.
    """
    if not is_pushed_back(change) or change.deleted:
        return False
    entry = stack.entry(change.pr)
    return entry.number is None and entry.branch not in of_created


def _intents(stack: Stack, run: Run) -> dict[EntryKey, list[Intent]]:
    """Return the run's intents by entry, without withdrawn ones, which had no effect.

    An entry that got its number within the run is known by its branch, as when the run began.

    Intents of an abort are left out. A rescued pull request stays open: closing it again would be
    for good.
    """
    intents: dict[EntryKey, list[Intent]] = {}
    keys = {entry.branch: entry.key for entry in stack.entries}
    for record in run.records:
        match record:
            case records.Aborting():
                break
            case records.Intent() if record.step is not StepName.RESCUE:
                intents.setdefault(keys.get(record.branch, record.pr), []).append(record)
            case records.MoveWithdrawn():
                own = intents.get(keys.get(record.branch, record.pr), [])
                last = next((each for each in reversed(own) if _announced(each, record)), None)
                own[:] = [each for each in own if each is not last]
            case _:
                pass
    return intents


def _announced(intent: Intent, withdrawn: records.MoveWithdrawn) -> bool:
    return isinstance(intent, records.BranchMoved) and intent.new == withdrawn.new


def _stays(run: Run, pr: EntryKey, intents: Sequence[Intent], observe: Callable[[], World] | None) -> bool:
    """Return whether a run merged an entry: its changes to that entry are not reverted."""
    if not any(isinstance(intent, records.MergeRequested) for intent in intents):
        return False
    done = (record for record in run.records if isinstance(record, records.StepDone))
    if observe is None or any(record.step is StepName.MERGE and record.pr == pr for record in done):
        return True
    pr_now = observe().snapshot.pr(pr)
    return pr_now is not None and pr_now.state is PrState.MERGED


def _joined(key: EntryKey, intents: Iterable[Intent]) -> Iterable[Change]:
    """Return the changes of an entry, with changes of the same kind combined."""
    found: dict[type[Change], Change] = {}
    for intent in intents:
        change = intent.change()
        if change is None or (isinstance(change, StateChanged | TitleChanged) and intent.pr != key):
            continue  # the state of a pull request that the run created or took over: there was none before
        change = replace(change, pr=key)
        known = found.get(type(change))
        found[type(change)] = change if known is None else joined(known, change)
    return found.values()


def drifted(scope: Scope, changes: tuple[Change, ...], observe: Callable[[], View]) -> tuple[str, ...]:
    """Return descriptions of values that are neither the run's nor the previous ones.

    Args:
        scope: the run's scope.
        changes: the changes of the run.
        observe: observes GitHub and the remote; not called for changes of local branches and of stack.toml.

    Raises:
        Refused: the pull request is merged or closed.
    """
    return tuple(line for change in changes for line in _drift_of(scope.of_pr(change.pr), change, observe))


def _drift_of(scope: Scope, change: Change, observe: Callable[[], View]) -> tuple[str, ...]:
    """Return the actual and the expected value of each that differs."""
    entry = scope.entry
    pr = f"{entry.label}'s"
    match change:
        case LocalMoved() | RemoteMoved():
            remote = isinstance(change, RemoteMoved)
            tip = remote_tip(observe().of(entry)) if remote else local_tip(scope.git, entry.branch)
            name = f"{scope.stack.remote}/{entry.branch}" if remote else str(entry.branch)
            return () if change.is_ours(tip) else (f"{name}: is {_tip(tip)}, not {_tip(change.left)}",)
        case StateChanged(before=before, left=left):
            shown = _require_open(observe().of(entry))
            found = []
            if shown.base not in {before.base, left.base}:
                found.append(f"{pr} base: is {shown.base!r}, not {left.base!r}")
            if shown.draft not in {before.draft, left.draft}:
                found.append(f"{pr} draft state: is {shown.draft}, not {left.draft}")
            return tuple(found)
        case TitleChanged() | NoteChanged():
            return _words_drift(observe().of(entry), change)
        case OpenStateChanged(number=number):
            ended = observe().world.snapshot.pr(entry.pr if number is None else number)
            merged = ended is not None and ended.state is PrState.MERGED
            return (f"{pr} state: is merged",) if merged else ()
        case EntryInserted() | EntryTakenOut():
            return ()  # `added_entry` compares what it restores
        case StackFileChanged(path=path, before=text):
            now = read_stack_text(Path(path))
            expected = now == text or without_change(now, change) is not None
            return () if expected else (f"{path}: was edited since, in lines that the run wrote",)


def _words_drift(view: View, change: TitleChanged | NoteChanged) -> tuple[str, ...]:
    pr, pull = f"{view.entry.label}'s", _require_open(view)
    if isinstance(change, TitleChanged):
        expected = pull.title in {change.before, change.left}
        return () if expected else (f"{pr} title: is {pull.title!r}, not {change.left!r}",)
    note = note_of(pull.body)
    expected = note in {change.before, change.left}
    return () if expected else (f"{pr} reviewer note: is {_note(note)}, not {_note(change.left)}",)


def read_stack_text(path: Path) -> str:
    """Return the text of a stack.toml; "" if it is missing."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def without_change(now: str, change: StackFileChanged) -> str | None:
    """Return a stack.toml without what the run changed; None if those lines were edited since, or it is invalid."""
    if now == change.left:
        return change.before
    text = reverted(now, left=change.left, before=change.before)
    if text is None:
        return None
    try:
        validation.stacks_of(reading.parsed(Path(change.path), text.encode()))
    except UsageError:
        return None
    return text


def local_tip(git: Git, branch: BranchName) -> str:
    """Return the current tip of a local branch; "" if the branch does not exist."""
    ref = branch_ref(branch)
    return refs.read_ref(git, ref) or ""


def remote_tip(view: View) -> str:
    """Return the tip of the entry's branch on the remote; "" if the branch does not exist.

    Raises:
        Refused: the pull request is merged or closed.
    """
    if view.entry.number is not None:
        _require_open(view)
    return view.world.remote_refs.get(branch_ref(view.entry.branch), "")


def _require_open(view: View) -> PullRequest:
    """Return the entry's pull request.

    Raises:
        Refused: it is merged or closed.
    """
    pr = view.world.snapshot.pr(view.entry.key)
    if pr is not None and pr.state is PrState.MERGED:
        raise Refused(
            f"{view.entry.full_label} was merged since",
            why="what the run did to a merged pull request is not taken back; nothing was changed",
            next_command=task_command("status"),
        )
    return view.pull_request()


def _tip(tip: str) -> str:
    return short(tip) if tip else "gone"


def _note(note: str | None) -> str:
    return f"{note[:40]!r}" if note else "gone"


def drift(entry: Entry, found: tuple[str, ...]) -> Refused:
    """Return the error for a change that somebody else has changed since."""
    return Refused(
        f"{entry.label} moved since",
        why="\n".join(found) + "\nwhat others changed is not taken back; nothing was changed",
        next_command=task_command("log"),
    )
