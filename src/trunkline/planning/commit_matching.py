"""Pair the commits of two branches one to one: by object id, patch id, author, date, subject, or diff."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import IntEnum

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid


class Likeness(IntEnum):
    """The criterion by which two commits were matched, strongest first."""

    SAME = 0
    PATCH_AND_SUBJECT = 1
    AUTHOR_DATE_SUBJECT = 2
    AUTHOR_DATE = 3
    SIMILAR_DIFF = 4
    EMPTY_AND_SUBJECT = 5


def nothing_similar(_one: Sequence[Commit], _other: Sequence[Commit]) -> Mapping[Oid, Oid]:
    """Return no pairs: the default of `Evidence.similar` without a repository."""
    return {}


def match(
    one: Sequence[Commit],
    other: Sequence[Commit],
    similar: Callable[[Sequence[Commit], Sequence[Commit]], Mapping[Oid, Oid]] = nothing_similar,
) -> dict[Oid, tuple[Oid, Likeness]]:
    """Pair the commits of two lists one to one; each commit is used at most once.

    Args:
        one: commits, oldest first.
        other: commits, oldest first.
        similar: pairs what is left by diff.

    Returns:
        For each paired commit of `one`, its partner in `other` and the criterion.
    """
    pairs: dict[Oid, tuple[Oid, Likeness]] = {}
    left, free = list(one), list(other)
    for likeness, key in _KEYS:
        by_key: dict[Hashable, list[Commit]] = {}
        for commit in free:
            if (value := key(commit)) is not None:
                by_key.setdefault(value, []).append(commit)
        for commit in left:
            if partners := by_key.get(key(commit)):
                pairs[commit.oid] = (partners.pop(0).oid, likeness)
        used = {partner for partner, _ in pairs.values()}
        left = [commit for commit in left if commit.oid not in pairs]
        free = [commit for commit in free if commit.oid not in used]
    if left and free:
        names = {commit.oid for commit in left}, {commit.oid for commit in free}
        for mine, partner in similar(left, free).items():
            if mine in names[0] and partner in names[1]:
                pairs[mine] = (partner, Likeness.SIMILAR_DIFF)
                names[1].discard(partner)
    return pairs


def certain_versions(one: Sequence[Commit], other: Sequence[Commit]) -> set[Oid]:
    """Return the commits of `one` that certainly have a version in `other`.

    Author and date alone count where no other commit of either list has them: one tool can make several commits
    within a second.
    """
    counts = [Counter(commit.author for commit in commits) for commits in (one, other)]
    unique = {commit.oid for commit in one if all(count[commit.author] == 1 for count in counts)}
    return {
        name
        for name, (_, likeness) in match(one, other).items()
        if likeness <= Likeness.AUTHOR_DATE_SUBJECT or (likeness is Likeness.AUTHOR_DATE and name in unique)
    }


def _patch_and_subject(commit: Commit) -> Hashable:
    return (commit.patch_id, commit.subject) if commit.patch_id else None


def _patch_subject_and_author(commit: Commit) -> Hashable:
    return (commit.patch_id, commit.subject, commit.author) if commit.patch_id else None


def _empty_subject_and_author(commit: Commit) -> Hashable:
    """Return the key of a commit without changes: it has no patch id that outlasts a new date."""
    if commit.patch_id or len(commit.parents) != 1:
        return None
    return commit.subject, commit.author.rpartition(b"> ")[0]


def _empty_subject_and_date(commit: Commit) -> Hashable:
    """Return the key of a commit without changes whose author was changed."""
    if commit.patch_id or len(commit.parents) != 1:
        return None
    return commit.subject, commit.author.rpartition(b"> ")[2]


_KEYS: tuple[tuple[Likeness, Callable[[Commit], Hashable]], ...] = (
    (Likeness.SAME, lambda commit: commit.oid),
    # Reverts and re-applied changes occur several times with one patch and subject.
    (Likeness.PATCH_AND_SUBJECT, _patch_subject_and_author),
    (Likeness.PATCH_AND_SUBJECT, _patch_and_subject),
    (Likeness.AUTHOR_DATE_SUBJECT, lambda commit: (commit.author, commit.subject)),
    (Likeness.AUTHOR_DATE, lambda commit: commit.author),  # the author line carries name, email and date
    (Likeness.EMPTY_AND_SUBJECT, _empty_subject_and_author),
    (Likeness.EMPTY_AND_SUBJECT, _empty_subject_and_date),
)
