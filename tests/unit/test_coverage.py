"""Files of a change that no gate verified."""

from __future__ import annotations

import pytest

from trunkline.domain.coverage import NOT_COMPILED, NOT_READ, NOT_RUN, ChangedFile, Sources, Unverified, unverified

UNITS = {
    "kv": frozenset({"src/lib.rs", "src/evict.rs", "src/words.txt"}),
    "kv::bin/serve": frozenset({"src/bin/serve.rs"}),
    "kv::eviction": frozenset({"tests/eviction.rs", "tests/common/mod.rs"}),
    "kv::example/demo": frozenset({"examples/demo.rs"}),
    "kv::bench/speed": frozenset({"benches/speed.rs"}),
    "kv::build/script": frozenset({"build.rs", "proto/kv.proto"}),
}
DEFAULTS = Sources(UNITS, frozenset({"kv"}))
"""The six gates: everything compiled by clippy, the library's tests ran."""
EVERYTHING = Sources(UNITS, frozenset(UNITS))


@pytest.mark.parametrize(
    ("path", "holds_tests", "sources", "why"),
    [
        pytest.param("src/evict.rs", False, DEFAULTS, "", id="library"),
        pytest.param("src/evict.rs", True, DEFAULTS, "", id="library with tests that ran"),
        pytest.param("src/evict.rs", True, Sources(UNITS), NOT_RUN, id="library with tests that did not"),
        pytest.param("src/words.txt", False, DEFAULTS, "", id="included by the library"),
        pytest.param("tests/eviction.rs", False, DEFAULTS, NOT_RUN, id="integration test, whatever it holds"),
        pytest.param("tests/common/mod.rs", False, DEFAULTS, NOT_RUN, id="module of integration tests"),
        pytest.param("tests/eviction.rs", True, EVERYTHING, "", id="integration test that ran"),
        pytest.param("tests/forgotten.rs", True, EVERYTHING, NOT_COMPILED, id="integration test of no target"),
        pytest.param("src/bin/serve.rs", False, DEFAULTS, "", id="binary without tests"),
        pytest.param("src/bin/serve.rs", True, DEFAULTS, NOT_RUN, id="binary with tests"),
        pytest.param("examples/demo.rs", False, DEFAULTS, "", id="example"),
        pytest.param("benches/speed.rs", False, DEFAULTS, "", id="bench"),
        pytest.param("build.rs", False, DEFAULTS, "", id="build script"),
        pytest.param("proto/kv.proto", False, DEFAULTS, "", id="read by the build script"),
        pytest.param("proto/other.proto", False, DEFAULTS, NOT_READ, id="read by nobody"),
        pytest.param("src/gpu.rs", False, DEFAULTS, NOT_COMPILED, id="behind a feature that is off"),
        pytest.param("fuzz/src/lib.rs", False, DEFAULTS, NOT_COMPILED, id="excluded crate"),
        pytest.param("fuzz/Cargo.toml", False, DEFAULTS, NOT_READ, id="manifest of an excluded crate"),
        pytest.param("Cargo.toml", False, DEFAULTS, "", id="manifest"),
        pytest.param("src/Cargo.toml", False, DEFAULTS, "", id="manifest with something below it"),
        pytest.param(".cargo/config.toml", False, DEFAULTS, "", id="cargo's settings"),
        pytest.param(
            "fuzz/.cargo/config.toml", False, DEFAULTS, NOT_READ, id="cargo's settings of an excluded crate"
        ),
        pytest.param("Cargo.lock", False, Sources(), NOT_READ, id="nothing compiled at all"),
        pytest.param(".github/workflows/ci.yml", False, DEFAULTS, NOT_READ, id="workflow"),
        pytest.param("README.md", False, DEFAULTS, NOT_READ, id="prose"),
    ],
)
def test_one_file(path: str, holds_tests: bool, sources: Sources, why: str) -> None:  # noqa: FBT001 -- a column
    """A file is verified when a gate compiled it, and ran it where it is there to be run."""
    found = unverified([ChangedFile(path, holds_tests)], sources)
    assert [each.why for each in found] == ([why] if why else [])


def test_code_comes_before_prose() -> None:
    """Files that no gate is expected to read come last, and are marked."""
    found = unverified([ChangedFile("README.md"), ChangedFile("x.rs"), ChangedFile("logo.PNG")], DEFAULTS)
    assert found == (
        Unverified("x.rs", NOT_COMPILED),
        Unverified("README.md", NOT_READ, prose=True),
        Unverified("logo.PNG", NOT_READ, prose=True),
    )
    assert str(found[0]) == "x.rs (no gate compiled it)"


def test_what_two_gates_read_is_what_both_read() -> None:
    """One gate compiles, another runs: together they verify."""
    compiled, ran = (
        Sources({"kv::eviction": frozenset({"tests/eviction.rs"})}),
        Sources({}, frozenset({"kv::eviction"})),
    )
    assert unverified([ChangedFile("tests/eviction.rs", holds_tests=True)], compiled) != ()
    assert unverified([ChangedFile("tests/eviction.rs", holds_tests=True)], compiled | ran) == ()


def test_sources_are_json() -> None:
    """They come back as they were; anything else is refused."""
    assert Sources.from_json(DEFAULTS.to_json()) == DEFAULTS
    malformed: tuple[object, ...] = ({}, {"units": [], "ran": []}, {"units": {"a": 5}, "ran": []}, [], None)
    for wrong in malformed:
        with pytest.raises(ValueError, match="not the sources of a gate"):
            Sources.from_json(wrong)
