"""The repository on a GitHub host that a git remote's URL names."""

from __future__ import annotations

import hashlib
import re

import msgspec

from trunkline.domain.errors import UsageError

# host:owner/name in the three forms that git accepts for a GitHub remote (git's documentation of
# URLs, and gh's own parser).
_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/]+@)?(?P<host>[^/:]+)(?::\d+)?/|(?:[^@/]+@)?(?P<scp>[^/:]+):)"
    r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?"
)


class Repository(msgspec.Struct, frozen=True):
    """A repository on a GitHub host."""

    host: str
    owner: str
    name: str

    @property
    def slug(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def argument(self) -> str:
        """The argument of gh's `--repo`; with the host unless it is github.com."""
        return self.slug if self.host == "github.com" else f"{self.host}/{self.slug}"


def repository_of(url: str) -> Repository:
    """Return the repository that a git remote's URL names.

    Raises:
        UsageError: it is not a GitHub-like URL.
    """
    match = _REMOTE.fullmatch(url)
    if not match:
        raise UsageError(
            f"the remote {url} is not on GitHub",
            why="expected git@HOST:OWNER/NAME.git or https://HOST/OWNER/NAME",
            next_command="git remote -v",
        )
    host = (match["host"] or match["scp"]).lower()
    return Repository("github.com" if host == "ssh.github.com" else host, match["owner"], match["name"])


def identity(url: str) -> str:
    """Return the name of a remote's repository that receipts record.

    It is `host/owner/name` in lower case, because GitHub ignores case. For another kind of URL it
    is a hash, because the URL may contain a password.
    """
    try:
        found = repository_of(url)
    except UsageError:
        return f"sha256:{hashlib.sha256(url.encode()).hexdigest()[:32]}"
    return f"{found.host}/{found.slug}".lower()
