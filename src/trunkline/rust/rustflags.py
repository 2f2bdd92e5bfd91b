"""Find the flags that cargo passes to rustc and rustdoc, by recording cargo's own calls.

The flags come from exactly one of these: environment variables, every matching `target.*` table, or
the `build` table. The tables come from configuration files of all parent directories, files that
those include, CARGO_HOME, variables and `--config` (The Cargo Book, "Configuration",
build.rustflags). RUSTFLAGS in a gate's environment would disable all tables, so flags must be added
to the right source. `cargo config get` is not stable, and does not evaluate `cfg(...)`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from trunkline.domain.errors import ExternalError
from trunkline.domain.flags import ENCODED, RUSTDOCFLAGS, RUSTFLAGS, Flags
from trunkline.rust import cargo_settings
from trunkline.rust.cargo_output import subcommand_of, toolchain_argument
from trunkline.system import process

_SECONDS = 120.0
_MANIFEST = (
    '[package]\nname = "flags"\nversion = "0.0.0"\nedition = "2015"\n\n[lib]\npath = "lib.rs"\n\n[workspace]\n'
)
# A replacement for a compiler: it appends its arguments to a file, one record per call.
_STAND_IN = "#!/bin/sh\n{ printf '%s\\037' NAME \"$@\"; printf '\\036'; } >> \"${0%/*}/calls\"\n"
_MARK = "--cfg=trunkline_marks_where_flags_stand"
_PASSED_ON = frozenset({"--config", "--target", "-Z"})

_Calls = dict[tuple[str, str], tuple[str, ...]]
"""(compiler, target or "" for the host) -> the arguments of its last call with flags."""


class FlagsUnknown(ExternalError):
    """Cargo failed before it passed flags to a compiler; `stderr` has its message."""


def may_be_set(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> bool:
    """Return whether flags can be in force for a command.

    They can if a variable, an argument or a configuration file may set them.

    Args:
        argv: the command.
        env: the variables that it sets.
        cwd: its working directory.
    """
    if subcommand_of(argv) in {"", "fmt"}:
        return False
    variables = any(name.startswith(("CARGO_", "RUST")) and name.endswith("FLAGS") for name in env)
    return (
        variables
        or "--config" in argv
        or any(_may_name_flags(path) for path in cargo_settings.places(cwd) if path.is_file())
    )


def _may_name_flags(path: Path) -> bool:
    try:
        text = path.read_bytes()
    except OSError:
        return True
    return any(part in text for part in (b"flags", b"include", b"\\"))  # a key may be written with escapes


class Probe(msgspec.Struct, frozen=True):
    """Compiles an empty crate with fake compilers, in the configuration of a gate's directory.

    Cargo reads its configuration from its working directory, wherever the manifest is.

    Attributes:
        cwd: the gate's working directory.
        scratch: an empty directory for the probe, writable in the sandbox.
        wrap: returns the command that runs an argv in a directory, in the sandbox if that is
            enabled.
    """

    cwd: Path
    scratch: Path
    wrap: Callable[[Sequence[str], Path], Sequence[str]]

    def flags(self, argv: Sequence[str], env: Mapping[str, str]) -> Flags:
        """Return the flags in force for a command.

        A second run with a marker as its only flag shows the position of the flags in each call.

        Args:
            argv: the command.
            env: its whole environment, without the flags that are to be added.

        Raises:
            FlagsUnknown: cargo fails, or passes different flags for different targets.
        """
        bare = {name: value for name, value in env.items() if name not in ENCODED.values()}
        marked = self._calls(argv, {**bare, RUSTFLAGS: _MARK, RUSTDOCFLAGS: _MARK})
        plain = self._calls(argv, env)
        return Flags(_flags("rustc", plain, marked), _flags("rustdoc", plain, marked))

    def _calls(self, argv: Sequence[str], env: Mapping[str, str]) -> _Calls:
        self._write()
        calls, target = self.scratch / "calls", self.scratch / "target"
        calls.unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        command = [
            "cargo", *toolchain_argument(argv), "doc", "--quiet", "--offline", "--no-deps",
            "--manifest-path", str(self.scratch / "Cargo.toml"), *_passed_on(argv),
        ]  # fmt: skip
        own = {
            "RUSTC_WRAPPER": str(self.scratch / "rustc"), "RUSTC_WORKSPACE_WRAPPER": "",
            "RUSTDOC": str(self.scratch / "rustdoc"), "CARGO_CACHE_RUSTC_INFO": "0",
            "CARGO_TARGET_DIR": str(target), "CARGO_BUILD_BUILD_DIR": str(target),
        }  # fmt: skip
        done = process.run(self.wrap(command, self.cwd), cwd=self.cwd, env={**env, **own}, timeout=_SECONDS)
        if done.returncode:
            raise FlagsUnknown("cargo does not say which flags are in force", stderr=done.error_text)
        return dict(_parsed(calls.read_text(encoding="utf-8", errors="surrogateescape")))

    def _write(self) -> None:
        (self.scratch / "Cargo.toml").write_text(_MANIFEST)
        (self.scratch / "lib.rs").touch()
        for name, runs in (("rustc", 'exec "$@"\n'), ("rustdoc", "")):
            path = self.scratch / name
            path.write_text(_STAND_IN.replace("NAME", name) + runs)
            path.chmod(0o755)


def _passed_on(argv: Sequence[str]) -> Iterator[str]:
    """Yield the arguments of a command that affect its flags."""
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    for at, part in enumerate(own):
        if part.partition("=")[0] in _PASSED_ON or part.startswith("-Z"):
            yield part
            if part in _PASSED_ON:
                yield from own[at + 1 : at + 2]


def _parsed(text: str) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """Yield the recorded calls with flags, in order; the last call has the final flags."""
    for record in text.split("\x1e"):
        name, *arguments = record.split("\x1f")[:-1] or [""]
        if name == "rustdoc" or "--print=file-names" in arguments:
            at = arguments.index("--target") + 1 if "--target" in arguments else None
            yield (name, arguments[at] if at is not None else ""), tuple(arguments)


def _flags(compiler: str, plain: _Calls, marked: _Calls) -> tuple[str, ...]:
    """Return the arguments at the position of the marker."""
    found = set()
    for key, call in marked.items():
        if key[0] == compiler and _MARK in call:  # a call for the host has no flags if another target is built
            before, after = call.index(_MARK), len(call) - call.index(_MARK) - 1
            arguments = plain[key]
            found.add(arguments[before : len(arguments) - after])
    if len(found) > 1:
        shown = "; ".join(" ".join(flags) or "none" for flags in sorted(found))
        raise FlagsUnknown("cargo passes other flags for each target", why=shown)
    return next(iter(found), ())
