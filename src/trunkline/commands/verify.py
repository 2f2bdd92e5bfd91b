"""Command `verify`: verify that shared receipts attest a commit. The policy is read from trunk alone.

It needs git, ssh-keygen and Python, but neither gh nor cargo. Only `--fetch` needs the network. Only
`--merged` and `[attest] independent` need the history, so a shallow clone suffices otherwise.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shlex
from dataclasses import replace
from pathlib import PurePosixPath

import msgspec
from msgspec import structs

from trunkline.config import trust, validation
from trunkline.context.loading import found_text
from trunkline.domain.attestation import (
    NO_RECEIPT,
    Attestation,
    AttestedGate,
    Standing,
    emails,
)
from trunkline.domain.command import caller, exact_command, task_command
from trunkline.domain.errors import CheckFailed, Refused, TrunklineError, UsageError
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_name, branch_ref
from trunkline.domain.proof import Terms
from trunkline.domain.signers_file import people
from trunkline.domain.stack import DEFAULT_REMOTE, Stack
from trunkline.domain.words import count_of
from trunkline.gates.attested import Question, evaluate, replayed
from trunkline.git import history, notes, refs, replay, signing
from trunkline.git.git import Git
from trunkline.state import lock


class Policy(msgspec.Struct, frozen=True):
    """Trunk's policy.

    Attributes:
        stack: the settings of trunk's stack.toml; its entries do not matter.
        trunk: trunk's tracking ref: `refs/remotes/origin/main`.
        commit: the commit that it was read from.
        signers: whose signatures count.
    """

    stack: Stack
    trunk: str
    commit: Oid
    signers: signing.Signers

    @property
    def name(self) -> str:
        """Trunk's name: `origin/main`."""
        return self.trunk.removeprefix("refs/remotes/")


def remote_of(git: Git, named: str) -> str:
    """Return the remote to use: the named one, origin, or the only one.

    Raises:
        UsageError: there is no such remote, or there are several without origin.
    """
    remotes = git.query("remote").lines
    if named in remotes:
        return named
    if not named and (usual := refs.usual_remote(remotes)) is not None:
        return usual
    if not remotes:
        refs.remote_url(git, named or DEFAULT_REMOTE)  # refuses, with the command that adds it
    raise UsageError(
        f"this repository has no remote {named or DEFAULT_REMOTE}",
        why=f"it has {', '.join(remotes)}",
        next_command=exact_command("verify", {"remote": remotes[0]}),
    )


def fetch(git: Git, remote: str, pr: PrNumber | None) -> None:
    """Fetch trunk, the notes of the remote and the head of a pull request.

    Raises:
        ExternalError: the remote did not respond, or its notes ref holds something else.
        UsageError: the remote has no such pull request.
    """
    head = refs.pull_head(pr) if pr else ""
    default, found = refs.default_branch(git, remote, *([head] if head else []))
    trunk = branch_name(default)
    if pr and head not in found:
        raise UsageError(
            f"{remote} has no pull request #{pr}",
            next_command=f"git ls-remote {shlex.quote(remote)} {head}",
        )
    with lock.hold(git.state_dir(), run="verify") as held:
        specs = {branch_ref(trunk): refs.tracking_ref(remote, trunk)}
        refs.fetch(git, held, remote, specs | ({head: refs.evidence_ref(pr)} if pr else {}))
        git.mutate(held, "symbolic-ref", f"refs/remotes/{remote}/HEAD", refs.tracking_ref(remote, trunk))
        called = _called_trunk(git, remote)
        if called not in {None, trunk}:
            refs.fetch(git, held, remote, {branch_ref(called): refs.tracking_ref(remote, called)})
        notes.pull(git, held, remote)


def _called_trunk(git: Git, remote: str) -> BranchName | None:
    """Return the name of trunk in the stack.toml of the remote's default branch."""
    found = trust.trunks_own(git, remote)
    named = found.trunk() if found is not None else None
    return branch_name(named[1]) if named else None


def policy_of(git: Git, remote: str) -> Policy:
    """Read the policy and the signers from trunk, as last fetched.

    Raises:
        UsageError: trunk has no valid stack.toml, or no signers file in the repository.
    """
    # Without the remote's HEAD, a branch with a usual name would be taken for trunk.
    known = git.query("symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD", ok=(0, 1, 128)).returncode == 0
    found = trust.trunks_own(git, remote) if known else None
    if found is None:
        raise UsageError(
            f"{remote}'s trunk has no stack.toml, as last fetched"
            if known
            else f"it is unknown which branch of {remote} is trunk",
            why="verify reads the policy from trunk's stack.toml alone",
            next_command=(*_fetching(), task_command("init", "--track")),
        )
    stack = validation.stacks_of(found, entries=False)[0]
    trunk = refs.tracking_ref(remote, stack.trunk)
    commit = git.resolve(trunk)
    if commit is None:
        raise UsageError(
            f"trunk's stack.toml calls {stack.trunk} trunk, and {remote}/{stack.trunk} was not fetched",
            next_command=_fetching(),
        )
    gates = stack.gates
    for key, name in (("signers", gates.signers), ("revoked", gates.revoked)):
        if PurePosixPath(name).is_absolute() or name.startswith("~"):
            raise UsageError(
                f"trunk's stack.toml: gates.{key}: {name} is not in the repository",
                why="the machine that verifies must not decide whose receipts count: name a file that trunk tracks",
                next_command="${EDITOR:-vi} stack.toml   # [gates] " + key,
            )
    if not gates.signers:
        raise UsageError(
            "trunk's stack.toml names no signers, so no receipt attests anything",
            why='[gates] signers names an allowed-signers file in the repository, like ".trunkline/allowed_signers"',
            next_command="${EDITOR:-vi} stack.toml   # [gates] signers",
        )
    signers = signing.signers_of(git, replace(gates, remote=remote))
    assert signers is not None  # noqa: S101 -- a file is named
    return Policy(stack, trunk, commit, signers)


def _fetching() -> tuple[str, ...]:
    """Return this `verify` with --fetch, or a plain one; nothing if it has fetched."""
    given = caller().given if caller().task == "verify" else {}
    return () if given.get("fetch") else (exact_command("verify", {**given, "fetch": True}),)


def commit_of(git: Git, remote: str, revision: str, pr: PrNumber | None, *, fetched: bool) -> Oid:
    """Return the commit to verify: the revision, the head of the pull request, or HEAD.

    Raises:
        UsageError: this repository does not have the commit.
    """
    if revision:
        return history.require_commit(git, revision, "commit")
    if pr is None:
        head = git.resolve("HEAD")
        if head is None:
            raise UsageError("this repository has no commit yet", next_command="git log --oneline")
        return head
    candidates = [refs.evidence_ref(pr)]
    branch = None if fetched else _branch_of(git, remote, pr)
    if branch:
        candidates.insert(0, refs.tracking_ref(remote, branch))
    for ref in candidates:
        if (found := git.resolve(ref)) is not None:
            return found
    raise UsageError(f"this repository does not have the head of #{pr}", next_command=_fetching())


def _branch_of(git: Git, remote: str, pr: PrNumber) -> BranchName | None:
    """Return the branch of a pull request by trunk's stack.toml, or by the user's own untracked one.

    The checked-out branch's file could name the branch of another pull request.
    """
    texts = [trust.trunks_own(git, remote)]
    with contextlib.suppress(TrunklineError):
        found = found_text(git)
        texts += [] if trust.origin_of(git, found).tracked else [found]
    stacks = [stack for text in texts if text for stack in validation.stacks_of(text, entries=False)]
    return next((entry.branch for stack in stacks for entry in stack.entries if entry.pr == pr), None)


def verify(
    git: Git, remote: str, policy: Policy, commit: Oid, *, merged: bool, now: dt.datetime, fetched: bool = False
) -> Attestation:
    """Evaluate the shared receipts of a commit under trunk's policy.

    Args:
        git: the checkout.
        remote: the base repository's remote.
        policy: trunk's policy.
        commit: the commit.
        merged: the tree of its merge with trunk instead of its own.
        now: the current time.
        fetched: the notes of the remote were fetched just now.

    Raises:
        CheckFailed: it conflicts with trunk.
        Refused: this repository lacks the history that is needed.
        ExternalError: a notes ref here holds something else.
    """
    question = question_of(git, remote, policy, commit, merged=merged, now=now)
    tree = question.tree
    shared, ours = lines_about(git, remote, tree, fetched=fetched)
    rows = evaluate(question, shared)
    if any(row.standing is Standing.MISSING for row in rows):
        rows = _explained(git, question, rows, ours - shared, [*notes.sources(git, remote)], commit)
    unshared = len(ours - shared)
    notices = (f"{count_of(unshared, 'receipt')} of this tree only here, not on {remote}",) if unshared else ()
    return Attestation(commit, tree, merged, policy.name, policy.commit, rows, notices)


def lines_about(git: Git, remote: str, tree: Oid, *, fetched: bool) -> tuple[frozenset[str], frozenset[str]]:
    """Return the note lines about a tree: those of the remote as last fetched, and the local ones."""
    sources = notes.sources(git, remote)
    copy = notes.copy_of(remote)
    lines = {ref: notes.about(git, ref, tree) for ref in sources}
    ours = lines.get(notes.REF, frozenset())
    return (lines.get(copy, frozenset()) if fetched or copy in sources else ours), ours


def question_of(git: Git, remote: str, policy: Policy, commit: Oid, *, merged: bool, now: dt.datetime) -> Question:
    """Return the query for a commit under trunk's policy; arguments and errors as of `verify`."""
    rules = policy.stack.attest
    tree, is_own = tree_of(git, policy, commit, merged=merged)
    terms = Terms(
        refs.identity_of(git, remote),
        now,
        dt.timedelta(seconds=rules.max_age),
        commit=commit if rules.rebase == "refuse" and is_own else None,
        authors=_authors(git, policy, commit) if rules.independent else None,
        persons=people(policy.signers.allowed.read_text("utf-8", "replace")) if rules.independent else (),
    )
    return Question(tree, policy.stack.gates, rules, terms, policy.signers)


def _explained(
    git: Git,
    question: Question,
    rows: tuple[AttestedGate, ...],
    unshared: frozenset[str],
    sources: list[str],
    commit: Oid,
) -> tuple[AttestedGate, ...]:
    """Return the rows with better reasons: a receipt that was not pushed, or one of another tree."""
    local_rows = {row.gate: row for row in evaluate(question, unshared)} if unshared else {}
    bare = {row.gate for row in rows if row.reason == NO_RECEIPT}
    lines = [line for ref in sources for line in notes.on_commit(git, ref, commit)] if bare else []
    elsewhere = replayed(lines, question.tree, bare)
    reasons = {gate: why for gate, why in elsewhere.items() if gate in bare}
    reasons |= {gate: NOT_SHARED for gate, row in local_rows.items() if row.standing is not Standing.MISSING}
    return tuple(
        structs.replace(row, reason=reasons.get(row.gate, row.reason)) if row.standing is Standing.MISSING else row
        for row in rows
    )


NOT_SHARED = "its receipt is only here: it was never pushed, or the notes there were replaced"


def tree_of(git: Git, policy: Policy, commit: Oid, *, merged: bool) -> tuple[Oid, bool]:
    """Return the tree to verify, and whether it is that of the commit itself.

    Raises:
        CheckFailed: the commit conflicts with trunk.
        Refused: this repository lacks the merge base.
    """
    if not merged or history.is_ancestor(git, policy.commit, commit):
        return git.tree(commit), True
    if refs.is_shallow(git):
        raise _shallow(policy, "--merged needs the merge base with trunk")
    merge = replay.automatic_merge(git, policy.commit, commit)
    if merge.conflicts:
        raise CheckFailed(
            f"{commit[:12]} conflicts with {policy.name}",
            why=f"in {', '.join(merge.conflicts)}; there is no merge result to verify",
            next_command=f"git rebase {shlex.quote(policy.name)}",
        )
    return merge.tree, False


def _authors(git: Git, policy: Policy, commit: Oid) -> frozenset[str]:
    """Return the email addresses of the authors and co-authors of the commits that trunk lacks.

    The addresses are the commits' own: a .mailmap of the branch could change them.
    """
    own = git.query("rev-list", commit, f"^{policy.commit}").text.split() or [commit]
    if refs.is_shallow(git):
        cut = (git.common_dir() / "shallow").read_text(encoding="ascii").split()
        if not set(own).isdisjoint(cut):
            raise _shallow(policy, "[attest] independent needs the authors of all commits")
    form = "--format=%x00%ae%n%(trailers:key=Co-authored-by,valueonly)"
    text = git.query(
        "log", "--no-mailmap", "--no-walk", form, "--stdin", stdin="".join(f"{one}\n" for one in own).encode()
    )
    found: set[str] = set()
    for each in text.stdout.decode("utf-8", "replace").split("\0")[1:]:
        author, _, also = each.partition("\n")
        found |= {author.strip().lower(), *emails(also)}
    return frozenset(found)


def _shallow(policy: Policy, why: str) -> Refused:
    remote = policy.name.partition("/")[0]
    return Refused("this is a shallow clone", why=why, next_command=f"git fetch --unshallow {shlex.quote(remote)}")
