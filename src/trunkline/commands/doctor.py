"""Command `doctor`: check tools, sign-in, toolchains and settings, and name a fix for each problem."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from trunkline.context import open_run
from trunkline.context.loading import load_stacks, top_of
from trunkline.context.project import Reporter
from trunkline.domain.check import PatternCheck
from trunkline.domain.errors import TrunklineError
from trunkline.domain.flags import ENCODED
from trunkline.domain.health import Finding, Health
from trunkline.domain.names import oid, short
from trunkline.domain.repository import repository_of
from trunkline.domain.stack import DEFAULT_REMOTE, Stack
from trunkline.domain.words import count_of
from trunkline.gates import diagnosis, execute, slots
from trunkline.gates.actions import WORKFLOW
from trunkline.gates.catalogue import Gate, catalogue
from trunkline.gates.refusal import Place
from trunkline.git import config_audit, failures, lfs, refs
from trunkline.git.git import MINIMUM, Git, is_old
from trunkline.github.account import account_of
from trunkline.github.client import GitHub
from trunkline.operations import kept_work
from trunkline.planning import completeness
from trunkline.planning.gate_proposals import proposed
from trunkline.rust import sources, structure
from trunkline.rust.cargo import Tools
from trunkline.rust.rustflags import FlagsUnknown
from trunkline.system import installing, process

_SECONDS = 30.0
_LITTLE = 5 * 2**30  # bytes; a cold build of a larger workspace takes several GiB
_FLAGS = frozenset({*ENCODED, *ENCODED.values(), "CARGO_BUILD_RUSTFLAGS"})
_MAY_PUSH = frozenset({"WRITE", "MAINTAIN", "ADMIN"})
_MISLEADING = frozenset({
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS",
    "GIT_EXTERNAL_DIFF",
})  # fmt: skip
_NETWORK_FILESYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "ceph"})


def examine(reporter: Reporter, *, offline: bool = False, cwd: Path | None = None) -> tuple[Finding, ...]:
    """Check everything that a landing depends on.

    Args:
        reporter: receives progress events.
        offline: make no requests to GitHub or the remote.
        cwd: a directory inside the checkout.
    """
    directory = cwd or Path.cwd()
    found = [_git(directory), _gh(directory)]
    if found[0].health is Health.ERROR:
        return tuple(found)
    try:
        git = top_of(Git(directory))
    except TrunklineError as error:
        return (*found, _trouble("checkout", error))
    settings = config_audit.settings(git)
    found += _checkout(git, settings)
    found += _configuration(settings)
    found += _state(git)
    stacks: tuple[Stack, ...] = ()
    try:
        stacks = load_stacks(git)
        found.append(Finding("stack.toml", ", ".join(_described(stack) for stack in stacks)))
    except TrunklineError as error:
        found += [*_before_init(git, reporter, offline=offline), _trouble("stack.toml", error)]
    for stack in stacks:
        found += _checked("history", functools.partial(completeness.findings, git, stack))
    for stack in [each for each in stacks if not each.landed][:1] or stacks[:1]:
        found += _remote(git, stack, reporter, offline=offline)
    found += _gates(git, stacks[0]) if stacks else ()
    return tuple(found)


def _described(stack: Stack) -> str:
    name = f"{stack.name}: " if stack.name else ""
    landed = ", landed" if stack.landed else ""
    return f"{name}{count_of(len(stack.entries), 'entry', 'entries')} on {stack.remote}/{stack.trunk}{landed}"


def _trouble(about: str, error: TrunklineError) -> Finding:
    first = next(iter(error.why.splitlines()), "")
    why = f": {first}" if first else ""
    return Finding(about, f"{error.what}{why}", Health.ERROR, next(iter(error.next_commands), ""), error)


def _version(argv: list[str], cwd: Path) -> str:
    done = process.run(argv, cwd=cwd, env=process.environment(), timeout=_SECONDS)
    return next(iter(done.text.splitlines()), "") if done.returncode == 0 else ""


def _git(cwd: Path) -> Finding:
    try:
        message = _version(["git", "version"], cwd)
    except TrunklineError as error:
        return _trouble("git", error)
    if not message or is_old(message):
        least = ".".join(map(str, MINIMUM))
        return Finding(
            "git",
            f"{message or 'git'} is too old",
            Health.ERROR,
            f"git --version   # {least} or newer: https://git-scm.com/downloads",
        )
    return Finding("git", message.removeprefix("git version "))


def _gh(cwd: Path) -> Finding:
    try:
        message = _version(["gh", "--version"], cwd)
    except TrunklineError as error:
        return _trouble("gh", error)
    return Finding("gh", message.removeprefix("gh version "))


def _checkout(git: Git, settings: tuple[config_audit.Setting, ...]) -> Iterator[Finding]:
    yield Finding("checkout", str(git.cwd))
    if git.query("rev-parse", "--is-shallow-repository").text == "true":
        yield Finding("checkout", "it is a shallow clone", Health.ERROR, "git fetch --unshallow")
    if any(re.fullmatch(r"remote\..+\.promisor", each.key) and each.value == "true" for each in settings):
        yield Finding("checkout", "it is a partial clone: objects are fetched as they are needed", Health.WARNING)
    if config_audit.value_of(settings, "core.sparsecheckout") == "true":
        yield Finding(
            "checkout", "it is sparse; gates run on whole trees, in a work tree of their own", Health.WARNING
        )
    if (git.cwd / ".gitmodules").exists():
        yield Finding("checkout", "it has submodules: gates get their files, without a .git in them", Health.WARNING)
    yield from _large_files(git)
    yield from _replacements(git)
    flags = sorted(name for name in os.environ if name in _FLAGS and os.environ[name])
    if flags:
        message = (
            f"{', '.join(flags)} in your environment: gates do not see it; `[gates.env]` in stack.toml is for all"
        )
        yield Finding("environment", message, Health.WARNING, "${EDITOR:-vi} stack.toml   # [gates.env]")
    leaked = sorted(name for name in os.environ if name in _MISLEADING)
    if leaked:
        message = f"{', '.join(leaked)} in your environment would lead git elsewhere; trunkline leaves them out"
        yield Finding("environment", message, Health.WARNING, f"unset {' '.join(leaked)}")
    if hooks := config_audit.hooks(git, settings):
        message = f"{', '.join(hooks)}: runs as you when a task pushes or commits your changes; no other hook does"
        yield Finding("hooks", message, Health.WARNING)


def _replacements(git: Git) -> Iterator[Finding]:
    """Report replace refs and grafts: with them git shows another history than it pushes."""
    real = "trunkline, and everybody else, reads the real history"
    replaced = [ref.removeprefix("refs/replace/") for ref in refs.read_refs(git, "refs/replace/")]
    if replaced:
        listed = ", ".join(short(oid(name)) for name in replaced[:5]) + (", ..." if len(replaced) > 5 else "")  # noqa: PLR2004 -- one line of ids
        message = f"git replace shows other objects for {listed}; {real}"
        yield Finding("history", message, Health.WARNING, f"git replace -d {' '.join(replaced[:5])}")
    grafts = git.common_dir() / "info/grafts"
    if grafts.is_file() and grafts.read_bytes().strip():
        yield Finding(
            "history",
            f"{grafts} gives commits other parents; {real}",
            Health.WARNING,
            shlex.join(["mv", str(grafts), f"{grafts}.off"]),
        )


def _large_files(git: Git) -> Iterator[Finding]:
    head = git.resolve("HEAD")
    if head is None or not lfs.is_used(git, head):
        return
    if lfs.is_missing(git, head):
        message = "it uses Git LFS, and git-lfs is not installed: git cannot check its files out"
        yield Finding("checkout", message, Health.ERROR, failures.LFS_INSTALL)
    else:
        yield Finding("checkout", "it uses Git LFS: large files are fetched for gates too", Health.WARNING)


def _configuration(settings: tuple[config_audit.Setting, ...]) -> Iterator[Finding]:
    for each in config_audit.command_settings(settings):
        message = f"{each.key} = {each.value} in {each.origin.removeprefix('file:')}: git runs or follows it"
        yield Finding("git config", message, Health.WARNING, f"{each.unset}   # unless you set it")
    for key in ("user.name", "user.email"):
        if not config_audit.value_of(settings, key) and f"GIT_COMMITTER_{key[5:].upper()}" not in os.environ:
            yield Finding("git config", f"{key} is not set", Health.ERROR, f"git config --global {key} ...")
    if config_audit.value_of(settings, "commit.gpgsign") == "true":
        message = "commit.gpgSign: replayed commits are signed again; your agent may ask"
        yield Finding("git config", message, Health.WARNING)
    if any(each.key == "safe.directory" and each.value == "*" for each in settings):
        message = "safe.directory = *: git trusts repositories of every user on this machine"
        yield Finding("git config", message, Health.WARNING, "git config --global --unset-all safe.directory '\\*'")


def _state(git: Git) -> Iterator[Finding]:
    state, work = git.state_dir(), slots.work_dir(git.common_dir())
    if state.exists() and (state.is_symlink() or state.stat().st_mode & 0o077):
        yield Finding("state", f"{state} can be read by others", Health.ERROR, f"chmod 700 {state}")
    for place in (git.common_dir(), work):
        kind = _filesystem(place)
        if kind in _NETWORK_FILESYSTEMS:
            message = f"{place} is on {kind}: locks and renames are not to be relied on there"
            yield Finding("state", message, Health.WARNING)
    existing = next(each for each in (work, *work.parents) if each.exists())
    free = shutil.disk_usage(existing).free
    if free < _LITTLE:
        yield Finding("disk", f"{free / 2**30:.1f} GiB free where gates build ({existing})", Health.WARNING)
    if (run := open_run.open_run(state)) is not None:
        found = open_run.described(run)
        yield Finding("runs", found.what, Health.WARNING, found.commands[0])
    if kept := kept_work.directories(git):
        place = kept_work.base(git)
        many = count_of(len(kept), "directory", "directories")
        message = f"{many} in {place} with files from the work trees of conflicts"
        fix = f"ls {shlex.quote(str(place))}   # remove what you do not need: nothing else does"
        yield Finding("kept", message, Health.WARNING, fix)


def _filesystem(path: Path) -> str:
    """Return the type of the file system that contains a path, from /proc/mounts; "" if unknown."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        _, mount, name, *_ = line.split(" ")
        inside = str(path) == mount or str(path).startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, name
    return kind


def _before_init(git: Git, reporter: Reporter, *, offline: bool) -> Iterator[Finding]:
    """Report cargo, and the remote and the sign-in that `init` would use."""
    # Not in the checkout: its rust-toolchain.toml may name a program to run.
    missing = Tools(Path("/")).missing(("cargo", "build"), ("cargo",))
    if missing:
        yield Finding("cargo", missing.text, Health.ERROR, missing.fix)
    names = git.query("remote").lines
    name = refs.usual_remote(names) if names else DEFAULT_REMOTE
    if name is None:
        return
    try:
        repository = repository_of(refs.remote_url(git, name))
    except TrunklineError as error:
        yield _trouble("remote", error)
        return
    if not offline:
        yield from _checked("sign-in", lambda: _account(GitHub(repository, git.cwd, reporter.progress)))


def _remote(git: Git, stack: Stack, reporter: Reporter, *, offline: bool) -> Iterator[Finding]:
    try:
        repository = repository_of(refs.remote_url(git, stack.remote))
        pushes = repository_of(refs.remote_url(git, stack.remote, push=True))
    except TrunklineError as error:
        yield _trouble("remote", error)
        return
    if pushes != repository:
        message = f"{stack.remote} fetches from {repository.slug} but pushes to {pushes.slug}"
        yield Finding("remote", message, Health.ERROR, f"git remote set-url --push {shlex.quote(stack.remote)} URL")
    if offline:
        yield Finding("remote", f"{repository.argument}, not queried (--offline)")
        return
    yield from _checked("remote", lambda: _reachable(git, stack))
    github = GitHub(repository, git.cwd, reporter.progress)
    yield from _checked("sign-in", lambda: _account(github))


def _checked(about: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except TrunklineError as error:
        yield _trouble(about, error)


def _reachable(git: Git, stack: Stack) -> Iterator[Finding]:
    ref = f"refs/heads/{stack.trunk}"
    if ref in refs.list_remote(git, stack.remote, [ref]):
        yield Finding("remote", f"{stack.remote} has {stack.trunk}")
    else:
        command = f"git ls-remote --heads {shlex.quote(stack.remote)}"
        yield Finding("remote", f"{stack.remote} has no branch {stack.trunk}", Health.ERROR, command)


def _account(github: GitHub) -> Iterator[Finding]:
    repository = github.repository
    account = account_of(github)
    permission = account.permission or "no permission"
    message = f"{account.login} on {repository.host}, {permission} in {repository.slug}"
    if account.archived:
        yield Finding(
            "sign-in", f"{repository.slug} is archived", Health.ERROR, f"gh repo unarchive {repository.slug}"
        )
    may = permission in _MAY_PUSH
    fix = "" if may else f"gh auth login --hostname {repository.host}   # as a user with write access"
    yield Finding("sign-in", message, Health.OK if may else Health.ERROR, fix)


def _gates(git: Git, stack: Stack) -> Iterator[Finding]:
    """Report the toolchain and flags of each gate.

    They are determined in the checkout, because its rust-toolchain.toml applies.
    """
    root = git.cwd / stack.gates.root
    if not (root / "Cargo.toml").is_file():
        message = f"there is no {stack.gates.root}/Cargo.toml in this checkout".replace("./", "")
        yield Finding("gates", message, Health.WARNING, "${EDITOR:-vi} stack.toml   # [gates] root")
        root = git.cwd
    tools = Tools(root, sources.wrap_for(git.cwd, sandbox=stack.gates.sandbox))
    for gate in catalogue(stack.gates):
        if cause := execute.missing(gate, tools):
            yield Finding(f"gate {gate.name}", f"cannot run here: {cause.text}", Health.ERROR, cause.fix)
        else:
            yield _ready(git, stack, gate, tools)
    for proposal in proposed(git, stack.gates):
        health = Health.ERROR if proposal.needed else Health.WARNING
        yield Finding("coverage", proposal.why, health, proposal.command)
    yield from _extras(stack)


def _ready(git: Git, stack: Stack, gate: Gate, tools: Tools) -> Finding:
    """Return the compiler and the flags that a gate would run with."""
    about, compiler = f"gate {gate.name}", tools.toolchain(gate.argv).name or gate.argv[0]
    try:
        flags = execute.with_flags(gate, git.cwd, stack.gates.root).flags
    except FlagsUnknown as unknown:
        cause = diagnosis.unknown_flags(unknown, Place(git.cwd, stack.gates.root))
        return Finding(about, f"{compiler}; it will fail: {cause.text}", Health.ERROR, cause.fix)
    return Finding(about, f"{compiler}; {flags}" if flags else compiler)


def _extras(stack: Stack) -> Iterator[Finding]:
    """Report whether the optional tools that stack.toml requires are available."""
    if any(isinstance(check, PatternCheck) for entry in stack.entries for check in entry.checks):
        tool = structure.version()
        message = tool or "not installed: checks of kind pattern cannot run"
        yield Finding(
            "checks", message, Health.OK if tool else Health.ERROR, "" if tool else installing.for_extra("checks")
        )
    if stack.gates.executor == "actions":
        yield Finding("executor", f"GitHub Actions, {WORKFLOW} of {stack.trunk}")
    if stack.gates.executor == "dask":
        try:
            message = f"distributed {importlib.metadata.version('distributed')}"
        except importlib.metadata.PackageNotFoundError:
            yield Finding("executor", "Dask is not installed", Health.ERROR, installing.for_extra("cluster"))
        else:
            yield Finding("executor", f"{message}, {stack.gates.scheduler or 'workers of this machine'}")
