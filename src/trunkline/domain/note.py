"""The reviewer note: what it may state, and where it lives in a description."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trunkline.domain.coverage import Coverage
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, PrNumber
from trunkline.domain.receipt import GateOutcome, Verdict

BEGIN = "<!-- trunkline:note -->"
END = "<!-- /trunkline:note -->"
LONGEST = 65_536
"""Characters of a description. GitHub's answer to more, 422: "body is too long (maximum is 65536 characters)"."""


@dataclass(frozen=True)
class Rebased:
    """What became of the commits that reviewers saw.

    Attributes:
        old: the head that was on the remote before.
        fork: what its own commits followed.
        commits: how many own commits there are now.
        changed: the subjects of those whose patch is not, or was not, what it is now.
        left_out: the subjects of commits that reviewers saw and that are no longer there.
    """

    old: Oid
    fork: Oid
    commits: int
    changed: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def only(self) -> bool:
        """Whether every patch is what it was."""
        return not self.changed and not self.left_out


REVISIONS = 10
"""How many revisions a note lists: the newest."""

_REVISION = re.compile(
    r"- \d{4}-\d\d-\d\d: \[`[0-9a-f]{7}\.\.(?P<new>[0-9a-f]{7})`\]"
    r"\(https://[\w.-]+/[\w.-]+/[\w.-]+/compare/[0-9a-f]{40,64}\.\.[0-9a-f]{40,64}\) (?:rebase only|content)"
)


def revisions(body: str, since: Rebased | None, commit: Oid, *, date: str, compare: str) -> tuple[str, ...]:
    """Return the lines of the note's revision history, oldest first, `REVISIONS` at most.

    Lines of the present note are kept as they are, so that writing the same note again changes nothing. Anything else
    that somebody wrote there is left out.

    Args:
        body: the description with the present note, if there is one.
        since: what became of the commits that reviewers saw; None: nothing was rebased.
        commit: the head that the note describes.
        date: today, ISO 8601.
        compare: the page that compares the two heads.
    """
    lines = [line for line in (block_of(body) or "").splitlines() if _REVISION.fullmatch(line)]
    if since is None:
        return tuple(lines)
    line = f"- {date}: [`{since.old[:7]}..{commit[:7]}`]({compare}) {'rebase only' if since.only else 'content'}"
    last = _REVISION.fullmatch(lines[-1]) if lines else None
    if _REVISION.fullmatch(line) and (last is None or last["new"] != commit[:7]):
        lines.append(line)
    return tuple(lines[-REVISIONS:])


@dataclass(frozen=True)
class Template:
    """A note's template of the user's own: its file, and its text."""

    name: str
    text: str


@dataclass(frozen=True)
class NoteFacts:
    """What the note is made from.

    Attributes:
        base: the branch that the entry sits on: trunk, or the open entry's below.
        base_oid: its commit that the entry sits on.
        commit: the pushed commit.
        own_commits: how many commits the entry has over its base.
        merged: the merged entries below, nearest first.
        gates: every gate of the entry with what is proven for exactly this commit's tree; None: it did not run.
        checks: every check of the entry, its name and what it says, with what is proven of it in the same way.
        skipped: steps that were left out by name.
        next: the entry's own `next` line.
        since: what became of the commits that were there before; None: they were not rebased by us.
        compare: the page that compares the two heads, or "".
        pr: the pull request.
        stack: all of the stack's, bottom first.
        issue: the issue that the stack resolves.
        coverage: which of the files that the entry changes no gate verified.
        accepted: gates and checks whose verdict, unavailable or flaky, was accepted by name for this commit.
        revisions: the lines of the revision history, oldest first; see `revisions`.
        result: a commit with the tree that merging `commit` into the base gives, where that is what was verified.
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
    coverage: Coverage = field(default_factory=lambda: Coverage(known=False))
    accepted: frozenset[str] = frozenset()
    revisions: tuple[str, ...] = ()
    result: Oid | None = None

    @property
    def verified(self) -> bool:
        """Whether anything is known of the commit: a gate or a check ran on it, well or not."""
        known = [*(outcome for _, outcome in self.gates), *(outcome for _, _, outcome in self.checks)]
        return any(outcome is not None and outcome.verdict is not Verdict.UNAVAILABLE for outcome in known)


def worth_writing(facts: NoteFacts, body: str) -> bool:
    """Return whether a note would tell readers anything, and would take nothing away from them.

    Where nothing ran here, no note is added to a pull request that did not change either, and one that speaks of this
    very commit stays: it may be from a machine that has the receipts.

    Args:
        facts: what the note would state.
        body: the description.
    """
    if facts.verified:
        return True
    if BEGIN not in body:
        return facts.since is not None
    return noted_commit(body) != facts.commit


def place(body: str, note: str) -> str:
    """Return a description with the note between its markers; everything else byte for byte as it was.

    A description without markers gets them at its end. A note for which the description has no room loses its last
    lines, and says so.

    Raises:
        Refused: there is one marker without the other, or more than one pair, or no room at all.
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
    """Return the note of a description with its markers, or None where there is no whole one."""
    start = body.find(BEGIN)
    end = body.find(END, start)
    return body[start : end + len(END)] if start >= 0 and end >= 0 else None


def put_back(body: str, block: str | None) -> str:
    """Return a description with another note in the place of its own, or with none; the rest byte for byte.

    Raises:
        Refused: its markers are damaged.
    """
    if block is not None:
        return place(body, block.removeprefix(f"{BEGIN}\n").removesuffix(f"\n{END}"))
    own = block_of(body)
    if own is None:
        return body
    before, _, after = body.partition(own)
    gap = "\r\n\r\n" if before.endswith("\r\n\r\n") else "\n\n"  # browsers save a description with \r\n
    return before.removesuffix(gap) + after if not after else before + after


def noted_commit(body: str) -> str:
    """Return the object id that the note in a description speaks of, or "" where there is no note."""
    _, found, rest = body.partition(BEGIN)
    inside, closed, _ = rest.partition(END)
    if not (found and closed):
        return ""
    return next((word.strip("`.") for word in inside.split() if len(word.strip("`.")) in {40, 64}), "")
