"""A Cargo workspace's metadata, and proposals for gates that cover what no gate covers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import msgspec

_SHOWN = 3
_SELECTING = ("--lib", "--bins", "--bin", "--tests", "--test", "--examples", "--example", "--benches", "--bench")
_EVERYTHING = frozenset({"lib", "bins", "tests"})
_SELECTED = {
    "--lib": {"lib"}, "--bins": {"bins"}, "--bin": {"bins"}, "--tests": _EVERYTHING, "--test": {"tests"},
}  # fmt: skip


class Workspace(msgspec.Struct, frozen=True):
    """The metadata of a Cargo workspace.

    Attributes:
        features: all features of its members.
        rust_version: the highest `rust-version` among them, as a toolchain of three numbers, or "".
        library: a member has a library.
        tests: integration tests, by name.
        tested_binaries: binaries whose root file has test functions, by name.
        manifests: the manifests of its members, absolute.
    """

    features: frozenset[str]
    rust_version: str
    library: bool = True
    tests: tuple[str, ...] = ()
    tested_binaries: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()


class Proposal(msgspec.Struct, frozen=True):
    """A proposed gate.

    Attributes:
        why: what no gate covers yet.
        table: the lines to write into stack.toml.
        needed: a gate can never pass without it.
    """

    why: str
    table: str
    needed: bool = False

    @property
    def command(self) -> str:
        """The command to type: the editor, with the table on one line."""
        return f"${{EDITOR:-vi}} stack.toml   # {' '.join(self.table.splitlines())}"


def proposals(
    workspace: Workspace,
    gates: Iterable[Sequence[str]],
    flags: Sequence[str],
    outside: Sequence[str],
    *,
    locked: bool = True,
) -> tuple[Proposal, ...]:
    """Return gates that would cover what no gate covers yet.

    Args:
        workspace: its metadata.
        gates: the commands of all gates.
        flags: the flags that select the stack's features.
        outside: manifests in the repository that belong to no member, by path.
        locked: the gates use `--locked`.
    """
    commands = [tuple(argv) for argv in gates]
    run = frozenset[str]().union(*(kinds_tested(argv) for argv in commands))
    every = ("cargo", "test", *(["--locked"] if locked else []), "--workspace", *flags)
    found = []
    if not workspace.library and run == {"lib"}:
        why = "the workspace has no library, so the gate test (`cargo test --lib`) can never pass"
        found.append(Proposal(why, _table("test", every), needed=True))
    elif left := _not_run(workspace, run):
        found.append(Proposal(f"no gate runs {left}", _table("test-all", every)))
    for manifest in outside:
        if not any(manifest in argv for argv in commands):
            name = manifest.removesuffix("/Cargo.toml").rpartition("/")[2]
            check = ("cargo", "check", "--manifest-path", manifest)
            found.append(
                Proposal(f"no gate compiles {manifest}: it is no member of the workspace", _table(name, check))
            )
    return tuple(found)


def _not_run(workspace: Workspace, run: frozenset[str]) -> str:
    tests = workspace.tests if "tests" not in run else ()
    binaries = workspace.tested_binaries if "bins" not in run else ()
    parts = [("the integration tests", tests), ("the tests in binaries", binaries)]
    return " and ".join(f"{what} ({_listed(names)})" for what, names in parts if names)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def kinds_tested(argv: Sequence[str]) -> frozenset[str]:
    """Return the targets whose tests a command runs: lib, bins, tests; none if it runs no tests."""
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    rest = [part for part in own[1:] if not part.startswith("+")]
    if own[0] != "cargo" or rest[:1] not in (["test"], ["nextest"]):
        return frozenset()
    chosen = {flag for part in rest for flag in [part.partition("=")[0]] if flag in _SELECTING}
    if not chosen or "--all-targets" in rest:
        return _EVERYTHING
    return frozenset().union(*(_SELECTED.get(flag, set()) for flag in chosen))


def _table(name: str, argv: Sequence[str]) -> str:
    return f"[gates.{name}]\nrun = {json.dumps(list(argv))}"
