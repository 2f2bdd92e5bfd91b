"""Replays commits onto another base in memory: objects are written, no ref, index or work tree is touched.

Why not `git rebase`: killed at a mutating system call, `rebase --continue` then exited 0 with a commit missing in
42 of 212 measured cases. Here every pick is one three-way merge of trees, so the user's rebase configuration
(autoSquash, updateRefs, autoStash, rebaseMerges, backend, forkPoint: fault 12), rerere (11), message clean-up
(13) and patch-id dropping (7) cannot take part, and a kill leaves unreachable objects only.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trunkline.domain.commits import Commit
from trunkline.domain.errors import ExternalError, InternalError, UsageError
from trunkline.domain.names import Oid, oid, short
from trunkline.domain.words import count_of
from trunkline.git import attributes, objects, trees
from trunkline.git.git import Git, is_old
from trunkline.git.history import chain, read_commits
from trunkline.system import process

_MERGED = (0, 1)  # git-merge-tree(1): 0 clean, 1 conflicts, anything else an error
_MANY = (2, 39)  # `merge-tree --stdin` came with it (git's release notes)
_WORTH_READING = 3
"""Commits from which on reading their trees, a process a level of directories, beats a `merge-tree` for each."""


@dataclass(frozen=True)
class Merge:
    """A three-way merge of trees: the resulting tree, and the paths in conflict (none: clean)."""

    tree: Oid
    conflicts: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Attributes:
        tip: the last commit written, or the base where none was.
        mapped: (old, new) of every commit replayed, in order.
        conflict: the commit that could not be merged, with the paths in conflict.
        rest: the commits from the conflicting one on, in order.
        emptied: the new commits that change nothing any more; kept, and told; none that was made empty.
        dropped: the old commits that change nothing any more and were left out, as asked.
        regenerated: (new commit, path) of every file in conflict that was made again instead of being merged.
    """

    tip: Oid
    mapped: tuple[tuple[Oid, Oid], ...]
    conflict: tuple[Commit, tuple[str, ...]] | None = None
    rest: tuple[Commit, ...] = ()
    emptied: tuple[Oid, ...] = ()
    dropped: tuple[Oid, ...] = ()
    regenerated: tuple[tuple[Oid, str], ...] = ()


Resolver = Callable[[Oid, Oid, "tuple[str, ...]"], "Oid | None"]
"""Makes a tree of a merge in conflict, where a machine can: (tree replayed onto, merged tree, paths) -> tree."""


def committer(git: Git) -> str:
    """Return the committer line for the commits of one replay: identity and the time now.

    Raises:
        UsageError: git does not know who the user is.
    """
    done = git.fact("var", "GIT_COMMITTER_IDENT", ok=(0, 128))
    if done.returncode != 0:
        raise UsageError(
            "git does not know who you are",
            why="a rebased commit carries your name as its committer",
            next_command="git config --global user.email YOU@EXAMPLE.COM; git config --global user.name 'YOUR NAME'",
        )
    if "GIT_COMMITTER_DATE" in os.environ:
        return done.text
    who, _, zone = done.text.rpartition(" ")
    return f"{who.rpartition(' ')[0]} {int(time.time())} {zone}"  # who is a fact, when is now


def signs(git: Git) -> bool:
    """Say whether the user's configuration has commits signed."""
    return git.fact("config", "--type=bool", "--get", "commit.gpgSign", ok=(0, 1)).text == "true"


def replay(
    git: Git,
    commits: Sequence[Commit],
    onto: Oid,
    *,
    by: str,
    sign: bool = False,
    resolve: Resolver | None = None,
    drop_empty: bool = False,
) -> Replay:
    """Replay `commits`, oldest first, onto `onto`; what sits there already is taken as it is.

    Args:
        git: the repository.
        commits: each with exactly one parent.
        onto: the commit that the first one lands on.
        by: the committer line (see `committer`).
        sign: sign the new commits, as the user's configuration asks.
        resolve: asked about a merge in conflict; None: every conflict is a person's.
        drop_empty: leave out what changes nothing, what was made so too: after an earlier replay the two are alike.
    """
    tip, tree = onto, git.tree(onto)
    if len(commits) >= _WORTH_READING:
        load(git, commits, tree)
    mapped: list[tuple[Oid, Oid]] = []
    emptied: list[Oid] = []
    dropped: list[Oid] = []
    made: list[tuple[Oid, str]] = []
    for index, commit in enumerate(commits):
        merged = pick(git, commit, tree)
        resolved = resolve(tree, merged.tree, merged.conflicts) if merged.conflicts and resolve else None
        if merged.conflicts and resolved is None:
            rest = tuple(commits[index:])
            met = (commit, merged.conflicts)
            return Replay(tip, tuple(mapped), met, rest, tuple(emptied), tuple(dropped), tuple(made))
        after = resolved or merged.tree
        if after == tree and drop_empty:
            dropped.append(commit.oid)
            continue
        stays = commit.parents == (tip,) and not merged.conflicts
        new = commit.oid if stays else write_commit(git, commit, tree=after, parent=tip, by=by, sign=sign)
        if after == tree and not empty(git, [commit]):
            emptied.append(new)
        made += [(new, path) for path in merged.conflicts]
        mapped.append((commit.oid, new))
        tip, tree = new, after
    return Replay(tip, tuple(mapped), None, (), tuple(emptied), tuple(dropped), tuple(made))


def empty(git: Git, commits: Sequence[Commit]) -> tuple[Commit, ...]:
    """Return those of the commits that change nothing."""
    return tuple(commit for commit in commits if git.tree(commit.parents[0]) == commit.tree)


def pick(git: Git, commit: Commit, onto_tree: Oid) -> Merge:
    """Merge one commit's change into a tree, without writing the commit."""
    (parent,) = commit.parents
    before = git.tree(parent)
    known = commit.tree if before == onto_tree else trees.merged(git, before, onto_tree, commit.tree)
    if known is not None:
        return Merge(known, ())
    # A commit of `onto`'s tree on the commit's own parent: the merge base of the two is that parent.
    return _merged(git, onto_tree, _wrapped(git, onto_tree, parent), commit.oid)


def picked_by_git(git: Git, commits: Sequence[Commit], onto: Oid) -> Oid | None:
    """Return the tree that git's own merges come to, commit by commit, as `git rebase` does; None: one conflicts.

    Args:
        git: the repository.
        commits: each with exactly one parent, oldest first.
        onto: the commit that the first one lands on.
    """
    tree: Oid = git.tree(onto)
    for commit in commits:
        (parent,) = commit.parents
        merge = _merged(git, tree, _wrapped(git, tree, parent), commit.oid)
        if merge.conflicts:
            return None
        tree = merge.tree
    return tree


def load(git: Git, commits: Iterable[Commit], onto_tree: Oid) -> None:
    """Read the trees that replaying commits onto a tree will look into, so that `pick` needs no process for them."""
    before = [(git.tree(commit.parents[0]), commit.tree) for commit in commits if len(commit.parents) == 1]
    trees.load(git, [*before, *((parent, onto_tree) for parent, _ in before)])


def three_way(git: Git, *, base: Oid, ours: Oid, theirs: Oid) -> Merge:
    """Merge the trees of two commits over a base that `theirs` descends from in one line; git does it, not we."""
    three_ways(git, [(base, ours, theirs)])
    return Merge(*git.merges[base, ours, theirs])


def three_ways(git: Git, wanted: Iterable[tuple[Oid, Oid, Oid]]) -> None:
    """Do several such merges at once, by one process where git can; `three_way` then knows them.

    `merge-tree --merge-base` came with git 2.40; a commit made for this merge alone, of our side's tree on the base,
    gives any git from 2.38 on the same base.
    """
    missing = [each for each in dict.fromkeys(wanted) if each not in git.merges]
    sides = [(git.tree(ours), _wrapped(git, git.tree(ours), base), theirs) for base, ours, theirs in missing]
    alike = len({frozenset(attributes.in_tree(git, tree).items()) for tree, _, _ in sides}) == 1
    if len(missing) > 1 and alike and not is_old(git.fact("version").text, _MANY):
        found = _merged_at_once(git, sides)
    else:
        found = [_merged(git, *each) for each in sides]
    git.merges.update({each: (merge.tree, merge.conflicts) for each, merge in zip(missing, found, strict=True)})


def automatic_merge(git: Git, one: Oid, other: Oid) -> Merge:
    """Merge two commits over their own merge bases, as `git merge` does without a person."""
    return _merged(git, git.tree(one), one, other)


def _merged_at_once(git: Git, sides: Sequence[tuple[Oid, Oid, Oid]]) -> list[Merge]:
    """Return the merges that one `git merge-tree --stdin` does: status, tree, paths, and an empty field for each.

    Args:
        git: the repository.
        sides: (tree whose attributes count, ours, theirs); all trees have the same attribute files.
    """
    asked = "".join(f"{ours} {theirs}\n" for _, ours, theirs in sides).encode()
    scratch, environment = attributes.seen_from(git, sides[0][0])
    done = scratch.query("merge-tree", *_PLAIN, "--stdin", stdin=asked, env=environment)
    return _several(done, len(sides))


def _several(done: process.Completed, count: int) -> list[Merge]:
    """Parse the output of `merge-tree --stdin`: status, tree, paths, and an empty field for each merge.

    Raises:
        ExternalError: it is not of that shape.
    """
    fields = iter(done.text.split("\0"))
    found = []
    try:
        for _ in range(count):
            clean, tree = next(fields) == "1", oid(next(fields))
            paths = tuple(dict.fromkeys(iter(fields.__next__, "")))
            found.append(Merge(tree, () if clean else paths))
    except (StopIteration, ValueError) as error:
        raise ExternalError("the output of git merge-tree cannot be parsed", why=repr(error)) from error
    return found


_PLAIN = ("--write-tree", "--name-only", "--no-messages")


def _merged(git: Git, tree: Oid, ours: Oid, theirs: Oid) -> Merge:
    """Merge two commits; the attributes are those of `tree`, the one that is merged onto."""
    scratch, environment = attributes.seen_from(git, tree)
    done = scratch.query("merge-tree", *_PLAIN, "-z", "--end-of-options", ours, theirs, ok=_MERGED, env=environment)
    return _single(done)


def _single(done: process.Completed) -> Merge:
    """Parse the output of one `merge-tree -z`: the tree, then the paths in conflict."""
    merged, *conflicts = done.text.split("\0")
    return Merge(oid(merged), tuple(dict.fromkeys(path for path in conflicts if path)) if done.returncode else ())


def write_commit(git: Git, commit: Commit, *, tree: Oid, parent: Oid, by: str, sign: bool = False) -> Oid:
    """Write `commit` again with another tree and parent: author line and message byte for byte."""
    if sign:
        name, _, rest = commit.author.partition(b" <")
        mail, _, date = rest.partition(b"> ")
        who = {
            "GIT_AUTHOR_NAME": name.decode("utf-8", "surrogateescape"),
            "GIT_AUTHOR_EMAIL": mail.decode("utf-8", "surrogateescape"),
            "GIT_AUTHOR_DATE": f"@{date.decode()}",
        }
        return oid(git.query("commit-tree", "-S", tree, "-p", parent, stdin=commit.message, env=who).text)
    head = f"tree {tree}\nparent {parent}\nauthor ".encode() + commit.author
    head += b"\ncommitter " + by.encode("utf-8", "surrogateescape")
    head += f"\nencoding {commit.encoding}".encode("utf-8", "surrogateescape") if commit.encoding else b""
    raw = head + b"\n\n" + commit.message
    new = objects.make(git, b"commit", raw)
    git.trees[new] = tree
    for graph in git.graphs:
        graph.add(new, (parent,))
    return new


def check_replayed(git: Git, own: Sequence[Commit], *, base: Oid, tip: Oid) -> None:
    """Ask the repository itself that `tip` holds exactly `own`, each once, in order, over `base`.

    Raises:
        InternalError: it does not; no ref may move (promise 3).
    """
    new = chain(git, base, tip)
    for old, now in zip(own, new, strict=False):
        if not old.same_as(now) or len(now.parents) != 1:
            raise InternalError(
                f"the replay of {short(old.oid)} came out as {short(now.oid)}, which is another commit"
            )
    linked = all(after.parents == (before.oid,) for before, after in itertools.pairwise(new))
    ends = not new or (new[0].parents == (base,) and new[-1].oid == tip)
    if len(new) != len(own) or not linked or not ends:
        raise InternalError(f"the replay has {count_of(len(new), 'commit')} over {short(base)}, not {len(own)}")


def reread(git: Git, oids: Sequence[Oid]) -> tuple[Commit, ...]:
    """Return commits of an interrupted replay again, from their recorded object ids."""
    return read_commits(git, oids)


def commit_of_tree(git: Git, tree: Oid, *parents: Oid) -> Oid:
    """Make a commit that stands for a merge that does not exist yet; the same arguments give the same commit."""
    made = _wrapped(git, tree, *parents)
    git.trees[made] = tree
    return made


def _wrapped(git: Git, tree: Oid, *parents: Oid) -> Oid:
    named = "".join(f"parent {parent}\n" for parent in parents)
    # Always the same object for the same tree: nothing piles up. Newer than all others: git looks for a merge base by
    # date, newest first, and would walk the whole history before it came to an old one.
    who = "trunkline <trunkline@invalid> 4102444800 +0000"  # 2100-01-01
    raw = f"tree {tree}\n{named}author {who}\ncommitter {who}\n\nmerge base\n"
    return objects.make(git, b"commit", raw.encode())
