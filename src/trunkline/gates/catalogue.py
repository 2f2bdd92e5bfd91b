"""The gates of a stack: six defaults as data, changed and added to by `[gates.NAME]`."""

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
        argv: the command, run at the Cargo workspace's directory.
        env: the variables it sets.
        group: gates of a group share a target directory and run one after the other; groups run at once.
        needs: programs that must be installed.
        timeout: seconds it may take.
        sandbox: it runs without network and home directory, or not at all.
        expects: the exit code that counts as a pass.
        must_run: test filters for each of which at least one test must have passed.
        joins: variables of `env` whose flags are added to those in force, where cargo would put them in their place.
        flags: what rustc and rustdoc are given, once that is known; see `under`.
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

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Gate:
        """Return what `dataclasses.asdict` made, once it has been JSON."""
        flags = Flags(**{name: tuple(each) for name, each in values["flags"].items()})
        tuples = {name: tuple(values[name]) for name in ("argv", "needs", "must_run", "joins")}
        return cls(**{**values, **tuples, "flags": flags})

    def under(self, flags: Flags) -> Gate:
        """Return the gate as it runs where flags are in force: those that it adds come last.

        Args:
            flags: in force without this gate's own.
        """
        for name in self.joins:
            flags = flags.with_added(name, tuple(self.env[name].split()))
        return replace(self, flags=flags)

    @property
    def joined(self) -> dict[str, str]:
        """The variables that give the flags of `joins`, where they are known."""
        given = ((name, self.flags.of(name)) for name in self.joins)
        return dict(as_variable(name, flags) for name, flags in given if flags)

    @property
    def command_line(self) -> str:
        """The command as a person would type it, variables in front."""
        variables = {**self.env, **self.joined}
        shadowed = {name for name, encoded in ENCODED.items() if encoded in variables}
        parts = [f"{name}={_quoted(value)}" for name, value in variables.items() if name not in shadowed]
        return " ".join([*parts, shlex.join(self.argv)])


def _quoted(value: str) -> str:
    """Return a value as a shell reads it; control characters by their numbers (bash, zsh and ksh read `$'...'`)."""
    if value.isprintable():
        return shlex.quote(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in escaped) + "'"


@dataclass(frozen=True)
class _Default:
    """A default gate; `{features}` stands for the feature flags, `{msrv}` for the toolchain."""

    name: str
    run: str
    env: Mapping[str, str] = field(hash=False)
    group: str


# The runbook's six (contract: "the six gates"). Groups as measured: a directory per gate costs 1.5 times the CPU of
# these four, and buys nothing, since cargo keeps RUSTFLAGS variants apart by itself.
_DEFAULTS = (
    _Default("build", "cargo build --locked --workspace {features}", {"RUSTFLAGS": "-D warnings"}, "code"),
    _Default("test", "cargo test --locked --workspace {features} --lib", {"RUSTFLAGS": "-D warnings"}, "code"),
    _Default("clippy", "cargo clippy --workspace --all-targets {features} -- -D warnings", {}, "lint"),
    _Default("fmt", "cargo fmt --all -- --check", {}, "fmt"),
    _Default("doc", "cargo doc --locked --no-deps --workspace {features}", {"RUSTDOCFLAGS": "-A warnings"}, "lint"),
    _Default(
        "msrv", "cargo +{msrv} check --workspace --all-targets --locked {features}", {"RUSTC_WRAPPER": ""}, "msrv"
    ),
)


# Off by default; `presets` in stack.toml turns them on by name. Advisories and baselines lie outside the tree: such a
# verdict is of the day on which it was found (docs/gates.md).
PRESETS = {
    each.name: each
    for each in (
        _Default("semver", "cargo semver-checks check-release --workspace --baseline-rev {base}", {}, "semver"),
        _Default("deny", "cargo deny --workspace --locked check", {}, "deny"),
        _Default("machete", "cargo machete", {}, "machete"),
        _Default("hack", "cargo hack check --workspace --each-feature --no-dev-deps --locked", {}, "hack"),
        _Default("typos", "typos", {}, "typos"),
    )
}
NEXTEST = "nextest"
_NEXTEST_RUN = "cargo nextest run --locked --workspace {features} --lib"


def catalogue(settings: GateSettings) -> tuple[Gate, ...]:
    """Return the gates of a stack, defaults first, in their order.

    Raises:
        UsageError: an added gate has no command.
    """
    defaults = [_with_nextest(default, settings) for default in _DEFAULTS]
    defaults += [PRESETS[name] for name in dict.fromkeys(settings.presets) if name in PRESETS]
    gates = {default.name: _cached(_made(default, settings), settings) for default in defaults}
    for name, override in settings.overrides.items():
        gates[name] = _overridden(gates.get(name), name, override, settings)
    return tuple(gates.values())


def feature_flags(settings: GateSettings) -> tuple[str, ...]:
    """Return the flags that choose a stack's cargo features; none for cargo's defaults."""
    return ("--no-default-features", "--features", ",".join(settings.features)) if settings.features else ()


def _made(default: _Default, settings: GateSettings) -> Gate:
    base = f"{settings.remote}/{settings.trunk}"
    run = default.run.format(features=" ".join(feature_flags(settings)), msrv=settings.msrv, base=base)
    argv = tuple(part for part in run.split() if settings.locked or part != "--locked")
    gate = Gate(default.name, argv, default.env, default.group, argv[:1], settings.timeout, settings.sandbox)
    env, joins = _joined_environment(settings.env, default.env)
    return replace(gate, env=env, joins=joins)


def _joined_environment(common: Mapping[str, str], own: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return a default gate's variables, and which of them join the flags in force while it runs.

    Where `[gates] env` names the flags, as RUSTFLAGS does for cargo, those are the ones in force.
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


def _with_nextest(default: _Default, settings: GateSettings) -> _Default:
    """Return the test gate with cargo-nextest as its runner, where stack.toml asks for it."""
    if default.name != "test" or NEXTEST not in settings.presets:
        return default
    return replace(default, run=_NEXTEST_RUN)


SCCACHE = "sccache"


def _cached(gate: Gate, settings: GateSettings) -> Gate:
    """Return a default gate with its compilers behind the cache; the MSRV gate has its wrapper off (the runbook).

    sccache cannot keep what rustc compiles incrementally (https://github.com/mozilla/sccache#rust).
    """
    if settings.cache != SCCACHE or gate.name in {"fmt", *PRESETS} or "RUSTC_WRAPPER" in gate.env:
        return gate
    env = {**gate.env, "RUSTC_WRAPPER": SCCACHE, "CARGO_INCREMENTAL": "0"}
    return replace(gate, env=env, needs=(*gate.needs, SCCACHE))


def _overridden(gate: Gate | None, name: str, override: GateOverride, settings: GateSettings) -> Gate:
    if gate is None:
        if override.run is None:
            raise UsageError(
                f"stack.toml: gates.{name} has no command",
                why='a gate of your own needs `run`, like run = ["cargo", "deny", "check"]',
                next_command="${EDITOR:-vi} stack.toml",
            )
        gate = Gate(name, override.run, settings.env, name, (), settings.timeout, settings.sandbox)
    # Another command or environment would build other units into the shared directory: a group of its own.
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
