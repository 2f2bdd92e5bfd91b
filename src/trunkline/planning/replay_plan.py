"""Plan a replay: which commits are replayed onto which base, as object ids.

The commits are replayed in memory; no ref moves.
"""

from __future__ import annotations

import functools
import itertools
import shlex
from collections.abc import Iterable, Sequence

from msgspec import structs

from trunkline.context.project import Project
from trunkline.context.scope import Scope, resolve_fork_point
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit, counted
from trunkline.domain.errors import Refused, TrunklineError
from trunkline.domain.names import Oid, branch_ref, short
from trunkline.domain.replay_plan import Replay, ReplayPlan, ReplayPreview
from trunkline.domain.stack import Entry, Stack
from trunkline.git import history, refs, replay
from trunkline.planning import fork_point, journal_queries, own_merges, questions, reverted_parent, update_merge
from trunkline.planning.evidence import gather
from trunkline.planning.heads import entry_tip
from trunkline.planning.merged import reverted_below
from trunkline.planning.ownership import CommitClass, InvalidForkPointError, Ownership
from trunkline.planning.parents import base_of, open_below
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.rust import lock_file


def still_holds(preview: ReplayPreview, view: View) -> bool:
    """Return whether the inputs of a planned replay are unchanged: pull requests, tips and base.

    Everything else is derived from immutable git objects.
    """
    work, base = preview.work, base_of(view)
    return (
        preview.snapshot == view.world.snapshot
        and (work.tip, work.remote) == (entry_tip(view).oid, view.local.remote)
        and (work.base, work.base_name) == (base.oid, base.name)
    )


def decide(view: View) -> ReplayPlan:
    """Decide which commits are replayed onto which base.

    Raises:
        Refused: the fork point is not certain, the entry has no commits of its own, or it holds
            merges.
    """
    tip = entry_tip(view)
    base = base_of(view)
    found = own_commits(view, tip.oid)
    if found.questions:
        raise OwnCommitsUnknown(view.entry, found)
    own_merges.refuse(view, found.own, tip.oid, verb="replayed")
    _refuse_without_own(view, found, base.name)
    local = view.local
    notes = tuple(
        note for note in (tip.reason, *_reverted(view), *_detached(view, tip.oid), *_left_out(found)) if note
    )
    hand_merges = tuple(commit.oid for commit in found.of_kind(CommitClass.HAND_MERGE))
    return ReplayPlan(
        tip.oid, local.local, local.remote, base.oid, found.fork, found.about, found.own, base.name, notes,
        hand_merges=hand_merges, confirmed=found.confirmed,
    )  # fmt: skip


def own_commits(view: View, tip: Oid) -> Ownership:
    """Decide which commits of a head are the entry's own.

    Raises:
        Refused: see `gather`; or `--fork-point` contradicts the evidence.
        UsageError: `--fork-point` names no commit.
    """
    evidence, given = gather(view, tip), resolve_fork_point(view)
    try:
        return fork_point.decide(evidence, given=given)
    except InvalidForkPointError as error:
        raise questions.invalid(view.entry, given or tip, error) from error


def own_commit_count(view: View, tip: Oid) -> int:
    """Return the number of an entry's own commits below a tip.

    If a replay of ours put the tip onto the base, they are the commits between the two. Otherwise the fork
    point is decided; while the decision is not certain, the commits in question are counted too.
    """
    base = base_of(view).oid
    between = history.reachable(view.git, [tip], [base])
    linear = all(len(commit.parents) == 1 for commit in between)
    if linear and journal_queries.base_of(view, tip) == base:
        return len(between)
    try:
        found = own_commits(view, tip)
    except TrunklineError:  # the task that needs the answer reports the error
        return len(between)
    return len(found.own) + sum(len(question.commits) for question in found.questions)


def _left_out(found: Ownership) -> tuple[str, ...]:
    """Return messages about commits of the branch that are not replayed."""
    reasons = {
        CommitClass.COPY: "a copy of a commit of {parent}; the base holds it already",
        CommitClass.MERGE: "a merge without changes of its own",
        CommitClass.HAND_MERGE: "a merge resolved by hand; the result is compared with a merge of the whole branch",
        CommitClass.VANISHED: "left out on request: {parent} no longer has it",
        CommitClass.LIKENESS: "left out on request: similar to a commit of {parent}",
        CommitClass.REMOVED_FROM_TRUNK: "left out on request: removed from {parent}",
    }
    return tuple(
        f'not replayed: {short(each.commit.oid)} "{each.commit.subject}", '
        + reasons[each.kind].format(parent=each.parent)
        for each in found.classes
        if each.kind in reasons
    )


def refuse_unanswered(view: View, entries: Iterable[Entry], *, task: str) -> None:
    """Check that the own commits of every entry are certain; raise all open questions as one error.

    Args:
        view: the stack.
        entries: the entries that will be replayed.
        task: the task to type again.

    Raises:
        Paused: the user must answer a question.
    """
    unknown = []
    for entry in entries:
        under = view.of(entry)
        found = own_commits(under, entry_tip(under).oid)
        if found.questions:
            unknown.append(OwnCommitsUnknown(entry, found))
    if unknown:
        raise questions.all_unanswered(unknown, task=task)


def preview_replay(view: View, *, trial: bool = False, drop_emptied: bool = False) -> ReplayPreview:
    """Plan a replay, and compute it in memory.

    Args:
        view: the entry.
        trial: only the resulting tree matters; do not sign, and ignore lost signatures.
        drop_emptied: drop commits that become empty, as `--drop-emptied` does.

    Raises:
        Refused: see `decide`; or a signature would be lost that stack.toml requires.
        Paused: trunk reverted a parent, and the result depends on that.
    """
    work, drop = decide(view), drop_emptied or view.options.drop_emptied
    if update_merge.holds_base(view.project, work):
        return ReplayPreview(work, Replay(work.tip, ()), view.world.snapshot, up_to_date=True)
    if work.fork == work.base and not (drop and replay.empty(view.git, work.own)):
        done = Replay(work.tip, ())
    else:
        stays = update_merge.is_enabled(view.project) and not update_merge.obstacle(view.project, work)
        sign = signing(view.project) and not trial and not stays
        work = work if trial or stays else _without_signatures(view, work, sign=sign)
        by = replay.committer(view.git)
        done = replay.replay(
            view.git, work.own, work.base, by=by, sign=sign, resolve=resolver(view.project), drop_empty=drop
        )
        if not trial:
            reverted_parent.refuse_undecided(view, work, done)
        refuse_nothing_left(view.entry, work, done)
    return ReplayPreview(work, done, view.world.snapshot)


def against_merge(scope: Scope, work: ReplayPlan, done: Replay) -> str:
    """Check the result of a replay against one three-way merge, and then against git's own merges.

    A three-way merge gives another tree if a later own commit changes lines again that trunk
    contains already. The replay is then right, as `git rebase` is. Regenerated files are not
    compared.

    Returns:
        One sentence if the trees differ; "" if they are equal.

    Raises:
        Refused: git's own merges, commit by commit, give another tree; or a merge on the branch
            that was resolved by hand holds changes that its own commits lack.
    """
    git, tip = scope.git, done.tip
    merged = replay.three_way(git, base=work.fork, ours=work.base, theirs=work.tip)
    excepted = {path for _, path in done.regenerated}
    differing = () if merged.tree == git.tree(tip) else history.differing(git, merged.tree, git.tree(tip))
    others = [path for path in dict.fromkeys((*merged.conflicts, *differing)) if path not in excepted]
    if not others:
        return ""
    listed = ", ".join(others)
    if not work.hand_merges and replay.merged_by_git(git, work.own, work.base) == git.tree(tip):
        return f"{listed}: replayed commit by commit, as git rebase does; one merge of the whole would differ there"
    if work.hand_merges:
        names = ", ".join(short(name) for name in work.hand_merges)
        raise Refused(
            f"{scope.entry.full_label}: merge {names} was resolved by hand, and its own commits alone come to"
            f" another result in {listed}; nothing was changed",
            why="a replay would lose what was changed in the merge itself",
            next_command=(
                f"git show --stat {work.hand_merges[0]}   # commit by itself what it changed by hand",
                f"{own_merges.picking(scope.entry.branch, work.fork, work.own)}   # the branch without the merge",
            ),
        )
    ranges = f"{work.fork}..{work.tip} {work.base}..{tip}"
    raise Refused(
        f"{scope.entry.full_label}: the replay and git's own merges of the same commits disagree in {listed};"
        " nothing was changed",
        why="trunkline's merge and git's give different trees: please report it",
        command=f"git range-diff {ranges}",
        stderr=git.query("range-diff", "--no-color", *ranges.split()).text,
        next_command=f"git diff {merged.tree} {tip}",
    )


def refuse_nothing_left(entry: Entry, work: ReplayPlan, done: Replay, *, first: tuple[str, ...] = ()) -> None:
    """Refuse a replay that drops all commits of the entry.

    Args:
        entry: the entry.
        work: the plan.
        done: its result.
        first: commands to show before the others.

    Raises:
        Refused: no commit would be left.
    """
    if len(done.dropped) == len(work.own):
        raise Refused(
            f"nothing would be left of {entry.label}: all of its commits are in {work.base_name}",
            why=("pushing that would close it for good; close it yourself, and " if entry.number else "")
            + "take it out of stack.toml",
            next_command=(*first, *_closing(entry), "${EDITOR:-vi} stack.toml"),
        )


def _closing(entry: Entry) -> tuple[str, ...]:
    """Return the command that closes an entry's pull request, if it has one."""
    return (f"gh pr close {entry.number}",) if entry.number is not None else ()


def resolver(project: Project) -> replay.Resolver | None:
    """Return the function that resolves conflicts in generated files, if stack.toml allows it."""
    if project.stack.lockfile != "regenerate":
        return None
    return functools.partial(lock_file.regenerate, project.git, sandbox=project.stack.gates.sandbox)


def _refuse_without_own(view: View, found: Ownership, base: str) -> None:
    entry = view.entry
    if not found.own:
        raise Refused(
            f"{entry.branch} has no commits of its own",
            why=f"all of it is in {base}"
            + (f"; pushing that would close {entry.label} for good" if entry.number else ""),
            next_command=task_command("open", "--pr", entry.number) if entry.number else "git commit",
        )


def signing(project: Project) -> bool:
    """Return whether replayed commits are signed, from git's configuration or `[rebase] sign`."""
    return project.stack.rebase.sign or replay.signs(project.git)


def _without_signatures(scope: Scope, work: ReplayPlan, *, sign: bool) -> ReplayPlan:
    """Return the plan with a message for each own commit that loses its signature.

    Raises:
        Refused: a signature would be lost, and stack.toml has `[rebase] signatures = "require"`.
    """
    # A commit whose parent is unchanged keeps its object id and its signature.
    moved = itertools.dropwhile(lambda pair: pair[0].parents == (pair[1],), _with_new_parents(work))
    signed = [commit for commit, _ in moved if commit.signed]
    if sign or not signed:
        return work
    notes = dropped_signatures(scope, signed)
    return structs.replace(work, notes=(*work.notes, *notes), unsigned=tuple(commit.oid for commit in signed))


def dropped_signatures(scope: Scope, signed: Sequence[Commit]) -> tuple[str, ...]:
    """Return messages about signed commits that are written again unsigned.

    Raises:
        Refused: there are some, and stack.toml has `[rebase] signatures = "require"`.
    """
    if signed and scope.stack.rebase.signatures == "require":
        raise Refused(
            f"{scope.entry.full_label}: {counted(len(signed))} would lose the signature",
            why="\n".join(f'{short(commit.oid)} "{commit.subject}" by {commit.author_name}' for commit in signed)
            + '\nstack.toml has [rebase] signatures = "require", and your git does not sign; nothing was changed',
            next_command="git config commit.gpgSign true",
        )
    return tuple(
        f'signature dropped: {short(commit.oid)} "{commit.subject}" by {commit.author_name}; your git does not sign'
        for commit in signed
    )


def _with_new_parents(work: ReplayPlan) -> Iterable[tuple[Commit, Oid]]:
    """Pair each own commit with its parent after the replay, if nothing below it changes."""
    return zip(work.own, (work.base, *(commit.oid for commit in work.own)), strict=False)


def _detached(view: View, tip: Oid) -> tuple[str, ...]:
    """Return warnings about commits on a detached HEAD above the entry that are on no branch."""
    git = view.git
    if git.cached_query("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).text:
        return ()
    head = git.resolve("HEAD")
    names = [name for each in view.stack.entries for name in _branches(view.stack, each)]
    tips = [tip, *(other for other in refs.read_refs(git, *names).values() if other != head)]
    if head is None or not history.is_ancestor(git, tip, head):
        return ()
    between = (other for other in tips if other != tip and history.is_ancestor(git, other, head))
    if any(history.is_ancestor(git, tip, other) for other in between):
        return ()  # reported for the nearest entry
    branch = view.entry.branch
    return tuple(
        f'warning: not part of {view.entry.label}: {short(commit.oid)} "{commit.subject}" on your detached'
        f" HEAD; to take it in: git switch {shlex.quote(branch)} && git cherry-pick {commit.oid}"
        for commit in history.reachable(git, [head], [*tips, view.world.trunk])
    )


def _branches(stack: Stack, entry: Entry) -> tuple[str, str]:
    return branch_ref(entry.branch), refs.tracking_ref(stack.remote, entry.branch)


def _reverted(view: View) -> tuple[str, ...]:
    """Warn if trunk reverted a merged entry below; reported for the bottom open entry."""
    if open_below(view) is not None:
        return ()
    return tuple(f"warning: {each.in_words(view.tracking)}" for each in reverted_below(view))
