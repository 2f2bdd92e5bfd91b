"""Replay commits onto another base in memory: this writes objects, but no ref, index or work tree.

`git rebase` is not used: when it was killed during a mutating system call, `rebase --continue` then
exited 0 with a commit missing in 42 of 212 measured cases. Here every pick is one three-way merge
of trees. So the user's rebase configuration (autoSquash, updateRefs, autoStash, rebaseMerges,
backend, forkPoint), rerere, message clean-up and the dropping of commits by patch id have no
effect, and a kill leaves only unreachable objects.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.errors import ExternalError, InternalError, UsageError
from trunkline.domain.names import Oid, oid, short
from trunkline.domain.replay_plan import Replay
from trunkline.domain.words import count_of
from trunkline.git import attributes, objects, trees
from trunkline.git.git import Git, is_old
from trunkline.git.history import chain, differing
from trunkline.system import process

_MERGED = (0, 1)  # git-merge-tree(1): 0 clean, 1 conflicts, anything else an error
CRASHED = (-signal.SIGABRT, -signal.SIGSEGV, 128 + signal.SIGABRT, 128 + signal.SIGSEGV)
"""Exit codes of a git that crashed; the latter two if a shell script started it."""
WITHOUT_MOVED_DIRECTORIES = ("-c", "merge.directoryRenames=false")
"""The options for a merge in which git crashed.

Assertions of merge-ort.c fail where a moved directory takes a new file to the place of another
rename: in 29 of 120,000 random merges of git 2.39.5, and in none of them with these options.
"""
_MANY = (2, 39)  # the first version with `merge-tree --stdin` (git's release notes)
_WORTH_READING = 3
"""The least number of commits for which reading their trees beats a `merge-tree` for each.

Reading takes one process per level of directories.
"""


class Merge(msgspec.Struct, frozen=True):
    """Result of a three-way merge: the tree, and the paths in conflict (empty: clean)."""

    tree: Oid
    conflicts: tuple[str, ...]


Resolver = Callable[[Oid, Oid, "tuple[str, ...]"], "Oid | None"]
"""Resolves a conflict by machine: (tree replayed onto, merged tree, paths) -> tree, if it can."""


def committer(git: Git) -> str:
    """Return the committer line for the commits of one replay: identity and current time.

    Raises:
        UsageError: git has no identity for the user.
    """
    done = git.cached_query("var", "GIT_COMMITTER_IDENT", ok=(0, 128))
    if done.returncode != 0:
        raise UsageError(
            "git does not know who you are",
            why="a rebased commit carries your name as its committer",
            next_command="git config --global user.email YOU@EXAMPLE.COM; git config --global user.name 'YOUR NAME'",
        )
    if "GIT_COMMITTER_DATE" in os.environ:
        return done.text
    who, _, zone = done.text.rpartition(" ")
    return f"{who.rpartition(' ')[0]} {int(time.time())} {zone}"  # the identity is cached, the time is not


def signs(git: Git) -> bool:
    """Return whether the user's configuration signs commits."""
    return git.cached_query("config", "--type=bool", "--get", "commit.gpgSign", ok=(0, 1)).text == "true"


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
    """Replay `commits`, oldest first, onto `onto`; commits already in place are kept as they are.

    Args:
        git: the repository.
        commits: each with exactly one parent.
        onto: the new parent of the first commit.
        by: the committer line (see `committer`).
        sign: sign the new commits, as the user's configuration asks.
        resolve: resolves conflicts; None: every conflict stops the replay.
        drop_empty: leave out commits that change nothing, also those that were empty before: after
            an earlier replay the two cannot be distinguished.
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
            conflict = (commit, merged.conflicts)
            return Replay(tip, tuple(mapped), conflict, rest, tuple(emptied), tuple(dropped), tuple(made))
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
        merge = Merge(known, ())
    else:
        # A commit of `onto`'s tree on the commit's own parent: their merge base is that parent.
        merge = _merged(git, onto_tree, _synthetic_commit(git, onto_tree, parent), commit.oid)
        if not merge.conflicts and onto_tree in git.tree_cache:
            trees.load(git, [(onto_tree, merge.tree)])  # else git would have to merge every later commit too
    if not merge.conflicts and onto_tree in git.attributes:
        attributes.inherit(git, merge.tree, onto_tree, trees.changed(git, before, commit.tree))
    return merge


def merged_by_git(git: Git, commits: Sequence[Commit], onto: Oid) -> Oid | None:
    """Return the tree of git's own merges, commit by commit, as in `git rebase`; None: a conflict.

    Args:
        git: the repository.
        commits: each with exactly one parent, oldest first.
        onto: the new parent of the first commit.
    """
    tree: Oid = git.tree(onto)
    for commit in commits:
        (parent,) = commit.parents
        merge = _merged(git, tree, _synthetic_commit(git, tree, parent), commit.oid)
        if merge.conflicts:
            return None
        tree = merge.tree
    return tree


def load(git: Git, commits: Iterable[Commit], onto_tree: Oid) -> None:
    """Load the trees that a replay will compare, so that `pick` needs no process for them."""
    before = [(git.tree(commit.parents[0]), commit.tree) for commit in commits if len(commit.parents) == 1]
    trees.load(git, [*before, *((parent, onto_tree) for parent, _ in before)])


def three_way(git: Git, *, base: Oid, ours: Oid, theirs: Oid) -> Merge:
    """Merge two commits with `git merge-tree` over a base that is an ancestor of `theirs`."""
    three_ways(git, [(base, ours, theirs)])
    return Merge(*git.merges[base, ours, theirs])


def three_ways(git: Git, merges: Iterable[tuple[Oid, Oid, Oid]]) -> None:
    """Run several such merges, in one process if git can; `three_way` then returns cached results.

    `merge-tree --merge-base` needs git 2.40. A temporary commit of our side's tree on the base
    gives every git from 2.38 on the same merge base.
    """
    missing = [each for each in dict.fromkeys(merges) if each not in git.merges]
    sides = [(git.tree(ours), _synthetic_commit(git, git.tree(ours), base), theirs) for base, ours, theirs in missing]
    attributes.load(git, [tree for tree, _, _ in sides])
    alike = len({frozenset(attributes.files_in_tree(git, tree).items()) for tree, _, _ in sides}) == 1
    if len(missing) > 1 and alike and not is_old(git.cached_query("version").text, _MANY):
        found = _merged_at_once(git, sides)
    else:
        found = [_merged(git, *each) for each in sides]
    git.merges.update({each: (merge.tree, merge.conflicts) for each, merge in zip(missing, found, strict=True)})


def automatic_merge(git: Git, one: Oid, other: Oid) -> Merge:
    """Merge two commits over their own merge bases, as `git merge` does."""
    return _merged(git, git.tree(one), one, other)


def _merged_at_once(git: Git, sides: Sequence[tuple[Oid, Oid, Oid]]) -> list[Merge]:
    """Run several merges with one `git merge-tree --stdin`.

    Args:
        git: the repository.
        sides: (tree that provides the attributes, ours, theirs); all trees have the same attribute
            files.
    """
    request = "".join(f"{ours} {theirs}\n" for _, ours, theirs in sides).encode()
    isolated, environment = attributes.scratch_repository(git, sides[0][0])
    done = isolated.scratch("merge-tree", *_PLAIN, "--stdin", stdin=request, env=environment, ok=(0, *CRASHED))
    return [_merged(git, *each) for each in sides] if done.returncode else _several(done, len(sides))


def _several(done: process.Completed, count: int) -> list[Merge]:
    """Parse the output of `merge-tree --stdin`: status, tree, paths, and an empty field per merge.

    Raises:
        ExternalError: it has another format.
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
    """Merge two commits with the attributes of `tree`, the one that is merged onto."""
    isolated, environment = attributes.scratch_repository(git, tree)
    arguments = ("merge-tree", *_PLAIN, "-z", "--end-of-options", ours, theirs)
    done = isolated.scratch(*arguments, ok=(*_MERGED, *CRASHED), env=environment)
    if done.returncode not in CRASHED:
        return _single(done)
    merge = _single(isolated.scratch(*WITHOUT_MOVED_DIRECTORIES, *arguments, ok=_MERGED, env=environment))
    # By default git reports a conflict where a moved directory takes a file along: a person must look.
    return merge if merge.conflicts else Merge(merge.tree, differing(git, tree, merge.tree))


def _single(done: process.Completed) -> Merge:
    """Parse the output of one `merge-tree -z`: the tree, then the paths in conflict."""
    merged, *conflicts = done.text.split("\0")
    return Merge(oid(merged), tuple(dict.fromkeys(path for path in conflicts if path)) if done.returncode else ())


def write_commit(git: Git, commit: Commit, *, tree: Oid, parent: Oid, by: str, sign: bool = False) -> Oid:
    """Write `commit` with another tree and parent; keep author line and message."""
    if sign:
        name, _, rest = commit.author.partition(b" <")
        mail, _, date = rest.partition(b"> ")
        who = {
            "GIT_AUTHOR_NAME": name.decode("utf-8", "surrogateescape"),
            "GIT_AUTHOR_EMAIL": mail.decode("utf-8", "surrogateescape"),
            "GIT_AUTHOR_DATE": f"@{date.decode()}",
        }
        name_of_it = f'{short(commit.oid)} "{commit.subject}"'
        return signed(git, tree, parent, message=commit.message, what=name_of_it, env=who)
    head = f"tree {tree}\nparent {parent}\nauthor ".encode() + commit.author
    head += b"\ncommitter " + by.encode("utf-8", "surrogateescape")
    head += f"\nencoding {commit.encoding}".encode("utf-8", "surrogateescape") if commit.encoding else b""
    raw = head + b"\n\n" + commit.message
    new = objects.make(git, b"commit", raw)
    git.trees[new] = tree
    for graph in git.graphs:
        graph.add(new, (parent,))
    return new


def signed(git: Git, tree: Oid, *parents: Oid, message: bytes, what: str, env: dict[str, str] | None = None) -> Oid:
    """Write a commit and sign it with the user's key.

    Args:
        git: the repository.
        tree: its tree.
        *parents: its parents.
        message: its message.
        what: the commit's name in an error.
        env: its author; None: the user.

    Raises:
        ExternalError: the signing program failed.
    """
    flags = [part for parent in parents for part in ("-p", parent)]
    done = git.scratch("commit-tree", "-S", tree, *flags, stdin=message, env=env, ok=(0, 1, 128))
    if done.returncode == 0:
        return oid(done.text)
    raise ExternalError(
        f"{what} could not be signed",
        why="your git signs commits (commit.gpgSign, or [rebase] sign in stack.toml), and that failed",
        command=done.command_line,
        stderr=done.error_text,
        next_command="git commit-tree -S -m 'can I sign?' 'HEAD^{tree}'   # makes a commit that no branch holds",
    )


def write_merge(git: Git, tree: Oid, parents: tuple[Oid, Oid], message: bytes, *, by: str, sign: bool = False) -> Oid:
    """Write a merge commit of two parents with a given tree; `by` is author and committer."""
    if sign:
        return signed(git, tree, *parents, message=message, what="a merge commit")
    who = by.encode("utf-8", "surrogateescape")
    head = f"tree {tree}\n".encode() + b"".join(f"parent {parent}\n".encode() for parent in parents)
    new = objects.make(git, b"commit", head + b"author " + who + b"\ncommitter " + who + b"\n\n" + message)
    git.trees[new] = tree
    for graph in git.graphs:
        graph.add(new, parents)
    return new


def check_replayed(git: Git, own: Sequence[Commit], *, base: Oid, tip: Oid) -> None:
    """Read `tip` from the repository and check that it holds exactly `own`, in order, over `base`.

    Raises:
        InternalError: it does not; a ref move would lose or change a commit.
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


def commit_of_tree(git: Git, tree: Oid, *parents: Oid) -> Oid:
    """Make a commit for a merge that does not exist yet; equal arguments give an equal commit."""
    made = _synthetic_commit(git, tree, *parents)
    git.trees[made] = tree
    return made


def _synthetic_commit(git: Git, tree: Oid, *parents: Oid) -> Oid:
    named = "".join(f"parent {parent}\n" for parent in parents)
    # The same tree always gives the same object, so that they do not pile up. The date is newer
    # than all others: git looks for a merge base by date, newest first, and would walk the whole
    # history before it reached an old commit.
    who = "trunkline <trunkline@invalid> 4102444800 +0000"  # 2100-01-01
    raw = f"tree {tree}\n{named}author {who}\ncommitter {who}\n\nmerge base\n"
    return objects.make(git, b"commit", raw.encode())
