"""The gates of a stack: six defaults as data, changed and added to by `[gates.NAME]`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trunkline.domain.errors import UsageError
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

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Gate:
        """Return what `dataclasses.asdict` made, once it has been JSON."""
        return cls(**{**values, **{name: tuple(values[name]) for name in ("argv", "needs", "must_run")}})

    @property
    def typed(self) -> str:
        """The command as a person would type it, variables in front."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        return " ".join([*variables, shlex.join(self.argv)])


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


def catalogue(settings: GateSettings) -> tuple[Gate, ...]:
    """Return the gates of a stack, defaults first, in their order.

    Raises:
        UsageError: an added gate has no command.
    """
    gates = {default.name: _cached(_made(default, settings), settings) for default in _DEFAULTS}
    for name, override in settings.overrides.items():
        gates[name] = _overridden(gates.get(name), name, override, settings)
    return tuple(gates.values())


def feature_flags(settings: GateSettings) -> tuple[str, ...]:
    """Return the flags that choose a stack's cargo features; none for cargo's defaults."""
    return ("--no-default-features", "--features", ",".join(settings.features)) if settings.features else ()


def _made(default: _Default, settings: GateSettings) -> Gate:
    run = default.run.format(features=" ".join(feature_flags(settings)), msrv=settings.msrv)
    argv = tuple(run.split())
    return Gate(default.name, argv, default.env, default.group, ("cargo",), settings.timeout, settings.sandbox)


SCCACHE = "sccache"


def _cached(gate: Gate, settings: GateSettings) -> Gate:
    """Return a default gate with its compilers behind the cache; the MSRV gate has its wrapper off (the runbook).

    sccache cannot keep what rustc compiles incrementally (https://github.com/mozilla/sccache#rust).
    """
    if settings.cache != SCCACHE or gate.name == "fmt" or "RUSTC_WRAPPER" in gate.env:
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
        gate = Gate(name, override.run, {}, name, (), settings.timeout, settings.sandbox)
    # Another command or environment would build other units into the shared directory: a group of its own.
    group = gate.group if override.run is None and override.env is None else name
    return replace(
        gate,
        argv=gate.argv if override.run is None else override.run,
        env=gate.env if override.env is None else override.env,
        needs=gate.needs if override.needs is None else override.needs,
        timeout=gate.timeout if override.timeout is None else override.timeout,
        group=group,
    )
