"""Run cargo, rustc and rustup: toolchain queries, missing tools, workspace metadata."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.domain.cause import Cause, CauseId
from trunkline.domain.errors import ExternalError
from trunkline.domain.receipt import Toolchain
from trunkline.domain.workspace import Workspace
from trunkline.rust import cargo_settings, rustup, toml_text
from trunkline.rust.cargo_output import CargoOutput, subcommand_of, toolchain_argument
from trunkline.system import installing, process
from trunkline.system.files import LONGEST, read_regular

_QUERY_SECONDS = 60.0
_FORMAT_SECONDS = 600.0

# The variables that a gate inherits: paths of tools and caches, the user's identity, network
# access. Tokens, RUSTFLAGS, compiler wrappers and everything else that could change a verdict are
# removed. RUSTUP_TOOLCHAIN is kept, because it is how a person chooses the toolchain; the receipt
# names the toolchain that compiled.
PASSED_THROUGH = (
    "CARGO_HOME", "CARGO_NET_OFFLINE", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LD_LIBRARY_PATH", "LIBRARY_PATH",
    "LOGNAME", "NO_PROXY", "PATH", "PKG_CONFIG_PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "SCCACHE_SERVER_PORT",
    "SCCACHE_SERVER_UDS", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "USER", "https_proxy", "http_proxy", "no_proxy",
)  # fmt: skip
LIBRARY_VARIABLES = frozenset({"LD_LIBRARY_PATH", "LIBRARY_PATH", "PKG_CONFIG_PATH"})
"""Variables by which linkers and build scripts, also of dependencies, find libraries."""
_SERVER_SECONDS = 60.0
_OF_FMT_AND_CLIPPY = ("rustfmt.toml", ".rustfmt.toml", "clippy.toml", ".clippy.toml")
_BUILT_IN = frozenset({"bench", "build", "check", "doc", "metadata", "run", "rustc", "rustdoc", "test", "tree"})


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return a gate's whole environment: an allowlist, a fixed locale, no installations."""
    kept = {name: value for name, value in process.own_environment().items() if name in PASSED_THROUGH}
    # RUSTC_ICE: a compiler that crashes would write its report into the sources.
    fixed = {"LC_ALL": "C.UTF-8", "CARGO_TERM_COLOR": "never", "RUSTUP_AUTO_INSTALL": "0", "RUSTC_ICE": "0"}
    return {**kept, **fixed, **extra}


Wrap = Callable[[Sequence[str], Path], Sequence[str]]
"""Returns the command that runs an argv in a directory, in the sandbox if that is enabled."""


def unwrapped(argv: Sequence[str], _cwd: Path) -> Sequence[str]:
    """Return the command itself, for runs without a sandbox."""
    return argv


@dataclass(frozen=True)
class Tools:
    """Tools and toolchains as seen from one directory, where rust-toolchain.toml applies; cached.

    Attributes:
        cwd: the directory.
        wrap: runs each program in the sandbox, because the directory's files may choose the
            program.
    """

    cwd: Path
    wrap: Wrap = unwrapped
    _results: dict[tuple[str, ...], process.Completed] = field(default_factory=dict, repr=False, compare=False)

    def toolchain(self, argv: Sequence[str]) -> Toolchain:
        """Return the toolchain of a command; empty for a command other than cargo without Rust."""
        if argv[0] != "cargo" and not (shutil.which("rustc") and shutil.which("cargo")):
            return Toolchain("", "")
        chosen = toolchain_argument(argv) if argv[0] == "cargo" else ()
        return Toolchain(self.query("rustc", *chosen, "-vV").text, self.query("cargo", *chosen, "-V").text)

    def missing(self, argv: Sequence[str], needs: Sequence[str]) -> Cause | None:
        """Return the prerequisite that a gate lacks, with the command that installs it.

        None: nothing. This runs before the gate: a missing toolchain or component makes it
        "unavailable", which is neither "failed" nor "passed". Anything else that prevents cargo
        from working makes the gate fail.
        """
        for program in dict.fromkeys([*needs, argv[0]]):
            # A relative path is looked up in the gate's working directory.
            if shutil.which(str(self.cwd / program) if "/" in program else program) is None:
                fix = installing.missing_program(program)
                return Cause(CauseId.PROGRAM, f"{program} is not installed", program, fix)
        if argv[0] != "cargo":
            return None
        chosen, subcommand = toolchain_argument(argv), subcommand_of(argv)
        if self.query("cargo", *chosen, "-V").returncode:
            if shutil.which("rustup") is None:
                fix = installing.missing_program("rustup")
                return Cause(CauseId.PROGRAM, "rustup is not installed", "rustup", fix) if chosen else None
            return rustup.missing_toolchain(self.query, chosen, self.cwd)
        return self._missing_subcommand(chosen, subcommand)

    def _missing_subcommand(self, chosen: tuple[str, ...], subcommand: str) -> Cause | None:
        if not subcommand or subcommand in _BUILT_IN:
            return None
        component = rustup.component(subcommand)
        if component and shutil.which(f"cargo-{subcommand}"):
            return rustup.missing_component(self.query, chosen, subcommand)
        if self._has_subcommand(chosen, subcommand):
            return None
        fix = f"rustup component add {component}" if component else f"cargo install --locked cargo-{subcommand}"
        return Cause(CauseId.PROGRAM, f"cargo has no subcommand {subcommand}", subcommand, fix)

    def _has_subcommand(self, chosen: tuple[str, ...], subcommand: str) -> bool:
        """Return whether cargo has a subcommand: built in, alias, or installed `cargo-NAME`."""
        listed = self.query("cargo", *chosen, "--list").lines
        return any(line.split()[:1] == [subcommand] for line in listed)

    def query(self, *argv: str) -> process.Completed:
        """Run a query program once and cache its result."""
        if argv not in self._results:
            wrapped = self.wrap(argv, self.cwd)
            self._results[argv] = process.run(wrapped, cwd=self.cwd, env=environment({}), timeout=_QUERY_SECONDS)
        return self._results[argv]


_ONLY_COMPILES = frozenset({"build", "b", "check", "c", "clippy", "doc", "d", "fmt", "rustc", "rustdoc"})


def compiling(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that only compiles what a test command runs; (): cargo has none."""
    name, at = subcommand_of(argv), 2 + len(toolchain_argument(argv))
    own = argv[at : argv.index("--")] if "--" in argv else argv[at:]
    # cargo rejects `--doc --no-run`: it compiles documentation tests as they run.
    if name not in {"test", "t", "bench", "nextest"} or "--doc" in own or "--no-run" in own:
        return ()
    if name == "nextest":
        if tuple(own[:1]) != ("run",):
            return ()
        at += 1
    return (*argv[:at], "--no-run", *argv[at:])


def only_compiles(argv: Sequence[str]) -> bool:
    """Return whether a command only compiles, and runs no code but scripts and macros."""
    return subcommand_of(argv) in _ONLY_COMPILES


def start_cache(cwd: Path) -> None:
    """Start sccache's server with the user's environment, because it needs the cache's credentials.

    A compiler would start it too, but with a gate's environment, which has no credentials.
    """
    process.run(["sccache", "--start-server"], cwd=cwd, env=process.own_environment(), timeout=_SERVER_SECONDS)


def diagnosis_command(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command that compiles the same units with JSON messages; (): none is known.

    For runners without cargo's JSON messages. In the same target directory only the units that
    failed are compiled again. Tests are not run.
    """
    start = 1 + len(toolchain_argument(argv))
    if argv[0] != "cargo" or list(argv[start : start + 2]) != ["nextest", "run"]:
        return ()
    return (*argv[:start], "test", "--message-format=json", "--no-run", *argv[start + 2 :])


def diagnose(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> CargoOutput | None:
    """Return cargo's output of a second compilation if that fails; None: it succeeds.

    Args:
        argv: the command of `diagnosis_command`, sandboxed if the gate was.
        cwd: the gate's working directory.
        env: its whole environment, while it still holds its job slots.
        timeout: seconds.
    """
    try:
        done = process.run(argv, cwd=cwd, env=env, timeout=timeout)
    except ExternalError:
        return None
    return CargoOutput.of(done, structured=True) if done.returncode else None


def lock_packages(text: str) -> frozenset[tuple[str, str]]:
    """Return the packages of a Cargo.lock from outside the workspace, as (name, version).

    Raises:
        ValueError: it is no Cargo.lock.
    """
    values = toml_text.parsed(text)
    if values is None:
        raise ValueError("no Cargo.lock: it cannot be parsed")
    try:
        packages = values.get("package", [])
        return frozenset((str(each["name"]), str(each["version"])) for each in packages if "source" in each)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no Cargo.lock: {error}") from error


def outer_config(tree: Path) -> str:
    """Return a SHA-256 over the tools' configuration outside the repository, or "" if there is none.

    Cargo reads `.cargo/config.toml` in every parent directory and in CARGO_HOME. They configure
    mirrors and proxies, so gates must see them; but they can also set flags, so receipts contain
    their hash. rustfmt and clippy read every parent directory too, and rustfmt the home directory.
    """
    digest = hashlib.sha256()
    found = False
    for path in cargo_settings.places(tree.parent):
        for _, content in cargo_settings.with_included(path):
            digest.update(content + b"\0")
            found = True
    own = Path.home()
    folders = [*tree.parents, own, own / ".config/rustfmt"]
    files = [folder / name for folder in folders for name in _OF_FMT_AND_CLIPPY]
    files += [parent / "Cargo.toml" for parent in tree.parents]  # a workspace, of which the tree would be a part
    for path in dict.fromkeys(files):
        with contextlib.suppress(OSError):
            digest.update(b"%s\0%s\0" % (path.name.encode(), read_regular(path, LONGEST)))
            found = True
    return digest.hexdigest() if found else ""


def workspace(root: Path) -> Workspace | None:
    """Return the metadata of the Cargo workspace in a directory; None: there is no workspace."""
    manifest = ["--manifest-path", str(root / "Cargo.toml")]
    argv = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline", *manifest]
    try:
        # Not in the directory: its .cargo/config.toml and rust-toolchain.toml may name programs to
        # run.
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
        return b"#[test]" in read_regular(path, LONGEST)
    except OSError:
        return False
