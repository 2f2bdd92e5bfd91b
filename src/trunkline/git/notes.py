"""Share receipts as git notes in `refs/notes/trunkline`.

A note belongs to the commit whose gates ran, and holds one JSON object per line. Lines of both
sides are merged and never overwritten (`cat_sort_uniq`). The push names the value that the remote
must still hold, like every push of trunkline.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused, UsageError
from trunkline.domain.names import Oid, oid
from trunkline.git import local_refs, refs
from trunkline.git.git import Git
from trunkline.git.history import has_object
from trunkline.state.change_log import Part
from trunkline.state.lock import RepositoryLock

REF = "refs/notes/trunkline"


def read(git: Git) -> Mapping[Oid, tuple[str, ...]]:
    """Return the lines of every local note, by the commit that it belongs to.

    Raises:
        ExternalError: git's output cannot be parsed.
    """
    if refs.read_ref(git, REF) is None:
        return {}
    found = {}
    for line in git.query("notes", f"--ref={REF}", "list").lines:
        note, _, on = line.partition(" ")
        if not on:
            raise ExternalError("git notes answered what cannot be understood", why=repr(line))
        found[oid(on)] = tuple(git.query("cat-file", "blob", note).lines)
    return found


def sources(git: Git, remote: str) -> dict[str, Oid]:
    """Return the refs that hold receipts here: ours, and the copy of the remote's.

    Raises:
        ExternalError: one of them holds something else.
    """
    listed = git.query("for-each-ref", "--format=%(objectname) %(objecttype) %(refname)", REF, copy_of(remote)).lines
    found = {}
    for value, kind, ref in (line.split(" ", 2) for line in listed):
        if kind != "commit":
            raise _no_notes(ref, kind)
        found[ref] = oid(value)
    return found


def _no_notes(ref: str, kind: str) -> ExternalError:
    """Return the error for a ref of notes here that holds something else."""
    return ExternalError(
        f"{ref} is a {kind}, not a commit",
        why="these are no receipts of trunkline's; no receipt can be read",
        next_command=f"git update-ref -d {ref}",
    )


def about(git: Git, ref: str, tree: Oid) -> frozenset[str]:
    """Return the lines of all notes of a ref that name a tree; `git grep` keeps this fast with many notes."""
    done = git.query(
        "grep", "-h", "--text", "--no-color", "--no-line-number", "--no-column", "--fixed-strings", "-e", tree, ref,
        ok=(0, 1),
    )  # fmt: skip
    return frozenset(done.stdout.decode("utf-8", "replace").splitlines())


def on_commit(git: Git, ref: str, commit: Oid) -> tuple[str, ...]:
    """Return the lines of a commit's note."""
    done = git.query("notes", f"--ref={ref}", "show", commit, ok=(0, 1))
    return tuple(done.stdout.decode("utf-8", "replace").splitlines()) if done.returncode == 0 else ()


def copy_of(remote: str) -> str:
    """Return the ref that holds the remote's notes as last fetched.

    `git notes merge` accepts only refs below refs/notes/.
    """
    return f"refs/notes/trunkline-of/{remote}"


def add(git: Git, lock: RepositoryLock, lines: Mapping[Oid, Sequence[str]]) -> None:
    """Add lines to the notes of commits; commits that the repository lacks are skipped.

    Raises:
        ExternalError: the ref of the notes holds something else, or git cannot write it.
    """
    held = _is_held(git)
    if held and (kind := git.query("cat-file", "-t", REF).text) != "commit":
        raise _no_notes(REF, kind)
    for commit, ours in lines.items():
        existing = on_commit(git, REF, commit) if held else ()
        united = sorted({*existing, *ours})
        if united != sorted(existing) and has_object(git, commit):
            content = "".join(f"{line}\n" for line in united).encode()
            _write(git, lock, "add", "-f", "-F", "-", commit, stdin=content)


def _is_held(git: Git) -> bool:
    """Return whether the ref of our notes exists.

    Raises:
        ExternalError: it is a symbolic ref; git would write the notes to the ref behind it, which may be a branch.
    """
    listed = git.query("for-each-ref", "--format=%(refname) %(symref)", REF).lines
    target = next((line.partition(" ")[2] for line in listed if line.startswith(f"{REF} ")), None)
    if target:
        raise ExternalError(
            f"{REF} is a symbolic ref to {target}",
            why=f"receipts would be written to {target}; nothing was written",
            next_command=f"git symbolic-ref --delete {REF}",
        )
    return target is not None


def _write(git: Git, lock: RepositoryLock, *args: str, stdin: bytes = b"") -> None:
    """Run a `git notes` that changes our notes.

    Raises:
        ExternalError: git refuses, because the ref is locked or cannot be created, for example.
    """
    try:
        git.mutate(lock, "notes", f"--ref={REF}", *args, stdin=stdin, changes=Part.NOTHING)
    except UsageError as error:
        raise ExternalError(
            f"{REF} cannot be written",
            why="git refuses; no receipt is lost, and nothing was pushed",
            command=error.command,
            stderr=error.stderr,
            next_command=f"git for-each-ref {REF}   # the refs of these names",
        ) from error


def pull(git: Git, lock: RepositoryLock, remote: str) -> Oid | None:
    """Fetch the remote's notes and merge them into ours; return the remote's value, if any.

    Anybody who can push can write to this ref. So no local ref moves before the fetched objects are
    checked to be notes.

    Raises:
        ExternalError: the remote's ref holds something else, or notes that are too large.
    """
    theirs = refs.list_remote(git, remote, [REF]).get(REF)
    if theirs is None:
        _move_copy(git, lock, remote, None)
        return None
    refs.fetch_objects(git, remote, [REF])
    if problem := _problem(git, theirs):
        raise ExternalError(
            f"{REF} on {remote} {problem}",
            why="these are no receipts of trunkline's; no ref of yours was moved",
            next_command=f"git push {shlex.quote(remote)} --delete {REF}   # removes it for everybody",
        )
    _move_copy(git, lock, remote, theirs)
    if not _is_held(git):
        local_refs.move_ref(git, lock, REF, new=theirs, old=None, why=f"notes of {remote}")
    else:
        _write(git, lock, "merge", "--quiet", "-s", "cat_sort_uniq", copy_of(remote))
    return theirs


def _move_copy(git: Git, lock: RepositoryLock, remote: str, theirs: Oid | None) -> None:
    """Make the copy of the remote's notes hold what the remote has; None: it has none."""
    copy = copy_of(remote)
    old = refs.read_ref(git, copy)
    if theirs is None and old is not None:
        git.mutate(lock, "update-ref", "-d", copy, old, changes=Part.NOTHING)
    elif theirs is not None and theirs != old:
        local_refs.move_ref(git, lock, copy, new=theirs, old=old, why=f"notes of {remote}")


_LARGEST = 4 * 2**20
"""Most bytes of one commit's notes; a receipt takes about 1 KiB."""
_MOST = 50_000
"""Most commits with notes."""


def _problem(git: Git, theirs: Oid) -> str:
    """Return why an object is not a commit of plain files of limited size, or ""."""
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
    return problem


def push(git: Git, lock: RepositoryLock, remote: str) -> bool:
    """Merge our notes with the remote's and push the result; return False if nothing is new.

    Raises:
        Refused: somebody else pushed notes meanwhile; nothing was overwritten.
        ExternalError: the remote did not accept them.
    """
    old = pull(git, lock, remote)
    new = refs.read_ref(git, REF)
    if new is None or new == old:
        return False
    expected = f"--force-with-lease={REF}:{old or ''}"
    done = git.push(
        lock, "--porcelain", "--no-follow-tags", "--recurse-submodules=no", "--no-force-if-includes",
        expected, "--end-of-options", remote, f"{new}:{REF}",
        ok=tuple(range(256)), shown=True,
    )  # fmt: skip
    found = refs.list_remote(git, remote, [REF]).get(REF)
    if found == new:
        _move_copy(git, lock, remote, new)
        return True
    kind = ExternalError if found == old else Refused
    raise kind(
        f"{remote} did not take the notes",
        why=f"{REF} there is {found or 'nothing'}; nothing was overwritten",
        command=done.command_line,
        stderr=done.error_text,
        next_command=task_command("receipts.push"),
    )
