"""The only module that spells cargo, rustc and rustup: what is installed, formatting, and why a gate failed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from trunkline.domain.receipt import Toolchain
from trunkline.kernel import proc

_QUERY_SECONDS = 60.0
_FORMAT_SECONDS = 600.0

# What a gate may see of the environment: where the tools and their caches are, who and where we are, how the network
# is reached. Not: tokens, RUSTFLAGS and wrappers of the calling shell, anything else that could change a verdict.
# RUSTUP_TOOLCHAIN is kept: it is how a person chooses the toolchain, and the receipt names the one that compiled.
PASSED_THROUGH = (
    "CARGO_HOME", "CARGO_NET_OFFLINE", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LD_LIBRARY_PATH", "LIBRARY_PATH",
    "LOGNAME", "NO_PROXY", "PATH", "PKG_CONFIG_PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TMPDIR", "USER", "https_proxy", "http_proxy", "no_proxy",
)  # fmt: skip
_COMPONENTS = {"clippy": "clippy", "fmt": "rustfmt"}


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return a gate's whole environment: the allowlist, a fixed locale, no toolchain installed behind our back."""
    kept = {name: value for name, value in proc.environment().items() if name in PASSED_THROUGH}
    fixed = {"LC_ALL": "C.UTF-8", "CARGO_TERM_COLOR": "never", "RUSTUP_AUTO_INSTALL": "0"}
    return {**kept, **fixed, **extra}


def toolchain(argv: Sequence[str], cwd: Path) -> Toolchain:
    """Return what would compile for a cargo command in a directory (rust-toolchain.toml has its say there)."""
    chosen = [argv[1]] if len(argv) > 1 and argv[0] == "cargo" and argv[1].startswith("+") else []
    env = environment({})
    rustc = proc.run(["rustc", *chosen, "-vV"], cwd=cwd, env=env, timeout=_QUERY_SECONDS)
    cargo = proc.run(["cargo", *chosen, "-V"], cwd=cwd, env=env, timeout=_QUERY_SECONDS)
    return Toolchain(rustc.text, cargo.text)


def lacking(argv: Sequence[str], needs: Sequence[str], cwd: Path) -> str:
    """Return the command that installs what a gate lacks here, or "" when it lacks nothing.

    Asked before the gate runs: a missing toolchain or component is "unavailable", which is never "failed" and
    never "passed".
    """
    for program in dict.fromkeys([*needs, argv[0]]):
        if shutil.which(program) is None:
            return "install Rust: https://rustup.rs" if program == "cargo" else f"install {program}"
    if argv[0] != "cargo":
        return ""
    chosen, rest = ([argv[1]], argv[2:]) if argv[1:2] and argv[1].startswith("+") else ([], argv[1:])
    if not _answers(["cargo", *chosen, "--version"], cwd):
        if shutil.which("rustup") is None:
            return "install rustup: https://rustup.rs"
        name = chosen[0][1:] if chosen else "stable"
        return f"rustup toolchain install {name} --profile minimal"
    component = _COMPONENTS.get(rest[0]) if rest else None
    if component and not _answers(["cargo", *chosen, rest[0], "--version"], cwd):
        return f"rustup component add {component}"
    return ""


def _answers(argv: Sequence[str], cwd: Path) -> bool:
    return proc.run(argv, cwd=cwd, env=environment({}), timeout=_QUERY_SECONDS).returncode == 0


def format_workspace(root: Path) -> proc.Completed:
    """Run `cargo fmt --all` in a Cargo workspace; the exit code is the caller's to judge."""
    return proc.run(["cargo", "fmt", "--all"], cwd=root, env=environment({}), timeout=_FORMAT_SECONDS)


# Sentence in the log -> what it means and what mends it. The sentences are cargo's and rustc's own.
_CAUSES = (
    (
        r"the lock file .* needs to be updated but --locked was passed|cannot update the lock file",
        "Cargo.lock is out of date",
        "cargo update --workspace",
    ),
    (r"none of the selected packages contains? (?:this|these) feature", "no member has a feature of stack.toml", ""),
    (
        r"internal compiler error|the compiler unexpectedly panicked",
        "the compiler crashed (ICE)",
        "RUSTC_WRAPPER= cargo check",
    ),
    (r"No space left on device", "the disk is full", "cargo clean"),
    (
        r"failed to (?:download|fetch|get) |Could not resolve host|attempting to make an HTTP request, but --offline",
        "a dependency is not here and the network cannot be reached",
        "cargo fetch --locked",
    ),
    (r"is not installed for the toolchain", "a component is missing", "rustup component add clippy rustfmt"),
)
_PLACE = re.compile(r"^\s*--> (\S+:\d+:\d+)", re.MULTILINE)
_ERROR = re.compile(r"^(error(?:\[E\d+\])?: .+|.*panicked at .+|Diff in .+)$", re.MULTILINE)


def diagnose(log: str) -> tuple[str, str]:
    """Return why a gate failed and what mends it, from its log: the first error and its place, the known cause.

    Conservative: what is not recognised is quoted, not interpreted.
    """
    first = _ERROR.search(log)
    told = first.group(0).strip() if first else ""
    if first and (place := _PLACE.search(log, first.end())):
        told += f" ({place.group(1)})"
    for pattern, meaning, cure in _CAUSES:
        if re.search(pattern, log):
            return f"{meaning}: {told}" if told else meaning, cure
    if not told:
        told = next((line for line in reversed(log.splitlines()) if line.strip()), "it printed nothing")
    return told, ""


def is_compiler_crash(log: str) -> bool:
    """Say whether the compiler itself crashed; sccache is known to cause it (the runbook's troubleshooting)."""
    return bool(re.search(r"internal compiler error|the compiler unexpectedly panicked", log))
