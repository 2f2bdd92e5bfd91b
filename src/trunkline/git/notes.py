"""Share receipts as git notes in `refs/notes/trunkline`.

A note belongs to the commit whose gates ran, and holds one JSON object per line. Lines of both
sides are merged and never overwritten (`cat_sort_uniq`). The push names the value that the remote
must still hold, like every push of trunkline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused
from trunkline.domain.names import Oid, oid
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.git.history import has_object
from trunkline.state.lock import RepositoryLock

REF = "refs/notes/trunkline"


def _copy_of(remote: str) -> str:
    # `git notes merge` accepts only refs below refs/notes/.
    return f"refs/notes/trunkline-of/{remote}"


def read(git: Git) -> Mapping[Oid, tuple[str, ...]]:
    """Return the lines of every local note, by the commit that it belongs to.

    Raises:
        ExternalError: git's output cannot be parsed.
    """
    if not refs.read_refs(git, REF):
        return {}
    found = {}
    for line in git.query("notes", f"--ref={REF}", "list").lines:
        note, _, on = line.partition(" ")
        if not on:
            raise ExternalError("git notes answered what cannot be understood", why=repr(line))
        found[oid(on)] = tuple(git.query("cat-file", "blob", note).lines)
    return found


def add(git: Git, lock: RepositoryLock, lines: Mapping[Oid, Sequence[str]]) -> None:
    """Add lines to the notes of commits; commits that the repository lacks are skipped."""
    existing = read(git)
    for commit, ours in lines.items():
        united = sorted({*existing.get(commit, ()), *ours})
        if united != sorted(existing.get(commit, ())) and has_object(git, commit):
            content = "".join(f"{line}\n" for line in united).encode()
            git.mutate(lock, "notes", f"--ref={REF}", "add", "-f", "-F", "-", commit, stdin=content)


def pull(git: Git, lock: RepositoryLock, remote: str) -> Oid | None:
    """Fetch the remote's notes and merge them into ours; return the remote's value, if any.

    Anybody who can push can write to this ref. So no local ref moves before the fetched objects are
    checked to be notes.

    Raises:
        ExternalError: the remote's ref holds something else, or notes that are too large.
    """
    theirs = refs.list_remote(git, remote, [REF]).get(REF)
    if theirs is None:
        return None
    refs.fetch_objects(git, remote, [REF])
    _refuse_other_than_notes(git, remote, theirs)
    copy, existing = _copy_of(remote), refs.read_refs(git, REF, _copy_of(remote))
    if existing.get(copy) != theirs:
        refs.move_ref(git, lock, copy, new=theirs, old=existing.get(copy), why=f"notes of {remote}")
    if REF not in existing:
        refs.move_ref(git, lock, REF, new=theirs, old=None, why=f"notes of {remote}")
    else:
        git.mutate(lock, "notes", f"--ref={REF}", "merge", "--quiet", "-s", "cat_sort_uniq", copy)
    return theirs


_LARGEST = 4 * 2**20
"""Most bytes of one commit's notes; a receipt takes about 1 KiB."""
_MOST = 50_000
"""Most commits with notes."""


def _refuse_other_than_notes(git: Git, remote: str, theirs: Oid) -> None:
    """Refuse a ref that is not a commit of plain files of limited size."""
    kind = git.query("cat-file", "-t", theirs, ok=(0, 128)).text
    problem = "" if kind == "commit" else f"is {kind or 'missing here'}, not a commit"
    if not problem:
        listed = git.query("ls-tree", "-r", "-l", "-z", "--full-tree", theirs).text.split("\0")
        entries = [line.partition("\t")[0].split() for line in listed if line]
        if len(entries) > _MOST:
            problem = f"has notes on more than {_MOST} commits"
        elif any(mode not in {"100644", "100755"} for mode, *_ in entries):
            problem = "holds something that is not a file"
        elif any(int(size) > _LARGEST for *_, size in entries):
            problem = f"has a note of more than {_LARGEST} bytes"
    if problem:
        raise ExternalError(
            f"{REF} on {remote} {problem}",
            why="these are no receipts of trunkline's; no ref of yours was moved",
            next_command=f"git push {remote} --delete {REF}   # removes it for everybody",
        )


def push(git: Git, lock: RepositoryLock, remote: str) -> bool:
    """Merge our notes with the remote's and push the result; return False if nothing is new.

    Raises:
        Refused: somebody else pushed notes meanwhile; nothing was overwritten.
        ExternalError: the remote did not accept them.
    """
    old = pull(git, lock, remote)
    new = refs.read_refs(git, REF).get(REF)
    if new is None or new == old:
        return False
    expected = f"--force-with-lease={REF}:{old or ''}"
    done = git.mutate(
        lock, "push", "--porcelain", "--no-follow-tags", "--recurse-submodules=no", "--no-force-if-includes",
        expected, "--end-of-options", remote, f"{new}:{REF}",
        ok=tuple(range(256)), network=True, display=f"git push {expected} {remote} {new}:{REF}",
    )  # fmt: skip
    found = refs.list_remote(git, remote, [REF]).get(REF)
    if found == new:
        return True
    kind = ExternalError if found == old else Refused
    raise kind(
        f"{remote} did not take the notes",
        why=f"{REF} there is {found or 'nothing'}; nothing was overwritten",
        command=done.command_line,
        stderr=done.error_text,
        next_command=task_command("receipts.push"),
    )
