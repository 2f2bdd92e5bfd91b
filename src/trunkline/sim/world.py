"""The whole simulated GitHub: users, repositories, clock; stored in one file between runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec

from trunkline.domain.errors import UsageError
from trunkline.sim.bare import Bare
from trunkline.sim.faults import Fault
from trunkline.sim.model import Comment, Event, EventKind, Label, PullRequest, PullState, Repository, User
from trunkline.system import files

DEFAULT_START = "2025-11-19T09:00:00+00:00"
"""Start of the simulated clock, which advances a second per reading, so object ids are stable."""

DEFAULT_TOKEN = "sim"  # noqa: S105 -- no secret: the simulator's own
DEFAULT_LABELS = (
    Label("bug", "d73a4a", "Something isn't working"),
    Label("enhancement", "a2eeef", "New feature or request"),
)


@dataclass
class State:
    """Content of world.json.

    Attributes:
        start: start of the simulated clock in ISO 8601; empty: use the machine's clock.
        ticks: readings of the clock so far.
        tokens: token -> login.
    """

    start: str = DEFAULT_START
    ticks: int = 0
    next_id: int = 1
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


@dataclass
class World:
    """A running world; mutations call `touch`, and `save` writes only after a change."""

    root: Path
    state: State
    changed: bool = True
    _bares: dict[str, Bare] = field(default_factory=dict)

    @classmethod
    def create(cls, root: Path, *, start: str = DEFAULT_START, viewer: str = "octocat") -> World:
        """Create an empty world in a new or empty directory, with one user and the token `sim`.

        Raises:
            UsageError: a world exists already.
        """
        if (root / "world.json").exists():
            raise UsageError(f"{root} holds a simulated GitHub already", why="world.json exists")
        root.mkdir(parents=True, exist_ok=True)
        world = cls(root, State(start=start))
        world.add_user(viewer)
        world.state.tokens[DEFAULT_TOKEN] = viewer
        world.save()
        return world

    @classmethod
    def load(cls, root: Path) -> World:
        """Load a saved world.

        Raises:
            UsageError: there is none.
        """
        path = root / "world.json"
        if not path.exists():
            raise UsageError(f"no simulated GitHub in {root}", why="world.json does not exist")
        return cls(root, msgspec.json.decode(path.read_bytes(), type=State), changed=False)

    def save(self) -> None:
        """Write world.json atomically, if anything changed."""
        if self.changed:
            files.replace_bytes(
                self.root / "world.json", msgspec.json.format(msgspec.json.encode(self.state), indent=1)
            )
            self.changed = False

    def touch(self) -> None:
        """Mark the world as changed."""
        self.changed = True

    def now(self) -> str:
        """Return the next time of the clock, in GitHub's format."""
        self.touch()
        moment = self._moment()
        self.state.ticks += 1
        return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _moment(self) -> datetime:
        if not self.state.start:
            return datetime.now(timezone.utc)
        return datetime.fromisoformat(self.state.start) + timedelta(seconds=self.state.ticks)

    def age(self, at: str) -> float:
        """Return the seconds since a time in GitHub's format."""
        then = datetime.strptime(at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        return (self._moment() - then).total_seconds()

    def new_id(self) -> int:
        """Return the next database id."""
        self.touch()
        self.state.next_id += 1
        return self.state.next_id - 1

    def add_user(self, login: str) -> User:
        """Return the user with a login, created if new."""
        if login not in self.state.users:
            self.state.users[login] = User(login, self.new_id(), login.title())
        return self.state.users[login]

    def viewer(self, token: str) -> str:
        """Return the login of a token, or ""."""
        return self.state.tokens.get(token, "")

    def create_repository(self, owner: str, name: str, *, default_branch: str = "main") -> Path:
        """Create a repository, to be filled by a push; return the path of its bare repository.

        Raises:
            UsageError: it exists.
        """
        slug = f"{owner}/{name}"
        if slug in self.state.repositories:
            raise UsageError(f"the simulated GitHub has {slug} already")
        self.add_user(owner)
        path = self.root / "repos" / owner / f"{name}.git"
        self._bares[slug] = Bare.create(path, default_branch)
        self.state.repositories[slug] = Repository(
            owner, name, self.new_id(), default_branch, labels={label.name: label for label in DEFAULT_LABELS}
        )
        self.save()
        return path

    def repository(self, slug: str) -> Repository | None:
        """Return a repository by `owner/name` (GitHub ignores case), or None."""
        by_case = {name.lower(): repository for name, repository in self.state.repositories.items()}
        return by_case.get(slug.lower())

    def bare(self, repository: Repository) -> Bare:
        """Return a repository's bare git repository."""
        slug = repository.slug
        if slug not in self._bares:
            self._bares[slug] = Bare(self.root / "repos" / repository.owner / f"{repository.name}.git")
        return self._bares[slug]

    def put(self, repository: Repository, pull: PullRequest) -> PullRequest:
        """Store a pull request, and the branches of refs/pull/N/head for the push hook."""
        repository.pulls[pull.number] = replace(pull, updated_at=self.now())
        lines = [f"refs/heads/{p.head} {p.number}\n" for p in repository.open_pulls() if not p.fork]
        (self.bare(repository).path / "pull-heads").write_text("".join(lines), encoding="utf-8")
        return repository.pulls[pull.number]

    def record(
        self, pull: PullRequest, kind: EventKind, actor: str, before: str = "", after: str = ""
    ) -> PullRequest:
        """Return the pull request with one more timeline event."""
        event = Event(kind, self.now(), actor, before, after)
        return replace(pull, events=(*pull.events, event))

    def comment(self, repository: Repository, pull: PullRequest, actor: str, body: str) -> Comment:
        """Add a comment and return it."""
        comment = Comment(self.new_id(), actor, body, self.now())
        self.put(repository, replace(pull, comments=(*pull.comments, comment)))
        return comment

    def base_tip(self, repository: Repository, pull: PullRequest) -> str:
        """Return the base's tip that a pull request is compared with: now, or at its closing."""
        if pull.state is PullState.OPEN:
            return repository.refs.get(pull.base, "") or pull.base_oid
        return pull.base_oid

    def dump(self) -> dict[str, object]:
        """Return the state as JSON values, for inspection."""
        loaded: dict[str, object] = msgspec.to_builtins(self.state)
        return loaded
