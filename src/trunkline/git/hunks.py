"""Read the hunks of staged changes, the commits that last touched their lines, and make trees of some hunks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from trunkline.domain.absorb import Hunk, patched
from trunkline.domain.names import Oid, oid
from trunkline.git import index
from trunkline.git.git import Git

_HEADER = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
"""A hunk's header. Without context every other line of a hunk begins with `+`, `-` or a backslash."""
_BLAMED = re.compile(rb"^([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?$", re.MULTILINE)
"""A line of `git blame --porcelain` that names a commit: its content lines begin with a tab."""
_FILES = frozenset({"100644", "100755"})


class StagedFile(msgspec.Struct, frozen=True):
    """A file with staged changes.

    Attributes:
        path: the file.
        mode: its mode.
        old: its content before; None: it is new.
        new: its staged content; None: it is deleted.
        hunks: the changes; empty if only the file as a whole changed.
        whole: why it cannot be taken hunk by hunk; "" if it can.
    """

    path: str
    mode: str
    old: Oid | None
    new: Oid | None
    hunks: tuple[Hunk, ...] = ()
    whole: str = ""


def staged_files(git: Git, head: Oid, index: Oid) -> tuple[StagedFile, ...]:
    """Return the files that differ between the commit checked out and the index's tree, with their hunks."""
    output = git.query("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", head, index).text
    fields = iter(output.split("\0"))
    found = []
    for field in fields:
        if field:
            old_mode, mode, old, new, _ = field.removeprefix(":").split(" ")
            found.append(_file(git, (head, index), next(fields), (old_mode, mode), (old, new)))
    return tuple(found)


def _file(git: Git, trees: tuple[Oid, Oid], path: str, modes: tuple[str, str], blobs: tuple[str, str]) -> StagedFile:
    old, new = (None if not blob.strip("0") else oid(blob) for blob in blobs)
    whole = ""
    if old is None:
        whole = "a new file: no commit of the stack has lines of it"
    elif new is not None and modes[0] != modes[1]:
        whole = "its mode changed"
    elif not _FILES.issuperset(mode for mode in modes if mode.strip("0")):
        whole = "not a regular file"
    if whole:
        return StagedFile(path, modes[1], old, new, whole=whole)
    plain = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--unified=0", "--inter-hunk-context=0")
    diff = git.query("diff-tree", "-r", "--patch", *plain, *trees, "--", f":(top,literal){path}").stdout
    hunks = tuple(Hunk(path, int(a), int(b or 1), int(c), int(d or 1)) for a, b, c, d in _HEADER.findall(diff))
    return StagedFile(path, modes[1], old, new, hunks, "" if hunks else "a binary or empty file")


def blamed(git: Git, path: str, hunks: Iterable[Hunk], *, since: Oid, head: Oid) -> dict[int, Oid]:
    """Return line -> the commit that last touched it, for the lines that decide about hunks.

    Args:
        git: the repository.
        path: the file.
        hunks: its hunks.
        since: history behind this commit is not searched: its lines are given to that commit.
        head: the commit whose lines are meant.
    """
    count = _line_count(git, head, path)
    lines = sorted({line for hunk in hunks for line in hunk.neighbours if 1 <= line <= count})
    if not lines:
        return {}
    ranges = [option for line in lines for option in ("-L", f"{line},{line}")]
    # A user's blame.ignoreRevsFile would give lines to other commits, a text conversion other numbers.
    done = git.query(
        "-c", "blame.ignoreRevsFile=", "blame", "--no-textconv", "--porcelain", *ranges,
        f"{since}..{head}", "--", path,
    )  # fmt: skip
    return {int(line): oid(name.decode()) for name, line in _BLAMED.findall(done.stdout)}


def _line_count(git: Git, head: Oid, path: str) -> int:
    return len(_lines(git.query("cat-file", "blob", f"{head}:{path}").stdout))


def _lines(content: bytes) -> list[bytes]:
    return [line + b"\n" for line in content.split(b"\n")[:-1]] + [last for last in content.split(b"\n")[-1:] if last]


def tree_of(git: Git, head: Oid, files: Sequence[StagedFile], chosen: Mapping[str, Sequence[Hunk]]) -> Oid:
    """Return the tree of a commit with some of the staged hunks; it is written, no index changes.

    Args:
        git: the repository.
        head: the commit checked out.
        files: the staged files.
        chosen: path -> the hunks to apply.
    """
    rows = b""
    for file in files:
        if not (hunks := chosen.get(file.path)):
            continue
        path = file.path.encode("utf-8", "surrogateescape")
        if file.new is None and len(hunks) == len(file.hunks):
            rows += b"0 %s\t%s\0" % (b"0" * len(head), path)
            continue
        old = _lines(git.query("cat-file", "blob", str(file.old)).stdout)
        new = _lines(git.query("cat-file", "blob", file.new).stdout) if file.new is not None else []
        blob = git.scratch("hash-object", "-w", "--no-filters", "--stdin", stdin=patched(old, new, hunks)).text
        mode = file.mode if file.new is not None else "100644"
        rows += f"{mode} {blob}\t".encode() + path + b"\0"
    return index.tree_with(git, head, rows)
