"""The names of gates in the schema of stack.toml, in the domain and in the catalogue are the same."""

from __future__ import annotations

from trunkline.config.schema import json_schema
from trunkline.domain.names import oid
from trunkline.domain.stack import DEFAULT_GATES, GateOverride, GateSettings
from trunkline.gates.catalogue import NEXTEST, PRESETS, catalogue
from trunkline.gates.proof import query_of


def test_the_default_gates_are_those_of_the_domain() -> None:
    """Validation and completion use the names without loading the catalogue."""
    assert tuple(gate.name for gate in catalogue(GateSettings())) == DEFAULT_GATES


def test_every_preset_can_be_enabled() -> None:
    """The schema accepts the presets of the catalogue, and no others."""
    presets = json_schema()["$defs"]["GatesTable"]["properties"]["presets"]
    assert set(presets["items"]["enum"]) == {*PRESETS, NEXTEST}


def test_gates_run_in_the_directory_of_the_workspace() -> None:
    """A receipt of the same command in another directory is of another workspace."""
    settings = GateSettings(root="rust", presets=(NEXTEST, *PRESETS), overrides={"own": GateOverride(run=("true",))})
    gates = catalogue(settings)
    assert {gate.root for gate in gates} == {"rust"}
    assert {query_of(gate, oid("1" * 40)).root for gate in gates} == {"rust"}
