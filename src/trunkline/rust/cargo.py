"""The only module that spells cargo, rustc and rustup: what is installed, formatting, what the compiler says."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tomli

from trunkline.domain.cause import Cause, CauseId
from trunkline.domain.errors import ExternalError
from trunkline.domain.receipt import Toolchain
from trunkline.domain.workspace import Workspace
from trunkline.rust import rustup
from trunkline.rust.cargo_output import CargoOutput, subcommand_of, toolchain_argument
from trunkline.system import process

_QUERY_SECONDS = 60.0
_FORMAT_SECONDS = 600.0

# What a gate may see of the environment: where the tools and their caches are, who and where we are, how the network
# is reached. Not: tokens, RUSTFLAGS and wrappers of the calling shell, anything else that could change a verdict.
# RUSTUP_TOOLCHAIN is kept: it is how a person chooses the toolchain, and the receipt names the one that compiled.
PASSED_THROUGH = (
    "CARGO_HOME", "CARGO_NET_OFFLINE", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LD_LIBRARY_PATH", "LIBRARY_PATH",
    "LOGNAME", "NO_PROXY", "PATH", "PKG_CONFIG_PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "SCCACHE_SERVER_PORT",
    "SCCACHE_SERVER_UDS", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "USER", "https_proxy", "http_proxy", "no_proxy",
)  # fmt: skip
_SERVER_SECONDS = 60.0
_DEEPEST = 10  # configuration files that include one another
_BUILT_IN = frozenset({"bench", "build", "check", "doc", "metadata", "run", "rustc", "rustdoc", "test", "tree"})


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return a gate's whole environment: the allowlist, a fixed locale, no toolchain installed behind our back."""
    kept = {name: value for name, value in process.own_environment().items() if name in PASSED_THROUGH}
    # RUSTC_ICE: a compiler that crashes would leave its report among the sources.
    fixed = {"LC_ALL": "C.UTF-8", "CARGO_TERM_COLOR": "never", "RUSTUP_AUTO_INSTALL": "0", "RUSTC_ICE": "0"}
    return {**kept, **fixed, **extra}


Wrap = Callable[[Sequence[str], Path], Sequence[str]]
"""Return the command that runs an argv in a directory: inside a sandbox, where there is one."""


def unwrapped(argv: Sequence[str], _cwd: Path) -> Sequence[str]:
    """Return the command itself: there is no sandbox."""
    return argv


_INSTALL = {
    "cargo": "install Rust: https://rustup.rs",
    "typos": "pip install typos",
    "sccache": "cargo install --locked sccache",
}
"""Program -> how to install it."""


@dataclass(frozen=True)
class Tools:
    """What is installed, as seen from one directory (rust-toolchain.toml has its say there); asked once each.

    Attributes:
        cwd: the directory.
        wrap: runs each program, since the directory's files may choose what program that is.
    """

    cwd: Path
    wrap: Wrap = unwrapped
    _answers: dict[tuple[str, ...], process.Completed] = field(default_factory=dict, repr=False, compare=False)

    def toolchain(self, argv: Sequence[str]) -> Toolchain:
        """Return what would compile for a command; empty for one of another kind where there is no Rust."""
        if argv[0] != "cargo" and not (shutil.which("rustc") and shutil.which("cargo")):
            return Toolchain("", "")
        chosen = toolchain_argument(argv) if argv[0] == "cargo" else ()
        return Toolchain(self.ask("rustc", *chosen, "-vV").text, self.ask("cargo", *chosen, "-V").text)

    def missing(self, argv: Sequence[str], needs: Sequence[str]) -> Cause | None:
        """Return what a gate needs and does not find here, with the command that installs it; None: nothing.

        Asked before the gate runs: a missing toolchain or component is "unavailable", which is never "failed" and
        never "passed". Whatever else keeps cargo from working shows in the gate itself, which then fails.
        """
        for program in dict.fromkeys([*needs, argv[0]]):
            # A program of the repository's own is looked for where the gate runs.
            if shutil.which(str(self.cwd / program) if "/" in program else program) is None:
                fix = _INSTALL.get(program, f"install {program}")
                return Cause(CauseId.PROGRAM, f"{program} is not installed", program, fix)
        if argv[0] != "cargo":
            return None
        chosen, subcommand = toolchain_argument(argv), subcommand_of(argv)
        if self.ask("cargo", *chosen, "-V").returncode:
            if shutil.which("rustup") is None:
                fix = "install rustup: https://rustup.rs"
                return Cause(CauseId.PROGRAM, "rustup is not installed", "rustup", fix) if chosen else None
            return rustup.missing_toolchain(self.ask, chosen, self.cwd)
        return self._missing_subcommand(chosen, subcommand)

    def _missing_subcommand(self, chosen: tuple[str, ...], subcommand: str) -> Cause | None:
        if not subcommand or subcommand in _BUILT_IN:
            return None
        component = rustup.component(subcommand)
        if component and shutil.which(f"cargo-{subcommand}"):
            return rustup.missing_component(self.ask, chosen, subcommand)
        if self._knows(chosen, subcommand):
            return None
        fix = f"rustup component add {component}" if component else f"cargo install --locked cargo-{subcommand}"
        return Cause(CauseId.PROGRAM, f"cargo has no subcommand {subcommand}", subcommand, fix)

    def _knows(self, chosen: tuple[str, ...], subcommand: str) -> bool:
        """Say whether cargo has a subcommand: its own, an alias of the repository, or an installed `cargo-NAME`."""
        listed = self.ask("cargo", *chosen, "--list").lines
        return any(line.split()[:1] == [subcommand] for line in listed)

    def ask(self, *argv: str) -> process.Completed:
        """Run a program that only looks, once, and return what it said."""
        if argv not in self._answers:
            wrapped = self.wrap(argv, self.cwd)
            self._answers[argv] = process.run(wrapped, cwd=self.cwd, env=environment({}), timeout=_QUERY_SECONDS)
        return self._answers[argv]


_ONLY_COMPILES = frozenset({"build", "b", "check", "c", "clippy", "doc", "d", "fmt", "rustc", "rustdoc"})


def compiling(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that compiles what a command then runs: tests or benchmarks; (): cargo has none for it."""
    name, at = subcommand_of(argv), 2 + len(toolchain_argument(argv))
    own = argv[at : argv.index("--")] if "--" in argv else argv[at:]
    # cargo refuses `--doc --no-run`: documentation tests are compiled as they run.
    if name not in {"test", "t", "bench", "nextest"} or "--doc" in own or "--no-run" in own:
        return ()
    if name == "nextest":
        if tuple(own[:1]) != ("run",):
            return ()
        at += 1
    return (*argv[:at], "--no-run", *argv[at:])


def only_compiles(argv: Sequence[str]) -> bool:
    """Say whether a command runs no code of the tree but what compiling it runs."""
    return subcommand_of(argv) in _ONLY_COMPILES


def start_cache(cwd: Path) -> None:
    """Start sccache's server where none runs, with your environment: it alone needs the cache's own credentials.

    A compiler behind sccache would start it too, but with a gate's environment, which has none.
    """
    process.run(["sccache", "--start-server"], cwd=cwd, env=process.own_environment(), timeout=_SERVER_SECONDS)


def asking_why(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that compiles the same as one whose runner has no records of cargo's; (): none is known.

    The same units, so that in the same target directory only what failed is compiled again. Tests are not run.
    """
    start = 1 + len(toolchain_argument(argv))
    if argv[0] != "cargo" or list(argv[start : start + 2]) != ["nextest", "run"]:
        return ()
    return (*argv[:start], "test", "--message-format=json", "--no-run", *argv[start + 2 :])


def asked_again(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> CargoOutput | None:
    """Return what cargo says when it compiles again, where that fails; None: it compiles.

    Args:
        argv: what `asking_why` returned, sandboxed where the gate was.
        cwd: where the gate ran.
        env: its whole environment, its job of the pool still held.
        timeout: seconds it may take.
    """
    try:
        done = process.run(argv, cwd=cwd, env=env, timeout=timeout)
    except ExternalError:
        return None
    return CargoOutput.of(done, structured=True) if done.returncode else None


def lock_packages(text: str) -> frozenset[tuple[str, str]]:
    """Return the packages of a Cargo.lock that come from outside the workspace, as (name, version).

    Raises:
        ValueError: it is no Cargo.lock.
    """
    try:
        packages = tomli.loads(text).get("package", [])
        return frozenset((str(each["name"]), str(each["version"])) for each in packages if "source" in each)
    except (tomli.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no Cargo.lock: {error}") from error


def outer_config(tree: Path) -> str:
    """Return a SHA-256 over cargo's configuration that is not the repository's, or "" where there is none.

    Cargo reads `.cargo/config.toml` in every directory above its own, and CARGO_HOME's. They name mirrors and
    proxies, so they are not hidden from a gate; but they can also set flags, so a receipt names them by hash.
    """
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    folders = [*(parent / ".cargo" for parent in tree.parents), home]
    digest = hashlib.sha256()
    found = False
    for path in dict.fromkeys(folder / name for folder in folders for name in ("config.toml", "config")):
        for text in _with_included(path):
            digest.update(text + b"\0")
            found = True
    return digest.hexdigest() if found else ""


def _with_included(path: Path, depth: int = 0) -> Iterator[bytes]:
    """Yield the content of a configuration file and of those that it includes; nothing where there is none."""
    try:
        text = path.read_bytes()
    except OSError:
        return
    yield text
    with contextlib.suppress(tomli.TOMLDecodeError, UnicodeDecodeError, AttributeError):
        included = tomli.loads(text.decode()).get("include", [])
        for each in included if isinstance(included, list) else [included]:
            name = each.get("path") if isinstance(each, dict) else each
            if isinstance(name, str) and depth < _DEEPEST:
                yield from _with_included(path.parent / name, depth + 1)


def workspace(root: Path) -> Workspace | None:
    """Return what the Cargo workspace in a directory says of itself, by `cargo metadata`; None: there is none."""
    manifest = ["--manifest-path", str(root / "Cargo.toml")]
    argv = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline", *manifest]
    try:
        # Not in the directory: its .cargo/config.toml and rust-toolchain.toml may name programs to run.
        done = process.run(argv, cwd=Path("/"), env=environment({}), timeout=_QUERY_SECONDS)
        packages = json.loads(done.stdout)["packages"] if done.returncode == 0 else None
        if packages is None:
            return None
        versions = [str(each["rust_version"]) for each in packages if each.get("rust_version")]
        features = frozenset(str(name) for each in packages for name in each["features"])
        targets = [target for each in packages for target in each["targets"]]
        manifests = tuple(str(each["manifest_path"]) for each in packages)
    except (ExternalError, ValueError, KeyError, TypeError):
        return None
    parts = max(([*map(int, re.findall(r"\d+", text)), 0, 0][:3] for text in versions), default=[])
    kinds = [(target["kind"][0], str(target["name"]), Path(target["src_path"])) for target in targets]
    return Workspace(
        features,
        ".".join(map(str, parts)),
        library=any(kind not in _NO_LIBRARY for kind, _, _ in kinds),
        tests=tuple(name for kind, name, _ in kinds if kind == "test"),
        tested_binaries=tuple(name for kind, name, path in kinds if kind == "bin" and _has_tests(path)),
        manifests=manifests,
    )


_NO_LIBRARY = frozenset({"bin", "test", "bench", "example", "custom-build"})


def _has_tests(path: Path) -> bool:
    try:
        return b"#[test]" in path.read_bytes()
    except OSError:
        return False
