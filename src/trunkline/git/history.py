"""Read history: commits byte for byte, ranges, patch ids and ancestry. Queries only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from trunkline.domain.commits import Commit
from trunkline.domain.errors import UsageError
from trunkline.domain.names import BranchName, Oid, branch_ref, oid
from trunkline.git import objects
from trunkline.git.commit_graph import Graph
from trunkline.git.git import Git
from trunkline.system.process import Completed


def read_commits(git: Git, oids: Sequence[Oid]) -> tuple[Commit, ...]:
    """Return commits as stored, in the given order.

    Raises:
        InternalError: one is not a commit.
        ExternalError: one is missing, or git's output cannot be parsed.
    """
    unread = [name for name in dict.fromkeys(oids) if name not in git.commits]
    for name, commit in objects.read(git, unread, b"commit", _commit):
        git.commits[name] = commit
        git.trees[name] = commit.tree
        git.existing.add(name)
    return tuple(git.commits[name] for name in oids)


def load(git: Git, tips: Iterable[Oid]) -> None:
    """Load all commits between these tips and their merge base, so that later queries are cheap.

    Nothing is loaded if the tips share no history, if the merge base is too far back, or if the tips are loaded.

    Args:
        git: the repository.
        tips: the commits; those that the repository lacks are ignored.
    """
    given = set(tips)
    present = sorted(given - missing(git, given))
    if any(all(tip in graph for tip in present) for graph in git.graphs):
        return
    done = git.query("merge-base", "--octopus", "--end-of-options", *present, ok=(0, 1)) if present else None
    if done is None or done.returncode != 0 or not done.text.split():
        return
    root = oid(done.text.split()[0])
    revisions = "".join(f"{tip}\n" for tip in present) + f"^{root}\n"
    limit = f"--max-count={_LOADED + 1}"
    listed = git.query("rev-list", "--topo-order", limit, "--stdin", stdin=revisions.encode()).text.split()
    if len(listed) > _LOADED:
        return
    graph = Graph(root)
    git.graphs[:] = [graph]
    found = [oid(line) for line in reversed(listed)]
    git.complete.update(found)  # the tips are complete, so everything that they reach is
    for commit in read_commits(git, found):
        graph.load(commit.oid, commit.parents)


_LOADED = 2000
"""The most commits to load at once; for a longer history git answers each query."""


def chain(git: Git, base: Oid, tip: Oid) -> tuple[Commit, ...]:
    """Return the commits of base..tip, oldest first, every commit after its parents."""
    found = _known(git, [tip], [base])
    if found is None:
        listed = git.cached_query(
            "rev-list", "--topo-order", "--reverse", "--end-of-options", f"{base}..{tip}"
        ).text.split()
        found = tuple(oid(line) for line in listed)
    _prove(git, [tip], found)
    return read_commits(git, found)


def reachable(git: Git, tips: Iterable[Oid], excluding: Iterable[Oid]) -> tuple[Commit, ...]:
    """Return the commits reachable from `tips` and from none of `excluding`."""
    starts, excluding = list(dict.fromkeys(tips)), tuple(excluding)
    if not starts:
        return ()
    found = _known(git, starts, excluding)
    if found is None:
        revisions = "".join(f"{name}\n" for name in starts) + "".join(f"^{name}\n" for name in excluding)
        listed = git.cached_query(
            "rev-list", "--topo-order", "--reverse", "--stdin", stdin=revisions.encode()
        ).text.split()
        found = tuple(oid(line) for line in listed)
    _prove(git, starts, found)
    return read_commits(git, found)


def on_no_ref(git: Git, tip: Oid) -> tuple[Commit, ...]:
    """Return the commits that a commit reaches and no ref does, oldest first."""
    refs = ("--not", "--glob=refs/*", "--not")  # --all would include a detached HEAD (git-rev-list(1))
    listed = git.query("rev-list", "--topo-order", "--reverse", *refs, "--end-of-options", tip)
    return read_commits(git, [oid(line) for line in listed.lines])


def _prove(git: Git, tips: Sequence[Oid], reached: Sequence[Oid]) -> None:
    """Mark everything that complete commits reach as complete."""
    if all(tip in git.complete or tip in git.referenced for tip in tips):
        git.complete.update(reached)


def _known(git: Git, tips: Sequence[Oid], excluding: Sequence[Oid]) -> tuple[Oid, ...] | None:
    return next((found for graph in git.graphs if (found := graph.between(tips, excluding)) is not None), None)


def with_patch_ids(git: Git, commits: Sequence[Commit]) -> tuple[Commit, ...]:
    """Return the commits with their `git patch-id --stable`; merges and empty commits have none."""
    single = [c.oid for c in commits if len(c.parents) <= 1 and c.oid not in git.patch_ids_known]
    if single:
        # Users configure rename detection and diff drivers; a patch id must not depend on them.
        patches = git.query(
            "diff-tree", "--stdin", "--patch", "--root", "--no-renames", "--no-ext-diff", "--no-textconv",
            "--full-index", stdin="".join(f"{name}\n" for name in single).encode(),
        ).stdout  # fmt: skip
        lines = git.query("patch-id", "--stable", stdin=patches).lines
        found = {line.split()[1]: line.split()[0] for line in lines}
        for name in single:
            git.commits[name] = replace(git.commits[name], patch_id=found.get(name, ""))
        git.patch_ids_known.update(single)
    return tuple(git.commits[commit.oid] for commit in commits)


def differing(git: Git, one: Oid, other: Oid) -> tuple[str, ...]:
    """Return the paths in which two trees differ."""
    done = git.query("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--end-of-options", one, other)
    return tuple(path for path in done.text.split("\0") if path)


def merge_base(git: Git, one: Oid, other: Oid) -> Oid | None:
    """Return the best common ancestor, or None if the two share no history."""
    for graph in git.graphs:
        if (known := graph.merge_base(one, other)) is not None:
            return known
    done = git.cached_query("merge-base", "--end-of-options", one, other, ok=(0, 1))
    found = done.text.split()[:1] if done.returncode == 0 else []
    return oid(found[0]) if found else None


def is_ancestor(git: Git, ancestor: Oid, descendant: Oid) -> bool:
    """Return whether `descendant` contains `ancestor` (or is it); False if either is missing."""
    if ancestor == descendant:
        return True
    for graph in git.graphs:
        if (found := graph.is_ancestor(ancestor, descendant)) is not None:
            return found
    if missing(git, [ancestor, descendant]):
        return False
    done = git.cached_query("merge-base", "--is-ancestor", "--end-of-options", ancestor, descendant, ok=(0, 1))
    return done.returncode == 0


def reflog(git: Git, branch: BranchName) -> tuple[Oid, ...]:
    """Return the values of a local branch from its reflog, newest first."""
    return reflog_of(git, branch_ref(branch))


def reflog_of(git: Git, ref: str) -> tuple[Oid, ...]:
    """Return the distinct values among the 50 newest of a ref's reflog, newest first."""
    return tuple(dict.fromkeys(moves_of(git, ref)))


def values_of(git: Git, ref: str, moves: Sequence[Oid]) -> tuple[Oid, ...]:
    """Return the distinct values that a ref is known to have had, newest first.

    They are its value, the 50 newest of its reflog, and the one before the oldest of them. `git clone`
    writes no reflog of tracking branches, so their first value is only there.

    Args:
        git: the repository.
        ref: the ref.
        moves: the values in its reflog (`moves_of`).
    """
    done = git.query("rev-parse", "--end-of-options", ref, f"{ref}@{{{len(moves)}}}", ok=(0, 128))
    found = [oid(line) for line in done.text.split() if _HEX.fullmatch(line)]
    return tuple(dict.fromkeys((*found[:1], *moves, *found[1:])))


_HEX = re.compile("[0-9a-f]{40,64}")


def moves_of(git: Git, ref: str) -> tuple[Oid, ...]:
    """Return at most 50 values of a ref from its reflog, newest first; a value may occur again."""
    done = git.query("rev-list", "--walk-reflogs", "--max-count=50", ref, "--", ok=(0, 128))
    return tuple(oid(line) for line in done.text.split()) if done.returncode == 0 else ()


def has_object(git: Git, name: Oid) -> bool:
    """Return whether the repository has this commit and everything that it reaches."""
    return not missing(git, [name])


def missing(git: Git, names: Iterable[Oid]) -> frozenset[Oid]:
    """Return the commits that are missing, or that reach a missing commit, tree or file.

    An interrupted fetch can leave the newest commits without their trees: git writes the commits of
    a pack first. So the existence of a commit proves nothing about what it reaches; see
    `_incomplete`.
    """
    unknown = [name for name in dict.fromkeys(names) if name not in git.complete]
    unread = [name for name in unknown if name not in git.existing]
    if unread:
        request = "".join(f"{name}\n" for name in unread).encode()
        lines = git.query("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=request).lines
        git.existing.update(oid(line.split()[0]) for line in lines if line.endswith(" commit"))
    existing = [name for name in unknown if name in git.existing]
    git.complete.update(set(existing) - _incomplete(git, existing))
    return frozenset(name for name in unknown if name not in git.complete)


def require_commit(git: Git, revision: str, flag: str) -> Oid:
    """Return the commit that the value of a flag names.

    Raises:
        UsageError: this repository has no such commit.
    """
    found = git.resolve(revision)
    if found is None:
        raise UsageError(
            f"--{flag} {revision!r} names no commit of this repository", next_command="git log --oneline"
        )
    return found


def present(git: Git, names: Iterable[Oid]) -> list[Oid]:
    """Return, in their order, the distinct commits whose whole closure exists in this repository (`missing`)."""
    distinct = list(dict.fromkeys(names))
    absent = missing(git, distinct)
    return [name for name in distinct if name not in absent]


def _incomplete(git: Git, names: Sequence[Oid]) -> frozenset[Oid]:
    """Return those of these existing commits that reach a missing object.

    This is the check of `git fetch` before it moves a ref (git's connected.c): everything that the
    commits reach, and no ref reaches, must exist. Whatever refs reach is complete, so the cost of a
    commit is proportional to its new objects, and a commit that a ref holds costs nothing.
    """
    unproven = [name for name in names if name not in git.referenced]
    if not unproven or connectivity(git, unproven).returncode == 0:
        return frozenset()
    return frozenset(name for name in unproven if connectivity(git, [name]).returncode)


def connectivity(git: Git, names: Iterable[Oid], *, excluding: Sequence[str] = ("--all",)) -> Completed:
    """Check that everything reachable from commits exists; then the exit code is 0.

    Args:
        git: the repository.
        names: the commits.
        excluding: revisions or options of git-rev-list(1); whatever they reach is not checked.
    """
    objects_too = () if _is_partial(git) else ("--objects",)
    revisions = "".join(f"{name}\n" for name in names).encode()
    return git.query(
        "rev-list", "--quiet", *objects_too, "--stdin", "--not", *excluding, ok=(0, 1, 128), stdin=revisions
    )


def _is_partial(git: Git) -> bool:
    """Return whether this is a partial clone, which fetches trees and files when they are read."""
    found = git.cached_query("config", "--type=bool", "--get-regexp", r"^remote\..*\.promisor$", ok=(0, 1)).text
    return any(line.endswith(" true") for line in found.splitlines())


def _commit(name: Oid, raw: bytes) -> Commit:
    head, _, message = raw.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        fields.setdefault(key, []).append(value)  # continuation lines of gpgsig begin with a space: key b""
    return Commit(
        oid=name,
        parents=tuple(oid(parent.decode()) for parent in fields.get(b"parent", [])),
        tree=oid(fields[b"tree"][0].decode()),
        author=fields[b"author"][0],
        message=message,
        signed=b"gpgsig" in fields or b"gpgsig-sha256" in fields,
        encoding=fields.get(b"encoding", [b""])[0].decode("utf-8", "surrogateescape"),
    )


def commits_beyond(git: Git, tip: Oid, known: Sequence[Oid]) -> tuple[Commit, ...]:
    """Return the commits of a fetched tip that none of the known commits contains; missing ones contain nothing."""
    return reachable(git, [tip], [name for name in dict.fromkeys(known) if has_object(git, name)])
