"""Refuse merge commits among an entry's own commits, with the command that makes the branch linear."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from trunkline.context.view import View
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, Oid, branch_ref, short
from trunkline.git import history


def refuse(view: View, own: Sequence[Commit], tip: Oid, *, verb: str) -> None:
    """Refuse merge commits among an entry's own.

    Args:
        view: the entry.
        own: its own commits.
        tip: its head as planned, which may be the remote's.
        verb: what cannot be done with them: "replayed".

    Raises:
        Refused: there is one.
    """
    merges = [commit for commit in own if len(commit.parents) != 1]
    if merges:
        linear = _linear(view, own, tip)
        if (
            view.local.remote == tip
            and view.local.local == tip
            and not view.earlier.of_ref(branch_ref(view.entry.branch))
        ):
            # Without a reflog nothing shows that the remote's head was here: its version would be taken again.
            linear = f"{linear} && {_push(view, tip)}"
        raise Refused(
            f"{view.entry.full_label} holds merge commits of its own",
            why="\n".join(f'{short(c.oid)} "{c.subject}"' for c in merges) + f"\nthey cannot be {verb} one by one",
            next_command=view.after_rebase(f"{linear}   # makes it linear"),
        )


def _linear(view: View, own: Sequence[Commit], tip: Oid) -> str:
    """Return the command that replaces a branch by its own commits without the merges.

    `git rebase` replays all that its upstream does not contain. So it is named only if one commit contains all
    that is not the entry's. Otherwise the commits are picked one by one.
    """
    git, branch = view.git, shlex.quote(view.entry.branch)
    inside = {commit.oid for commit in own}
    below = dict.fromkeys(name for commit in own for name in commit.parents if name not in inside)
    # A merge of trunk between own commits is below some of them, and above others.
    clean = [name for name in below if not any(history.is_ancestor(git, mine, name) for mine in inside)]
    tops = [one for one in clean if not any(other != one and history.is_ancestor(git, one, other) for other in clean)]
    # The planned head may be the remote's: the local branch is absent or behind then. Its reflog must show
    # that it was here, else the remote's version is taken again.
    take = "" if view.local.local == tip else f"git switch -C {branch} {tip} && "
    if len(tops) == 1 and len(clean) == len(below):
        return f"{take}git rebase --onto {tops[0]} {tops[0]} {branch}"
    onto = next((name for name in tops if not history.is_ancestor(git, name, view.world.trunk)), tops[0])
    return f"{take}{picking(view.entry.branch, onto, own)}"


def _push(view: View, tip: Oid) -> str:
    ref = branch_ref(view.entry.branch)
    return shlex.join(
        ("git", "push", f"--force-with-lease={ref}:{tip}", view.stack.remote, f"{view.entry.branch}:{ref}")
    )


def picking(branch: BranchName, onto: Oid, own: Sequence[Commit]) -> str:
    """Return the command that puts own commits one by one onto another commit, without merges."""
    picks = " ".join(commit.oid for commit in own if len(commit.parents) == 1)
    return f"git switch -C {shlex.quote(branch)} {onto} && git cherry-pick --allow-empty {picks}"
