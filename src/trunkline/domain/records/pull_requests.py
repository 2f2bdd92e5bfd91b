"""Records of pull requests: the requests to GitHub."""

from __future__ import annotations

from trunkline.domain.changes import NoteChanged, OpenStateChanged, ReviewState, StateChanged, TitleChanged, note_of
from trunkline.domain.names import Id, PrNumber
from trunkline.domain.records.base import EntryRecord, Intent


class PullRequestEdited(Intent, frozen=True, kw_only=True, tag="pull-request-edited"):
    """A change of the pull request's base, draft state, or both.

    Written: before the first request to GitHub.
    Resume: sends what GitHub does not show yet.
    Undo: restores base and draft state.
    """

    base: str
    draft: bool
    base_after: str
    draft_after: bool

    def change(self) -> StateChanged:
        """Return the change of base and draft state."""
        before, left = ReviewState(self.base, self.draft), ReviewState(self.base_after, self.draft_after)
        return StateChanged(pr=self.pr, before=before, left=left)


class PullRequestRetitled(Intent, frozen=True, kw_only=True, tag="pull-request-retitled"):
    """A change of the position in the pull request's title: the whole title before and after.

    Written: before the request to GitHub.
    Resume: sends what GitHub does not show yet.
    Undo: restores the title; refuses if it was edited since.
    """

    title: str
    title_after: str

    def change(self) -> TitleChanged:
        """Return the change of the title."""
        return TitleChanged(pr=self.pr, before=self.title, left=self.title_after)


class NativeStackLinked(Intent, frozen=True, kw_only=True, tag="native-stack-linked"):
    """A change of GitHub's native stacks: those to dissolve, and the pull requests to link; `stack` 0 is a new one.

    Written: before the first request to GitHub.
    Resume: compares with GitHub again, and sends what is missing.
    Undo: leaves the stacks as they are; no branch depends on them.
    """

    stack: int
    numbers: tuple[PrNumber, ...]
    dissolved: tuple[int, ...]


class PullRequestCreated(Intent, frozen=True, kw_only=True, tag="pull-request-created"):
    """The creation of the entry's pull request, with its title and description.

    Written: before the request to GitHub; not if the branch has an open pull request already.
    Resume: looks for an open pull request of the branch first, and creates it with these words otherwise.
    Undo: closes the pull request, whose number `closed` has; GitHub deletes none.
    """

    base: str
    title: str
    body: str
    draft: bool


class NoteWritten(Intent, frozen=True, kw_only=True, tag="note-written"):
    """A change of the reviewer note: the whole description before and after.

    Written: before the description is sent.
    Resume: writes the note again unless it is up to date.
    Undo: restores the note between its markers; the author's text stays as it is.
    """

    body: str
    body_after: str

    def change(self) -> NoteChanged:
        """Return the change of the note."""
        return NoteChanged(pr=self.pr, before=note_of(self.body), left=note_of(self.body_after))


class PullRequestClosed(Intent, frozen=True, kw_only=True, tag="pull-request-closed"):
    """The closing of the pull request, or with `closed` false its reopening or creation (`number`: for a new entry).

    Written: before the request to GitHub; for a creation after GitHub's response, which has the number.
    Resume: closes it unless GitHub shows it as closed.
    Undo: reopens it; closes one that the run created.
    """

    closed: bool
    number: PrNumber | None = None

    def change(self) -> OpenStateChanged:
        """Return the change of the state."""
        return OpenStateChanged(pr=self.pr, before=not self.closed, left=self.closed, number=self.number)


class MergeRequested(Intent, frozen=True, kw_only=True, tag="merge-requested"):
    """A merge of the pull request, pinned to its head.

    Written: before the request to GitHub.
    Resume: merges unless GitHub shows the pull request as merged.
    Undo: a merge stays, and so does everything that the run did for a merged entry.
    """

    head: Id
    method: str


class StatusesPublished(EntryRecord, frozen=True, kw_only=True, tag="publishing"):
    """Commit statuses for gates that passed.

    Written: before the first request to GitHub.
    Resume: sends those that GitHub does not show.
    Undo: leaves them: they are true of the commit.
    """

    commit: Id
    statuses: tuple[str, ...]
