"""The reviewer note: its facts, and its place in a description."""

from __future__ import annotations

import re

import msgspec

from trunkline.domain.coverage import Coverage
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, PrNumber
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.reverts import Reverted

BEGIN = "<!-- trunkline:note -->"
END = "<!-- /trunkline:note -->"
LONGEST = 65_536
"""GitHub's limit on the characters of a description; more is rejected with status 422."""


class Rebased(msgspec.Struct, frozen=True):
    """The changes of a rebase to the commits that reviewers have read.

    Attributes:
        old: the former head on the remote.
        fork: the parent of its own commits.
        commits: how many own commits there are now.
        changed: the subjects of commits with a changed patch.
        left_out: the subjects of commits that were removed.
        merged: the base was merged into the branch; its commits keep their ids.
    """

    old: Oid
    fork: Oid
    commits: int
    changed: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    merged: bool = False

    @property
    def only(self) -> bool:
        """Every patch is unchanged."""
        return not self.changed and not self.left_out


REVISIONS = 10
"""The maximum number of revisions that a note lists; the newest are kept."""

_REVISION = re.compile(
    r"- \d{4}-\d\d-\d\d: \[`[0-9a-f]{7}\.\.(?P<new>[0-9a-f]{7})`\]"
    r"\(https://[\w.-]+/[\w.-]+/[\w.-]+/compare/[0-9a-f]{40,64}\.\.[0-9a-f]{40,64}\) "
    r"(?:rebase only|merge only|content)"
)


def revisions(body: str, since: Rebased | None, commit: Oid, *, date: str, compare: str) -> tuple[str, ...]:
    """Return the lines of the note's revision history, oldest first, `REVISIONS` at most.

    Lines of the current note are kept, so that writing the same note again changes nothing. Other
    text between them is removed.

    Args:
        body: the description with the current note, if there is one.
        since: how the commits changed; None: they were not rebased.
        commit: the head that the note describes.
        date: today, ISO 8601.
        compare: the page that compares the two heads.
    """
    lines = [line for line in (block_of(body) or "").splitlines() if _REVISION.fullmatch(line)]
    if since is None:
        return tuple(lines)
    kind = ("merge only" if since.merged else "rebase only") if since.only else "content"
    line = f"- {date}: [`{since.old[:7]}..{commit[:7]}`]({compare}) {kind}"
    last = _REVISION.fullmatch(lines[-1]) if lines else None
    if _REVISION.fullmatch(line) and (last is None or last["new"] != commit[:7]):
        lines.append(line)
    return tuple(lines[-REVISIONS:])


class Template(msgspec.Struct, frozen=True):
    """A custom template for the note: its file and its text."""

    name: str
    text: str


class NoteFacts(msgspec.Struct, frozen=True):
    """The facts of a note.

    Attributes:
        base: the base branch: trunk, or the branch of the open entry below.
        base_oid: the commit of the base on which the entry is based.
        commit: the pushed commit.
        own_commits: the number of the entry's commits.
        merged: the merged entries below, nearest first.
        reverted: those that trunk reverted since.
        gates: every gate with its outcome on exactly this commit's tree; None if it did not run.
        checks: every check by name and title, with its outcome on this tree.
        skipped: skipped steps.
        next: the entry's own `next` line.
        since: how the published commits changed; None if they were not rebased by us.
        compare: the page that compares the two heads, or "".
        pr: the pull request.
        stack: the pull requests of the stack, bottom first.
        issue: the issue that the stack resolves.
        coverage: the changed files that no gate verified.
        accepted: gates and checks that were waived by name for this commit.
        revisions: the lines of the revision history, oldest first; see `revisions`.
        result: the merge result that was verified instead of `commit`, if there is one.
        together: how entries that land together were verified, in a sentence; "" alone.
    """

    base: str
    base_oid: Oid
    commit: Oid
    own_commits: int
    merged: tuple[PrNumber, ...]
    gates: tuple[tuple[str, GateOutcome | None], ...]
    checks: tuple[tuple[str, str, GateOutcome | None], ...] = ()
    skipped: tuple[str, ...] = ()
    next: str = ""
    since: Rebased | None = None
    compare: str = ""
    pr: PrNumber | None = None
    stack: tuple[PrNumber, ...] = ()
    issue: int | None = None
    coverage: Coverage = msgspec.field(default_factory=lambda: Coverage(known=False))
    accepted: frozenset[str] = frozenset()
    revisions: tuple[str, ...] = ()
    result: Oid | None = None
    together: str = ""
    reverted: tuple[Reverted, ...] = ()

    @property
    def verified(self) -> bool:
        """A gate or a check ran on the commit, whatever its verdict."""
        known = [*(outcome for _, outcome in self.gates), *(outcome for _, _, outcome in self.checks)]
        return any(outcome is not None and outcome.verdict is not Verdict.UNAVAILABLE for outcome in known)


def worth_writing(facts: NoteFacts, body: str) -> bool:
    """Return whether a note is useful to readers, and does not replace a better one.

    If nothing ran here, an unchanged pull request gets no note. A note for this very commit is
    kept: it may be from a machine that has the receipts.

    Args:
        facts: the facts of the note.
        body: the description.
    """
    if facts.verified:
        return True
    if BEGIN not in body:
        return facts.since is not None
    return noted_commit(body) != facts.commit


def place(body: str, note: str) -> str:
    """Return a description with the note between its markers; the rest is kept byte for byte.

    Without markers, the note is appended. A note that does not fit loses its last lines, with a
    remark.

    Raises:
        Refused: the markers are unpaired or repeated, or there is no room at all.
    """
    placed = _placed(body, note)
    over = len(placed) - LONGEST
    return placed if over <= 0 else _placed(body, _shortened(note, len(note) - over))


def _shortened(note: str, room: int) -> str:
    lines = note.split("\n")
    for kept in range(len(lines) - 1, 0, -1):
        message = f"*{len(lines) - kept} more lines: the description has no room for them.*"
        short = "\n".join([*lines[:kept], "", message])
        if len(short) <= room and noted_commit(f"{BEGIN}\n{short}\n{END}"):
            return short
    raise Refused(
        "the description has no room for the note",
        why=f"GitHub takes {LONGEST} characters, and the author's own text leaves {max(room, 0)}",
        next_command="gh pr edit --body-file DESCRIPTION   # with a shorter one",
    )


def _placed(body: str, note: str) -> str:
    counts = body.count(BEGIN), body.count(END)
    if counts == (0, 0):
        gap = "" if not body else "\n\n"
        return f"{body}{gap}{BEGIN}\n{note}\n{END}"
    start, end = body.find(BEGIN), body.find(END)
    if counts != (1, 1) or end < start:
        raise Refused(
            "the note's markers in the description are damaged",
            why=f"expected one {BEGIN} followed by one {END}; found {counts[0]} and {counts[1]}",
            next_command="gh pr view --web   # mend the markers, or delete them all",
        )
    return f"{body[:start]}{BEGIN}\n{note}\n{END}{body[end + len(END) :]}"


def block_of(body: str) -> str | None:
    """Return the note in a description with its markers, or None if there is no complete one."""
    start = body.find(BEGIN)
    end = body.find(END, start)
    return body[start : end + len(END)] if start >= 0 and end >= 0 else None


def put_back(body: str, block: str | None) -> str:
    """Return a description with its note replaced or removed; the rest is kept byte for byte.

    Raises:
        Refused: its markers are damaged.
    """
    if block is not None:
        return place(body, block.removeprefix(f"{BEGIN}\n").removesuffix(f"\n{END}"))
    own = block_of(body)
    if own is None:
        return body
    before, _, after = body.partition(own)
    gap = "\r\n\r\n" if before.endswith("\r\n\r\n") else "\n\n"  # browsers save descriptions with CRLF
    return before.removesuffix(gap) + after if not after else before + after


def noted_commit(body: str) -> str:
    """Return the object id of the commit that a description's note describes, or ""."""
    _, found, rest = body.partition(BEGIN)
    inside, closed, _ = rest.partition(END)
    if not (found and closed):
        return ""
    return next((word.strip("`.") for word in inside.split() if len(word.strip("`.")) in {40, 64}), "")
