"""Gates that are proposed for what the stack's gates leave out of a Cargo workspace."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from trunkline.domain.stack import GateSettings
from trunkline.domain.workspace import Workspace, kinds_tested, proposals
from trunkline.gates.catalogue import catalogue, feature_flags

LIBRARY = Workspace(frozenset({"cpu"}), "")
SETTINGS = GateSettings()
DEFAULTS = [gate.argv for gate in catalogue(SETTINGS)]
FLAGS = feature_flags(SETTINGS)
EVERY = '["cargo", "test", "--locked", "--workspace", "--no-default-features", "--features", "cpu"]'


def test_a_library_alone_needs_nothing() -> None:
    """The six defaults cover it."""
    assert proposals(LIBRARY, DEFAULTS, FLAGS, ()) == ()


def test_integration_tests_and_tests_in_binaries() -> None:
    """A gate that runs everything is proposed beside the six, and names what it is for."""
    workspace = replace(LIBRARY, tests=("a", "b", "c", "d"), tested_binaries=("serve",))
    (found,) = proposals(workspace, DEFAULTS, FLAGS, ())
    assert found.why == "no gate runs the integration tests (a, b, c and 1 more) and the tests in binaries (serve)"
    assert found.table == f"[gates.test-all]\nrun = {EVERY}"
    assert not found.needed
    assert found.command == f"${{EDITOR:-vi}} stack.toml   # [gates.test-all] run = {EVERY}"
    with_it = [*DEFAULTS, ("cargo", "test", "--workspace")]
    assert proposals(workspace, with_it, FLAGS, ()) == ()
    only_binaries = [*DEFAULTS, ("cargo", "test", "--bins")]
    (left,) = proposals(workspace, only_binaries, FLAGS, ())
    assert "binaries" not in left.why


def test_a_workspace_of_binaries_only() -> None:
    """`cargo test --lib` can never pass there: what to write instead, and that it is needed."""
    (found,) = proposals(replace(LIBRARY, library=False), DEFAULTS, FLAGS, ())
    assert (found.needed, found.table) == (True, f"[gates.test]\nrun = {EVERY}")
    assert "can never pass" in found.why
    (unlocked,) = proposals(replace(LIBRARY, library=False), DEFAULTS, FLAGS, (), locked=False)
    assert "--locked" not in unlocked.table
    changed = [("cargo", "test", "--workspace")]
    assert proposals(replace(LIBRARY, library=False), changed, FLAGS, ()) == ()


def test_a_package_outside_the_workspace() -> None:
    """An excluded crate is named with a gate that compiles it, until a gate names its manifest."""
    (found,) = proposals(LIBRARY, DEFAULTS, FLAGS, ("tools/fuzz/Cargo.toml",))
    assert found.table == '[gates.fuzz]\nrun = ["cargo", "check", "--manifest-path", "tools/fuzz/Cargo.toml"]'
    gated = [*DEFAULTS, ("cargo", "check", "--manifest-path", "tools/fuzz/Cargo.toml")]
    assert proposals(LIBRARY, gated, FLAGS, ("tools/fuzz/Cargo.toml",)) == ()


@pytest.mark.parametrize(
    ("command", "selected"),
    [
        ("cargo test --lib", {"lib"}),
        ("cargo +1.89.0 test --workspace", {"lib", "bins", "tests"}),
        ("cargo test --all-targets", {"lib", "bins", "tests"}),
        ("cargo test --test it -- --lib", {"tests"}),
        ("cargo test --test=it --bin x", {"tests", "bins"}),
        ("cargo nextest run --lib", {"lib"}),
        ("cargo test --benches", set()),
        ("cargo build", set()),
        ("make test", set()),
    ],
)
def test_whose_tests_a_command_runs(command: str, selected: set[str]) -> None:
    """By cargo's target flags, those after `--` left out."""
    assert kinds_tested(command.split()) == selected
