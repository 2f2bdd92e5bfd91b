"""Title and description of a new pull request, and the options of a submission."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from trunkline.domain.commits import Commit

TEMPLATES = (
    ".github/pull_request_template.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
    "pull_request_template.md",
    "PULL_REQUEST_TEMPLATE.md",
    "docs/pull_request_template.md",
    "docs/PULL_REQUEST_TEMPLATE.md",
)
"""The paths of a repository's template, in GitHub's order (docs.github.com, "Creating a pull request template")."""


class SubmitOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of new pull requests.

    Attributes:
        draft: they are drafts.
        edit: title and description are edited before they are sent.
        labels: labels to add.
        reviewers: logins, or ORGANISATION/TEAM.
        assignees: logins.
        milestone: the title of a milestone; "" for none.
    """

    draft: bool = True
    edit: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    milestone: str = ""

    def over(
        self,
        *,
        draft: bool,
        labels: tuple[str, ...],
        reviewers: tuple[str, ...],
        assignees: tuple[str, ...],
        milestone: str,
    ) -> SubmitOptions:
        """Return the options over defaults: names are added, the rest is a fallback."""
        return SubmitOptions(
            draft=self.draft and draft,
            edit=self.edit,
            labels=tuple(dict.fromkeys((*labels, *self.labels))),
            reviewers=tuple(dict.fromkeys((*reviewers, *self.reviewers))),
            assignees=tuple(dict.fromkeys((*assignees, *self.assignees))),
            milestone=self.milestone or milestone,
        )


class Words(msgspec.Struct, frozen=True):
    """The title and the description of a pull request."""

    title: str
    body: str

    @property
    def as_text(self) -> str:
        """The text that is edited: the title, a blank line, the description."""
        return f"{self.title}\n\n{self.body}".rstrip("\n") + "\n"


def words_of(commits: Sequence[Commit], *, title: str, template: str) -> Words:
    """Return the title and the description of an entry's new pull request.

    The title is that of stack.toml, else the subject of the first commit. The description is the
    message of a single commit, or the list of subjects of several, followed by the template.

    Args:
        commits: the entry's own commits, oldest first; at least one.
        title: the title in stack.toml; "" for none.
        template: the repository's template; "" for none.
    """
    body = _body(commits[0]) if len(commits) == 1 else "\n".join(f"- {commit.subject}" for commit in commits)
    parts = [part for part in (body, template.strip("\n")) if part.strip()]
    return Words(title or commits[0].subject, "\n\n".join(parts) + ("\n" if parts else ""))


def beginning_with(whole: str, words: Words, title: str) -> Words:
    """Return words with a shortened title, whose description begins with the whole title."""
    return Words(title, f"{whole}\n\n{words.body}".rstrip("\n") + "\n")


def edited(text: str) -> Words | None:
    """Return the title and the description of an edited text; None if the title is empty."""
    title, _, body = text.replace("\r\n", "\n").lstrip("\n").partition("\n")
    body = body.strip("\n")
    return Words(title.strip(), f"{body}\n" if body else "") if title.strip() else None


def _body(commit: Commit) -> str:
    text = commit.message.decode(commit.encoding or "utf-8", "replace").strip("\n")
    return text.partition("\n")[2].strip("\n")
