"""Update a branch by a merge of its new base instead of a rebase: no force-push, commit ids stay.

The merge has the tree that a replay of the entry's own commits gives, so it has the same conflicts.
"""

from __future__ import annotations

from trunkline.context.project import Project
from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid
from trunkline.domain.replay_plan import Replay, ReplayPlan
from trunkline.git import history, replay
from trunkline.git.git import Git

MERGE = "merge"
"""The value of `[rebase] update`; the other one is `rebase`."""


def is_enabled(project: Project) -> bool:
    """Return whether stack.toml selects updates by merges."""
    return project.stack.rebase.update == MERGE


def holds_base(project: Project, work: ReplayPlan) -> bool:
    """Return whether a branch needs no update, because it contains its base."""
    return is_enabled(project) and history.is_ancestor(project.git, work.base, work.tip)


def obstacle(project: Project, work: ReplayPlan, done: Replay | None = None) -> str:
    """Return why a branch is rebased although stack.toml selects merges; "" if it is updated by a merge."""
    if work.remote is not None and not history.is_ancestor(project.git, work.remote, work.tip):
        return f"rebased, not merged: {project.stack.remote} holds another version of the branch"
    if done is not None and done.dropped:
        return "rebased, not merged: a merge would keep the commits that are left out"
    return ""


def merged(git: Git, work: ReplayPlan, done: Replay, *, branch: str, sign: bool) -> Oid:
    """Return a new merge commit of a branch and its new base, with the tree of the replay."""
    message = f"Merge {work.base_name} into {branch}\n".encode()
    return replay.write_merge(
        git, git.tree(done.tip), (work.tip, work.base), message, by=replay.committer(git), sign=sign
    )


def is_merge(git: Git, work: ReplayPlan, commit: Oid) -> bool:
    """Return whether a commit is the merge that updated a branch."""
    return history.read_commits(git, [commit])[0].parents == (work.tip, work.base)


def is_clean_merge(git: Git, commit: Commit) -> bool:
    """Return whether a merge's tree equals git's automatic merge of its two parents."""
    if len(commit.parents) != 2:  # noqa: PLR2004 -- an octopus merge is never replayed
        return False
    merge = replay.automatic_merge(git, *commit.parents)
    return not merge.conflicts and merge.tree == commit.tree
