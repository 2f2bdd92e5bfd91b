"""Reads history: commits byte for byte, chains, patch ids, ancestry. Queries only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from trunkline.adapters import objects
from trunkline.adapters.git import Git
from trunkline.adapters.graph import Graph
from trunkline.domain.commits import Commit
from trunkline.domain.names import BranchName, Oid, branch_ref, oid


def read_commits(git: Git, oids: Sequence[Oid]) -> tuple[Commit, ...]:
    """Return commits as stored, in the order asked for.

    Raises:
        Defect: one is not a commit of this repository.
        OutsideFailed: what git answers is no such list.
    """
    unread = [name for name in dict.fromkeys(oids) if name not in git.commits]
    for name, commit in objects.read(git, unread, b"commit", _commit):
        git.commits[name] = commit
        git.trees[name] = commit.tree
        git.present.add(name)
    return tuple(git.commits[name] for name in oids)


def load(git: Git, tips: Iterable[Oid]) -> None:
    """Read all commits between these tips and what they have in common; later questions are cheap.

    Nothing is loaded where they have nothing in common, or where that lies very far back.

    Args:
        git: the repository.
        tips: those that are not here are left out.
    """
    asked = set(tips)
    wanted = sorted(asked - missing(git, asked))
    done = git.query("merge-base", "--octopus", "--end-of-options", *wanted, ok=(0, 1)) if wanted else None
    if done is None or done.returncode != 0 or not done.text.split():
        return
    root = oid(done.text.split()[0])
    revisions = "".join(f"{tip}\n" for tip in wanted) + f"^{root}\n"
    limit = f"--max-count={_LOADED + 1}"
    listed = git.query("rev-list", "--topo-order", limit, "--stdin", stdin=revisions.encode()).text.split()
    if len(listed) > _LOADED:
        return
    graph = Graph(root)
    git.graphs[:] = [graph]
    for commit in read_commits(git, [oid(line) for line in reversed(listed)]):
        graph.add(commit.oid, commit.parents)


_LOADED = 2000
"""Commits that are worth reading at once; a trunk that moved on further is asked about one question at a time."""


def chain(git: Git, base: Oid, tip: Oid, *, patch_ids: bool = False) -> tuple[Commit, ...]:
    """Return the commits of base..tip, oldest first, every commit after its parents."""
    found = _known(git, [tip], [base])
    if found is None:
        listed = git.fact("rev-list", "--topo-order", "--reverse", "--end-of-options", f"{base}..{tip}").text.split()
        found = tuple(oid(line) for line in listed)
    commits = read_commits(git, found)
    return with_patch_ids(git, commits) if patch_ids else commits


def reachable(git: Git, tips: Iterable[Oid], excluding: Iterable[Oid]) -> tuple[Commit, ...]:
    """Return the commits reachable from `tips` and from none of `excluding`."""
    wanted, excluding = list(dict.fromkeys(tips)), tuple(excluding)
    if not wanted:
        return ()
    found = _known(git, wanted, excluding)
    if found is not None:
        return read_commits(git, found)
    revisions = "".join(f"{name}\n" for name in wanted) + "".join(f"^{name}\n" for name in excluding)
    listed = git.fact("rev-list", "--topo-order", "--reverse", "--stdin", stdin=revisions.encode()).text.split()
    return read_commits(git, [oid(line) for line in listed])


def _known(git: Git, tips: Sequence[Oid], excluding: Sequence[Oid]) -> tuple[Oid, ...] | None:
    return next((found for graph in git.graphs if (found := graph.between(tips, excluding)) is not None), None)


def with_patch_ids(git: Git, commits: Sequence[Commit]) -> tuple[Commit, ...]:
    """Return the commits with their `git patch-id --stable`; merges and empty commits have none."""
    single = [c.oid for c in commits if len(c.parents) <= 1 and c.oid not in git.patched]
    if single:
        # Rename detection and diff drivers are the user's to configure; a patch id must not depend on them.
        patches = git.query(
            "diff-tree", "--stdin", "--patch", "--root", "--no-renames", "--no-ext-diff", "--no-textconv",
            "--full-index", stdin="".join(f"{name}\n" for name in single).encode(),
        ).stdout  # fmt: skip
        lines = git.query("patch-id", "--stable", stdin=patches).lines
        found = {line.split()[1]: line.split()[0] for line in lines}
        for name in single:
            git.commits[name] = replace(git.commits[name], patch_id=found.get(name, ""))
        git.patched.update(single)
    return tuple(git.commits[commit.oid] for commit in commits)


def differing(git: Git, one: Oid, other: Oid) -> tuple[str, ...]:
    """Return the paths in which two trees differ."""
    done = git.query("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--end-of-options", one, other)
    return tuple(path for path in done.text.split("\0") if path)


def merge_base(git: Git, one: Oid, other: Oid) -> Oid | None:
    """Return the best common ancestor, or None where the two share no history."""
    for graph in git.graphs:
        if (known := graph.merge_base(one, other)) is not None:
            return known
    done = git.fact("merge-base", "--end-of-options", one, other, ok=(0, 1))
    found = done.text.split()[:1] if done.returncode == 0 else []
    return oid(found[0]) if found else None


def is_ancestor(git: Git, ancestor: Oid, descendant: Oid) -> bool:
    """Say whether `descendant` contains `ancestor` (a commit contains itself); False where one is not here."""
    if ancestor == descendant:
        return True
    for graph in git.graphs:
        if (found := graph.is_ancestor(ancestor, descendant)) is not None:
            return found
    if missing(git, [ancestor, descendant]):
        return False
    done = git.fact("merge-base", "--is-ancestor", "--end-of-options", ancestor, descendant, ok=(0, 1))
    return done.returncode == 0


def reflog(git: Git, branch: BranchName) -> tuple[Oid, ...]:
    """Return what a local branch pointed at, newest first; empty where nothing is remembered."""
    done = git.query("rev-list", "--walk-reflogs", "--max-count=50", branch_ref(branch), "--", ok=(0, 128))
    return tuple(dict.fromkeys(oid(line) for line in done.text.split())) if done.returncode == 0 else ()


def has_object(git: Git, name: Oid) -> bool:
    """Say whether the repository has this commit."""
    return not missing(git, [name])


def missing(git: Git, names: Iterable[Oid]) -> frozenset[Oid]:
    """Return those of the commits that the repository has not; what it once had, it has."""
    unknown = [name for name in dict.fromkeys(names) if name not in git.present]
    if unknown:
        asked = "".join(f"{name}\n" for name in unknown).encode()
        lines = git.query("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked).lines
        git.present.update(oid(line.split()[0]) for line in lines if line.endswith(" commit"))
    return frozenset(name for name in unknown if name not in git.present)


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
