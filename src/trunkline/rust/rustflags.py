"""Which flags cargo passes to rustc and rustdoc for a command: read off cargo's own calls, so that its rules decide.

They come from one of four places: environment variables, every matching `target.*` table, the `build` table, or
nowhere; and the tables from configuration files of all parent directories, files that those include, CARGO_HOME,
variables and `--config` (The Cargo Book, "Configuration", build.rustflags). RUSTFLAGS in a gate's environment would
put all tables out of force. `cargo config get` is not stable, and does not evaluate `cfg(...)`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.domain.errors import ExternalError
from trunkline.domain.flags import ENCODED, RUSTDOCFLAGS, RUSTFLAGS, Flags
from trunkline.rust.cargo_output import subcommand_of, toolchain_argument
from trunkline.system import process

_SECONDS = 120.0
_MANIFEST = (
    '[package]\nname = "flags"\nversion = "0.0.0"\nedition = "2015"\n\n[lib]\npath = "lib.rs"\n\n[workspace]\n'
)
# A stand-in for a compiler: it adds its arguments to a file beside itself, a record a call.
_STAND_IN = "#!/bin/sh\n{ printf '%s\\037' NAME \"$@\"; printf '\\036'; } >> \"${0%/*}/calls\"\n"
_MARK = "--cfg=trunkline_marks_where_flags_stand"
_NAMES = ("config.toml", "config")
_PASSED_ON = frozenset({"--config", "--target", "-Z"})

_Calls = dict[tuple[str, str], tuple[str, ...]]
"""(compiler, target or "" for the host) -> the arguments of its last call that has the flags."""


class FlagsUnknown(ExternalError):
    """Cargo does not come so far as to pass flags on; `stderr` has its words."""


def may_be_set(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> bool:
    """Return whether flags can be in force for a command: a variable or a file that cargo reads may name some.

    Args:
        argv: the command.
        env: the variables that it sets.
        cwd: where it runs.
    """
    if subcommand_of(argv) in {"", "fmt"}:
        return False
    variables = any(name.startswith(("CARGO_", "RUST")) and name.endswith("FLAGS") for name in env)
    return variables or "--config" in argv or any(_may_name_flags(path) for path in configuration_files(cwd))


def configuration_files(cwd: Path) -> Iterator[Path]:
    """Yield the configuration files that cargo reads in a directory, nearest first; not those that they include."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    folders = [*(folder / ".cargo" for folder in (cwd, *cwd.parents)), home]
    yield from (path for folder in dict.fromkeys(folders) for name in _NAMES if (path := folder / name).is_file())


def _may_name_flags(path: Path) -> bool:
    try:
        text = path.read_bytes()
    except OSError:
        return True
    return any(part in text for part in (b"flags", b"include", b"\\"))  # a key may be written with escapes


@dataclass(frozen=True)
class Probe:
    """Lets cargo compile an empty crate with stand-ins for rustc and rustdoc, configured as a gate's directory is.

    Cargo reads its configuration from the directory that it is started in, wherever the manifest is.

    Attributes:
        cwd: where the gate runs.
        scratch: an empty directory of the probe's own; in a sandbox it can be written.
        wrap: returns the command that runs an argv in a directory: inside the sandbox, where there is one.
    """

    cwd: Path
    scratch: Path
    wrap: Callable[[Sequence[str], Path], Sequence[str]]

    def flags(self, argv: Sequence[str], env: Mapping[str, str]) -> Flags:
        """Return the flags in force for a command.

        A second run, whose flags are a mark, shows where in each call the flags stand.

        Args:
            argv: the command.
            env: its whole environment, without the flags that are to be added.

        Raises:
            FlagsUnknown: cargo refuses, or passes different flags for different targets.
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
    """Yield the arguments of a command that choose its flags."""
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    for at, part in enumerate(own):
        if part.partition("=")[0] in _PASSED_ON or part.startswith("-Z"):
            yield part
            if part in _PASSED_ON:
                yield from own[at + 1 : at + 2]


def _parsed(text: str) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """Yield the recorded calls that have flags, in order: cargo asks rustc again until the flags no longer change."""
    for record in text.split("\x1e"):
        name, *arguments = record.split("\x1f")[:-1] or [""]
        if name == "rustdoc" or "--print=file-names" in arguments:
            at = arguments.index("--target") + 1 if "--target" in arguments else None
            yield (name, arguments[at] if at is not None else ""), tuple(arguments)


def _flags(compiler: str, plain: _Calls, marked: _Calls) -> tuple[str, ...]:
    """Return what stands in a compiler's call where the mark stood."""
    found = set()
    for key, call in marked.items():
        if key[0] == compiler and _MARK in call:  # the host's call has no flags where another target is built
            before, after = call.index(_MARK), len(call) - call.index(_MARK) - 1
            arguments = plain[key]
            found.add(arguments[before : len(arguments) - after])
    if len(found) > 1:
        shown = "; ".join(" ".join(flags) or "none" for flags in sorted(found))
        raise FlagsUnknown("cargo passes other flags for each target", why=shown)
    return next(iter(found), ())
