"""Objects of GitHub's REST API that `client.py` requests."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from trunkline.domain.names import Id, Oid
from trunkline.github.decoding import Branch, Resource


class EditedPullRequest(msgspec.Struct, frozen=True):
    """Description, base, state and title of a pull request, as returned by GitHub after an edit."""

    body: str
    base: str
    state: str
    title: str


class PullRequestObject(Resource, frozen=True):
    """A pull request."""

    body: str | None
    base: Branch
    state: str
    title: str

    def of_domain(self) -> EditedPullRequest:
        """Return it as a value of the domain."""
        return EditedPullRequest(self.body or "", self.base.ref, self.state, self.title)


class _MergeDetails(Resource, frozen=True):
    sha: Id | None = None
    uuid: Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z_-]{1,100}\Z")] | None = None
    message: str = ""


class MergeState(Resource, frozen=True):
    """A response of merge-async: the state and its details (OpenAPI description, merge-async)."""

    status: Literal["pending", "merged", "enqueued", "failed"]
    details: _MergeDetails | None = None

    def __post_init__(self) -> None:
        if self.status == "merged" and not self.commit:
            raise ValueError("merged without a commit")
        if self.status == "pending" and not self.request:
            raise ValueError("pending without the id of a request")

    @property
    def commit(self) -> Oid | None:
        """The merge commit."""
        return self.details.sha if self.details else None

    @property
    def request(self) -> str:
        """The id by which the merge is polled."""
        return (self.details.uuid if self.details else None) or ""

    @property
    def message(self) -> str:
        """GitHub's reason."""
        return self.details.message if self.details else ""


class Merged(Resource, frozen=True):
    """The result of a synchronous merge."""

    sha: Id


class _Target(Resource, frozen=True):
    sha: Id


class Ref(Resource, frozen=True):
    """A ref, and the object that it points to."""

    object: _Target


class _Status(Resource, frozen=True):
    context: str
    state: str
    description: str | None = None


class Statuses(Resource, frozen=True):
    """The combined status of a commit."""

    statuses: tuple[_Status, ...]
