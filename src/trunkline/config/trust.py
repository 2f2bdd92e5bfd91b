"""Check that a stack.toml may decide what runs: it is trunk's, the user's own, or was confirmed.

A stack.toml that git tracks comes with whatever branch is checked out, also with one that somebody else pushed. Its
policy keys (`domain/policy.py`) count only where trunk's tracked file has the same, or where a person has confirmed
them by `trust`. A file that git does not track came with no branch: it is the user's own.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from trunkline.config import reading
from trunkline.config.reading import StackText
from trunkline.domain import policy
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.policy import Difference
from trunkline.git import refs
from trunkline.git.arguments import ANY_REPOSITORY
from trunkline.git.git import Git
from trunkline.system.files import private_directory, refuse_file_of_others, replace_bytes

VARIABLE = "TRUNKLINE_TRUST"
"""`checkout`: whatever is checked out is trusted. For CI, whose machine runs the pull request anyway."""
_REMOTE = "origin"
_TRUNKS = ("main", "master")
_FILE = "trust.json"
_MOST_BYTES = 1 << 20
_STAGES = (":", ":1:", ":2:", ":3:")
"""The index; a file in conflict is in stages 1 to 3 only (git-read-tree(1)), and comes with a branch all the same."""


class Origin(msgspec.Struct, frozen=True):
    """The origin of a stack.toml.

    Attributes:
        tracked: git tracks it: it comes with the branch that is checked out.
        trunk: trunk's own, as last fetched; None: trunk has none, or which branch is trunk is not known.
        ref: the ref that trunk's file is read from; "": which branch is trunk is not known.
    """

    tracked: bool
    trunk: StackText | None = None
    ref: str = ""

    @property
    def named(self) -> str:
        """Trunk as people write it: `origin/main`."""
        return self.ref.removeprefix("refs/remotes/").removeprefix("refs/heads/")


def effective(git: Git, found: StackText) -> StackText:
    """Return the stack.toml that counts: the one that was found, or trunk's if the found one is older.

    Args:
        git: the checkout.
        found: the file that was found.

    Raises:
        Refused: its policy is neither trunk's nor confirmed; the error names every difference.
    """
    if os.environ.get(VARIABLE) == "checkout" or found.of_trunk:
        return found
    origin = origin_of(git, found)
    if not origin.tracked:
        refuse_file_of_others(found.path)
        return found
    if origin.trunk is not None and origin.trunk.text == found.text:
        return found
    if origin.trunk is not None and _is_older(git, found, origin):
        older = f"stack.toml is that of {origin.named}: the one that is checked out is an older version of it"
        return replace(origin.trunk, path=found.path, source=older, of_trunk=True)
    changed = changes(found, origin)
    if changed and policy.digest(policy.policy_of(found.data)) not in confirmed(git):
        raise _refusal(git, found, origin, changed)
    return found


def changes(found: StackText, origin: Origin) -> tuple[Difference, ...]:
    """Return the differences between the found file's policy and trunk's."""
    data = origin.trunk.data if origin.trunk is not None else {}
    try:
        return policy.differences(
            policy.policy_of(found.data), policy.policy_of(data),
            policy.entries_of(found.data), policy.entries_of(data),
        )  # fmt: skip
    except RecursionError:
        raise UsageError(f"{found.path.name} is nested too deeply", next_command="${EDITOR:-vi} stack.toml") from None


def lines_of(changed: Sequence[Difference], named: str) -> tuple[str, ...]:
    """Return differences as people read them, one a line."""
    where = named or "trunk"
    return tuple(
        f"{each.key}: {each.own or 'not set'} here, {each.trusted or 'not set'} on {where}" for each in changed
    )


def _refusal(git: Git, found: StackText, origin: Origin, changed: Sequence[Difference]) -> Refused:
    what = f"{found.path.name} of this branch is not trusted: it changes what runs; nothing of it was used"
    lines = list(lines_of(changed, origin.named))
    commands: list[str] = [task_command("trust")]
    if not origin.named:
        why, learns = _unknown_trunk(git)
        lines.append(f"which branch is trunk is not known here: {why}")
        commands[:0] = learns
    return Refused(what, why="\n".join(lines), next_command=tuple(commands))


def _unknown_trunk(git: Git) -> tuple[str, tuple[str, ...]]:
    """Return why the default branch is not known, with the command that fetches or records it, if there is one."""
    remote = refs.usual_remote(git.cached_query("remote").lines)
    if remote is None:
        return f"no remote is called {_REMOTE}", ()
    quoted = shlex.quote(remote)
    if not git.query("for-each-ref", "--count=1", "--format=x", f"refs/remotes/{remote}/").lines:
        return f"{remote} was never fetched", (f"git fetch {quoted}",)
    return "the remote's default branch was never fetched", (f"git remote set-head {quoted} --auto",)


def origin_of(git: Git, found: StackText) -> Origin:
    """Return the origin of a stack.toml, from the repository that holds it."""
    holder = _holder(git, found)
    if holder is None:
        return Origin(tracked=False)
    default = f"refs/remotes/{_REMOTE}/HEAD:"
    called = found.trunk()
    named = "refs/remotes/{}/{}:".format(*called) if called else default
    in_default, in_named, *in_branch = holder.contents(default, named, "HEAD:", *_STAGES)
    if all(each is None for each in in_branch):
        return Origin(tracked=False)
    if found.text.encode() == in_default and in_named in {in_default, None}:
        return Origin(tracked=True, trunk=found, ref=f"refs/remotes/{_REMOTE}/HEAD")
    return _trunk(holder)


class _Holder(msgspec.Struct, frozen=True):
    """A file of a directory, in any revision of the repository that holds the directory."""

    git: Git
    name: str

    def contents(self, *revisions: str) -> tuple[bytes | None, ...]:
        """Return the file's content in each revision, ":" and ":1:" being the index; None: there is none."""
        names = "".join(f"{revision}./{self.name}\0" for revision in revisions)
        output = self.git.query("cat-file", "--batch", "-z", stdin=os.fsencode(names)).stdout
        found: list[bytes | None] = []
        for revision in revisions:
            missing = os.fsencode(f"{revision}./{self.name} missing\n")
            if output.startswith(missing):
                found.append(None)
                output = output[len(missing) :]
                continue
            header, _, rest = output.partition(b"\n")
            size = int(header.split()[-1])
            found.append(rest[:size])
            output = rest[size + 1 :]
        return tuple(found)

    def toml(self, ref: str) -> StackText | None:
        """Return the file in a commit; None: there is none, or it is no TOML."""
        (content,) = self.contents(f"{ref}:")
        if content is None:
            return None
        try:
            return reading.parsed(Path(self.name), content)
        except UsageError:
            return None


def _holder(git: Git, found: StackText) -> _Holder | None:
    """Return the repository that holds a file; None: a user named a file outside by TRUNKLINE_STACK_FILE.

    The directory counts, not where a link leads: a branch could link to a file that git does not track.
    """
    folder = Path(os.path.abspath(found.path)).parent  # noqa: PTH100 -- resolve would follow links
    inside = folder.is_relative_to(git.cwd)
    if not inside:
        done = git.at(folder).query(*ANY_REPOSITORY, "rev-parse", "--is-inside-work-tree", ok=(0, 128))
        if (done.returncode != 0 and "not a git repository" in done.error_text) or _is_in_git_directory(git, folder):
            return None
    elif not folder.resolve().is_relative_to(git.cwd.resolve()):
        raise Refused(
            f"{found.path} is not in the checkout: a directory of its path is a link",
            why="a branch can change the target of the link",
            next_command="unset TRUNKLINE_STACK_FILE",
        )
    elif _is_in_git_directory(git, folder):
        return None
    return _Holder(git.at(folder), _name_on_disk(folder, found.path.name))


def _name_on_disk(folder: Path, name: str) -> str:
    """Return a file's name as its directory lists it: macOS opens a tracked STACK.toml as stack.toml."""
    try:
        listed = [each.name for each in folder.iterdir()]
    except OSError:
        return name
    return name if name in listed else next((each for each in listed if each.casefold() == name.casefold()), name)


def _is_in_git_directory(git: Git, folder: Path) -> bool:
    """Return whether a directory is inside the git directory, where no branch has files."""
    return (
        ".git" in folder.parts
        and git.at(folder).query(*ANY_REPOSITORY, "rev-parse", "--is-inside-work-tree", ok=(0, 128)).text == "false"
    )


def _trunk(holder: _Holder, remote: str = "") -> Origin:
    """Return trunk's file: that of the remote's default branch, or of the branch that this file calls trunk."""
    ref = _default_branch(holder.git, remote)
    if not ref:
        return Origin(tracked=True)
    file = holder.toml(ref)
    if file is not None and (called := file.trunk()) is not None:
        named = f"refs/remotes/{remote or called[0]}/{called[1]}"
        if named != ref and (other := holder.toml(named)) is not None:
            ref, file = named, other
    return Origin(tracked=True, trunk=file, ref=ref)


def trunks_own(git: Git, remote: str = "") -> StackText | None:
    """Return trunk's tracked stack.toml; None: it has none, or which branch is trunk is not known.

    Args:
        git: the checkout.
        remote: the remote whose trunk it is; "": origin, or the only one.
    """
    origin = _trunk(_Holder(git, reading.FILE_NAME), remote)
    if origin.trunk is None:
        return None
    source = f"stack.toml is that of {origin.named}: there is none in the work tree"
    return replace(origin.trunk, path=git.cwd / reading.FILE_NAME, source=source, of_trunk=True)


def is_tracked(git: Git, path: Path) -> bool:
    """Return whether git tracks a file in the work tree that holds it; False where none does."""
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 -- resolve would follow links
    if _is_in_git_directory(git, folder):
        return False
    done = git.at(folder).query("ls-files", "--error-unmatch", "--", _name_on_disk(folder, path.name), ok=(0, 1, 128))
    return done.returncode == 0


def _default_branch(git: Git, remote: str = "") -> str:
    """Return the tracking ref of the remote's default branch; of a repository without remotes, the local branch.

    "": it is not known.
    """
    remotes = git.cached_query("remote").lines
    remote = remote or refs.usual_remote(remotes) or ""
    if remotes and not remote:
        return ""  # several: which of them the repository was cloned from is not known
    prefix = f"refs/remotes/{remote}" if remote else "refs/heads"
    if remote:
        done = git.query("symbolic-ref", "--quiet", f"{prefix}/HEAD", ok=(0, 1, 128))
        if done.returncode == 0:
            return done.text
    known = [ref for name in _TRUNKS if git.resolve(ref := f"{prefix}/{name}") is not None]
    return known[0] if len(known) == 1 else ""


def _is_older(git: Git, found: StackText, origin: Origin) -> bool:
    """Return whether trunk had the found file before: then trunk's current one counts."""
    holder = git.at(Path(os.path.abspath(found.path)).parent)  # noqa: PTH100 -- as above
    text = found.text.replace("\r\n", "\n")  # as git keeps it
    blob = holder.query("hash-object", "--stdin", stdin=text.encode()).text
    listed = holder.query(
        "log", "--format=", "--raw", "--no-abbrev", "--no-renames", origin.ref, "--",
        f"./{found.path.name}",
    ).text  # fmt: skip
    return any(blob == line.split()[3] for line in listed.splitlines() if line.startswith(":"))


def confirm(git: Git, found: StackText) -> None:
    """Remember that a person trusts the policy of a stack.toml: the hash of its keys, in the state directory."""
    kept = {**_kept(git), policy.digest(policy.policy_of(found.data)): dt.datetime.now(dt.timezone.utc).isoformat()}
    text = json.dumps({"schema": 1, "policies": kept}, indent=2)
    replace_bytes(private_directory(git.state_dir()) / _FILE, text.encode())


def carry_over(git: Git, before: StackText, after: StackText) -> None:
    """Confirm a file that trunkline made from a confirmed one."""
    if policy.digest(policy.policy_of(before.data)) in confirmed(git):
        confirm(git, after)


def confirmed(git: Git) -> frozenset[str]:
    """Return the hashes of the policies that a person has confirmed."""
    return frozenset(_kept(git))


def _kept(git: Git) -> Mapping[str, str]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        handle = os.open(git.state_dir() / _FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            info = os.fstat(stream.fileno())
            if stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid() and info.st_size <= _MOST_BYTES:
                policies = json.loads(stream.read())["policies"]
                return {str(digest): str(when) for digest, when in policies.items()}
    return {}
