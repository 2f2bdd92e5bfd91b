"""Search a commit's Rust sources for a pattern, in git's objects and without a checkout."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import partial

import msgspec

from trunkline.domain.check import Match, PatternCheck
from trunkline.domain.names import Oid
from trunkline.gates.check_receipts import Subject
from trunkline.git import objects
from trunkline.rust import structure

_HUNK = re.compile(rb"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")
_INDEX = re.compile(rb"index ([0-9a-f]{40,64})\.\.([0-9a-f]{40,64})")
_REGULAR = frozenset({"100644", "100755"})
"""Modes of files; links and submodules are not searched."""
_WHOLE = range(0)
"""All lines of a file."""


class _File(msgspec.Struct, frozen=True):
    """A Rust source of the commit to search.

    Attributes:
        path: from the repository's top; bytes that are not UTF-8 are surrogates.
        blob: its content.
        lines: the lines in which a match counts.
    """

    path: str
    blob: Oid
    lines: range | frozenset[int] = _WHOLE


class MatchedSources(msgspec.Struct, frozen=True):
    """The matches of a pattern that count, and the number of files that were searched."""

    matches: tuple[Match, ...]
    files: int


def search(subject: Subject, check: PatternCheck) -> MatchedSources:
    """Search the files that a check names, or the lines that the entry's own commits add.

    Raises:
        UsageError: the pattern is invalid.
    """
    files = _named_files(subject, check.paths) if check.paths else _added_lines(subject)
    sources, lines = _read(subject, files), {file.path: file.lines for file in files}
    matches = structure.search(sources, check.pattern, check.inside, partial(_source, subject))
    return MatchedSources(tuple(match for match in matches if _counts(match, lines[match.path])), len(sources))


def _counts(match: Match, lines: range | frozenset[int]) -> bool:
    return not lines or any(line in lines for line in range(match.line, match.end + 1))


def _named_files(subject: Subject, paths: Collection[str]) -> tuple[_File, ...]:
    git = subject.git
    nothing = git.cached_query(
        "hash-object", "-t", "tree", "/dev/null"
    ).text  # the empty tree, in the repository's hash
    specs = [f":(top,glob){path}" for path in paths]
    changes = git.query("diff-tree", "-r", "-z", "--raw", "--no-renames", nothing, subject.commit, "--", *specs)
    return tuple(_File(path, blob) for path, _, blob in _raw(changes.text) if path.endswith(".rs"))


def _added_lines(subject: Subject) -> tuple[_File, ...]:
    """Return the files to which the entry's own commits add lines, with those line numbers.

    A patch quotes and escapes file names, so files are matched by their old and new blob.
    """
    compared = (
        "--no-renames", "--diff-filter=AMT", subject.base, subject.commit, "--", ":(top,glob)**/*.rs",
    )  # fmt: skip
    changes = subject.git.query("diff-tree", "-r", "-z", "--raw", *compared).text
    patch = subject.git.query(
        "diff-tree", "-r", "-p", "--unified=0", "--inter-hunk-context=0", "--full-index", "--text", "--no-color",
        "--no-ext-diff", "--no-textconv", *compared,
    ).stdout  # fmt: skip
    numbers = dict(_hunks(patch.split(b"\n")))
    found = ((path, blob, numbers.get((old, blob), frozenset())) for path, old, blob in _raw(changes))
    return tuple(_File(path, blob, lines) for path, blob, lines in found if lines)


def _raw(text: str) -> Iterator[tuple[str, Oid, Oid]]:
    """Parse `git diff-tree --raw -z` into path, old blob (zeros: no file) and new blob."""
    fields = iter(text.split("\0"))
    for about, path in zip(fields, fields, strict=False):
        before, mode, old, new, _ = about.removeprefix(":").split(" ")
        if mode in _REGULAR:
            yield path, Oid(old if before in _REGULAR else "0" * len(old)), Oid(new)


def _hunks(lines: Sequence[bytes]) -> Iterator[tuple[tuple[Oid, Oid], frozenset[int]]]:
    """Yield old and new blob and the added line numbers of each file in a patch without context.

    A source line cannot look like a header, because each begins with `+` or `-`.
    """
    blobs, numbers = (Oid(""), Oid("")), set[int]()
    for line in lines:
        if line.startswith(b"diff --git"):
            yield blobs, frozenset(numbers)
            blobs, numbers = (Oid(""), Oid("")), set()
        elif index := _INDEX.match(line):
            blobs = Oid(index[1].decode()), Oid(index[2].decode())
        elif hunk := _HUNK.match(line):
            start, count = int(hunk[1]), int(hunk[2] or 1)
            numbers.update(range(start, start + count))
    yield blobs, frozenset(numbers)


def _read(subject: Subject, files: Collection[_File]) -> dict[str, str]:
    found = objects.read(subject.git, [file.blob for file in files], b"blob", lambda _, content: content)
    contents = (content.decode("utf-8", "replace") for _, content in found)
    return dict(zip((file.path for file in files), contents, strict=True))


def _source(subject: Subject, path: str) -> str | None:
    done = subject.git.cached_query("cat-file", "blob", f"{subject.commit}:{path}", ok=(0, 128))
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
