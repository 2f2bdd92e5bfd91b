"""Command `rehearse`: run a task on a copy of the repository, with a simulated GitHub.

git, gh, cargo and the journal are real; only GitHub is simulated, with the current pull requests.
The copies of remote and clone share the clone's objects, so only refs are copied. Nothing outside
the sandbox changes, except that receipts from the rehearsal are kept: they hold for the same tree
and toolchain.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from trunkline.config import location, reading, trust
from trunkline.context.loading import found_text
from trunkline.context.observation import observe_remote
from trunkline.context.project import Project, Reporter
from trunkline.context.scope import Scope
from trunkline.domain.command import caller, program_help, task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.names import Oid, branch_ref
from trunkline.domain.rehearsal import RefChange, Rehearsed, pull_changes
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import PrState, PullRequest, Snapshot
from trunkline.git import config_audit, history, refs
from trunkline.git.git import Git
from trunkline.git.state_directory import work_dir
from trunkline.sim.client import SimulatedGitHub, exports, running
from trunkline.sim.faults import DAYS, Fault, days, read_faults
from trunkline.system import logged_process, process
from trunkline.system.files import private_directory

_SECONDS = 4 * 3600.0
NEXT = "next: "
"""The words before a command to type."""


class _Sandbox(msgspec.Struct, frozen=True):
    """The directories and addresses of a rehearsal."""

    github: SimulatedGitHub
    checkout: Path
    environment: Mapping[str, str]


def rehearse(
    scope: Scope,
    arguments: Sequence[str],
    *,
    offline: bool = False,
    keep: bool = False,
    fault: str = "",
    unset: Collection[str] = (),
) -> Rehearsed:
    """Rehearse a task and return what it would change.

    Args:
        scope: the real context of the stack.
        arguments: the task with its flags, as typed after `invoke`.
        offline: make no requests to GitHub; use stack.toml and the last fetch.
        keep: keep the sandbox for inspection.
        fault: faults to inject: the name of a scenario, or a file; "" for none.
        unset: environment variables to remove for the task.

    Raises:
        UsageError: there is no such scenario.
        ExternalError: the request to GitHub or the remote failed.
    """
    started = time.monotonic()
    armed = _faults(scope, fault) if fault else ()
    base = private_directory(work_dir(scope.git.common_dir()) / "rehearsals")
    root = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=base))
    try:
        with _sandbox(scope.project, root, offline=offline) as box:
            place = str(root) if keep else ""
            found = _changes(scope, box, arguments, unset, armed=armed, began=started, place=place)
        if keep:
            _leave_door(box, root)
        return found
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


def _changes(
    scope: Scope,
    box: _Sandbox,
    arguments: Sequence[str],
    unset: Collection[str],
    *,
    armed: Sequence[Fault],
    began: float,
    place: str,
) -> Rehearsed:
    """Run the task in its sandbox and return what it changed there.

    Args:
        scope: the real context of the stack.
        box: the sandbox.
        arguments: the task with its flags.
        unset: environment variables to remove for the task.
        armed: the faults to inject.
        began: when the rehearsal began, on the monotonic clock.
        place: the sandbox if it is kept; else "".
    """
    box.github.arm(armed)
    refs, pulls = _seen(scope.repository, box)
    prepared = time.monotonic()
    code, following = _perform(scope.reporter, box, arguments, unset, show_next=bool(place))
    done = time.monotonic()
    refs_after, pulls_after = _seen(scope.repository, box)
    return Rehearsed(
        command=task_command(*arguments),
        code=code,
        refs=_refs_changed(box, refs, refs_after, scope.repository),
        pulls=pull_changes(pulls, pulls_after),
        receipts=_keep_receipts(scope.state, box),
        preparing=prepared - began,
        seconds=done - prepared,
        faults=sum(each.times for each in armed),
        hits=box.github.hits(),
        place=place,
        following=following,
    )


@contextmanager
def _sandbox(project: Project, root: Path, *, offline: bool) -> Iterator[_Sandbox]:
    remote_refs = _remote_refs(project, offline=offline)
    snapshot = _offline(project, remote_refs) if offline else _online(project)
    with running(root / "github") as github:
        slug = project.repository.slug
        github.create_repository(
            project.repository.owner, project.repository.name, default_branch=project.stack.trunk
        )
        github.lever("run_by_the_clock", slug)
        objects = str(project.git.common_dir() / "objects")
        github.lever("place", slug, objects=objects, refs=remote_refs, pulls=_pulls(project, snapshot, remote_refs))
        environment = {
            **process.own_environment(),
            **github.environment(),
            **_stack_elsewhere(project.git, root),
            "GIT_CONFIG_GLOBAL": str(_global_config(project.git, root)),
            "GIT_CONFIG_NOSYSTEM": "1",
            "TRUNKLINE_STATE_DIR": str(private_directory(root / "state")),
            "XDG_STATE_HOME": str(root / "state"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        checkout = _checkout(project, root, github.remote(slug), environment)
        yield _Sandbox(github, checkout, environment)


def _online(project: Project) -> Snapshot:
    with project.github.reading_stack(project.stack.numbers, merging=True) as response:
        return response()


def _remote_refs(project: Project, *, offline: bool) -> dict[str, Oid]:
    """Return the remote refs that the stack needs; offline, as of the last fetch."""
    stack = project.stack
    if not offline:
        return observe_remote(project.git, stack, stack.entries)
    branches = [stack.trunk, *(entry.branch for entry in stack.entries)]
    tracked = {refs.tracking_ref(stack.remote, branch): branch_ref(branch) for branch in branches}
    held = refs.read_refs(project.git, *tracked)
    return {tracked[name]: tip for name, tip in held.items() if name in tracked}


def _offline(project: Project, remote_refs: Mapping[str, Oid]) -> Snapshot:
    """Return the pull requests of stack.toml, all open, each based on the entry below."""
    found, below = {}, str(project.stack.trunk)
    for entry in project.stack.entries:
        head = remote_refs.get(branch_ref(entry.branch))
        if head is not None and entry.number is not None:
            found[entry.number] = PullRequest(
                number=entry.number, title=entry.title or str(entry.branch), url="", state=PrState.OPEN, draft=False,
                body="", base=below, head=str(entry.branch), head_oid=head, head_repository=project.repository.slug,
            )  # fmt: skip
            below = str(entry.branch)
    return Snapshot(found)


def _pulls(project: Project, snapshot: Snapshot, remote_refs: Mapping[str, Oid]) -> list[dict[str, Any]]:
    """Return the pull requests in the simulator's format, without missing commits."""
    pulls = [pr for entry in project.stack.entries if (pr := snapshot.pr(entry.key)) is not None]
    named = [commit for pr in pulls for commit in (*pr.historical_heads, pr.head_oid, pr.merge_commit or pr.head_oid)]
    missing_objects = history.missing(project.git, named)
    trunk = remote_refs.get(branch_ref(project.stack.trunk))

    def base_of(pr: PullRequest) -> Oid | None:
        return pr.base_oid or trunk

    return [
        {
            "number": pr.number, "title": pr.title, "body": pr.body, "base": pr.base, "head": pr.head,
            "head_oid": pr.head_oid, "state": pr.state.value, "draft": pr.draft, "merged_at": pr.merged_at,
            "merge_commit": pr.merge_commit or "", "base_oid": "" if pr.state is PrState.OPEN else base_of(pr) or "",
            "review": pr.review,
            "force_pushes": [
                [each.before, each.after]
                for each in pr.force_pushes
                if each.before and each.after and not {each.before, each.after} & missing_objects
            ],
            "checks": [
                {"name": c.name, "status": c.status, "conclusion": c.conclusion, "annotations": list(c.annotations)}
                for c in pr.checks
            ],
        }
        for pr in pulls
        if pr.head_oid not in missing_objects
    ]  # fmt: skip


_IDENTITY = ("user.", "gpg.", "commit.gpgsign", "core.autocrlf", "core.eol", "merge.", "diff.")


def _global_config(git: Git, root: Path) -> Path:
    """Write a git configuration with the user's identity and signing settings only.

    Settings such as insteadOf could redirect git to the real remote.
    """
    path = root / "gitconfig"
    path.touch()
    outside = root  # any directory: the file is named
    for each in config_audit.settings(git):
        if each.key.startswith(_IDENTITY) and ".driver" not in each.key and ".command" not in each.key:
            Git(outside).scratch("config", "--file", str(path), "--add", each.key, each.value)
    return path


def _checkout(project: Project, root: Path, url: str, environment: Mapping[str, str]) -> Path:
    """Create the copy of the clone.

    It shares the clone's objects and has its refs, reflogs, journals, receipts and stack.toml.
    """
    real, top = project.git, root / "checkout"
    common = real.common_dir()
    top.mkdir()
    git = Git(top)
    git.scratch("init", "--quiet", "--template=")
    inner = top / ".git"
    (inner / "objects/info/alternates").write_bytes(os.fsencode(common / "objects") + b"\n")
    held = refs.read_refs(real)
    created = "".join(f"create {ref} {tip}\n" for ref, tip in held.items())
    git.scratch("update-ref", "--stdin", stdin=created.encode("utf-8", "surrogateescape"))
    if (common / "logs").is_dir():
        shutil.copytree(common / "logs", inner / "logs", dirs_exist_ok=True)
    git.scratch("remote", "add", project.stack.remote, url)
    (inner / "HEAD").write_bytes((real.query("rev-parse", "--absolute-git-dir").path / "HEAD").read_bytes())
    done = process.run(["git", "reset", "--hard", "--quiet"], cwd=top, env=environment, timeout=600.0)
    if done.returncode:
        raise UsageError("the checkout cannot be copied", command=done.command_line, stderr=done.error_text)
    if (real.cwd / reading.FILE_NAME).exists():
        shutil.copyfile(real.cwd / reading.FILE_NAME, top / reading.FILE_NAME)
    state = real.state_dir()
    if state.is_dir():
        shutil.copytree(state, inner / "trunkline", ignore=shutil.ignore_patterns("lease.lock"))
        (inner / "trunkline").chmod(0o700)
    if (top / reading.FILE_NAME).exists():
        trust.confirm(git, reading.read(top / reading.FILE_NAME))  # the rehearsing task has checked its trust
    return top


def _stack_elsewhere(git: Git, root: Path) -> dict[str, str]:
    """Return the variable that names a copy of stack.toml, if that is not in the work tree."""
    found = trust.effective(git, found_text(git))
    if not found.source:
        return {}
    copy = root / reading.FILE_NAME
    copy.write_text(found.text, encoding="utf-8")
    return {location.VARIABLE: str(copy)}


def _faults(scope: Scope, day: str) -> tuple[Fault, ...]:
    """Return the faults of a scenario: a bundled one by name, or those in a file.

    Raises:
        UsageError: there is no such scenario, or the file is invalid.
    """
    entries, at = scope.stack.entries, scope.stack.entries.index(scope.entry)
    known = {
        "repository": scope.repository.slug,
        "pr": str(scope.entry.key),
        "branch": str(scope.entry.branch),
        "child": str(entries[at + 1].key if at + 1 < len(entries) else 0),
        "trunk": str(scope.stack.trunk),
    }
    if day.endswith(".toml"):
        return read_faults(Path(day), known)
    if day not in days():
        raise UsageError(
            f"--fault {day}: there is no such fault",
            why=f"known: {', '.join(days())}; or a file of your own that ends in .toml",
            next_command=program_help("rehearse"),
        )
    return read_faults(DAYS / f"{day}.toml", known)


def _perform(
    reporter: Reporter, box: _Sandbox, arguments: Sequence[str], unset: Collection[str], *, show_next: bool
) -> tuple[int, tuple[str, ...]]:
    """Run the task in the sandbox as a user would, and pass its output on.

    Args:
        reporter: receives the output.
        box: the sandbox.
        arguments: the task with its flags.
        unset: environment variables to remove.
        show_next: pass on the next commands that are ours, too; they are for a shell in the sandbox.

    Returns:
        The exit code, and the next commands.
    """
    argv = _argv(arguments)
    inherited = {
        name: value for name, value in box.environment.items() if name not in unset and not name.startswith("INVOKE_")
    }
    env = {**inherited, "PYTHONUNBUFFERED": "1", "TRUNKLINE_YES": "1"}
    following: list[str] = []

    def pass_on(line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\n")
        if text.startswith(NEXT):
            following.append(text.removeprefix(NEXT))
        if show_next or not text.startswith(f"{NEXT}{caller().program[0]} "):
            reporter.progress(f"| {text}")

    log = box.checkout.parent / "task.log"
    done = logged_process.run_logged(argv, cwd=box.checkout, env=env, timeout=_SECONDS, log=log, on_line=pass_on)
    return done.returncode, tuple(following)


def _argv(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs a task in the sandbox's checkout.

    Commands that the task suggests name the program that called us. Python would import modules from the directory
    where it starts (`python -c`), and the checkout is that of a branch.
    """
    start = "import sys; sys.path[:] = [place for place in sys.path if place]"
    name = f"sys.argv[0] = {caller().program[0]!r}"
    return [sys.executable, "-c", f"{start}; {name}; from trunkline.tasks.program import main; main()", *arguments]


def _seen(repository: Repository, box: _Sandbox) -> tuple[dict[str, Oid], dict[int, dict[str, Any]]]:
    slug = repository.slug
    state = box.github.state()["repositories"][slug]
    return refs.read_refs(Git(box.github.bare(slug), git_dir="."), "refs/heads/"), {
        int(number): pull for number, pull in state["pulls"].items()
    }


def _refs_changed(
    box: _Sandbox, before: Mapping[str, Oid], after: Mapping[str, Oid], repository: Repository
) -> tuple[RefChange, ...]:
    git = Git(box.github.bare(repository.slug), git_dir=".")
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            count = len(history.reachable(git, [new], [old] if old else [])) if new else 0
            found.append(RefChange(name.removeprefix("refs/heads/"), old, new, count))
    return tuple(found)


def _keep_receipts(state: Path, box: _Sandbox) -> int:
    """Keep the receipts of the rehearsal: they prove the same for the same tree and toolchain."""
    earned, own = box.checkout / ".git/trunkline/receipts", state / "receipts"
    if not earned.is_dir():
        return 0
    private_directory(state)
    private_directory(own)
    new = [path for path in earned.iterdir() if not (own / path.name).exists()]
    for path in sorted(new, key=lambda path: path.suffix == ".json"):  # logs first
        shutil.copy2(path, own / path.name)
    return sum(path.suffix == ".json" for path in new)


def _leave_door(box: _Sandbox, root: Path) -> None:
    """Write a script that serves the kept sandbox again and opens a shell in it."""
    socket = tempfile.mkdtemp(prefix="sim-") + "/s"
    serve = shlex.join(
        [sys.executable, "-m", "trunkline.sim", "serve", "--root", str(root / "github"), "--socket", socket]
    )
    config_yml = root / "github/gh/config/config.yml"
    door, log = root / "enter", shlex.quote(str(root / "door.log"))
    door.write_text(
        f"#!/bin/sh\n{exports(box.environment)}mkdir -p {shlex.quote(str(Path(socket).parent))}\n"
        f"printf 'version: \"1\"\\nhttp_unix_socket: {socket}\\n' > {shlex.quote(str(config_yml))}\n"
        # Elsewhere, because Python imports modules from the directory where it starts (`python -m`).
        f": > {log}\n(cd / && exec {serve}) >> {log} 2>&1 & server=$!\ntrap 'kill $server' EXIT\n"
        f"until grep -q listens {log}; do kill -0 $server 2>/dev/null || {{ cat {log}; exit 1; }}; sleep 0.05; done\n"
        f'cd {shlex.quote(str(box.checkout))} && "${{SHELL:-sh}}" "$@"\n',
        encoding="utf-8",
    )
    door.chmod(0o700)
