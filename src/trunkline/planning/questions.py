"""Turn open questions about an entry's own commits into one error with a command per answer."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.domain.command import same_command
from trunkline.domain.commits import Commit, counted
from trunkline.domain.errors import Paused, Refused
from trunkline.domain.names import Oid, short
from trunkline.domain.stack import Entry
from trunkline.planning.ownership import Answer, CommitClass, InvalidForkPointError, Ownership, Question

_REASONS = {
    CommitClass.VANISHED: "{parent} once held {them}; since then amended away, dropped, or pushed there by mistake",
    CommitClass.LIKENESS: "{they} similar to commits of {parent}, but leaving {them} out would change the result",
    CommitClass.REMOVED_FROM_TRUNK: "{parent} held {them} once and was force-pushed without {them}",
}


class OwnCommitsUnknown(Paused):
    """The user must decide which commits are an entry's own (exit code 3).

    A run may have changed other entries before it came to this one.

    Attributes:
        entry: the entry.
        found: the decision with its open questions.
    """

    def __init__(self, entry: Entry, found: Ownership) -> None:
        """Create the error.

        Args:
            entry: the entry.
            found: the decision with its open questions.
        """
        super().__init__(
            f"{entry.full_label}: a person must say which commits are its own; its branch stays as it is until then",
            why="\n".join(line for question in found.questions for line in _described(question)),
            next_command=tuple(
                same_command({"fork-point": answer.oid}, pr=entry.key, comment=_effect(answer))
                for answer in found.answers
            ),
        )
        self.entry = entry
        self.found = found


def all_unanswered(unknown: Sequence[OwnCommitsUnknown], *, task: str) -> Paused:
    """Return one error for the questions of several entries.

    Each command answers all of them: the first keeps every commit in question, the last keeps none.

    Args:
        unknown: the questions, bottom first; at least one.
        task: the task to type again: `restack`.
    """
    choices = [each.found.answers for each in unknown]
    commands = []
    for index in range(max(map(len, choices))):
        answers = [
            (each.entry, answers[min(index, len(answers) - 1)])
            for each, answers in zip(unknown, choices, strict=True)
        ]
        points = ",".join(f"{entry.key}={answer.oid}" for entry, answer in answers)
        effects = "; ".join(f"{entry.label} {_effect(answer)}" for entry, answer in answers)
        commands.append(
            same_command({"fork-point": points}, pr=unknown[0].entry.key, otherwise=task, comment=effects)
        )
    names = ", ".join(each.entry.full_label for each in unknown)
    return Paused(
        f"{names}: a person must say which commits are their own; their branches stay as they are until then"
        if len(unknown) > 1
        else unknown[0].what,
        why="\n".join(f"{each.entry.label}: {each.why}" for each in unknown),
        next_command=tuple(commands),
    )


def _described(question: Question) -> list[str]:
    many = len(question.commits) > 1
    words = {"them": "them" if many else "it", "they": "they are" if many else "it is"}
    reason = _REASONS[question.kind].format(parent=question.parent, **words)
    return [reason + ":", *(f"  {_line(commit)}" for commit in question.commits)]


def _effect(answer: Answer) -> str:
    out = f", leaves out {_shorts(answer.leaves_out)}" if answer.leaves_out else ""
    return f"keeps {counted(len(answer.own))}{out}"


def _shorts(commits: Sequence[Commit]) -> str:
    return ", ".join(short(commit.oid) for commit in commits)


def _line(commit: Commit) -> str:
    return f'{short(commit.oid)} "{commit.subject}" by {commit.author_name}, {commit.author_date}'


def invalid(entry: Entry, given: Oid, error: InvalidForkPointError) -> Refused:
    """Return the error for a `--fork-point` that contradicts what object ids prove."""
    lines = []
    if error.drops:
        lines += [f"it would leave out {counted(len(error.drops))} of its own:", *map(_line, error.drops)]
    if error.takes:
        lines += [f"it would take over {counted(len(error.takes))} of a parent:", *map(_line, error.takes)]
    return Refused(
        f"--fork-point {short(given)} does not fit {entry.full_label}; nothing was changed",
        why="\n".join(lines) or "it is no commit of the branch",
        next_command=same_command({"fork-point": "", "dry-run": True}, pr=entry.key),
    )
