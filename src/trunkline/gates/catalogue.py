"""Define the gates of a stack: six defaults and the chosen presets, overridden and extended by `[gates.NAME]`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trunkline.domain.errors import UsageError
from trunkline.domain.flags import ENCODED, NO_FLAGS, SEPARATOR, Flags, added, as_variable
from trunkline.domain.stack import GateOverride, GateSettings


@dataclass(frozen=True)
class Gate:
    """A named command that must pass on a tree.

    Attributes:
        name: its name.
        argv: the command, run in the Cargo workspace's directory.
        env: the variables that it sets.
        group: gates of a group share a target directory and run one after the other; groups run in
            parallel.
        needs: programs that must be installed.
        timeout: seconds.
        sandbox: run it without network and home directory; without a sandbox it is unavailable.
        expects: the exit code that counts as a pass.
        must_run: test filters, each of which must match at least one passed test.
        joins: variables of `env` whose flags are added to the configured flags instead of replacing
            them.
        flags: the flags of rustc and rustdoc, once known; see `under`.
        root: the directory in which it runs, relative to the top of the tree.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(hash=False)
    group: str
    needs: tuple[str, ...]
    timeout: float
    sandbox: bool = False
    expects: int = 0
    must_run: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    flags: Flags = NO_FLAGS
    root: str = "."

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Gate:
        """Parse the JSON form of `msgspec.to_builtins`."""
        flags = Flags(**{name: tuple(each) for name, each in values["flags"].items()})
        tuples = {name: tuple(values[name]) for name in ("argv", "needs", "must_run", "joins")}
        return cls(**{**values, **tuples, "flags": flags})

    def under(self, flags: Flags) -> Gate:
        """Return the gate with its own flags appended to the configured ones.

        Args:
            flags: the configured flags, without this gate's own.
        """
        for name in self.joins:
            flags = flags.with_added(name, tuple(self.env[name].split()))
        return replace(self, flags=flags)

    @property
    def joined(self) -> dict[str, str]:
        """The variables that pass the flags of `joins`, once these are known."""
        given = ((name, self.flags.of(name)) for name in self.joins)
        return dict(as_variable(name, flags) for name, flags in given if flags)

    @property
    def command_line(self) -> str:
        """The command as a person would type it, with its variables."""
        variables = {**self.env, **self.joined}
        shadowed = {name for name, encoded in ENCODED.items() if encoded in variables}
        parts = [f"{name}={_quoted(value)}" for name, value in variables.items() if name not in shadowed]
        return " ".join([*parts, shlex.join(self.argv)])


def _quoted(value: str) -> str:
    """Quote a value for a shell.

    Control characters become escapes (`$'...'` in bash, zsh and ksh).
    """
    if value.isprintable():
        return shlex.quote(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in escaped) + "'"


@dataclass(frozen=True)
class _BuiltIn:
    """A default gate or a preset; `run` has `{features}` for the feature flags, `{msrv}` for the toolchain."""

    name: str
    run: str
    env: Mapping[str, str] = field(hash=False)
    group: str


# The six gates that every stack has by default. Groups follow a measurement: a target directory per
# gate costs 1.5 times the CPU of these four, without a benefit, because cargo keeps builds with
# different RUSTFLAGS apart.
_DEFAULTS = (
    _BuiltIn("build", "cargo build --locked --workspace {features}", {"RUSTFLAGS": "-D warnings"}, "code"),
    _BuiltIn("test", "cargo test --locked --workspace {features} --lib", {"RUSTFLAGS": "-D warnings"}, "code"),
    _BuiltIn("clippy", "cargo clippy --workspace --all-targets {features} -- -D warnings", {}, "lint"),
    _BuiltIn("fmt", "cargo fmt --all -- --check", {}, "fmt"),
    _BuiltIn("doc", "cargo doc --locked --no-deps --workspace {features}", {"RUSTDOCFLAGS": "-A warnings"}, "lint"),
    _BuiltIn(
        "msrv", "cargo +{msrv} check --workspace --all-targets --locked {features}", {"RUSTC_WRAPPER": ""}, "msrv"
    ),
)


# Off by default; `presets` in stack.toml enables them by name. Advisories and baselines are not
# part of the tree, so the verdict depends on the day (docs/gates.md).
PRESETS = {
    each.name: each
    for each in (
        _BuiltIn("semver", "cargo semver-checks check-release --workspace --baseline-rev {base}", {}, "semver"),
        _BuiltIn("deny", "cargo deny --workspace --locked check", {}, "deny"),
        _BuiltIn("machete", "cargo machete", {}, "machete"),
        _BuiltIn("hack", "cargo hack check --workspace --each-feature --no-dev-deps --locked", {}, "hack"),
        _BuiltIn("typos", "typos", {}, "typos"),
    )
}
NEXTEST = "nextest"
_NEXTEST_RUN = "cargo nextest run --locked --workspace {features} --lib"


def catalogue(settings: GateSettings) -> tuple[Gate, ...]:
    """Return the gates of a stack in order, defaults first, without those that are switched off.

    Raises:
        UsageError: an added gate has no command.
    """
    built_in = [_with_nextest(each, settings) for each in _DEFAULTS]
    built_in += [PRESETS[name] for name in dict.fromkeys(settings.presets) if name in PRESETS]
    gates = {each.name: _cached(_made(each, settings), settings) for each in built_in}
    for name, override in settings.overrides.items():
        gates[name] = _overridden(gates.get(name), name, override, settings)
    return tuple(gate for name, gate in gates.items() if name not in settings.disabled)


def gate_names(settings: GateSettings) -> tuple[str, ...]:
    """Return the names of a stack's gates, in the order of the catalogue."""
    return tuple(gate.name for gate in catalogue(settings))


def feature_flags(settings: GateSettings) -> tuple[str, ...]:
    """Return the flags for a stack's cargo features; () for cargo's defaults."""
    return ("--no-default-features", "--features", ",".join(settings.features)) if settings.features else ()


def _made(built_in: _BuiltIn, settings: GateSettings) -> Gate:
    base = f"{settings.remote}/{settings.trunk}"
    run = built_in.run.format(features=" ".join(feature_flags(settings)), msrv=settings.msrv, base=base)
    argv = tuple(part for part in run.split() if settings.locked or part != "--locked")
    gate = Gate(built_in.name, argv, built_in.env, built_in.group, argv[:1], settings.timeout, settings.sandbox)
    env, joins = _joined_environment(settings.env, built_in.env)
    return replace(gate, env=env, joins=joins, root=settings.root)


def _joined_environment(common: Mapping[str, str], own: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return a built-in gate's variables, and those whose flags add to configured ones.

    If `[gates] env` sets flags, as RUSTFLAGS does for cargo, these are the configured ones.
    """
    env, joins = {**common, **own}, []
    for name, encoded in ENCODED.items():
        if name not in own:
            continue
        flags = tuple(own[name].split())
        if encoded in common:
            env[encoded] = SEPARATOR.join(added(tuple(filter(None, common[encoded].split(SEPARATOR))), flags))
            del env[name]
        elif name in common:
            env[name] = " ".join(added(tuple(common[name].split()), flags))
        else:
            joins.append(name)
    return env, tuple(joins)


def _with_nextest(built_in: _BuiltIn, settings: GateSettings) -> _BuiltIn:
    """Return the test gate with cargo-nextest as its runner, if stack.toml enables it."""
    if built_in.name != "test" or NEXTEST not in settings.presets:
        return built_in
    return replace(built_in, run=_NEXTEST_RUN)


SCCACHE = "sccache"


def _cached(gate: Gate, settings: GateSettings) -> Gate:
    """Return a default gate with sccache, unless the gate disables compiler wrappers, as msrv does.

    Packages of the tree are compiled incrementally, whatever their profile says. sccache does not
    cache that, and it must not: its key lacks the files that procedural macros read
    (https://github.com/mozilla/sccache#rust).
    """
    if settings.cache != SCCACHE or gate.name in {"fmt", *PRESETS} or "RUSTC_WRAPPER" in gate.env:
        return gate
    env = {**gate.env, "RUSTC_WRAPPER": SCCACHE, "CARGO_BUILD_INCREMENTAL": "true"}
    return replace(gate, env=env, needs=(*gate.needs, SCCACHE))


def _overridden(gate: Gate | None, name: str, override: GateOverride, settings: GateSettings) -> Gate:
    if gate is None:
        if override.run is None:
            raise UsageError(
                f"stack.toml: gates.{name} has no command",
                why='a gate of your own needs `run`, like run = ["cargo", "deny", "check"]',
                next_command="${EDITOR:-vi} stack.toml",
            )
        own = Gate(name, override.run, settings.env, name, (), settings.timeout, settings.sandbox)
        gate = replace(own, root=settings.root)
    # Another command or environment would build other units in the shared directory, so it gets its
    # own group.
    group = gate.group if override.run is None and override.env is None else name
    return replace(
        gate,
        argv=gate.argv if override.run is None else override.run,
        env=gate.env if override.env is None else {**settings.env, **override.env},
        joins=gate.joins if override.env is None else (),
        needs=gate.needs if override.needs is None else override.needs,
        timeout=gate.timeout if override.timeout is None else override.timeout,
        group=group,
    )
