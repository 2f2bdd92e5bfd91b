"""Types for names from outside, validated on input: object ids, branches, pull request numbers."""

from __future__ import annotations

import re
from typing import Annotated, NewType

import msgspec

from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError

Oid = NewType("Oid", str)
"""A full object id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits."""

Id = Annotated[Oid, msgspec.Meta(pattern=r"\A[0-9a-f]{40}([0-9a-f]{24})?\Z")]
"""An `Oid` that is checked when JSON is decoded."""

BranchName = NewType("BranchName", str)
"""A branch name without `refs/heads/`, valid when appended to it."""

PrNumber = NewType("PrNumber", int)
"""A pull request number, 1 to `MAX_NUMBER`."""

EntryKey = PrNumber | BranchName
"""The identity of an entry: its pull request's number, or its branch while it has no pull request."""

ZERO_OID = Oid("0" * 40)
"""Git's value for a missing ref; as an expected value it means: create, never overwrite."""

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# git-check-ref-format(1), rules 1 to 10, and no leading dash, which git would read as an option
# ("Disallow branch names beginning with '-'").
_BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_NUMBER = re.compile(r"[0-9]{1,10}")
MAX_NUMBER = 2**31 - 1
"""Pull request numbers are of GraphQL's type Int."""
_HALF_CHARACTER = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # \udc80 to \udcff: a byte that is not UTF-8, escaped
_MAX_REF = 244  # 255 bytes of a file name, less ".lock" and a margin for the backup prefix


def oid(text: str) -> Oid:
    """Return `text` as an `Oid`.

    Raises:
        UsageError: it is not a full lower-case hex object id.
    """
    if not _OID.fullmatch(text):
        raise UsageError(f"not a full object id: {text!r}", why="expected 40 or 64 lower-case hex digits")
    return Oid(text)


def short(value: str) -> str:
    """Return the first seven digits for display; never used with git."""
    return value[:7]


def branch_problem(text: str) -> str | None:
    """Return why `text` is not a valid branch name, or None (git-check-ref-format(1))."""
    parts = text.split("/")
    problem = None
    if not text:
        problem = "it is empty"
    elif text.startswith("-"):
        problem = "it begins with '-', so a tool would read it as an option"
    elif match := _BAD_IN_REF.search(text):
        problem = f"it contains {match.group()!r}, which git refuses (or reads as a refspec)"
    elif any(part.startswith(".") or part.endswith(".lock") for part in parts):
        problem = "a part begins with '.' or ends with '.lock'"
    elif text.startswith(("/", "+", "refs/")) or text.endswith(("/", ".")) or text in {"@", "HEAD"}:
        problem = "it begins with '/', '+' or 'refs/', ends with '/' or '.', or is '@' or 'HEAD'"
    elif _HALF_CHARACTER.search(text):
        problem = "it contains half a character (a lone surrogate), which is no text"
    elif len(text.encode("utf-8", "surrogateescape")) > _MAX_REF:
        problem = f"it is longer than {_MAX_REF} bytes"
    return problem


def branch_name(text: str) -> BranchName:
    """Return `text` as a `BranchName`.

    Raises:
        UsageError: git would reject it, or read it as an option or a refspec.
    """
    if problem := branch_problem(text):
        raise UsageError(f"not a branch name: {text!r}", why=problem)
    return BranchName(text)


def pr_number(value: int | str) -> PrNumber:
    """Return `value` as a `PrNumber`; `519`, `"519"` and `"#519"` are the same.

    Raises:
        UsageError: it is not a whole number of 1 to `MAX_NUMBER`.
    """
    text = str(value).removeprefix("#")
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MAX_NUMBER:
        raise UsageError(
            f"not a pull request number: {value!r}",
            why="expected a whole number, like 519",
            next_command=task_command("status"),
        )
    return PrNumber(int(text))


def labelled(key: EntryKey) -> str:
    """Return the short name of an entry for people: `#519`, or its branch while it has no pull request."""
    return key if isinstance(key, str) else f"#{key}"


def labelled_fully(key: EntryKey, branch: BranchName) -> str:
    """Return the number and the branch of an entry for people; the branch alone while it has no pull request."""
    return branch if isinstance(key, str) else f"#{key} {branch}"


def entry_key(text: str | int) -> EntryKey:
    """Return the entry that a user names: `519` and `#519` are numbers, anything else is a branch.

    Raises:
        UsageError: it is neither a pull request number nor a branch name.
    """
    words = str(text)
    if words.removeprefix("#").isdecimal() or branch_problem(words):
        return pr_number(text)
    return branch_name(words)


def branch_ref(name: BranchName) -> str:
    """Return the full ref name of a branch, the only form that is passed to git."""
    return f"refs/heads/{name}"
