"""Run commands in a bubblewrap sandbox that shows only system files and the sources.

With `[gates] sandbox = true`, everything that reads the tree of a pull request runs in the sandbox.
Its file system is an allowlist: system directories, the Rust toolchains, cargo's downloads, the
sources. It has no capabilities and shows no other processes. The network is off unless requested,
and only paths that the caller names are writable.

Not every system has bubblewrap or permits it. Then nothing runs at all: a fallback without a
sandbox would silently remove the protection that the user requested.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from trunkline.domain.errors import TrunklineError
from trunkline.git.state_directory import state_home
from trunkline.rust import sandbox_homes, seccomp
from trunkline.system import process
from trunkline.system.files import private_directory, replace_bytes

NAME = "bwrap"
"""The sandbox's name in receipts."""
_TRIAL_SECONDS = 30.0
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/etc")
_PROCESSORS = "/sys/devices/system/cpu"  # shows the number of processors
_EMPTY = ("/tmp", "/var/tmp", "/run")  # noqa: S108 -- empty directories of the sandbox's own
_PROXIES = tuple(f"{scheme}_proxy" for scheme in ("http", "https", "all", "ftp", "no"))  # may hold a password
_BESIDE_PROGRAMS = ("lib", "lib64", "libexec", "share", "include")
_WITH_FILTER = 'exec 3<"$1"; shift; exec "$@"'  # bwrap reads the filter from a descriptor
# Files of /proc belong to root of the machine, also in a user namespace that maps root to itself.
# Unless these are masked, bubblewrap 0.8 leaves every kernel setting in them writable (measured).
# The list is that of the OCI runtimes.
_PROC_HIDDEN = ("acpi", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats")
_LIMITS = (  # kernel settings that forbid user namespaces: path, forbidding value, permitting setting
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
)


class Sandbox(msgspec.Struct, frozen=True):
    """A sandbox: what a command sees besides the system, toolchains and cargo's downloads.

    Attributes:
        tree: the sources, read-only.
        writable: the writable paths.
        network: allow the network; cargo's downloads are then writable too. Only for `cargo fetch`.
    """

    tree: Path
    writable: tuple[Path, ...] = ()
    network: bool = False

    def wrap(self, argv: Sequence[str], cwd: Path) -> tuple[str, ...]:
        """Return the command that runs `argv` in `cwd` inside the sandbox."""
        return (*_bwrap(network=self.network), *_mounts(self), "--chdir", str(cwd), "--", *argv)


def missing_tool() -> str:
    """Return the command that makes the sandbox available, or "" if it works."""
    if shutil.which("bwrap") is None:
        return "sudo apt-get install bubblewrap"
    return "" if _works() else _permission()


@functools.cache
def _works() -> bool:
    """Run a trivial command with the gates' flags, to detect unsupported ones."""
    sandbox = Sandbox(Path("/usr"))
    try:
        done = process.run(sandbox.wrap(["true"], Path("/")), cwd=Path("/"), env={"PATH": os.environ.get("PATH", "")},
                        timeout=_TRIAL_SECONDS)  # fmt: skip
    except TrunklineError:
        return False
    return done.returncode == 0


def _permission() -> str:
    """Return the command that permits user namespaces.

    Without them, root would keep its capabilities in the sandbox.
    """
    for name, forbids, permits in _LIMITS:
        try:
            if Path("/proc/sys", name).read_text(encoding="ascii").strip() == forbids:
                return f"sudo sysctl -w {permits}"
        except OSError:
            continue
    return (
        "bwrap --unshare-user --ro-bind / / --proc /proc true"
        "   # must work: a container needs `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`"
    )


def _bwrap(*, network: bool) -> Iterator[str]:
    """Yield bwrap and the flags that remove privileges."""
    if not network:
        # Not `--unsetenv`: bubblewrap itself is process 1 in the sandbox, which can read its
        # environment.
        yield "env"
        for name in _PROXIES:
            yield from ("-u", name, "-u", name.upper())
    if seccomp.program():
        yield from ("/bin/sh", "-c", _WITH_FILTER, "sh", str(_filter_file()), "bwrap", "--seccomp", "3")
    else:
        yield "bwrap"
    yield from ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    yield from () if network else ("--unshare-net",)
    yield from ("--disable-userns",) if _can_disable_user_namespaces() else ()
    yield from ("--cap-drop", "ALL", "--die-with-parent", "--new-session")
    yield from ("--setenv", "TMPDIR", _EMPTY[0])


@functools.cache
def _can_disable_user_namespaces() -> bool:
    done = process.run(["bwrap", "--help"], cwd=Path("/"), env=process.own_environment(), timeout=_TRIAL_SECONDS)
    return b"--disable-userns" in done.stdout + done.stderr  # since bubblewrap 0.8


def _filter_file() -> Path:
    path = private_directory(private_directory(state_home()) / "sandbox") / "seccomp.bpf"
    content = seccomp.program()
    if not path.is_file() or path.read_bytes() != content:
        replace_bytes(path, content)
    return path


def _mounts(sandbox: Sandbox) -> Iterator[str]:
    """Yield the mounts of an otherwise empty file system; later mounts hide earlier ones."""
    yield from _system()
    yield from ("--dev", "/dev", "--proc", "/proc", "--ro-bind-try", _PROCESSORS, _PROCESSORS)
    for path in _machine_settings():
        yield from _read_only(path)
    yield from _masked(Path("/proc", name) for name in _PROC_HIDDEN)
    hidden = [Path(path) for path in (*_EMPTY, os.environ.get("HOME") or Path.home(), sandbox_homes.cargo_home())]
    for path in dict.fromkeys(path for path in hidden if path != Path("/")):
        yield from ("--tmpfs", str(path))
    for path in sandbox_homes.toolchains():
        yield from _read_only(path)
    for path in sandbox_homes.downloads():
        yield from ("--bind", str(path), str(path)) if sandbox.network else _read_only(path)
    for path, shown in sandbox_homes.configuration(network=sandbox.network):
        yield from ("--ro-bind", str(shown), str(path))
    if sandbox.network:
        yield from _network_files()
    yield from _read_only(sandbox.tree)
    for path in sandbox.writable:
        yield from ("--bind", str(path), str(path))
    yield from _masked([sandbox.tree / ".git"])  # the URLs of remotes may contain a password


def _system() -> Iterator[str]:
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.exists():
            yield from _read_only(path)
    yield from _masked(_restricted_files())
    for path in _programs():
        yield from _read_only(path)


def _masked(paths: Iterable[Path]) -> Iterator[str]:
    """Yield mounts that hide directories and make files read-only or empty."""
    for path in paths:
        if path.is_symlink() or not _exists(path):
            continue
        if path.is_dir():
            yield from ("--tmpfs", str(path))
        elif path.name == ".git":
            yield from _read_only(path)
        else:
            yield from ("--ro-bind", "/dev/null", str(path))


@functools.cache
def _machine_settings() -> tuple[Path, ...]:
    """Return the writable files and directories of /proc that belong to no process."""
    with os.scandir("/proc") as entries:
        found = [entry for entry in entries if not entry.name.isdigit() and not entry.is_symlink()]
    return tuple(Path(each.path) for each in found if each.is_dir() or each.stat().st_mode & 0o222)


@functools.cache
def _restricted_files() -> tuple[Path, ...]:
    """Return the paths in /etc that only root may read: a build script may run as root."""
    return tuple(_restricted(Path("/etc")))


def _restricted(top: Path) -> Iterator[Path]:
    """Yield the paths below a directory that not everybody may read."""
    open_folders = [top]
    while open_folders:
        for entry in _entries(open_folders.pop()):
            try:
                mode = entry.stat(follow_symlinks=False).st_mode
            except FileNotFoundError:  # removed meanwhile, as by a package manager
                continue
            needed = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
            if not stat.S_ISLNK(mode) and mode & needed != needed:
                yield Path(entry.path)
            elif stat.S_ISDIR(mode):
                open_folders.append(Path(entry.path))


def _entries(folder: Path) -> tuple[os.DirEntry[str], ...]:
    """Return the entries of a directory; none if it was removed meanwhile."""
    try:
        with os.scandir(folder) as entries:
            return tuple(entries)
    except FileNotFoundError:
        return ()


def _programs() -> Iterator[Path]:
    """Yield the directories of PATH outside the system and the home directory.

    If one is called bin, its sibling directories with libraries and data follow.
    """
    covered = [Path(name) for name in (*_SYSTEM, *_EMPTY)]
    covered += [Path.home(), sandbox_homes.cargo_home()]
    for name in dict.fromkeys(os.environ.get("PATH", "").split(os.pathsep)):
        path = Path(name)
        if not path.is_absolute() or any(path.is_relative_to(each) for each in covered) or path.parent == Path("/"):
            continue
        yield path
        if path.name in {"bin", "sbin"}:
            yield from (path.parent / each for each in _BESIDE_PROGRAMS)


def _network_files() -> Iterator[str]:
    """Yield the files for name resolution and server certificates, which may be hidden."""
    for path in (Path("/etc/resolv.conf"), *_named_files("SSL_CERT_FILE", "SSL_CERT_DIR")):
        yield from _read_only(path.resolve())


def _named_files(*variables: str) -> Iterator[Path]:
    for name in variables:
        if value := os.environ.get(name):
            yield Path(value)


def _read_only(path: Path) -> tuple[str, ...]:
    return ("--ro-bind", str(path), str(path)) if _exists(path) else ()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a directory that this user may not read
        return False
