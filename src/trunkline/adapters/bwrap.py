"""The only module that spells bwrap: a command without network, without your home, with read-only sources.

bubblewrap is not part of every system: where it was asked for and is missing, nothing runs (promises, fault 54).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from trunkline.kernel import proc

NAME = "bwrap"
"""What receipts say."""
_TRIAL_SECONDS = 30.0
_HIDDEN = ("/tmp", "/var/tmp", "/run", "/root", "/home", "/mnt", "/media", "/srv")  # noqa: S108 -- covered, not used
_CARGO_PARTS = ("bin", "registry", "git", "config.toml", "config", "env")  # credentials.toml is not among them


def lacking(cwd: Path) -> str:
    """Return the command that makes the sandbox possible here, or "" where it is."""
    if shutil.which("bwrap") is None:
        return "sudo apt-get install bubblewrap"
    trial = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    if proc.run(trial, cwd=cwd, env=proc.environment(), timeout=_TRIAL_SECONDS).returncode:
        return "sudo sysctl -w kernel.unprivileged_userns_clone=1   # or remove `sandbox` from stack.toml"
    return ""


def wrapped(
    argv: Sequence[str], *, cwd: Path, tree: Path, writable: Sequence[Path], toolchain: Path
) -> tuple[str, ...]:
    """Return the command that runs `argv` inside the sandbox.

    Namespaces of its own for everything, network and processes included: no other process can be seen, so the
    environment of whoever started us cannot be read from /proc. The home directories, /tmp and /run are empty; the
    rest of the file system is read-only, and so are the sources and the caches that are laid into it.

    Args:
        argv: the command.
        cwd: where it runs.
        tree: the sources.
        writable: what it may write: the target directory, the job pool.
        toolchain: the toolchain's directory.
    """
    hidden = [path for path in (*_HIDDEN, str(Path.home())) if Path(path).is_dir()]
    return (
        "bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/",
        *(part for path in dict.fromkeys(hidden) for part in ("--tmpfs", path)),
        "--dev", "/dev", "--proc", "/proc",
        *(part for path in (*_rust(), toolchain, toolchain.resolve(), tree) for part in _shown(path)),
        *(part for path in writable for part in ("--bind", str(path), str(path))),
        "--chdir", str(cwd), "--", *argv,
    )  # fmt: skip


def _shown(path: Path) -> tuple[str, ...]:
    return ("--ro-bind", str(path), str(path)) if path.exists() else ()


def _rust() -> Iterator[Path]:
    """Yield what cargo and rustup need of a home directory; never the registry's credentials."""
    yield Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    cargo = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    for part in _CARGO_PARTS:
        yield cargo / part
