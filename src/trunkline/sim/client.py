"""Start and stop a simulator, and control it over its socket."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import shlex
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.sim.faults import Fault, FaultKind
from trunkline.system import installing, process
from trunkline.system.children import end_group

START_SECONDS = 30.0
ENTERPRISE = "github.example.com"
"""A GitHub Enterprise Server with the same data: APIs below /api, no merge-async."""
_SHIM = """\
#!/bin/sh
# Stands for ssh: runs git's two services on the simulator's bare repositories; github.com and one enterprise host.
case $1 in
  git@github.com | git@@ENTERPRISE@) ;;
  *) echo "ssh: the simulator knows no $1" >&2; exit 255 ;;
esac
service=${2%% *}
path=${2#* }
path=${path#\\'}
path=${path%\\'}
path=${path#/}
path=${path%.git}
case $service in
  git-upload-pack | git-receive-pack) ;;
  *) echo "Invalid command: $2" >&2; exit 1 ;;
esac
case $path in *..* | *"'"*) echo 'ERROR: Repository not found.' >&2; exit 1 ;; esac
bare=@ROOT@/repos/$path.git
[ -d "$bare" ] || { echo 'ERROR: Repository not found.' >&2; exit 1; }
printf '%s %s\\n' "$service" "$path" >> @ROOT@/transport.log
if [ $service = git-receive-pack ] && [ -s @ROOT@/push-faults ]; then
  read -r kind where branch < @ROOT@/push-faults
  sed 1d @ROOT@/push-faults > @ROOT@/push-faults.left && mv @ROOT@/push-faults.left @ROOT@/push-faults
  echo "$kind $where $branch" >> @ROOT@/push-faults.met
  case $kind in
    push-drops) echo 'kex_exchange_identification: read: Connection reset by peer' >&2; exit 128 ;;
    somebody-pushes)
      (
        cd "@ROOT@/repos/$where.git" && old=$(git rev-parse "refs/heads/$branch") || exit 0
        new=$(git -c user.name=Mallory -c user.email=mallory@example.invalid commit-tree "$old^{tree}" -p "$old" \\
          -m 'pushed by somebody meanwhile')
        git update-ref "refs/heads/$branch" "$new"
        printf '%s %s %s\\n\\n' "$old" "$new" "refs/heads/$branch" >> received.log
      ) ;;
  esac
fi
GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 exec git "${service#git-}" "$bare"
"""


@dataclass(frozen=True)
class LoggedRequest:
    """One request in the simulator's log; `status` 0: the connection was dropped."""

    method: str
    path: str
    query: str
    operation: str
    status: int
    fault: str


@dataclass(frozen=True)
class SimulatedGitHub:
    """A running simulator.

    Attributes:
        root: its directory: world.json, repos/OWNER/NAME.git, requests.jsonl, transport.log.
        socket: the path of its unix socket.
    """

    root: Path
    socket: str

    def environment(self) -> dict[str, str]:
        """Return environment variables that connect git and gh to the simulator only.

        The remote must be `git@github.com:OWNER/NAME.git`. The caller adds PATH and HOME. Source of
        the variables: `gh help environment`, and measurements with gh 2.103 and 2.23.
        """
        home = self.root / "gh"
        return {
            "GH_CONFIG_DIR": str(home / "config"),
            "XDG_CONFIG_HOME": str(home / "xdg-config"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_DATA_HOME": str(home / "data"),
            "GH_TOKEN": "sim",
            "GH_ENTERPRISE_TOKEN": "sim",
            "GH_HOST": "github.com",
            "GH_PROMPT_DISABLED": "1",
            "GH_NO_UPDATE_NOTIFIER": "1",
            "GH_NO_EXTENSION_UPDATE_NOTIFIER": "1",
            "GH_TELEMETRY": "0",
            "DO_NOT_TRACK": "1",
            "GH_SPINNER_DISABLED": "1",
            "GH_PAGER": "cat",
            "NO_COLOR": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": shlex.quote(str(self.root / "ssh")),
            "GIT_SSH_VARIANT": "simple",
        }

    def remote(self, repository: str) -> str:
        """Return a repository's URL for git."""
        return f"git@github.com:{repository}.git"

    def bare(self, repository: str) -> Path:
        """Return the path of a repository's bare git repository."""
        return self.root / "repos" / f"{repository}.git"

    def requests(self) -> tuple[LoggedRequest, ...]:
        """Return every request so far, in order, without control requests."""
        log = self.root / "requests.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return tuple(LoggedRequest(**json.loads(line)) for line in lines)

    def pushes(self, repository: str) -> tuple[tuple[tuple[str, str, str], ...], ...]:
        """Return every push so far, each a tuple of (old, new, full ref)."""
        log = self.bare(repository) / "received.log"
        text = log.read_text(encoding="utf-8", errors="surrogateescape") if log.exists() else ""
        blocks = [block.splitlines() for block in text.split("\n\n") if block.strip()]
        return tuple(tuple(_move(line) for line in block) for block in blocks)

    def create_repository(self, owner: str, name: str, *, default_branch: str = "main") -> Path:
        """Create an empty repository, to be filled by a push.

        Return the path of its bare repository.
        """
        return Path(self._pull_lever("create_repository", owner=owner, name=name, default_branch=default_branch))

    def adopt(self, repository: str) -> None:
        """Register refs that were written to the bare repository without a push."""
        self._pull_lever("adopt", repository=repository)

    def open_pull_request(
        self,
        repository: str,
        *,
        head: str,
        base: str,
        title: str,
        body: str = "",
        author: str = "",
        number: int = 0,
        draft: bool = False,
    ) -> int:
        """Open a pull request and return its number: the next or a given one."""
        return int(
            self._pull_lever(
                "open_pull_request", repository=repository, head=head, base=base, title=title, body=body,
                author=author, number=number, draft=draft,
            )
        )  # fmt: skip

    def merge(self, repository: str, number: int, *, method: str = "squash", delete_branch: str = "keep") -> str:
        """Merge as the web page does; return the merge commit.

        Args:
            repository: `owner/name`.
            number: the pull request.
            method: merge, squash or rebase.
            delete_branch: "keep"; "rest": close children, as `gh pr merge --delete-branch` does;
                "web": retarget children, as the button and delete_branch_on_merge do.
        """
        return str(
            self._pull_lever(
                "merge", repository=repository, number=number, method=method, delete_branch=delete_branch
            )
        )

    def configure(self, repository: str, **settings: bool) -> None:
        """Change settings of a repository, by the fields of `model.Settings`."""
        self._pull_lever("configure", repository=repository, **settings)

    def add_check_run(
        self,
        repository: str,
        commit: str,
        name: str,
        *,
        conclusion: str = "SUCCESS",
        status: str = "COMPLETED",
        annotations: tuple[str, ...] = (),
    ) -> int:
        """Add a check run to a commit and return its id.

        Status and conclusion are GraphQL's enums.
        """
        return int(
            self._pull_lever(
                "add_check_run", repository=repository, commit=commit, name=name, conclusion=conclusion,
                status=status, annotations=list(annotations),
            )
        )  # fmt: skip

    def add_billing_failure(self, repository: str, commit: str, names: tuple[str, ...] = ("build", "test")) -> None:
        """Add failed checks with the annotation of an Actions billing failure."""
        self._pull_lever("add_billing_failure", repository=repository, commit=commit, names=list(names))

    def add_status(self, repository: str, commit: str, context: str, state: str) -> None:
        """Add a commit status; state is GraphQL's StatusState."""
        self._pull_lever("add_status", repository=repository, commit=commit, context=context, state=state)

    def add_milestone(self, repository: str, title: str) -> None:
        """Add an open milestone."""
        self._pull_lever("add_milestone", repository=repository, title=title)

    def review(
        self, repository: str, number: int, author: str, *, state: str = "APPROVED", body: str = "", threads: int = 0
    ) -> None:
        """Add a review of a pull request's head, with open threads."""
        given = {"author": author, "state": state, "body": body, "threads": threads}
        self._pull_lever("review", repository=repository, number=number, **given)

    def comment(self, repository: str, number: int, author: str, body: str) -> None:
        """Add a comment."""
        self._pull_lever("comment", repository=repository, number=number, author=author, body=body)

    def set_lag(self, repository: str, requests: int) -> None:
        """Delay the processing of pushes by a number of requests (control requests count)."""
        self._pull_lever("set_lag", repository=repository, requests=requests)

    def inject(
        self,
        kind: FaultKind,
        *,
        match: str = "",
        status: int = 502,
        headers: dict[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Add a fault for the next `times` requests of an operation or a route `METHOD /path`."""
        self.arm([Fault(kind, match, status, headers, times)])

    def arm(self, faults: Iterable[Fault]) -> None:
        """Add faults of requests and pushes."""
        for fault in faults:
            self._pull_lever("arm", **msgspec.to_builtins(fault))

    def hits(self) -> int:
        """Return the number of times that faults were triggered so far."""
        return int(self._pull_lever("hits"))

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._pull_lever("clear_faults")

    def pull_request(self, repository: str, number: int) -> dict[str, Any]:
        """Return a pull request's state, with the field names of `model.PullRequest`."""
        found: dict[str, Any] = self.state()["repositories"][repository]["pulls"][str(number)]
        return found

    def state(self) -> dict[str, Any]:
        """Return the whole state, after all pushes so far."""
        state: dict[str, Any] = self._pull_lever("state")
        return state

    def lever(self, name: str, repository: str, /, **arguments: Any) -> Any:
        """Call a control function without a method here, by name (`sim.control.Control`)."""
        return self._pull_lever(name, repository=repository, **arguments)

    def _pull_lever(self, lever: str, /, **arguments: Any) -> Any:
        status, answer = ask(self.socket, "POST", f"/_sim/{lever}", json.dumps(arguments).encode())
        if status != http.client.OK:
            raise ExternalError(f"the simulator refused {lever}", why=str(answer.get("message")))
        return answer["value"]


def exports(environment: Mapping[str, str]) -> str:
    """Return an environment as shell export commands."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _move(line: str) -> tuple[str, str, str]:
    old, new, ref = line.split(" ", 2)
    return old, new, ref


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    path: str, method: str, target: str, content: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Send one HTTP request to a unix socket; return status and JSON body (None if empty).

    Raises:
        OSError: nothing listens, or the connection was dropped.
    """
    connection = _UnixConnection(path, timeout=60)
    try:
        connection.request(method, target, content, headers or {})
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if body else None
    finally:
        connection.close()


_NEEDED = ("graphql", "starlette", "uvicorn", "yaml")
"""Packages of the extra `sim` that the server imports."""


@contextlib.contextmanager
def running(root: Path) -> Iterator[SimulatedGitHub]:
    """Run the simulator with the data in `root` within the context; the data stays in `root`.

    Raises:
        UsageError: a required package is not installed.
        ExternalError: the server did not respond in time; the error contains the end of its log.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(
            "the simulated GitHub is not installed",
            why=f"it needs {', '.join(missing)}",
            next_command=installing.for_extra("sim"),
        )
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    # The socket is elsewhere: its path must be short, and a test's directory is not.
    scratch = Path(tempfile.mkdtemp(prefix="sim-"))
    try:
        path, log = scratch / "s", root / "server.log"
        _write_shell_side(root, path)
        argv = [sys.executable, "-m", "trunkline.sim", "serve", "--root", str(root), "--socket", str(path)]
        child = process.spawn(argv, cwd=root, env=process.own_environment(), log=log)
        try:
            _await(str(path), log, child.poll)
            yield SimulatedGitHub(root, str(path))
        finally:
            end_group(child)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_shell_side(root: Path, path: Path) -> None:
    config = root / "gh" / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.yml").write_text(f'version: "1"\nhttp_unix_socket: {path}\n', encoding="utf-8")
    shim = root / "ssh"
    shim.write_text(
        _SHIM.replace("@ROOT@", shlex.quote(str(root))).replace("@ENTERPRISE@", ENTERPRISE), encoding="utf-8"
    )
    shim.chmod(0o755)


def _await(path: str, log: Path, ended: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and ended() is None:
        with contextlib.suppress(OSError):
            ask(path, "POST", "/_sim/state")
            return
        time.sleep(0.01)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""
    raise ExternalError("the simulated GitHub did not start", stderr=tail, why=tail.strip().rpartition("\n")[2])
