"""Files of a target directory that stay when another tree is gated, by rule; cargo's files are made by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from support.repo import Repo
from trunkline.gates.invalidation import BuildCache, Conditions, Reset
from trunkline.git.fresh_tree import FreshTree

PACKAGE = '[package]\nname = "{name}"\nversion = "0.1.0"\n'
FILES = {
    "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n',
    "Cargo.lock": "version = 4\n",
    "notes.txt": "notes\n",
    "crates/low/Cargo.toml": PACKAGE.format(name="low"),
    "crates/low/src/lib.rs": "// low\n",
    "crates/low/data.txt": "data\n",
    "crates/high/Cargo.toml": PACKAGE.format(name="high") + '\n[dependencies]\nlow = { path = "../low" }\n',
    "crates/high/src/lib.rs": "// high\n",
    "crates/apart/Cargo.toml": PACKAGE.format(name="apart"),
    "crates/apart/src/lib.rs": "// apart\n",
    "crates/apart/src/orphan.rs": "// no module\n",
    "crates/declared/Cargo.toml": PACKAGE.format(name="declared"),
    "crates/declared/build.rs": "// declared\n",
    "crates/declared/src/lib.rs": "// declared\n",
    "crates/declared/inputs/one.txt": "one\n",
    "crates/quiet/Cargo.toml": PACKAGE.format(name="quiet"),
    "crates/quiet/build.rs": "// quiet\n",
    "crates/quiet/src/lib.rs": "// quiet\n",
}
HASHES = {
    name: f"{number:016x}" for number, name in enumerate(("low", "high", "apart", "declared", "quiet", "serde"))
}
RUNS = {"declared": f"{100:016x}", "quiet": f"{101:016x}", "openssl-sys": f"{102:016x}"}
ALL = {*HASHES, "run of declared", "run of quiet", "run of openssl-sys"}
OUTSIDE = {"serde", "run of openssl-sys"}
FACTS = Conditions(commit="", run="one", gate="build")


@dataclass
class Place:
    """A work tree whose target directory has a unit of each package, and runs of build scripts."""

    repo: Repo
    tree: FreshTree
    cache: BuildCache
    facts: Conditions

    @property
    def debug(self) -> Path:
        return self.tree.path / "target/debug"

    def built(self) -> None:
        """Make what cargo would have made."""
        for name, unit in HASHES.items():
            fingerprint = self.debug / f".fingerprint/{name}-{unit}"
            fingerprint.mkdir(parents=True, exist_ok=True)
            (fingerprint / f"lib-{name}").write_text("x")
            (fingerprint / f"dep-lib-{name}").write_text("x")
            source = f"crates/{name}/src/lib.rs"
            (self.debug / "deps").mkdir(exist_ok=True)
            (self.debug / f"deps/{name}-{unit}.d").write_text(f"x: {source}\n\n{source}:\n")
            (self.debug / f"deps/lib{name}-{unit}.rlib").write_text("x")
        for name, unit in RUNS.items():
            self.ran(name, unit, "cargo:rerun-if-changed=inputs\n" if name == "declared" else "")
        (self.debug / "incremental/low").mkdir(parents=True, exist_ok=True)

    def ran(self, name: str, unit: str, output: str) -> None:
        """Make the run of a build script."""
        fingerprint = self.debug / f".fingerprint/{name}-{unit}"
        fingerprint.mkdir(parents=True, exist_ok=True)
        (fingerprint / "run-build-script-build-script-build").write_text("x")
        out = self.debug / f"build/{name}-{unit}/out"
        out.mkdir(parents=True, exist_ok=True)
        (out / "made").write_text("x")
        out.with_name("output").write_text(output)

    def left(self) -> set[str]:
        """Return whose units are there, each whole."""
        found = {name for name, unit in HASHES.items() if (self.debug / f".fingerprint/{name}-{unit}").exists()}
        assert found == {
            name for name, unit in HASHES.items() if (self.debug / f"deps/lib{name}-{unit}.rlib").exists()
        }
        runs = {name for name, unit in RUNS.items() if (self.debug / f".fingerprint/{name}-{unit}").exists()}
        assert runs == {
            name for name, unit in RUNS.items() if (self.debug / f"build/{name}-{unit}/out/made").exists()
        }
        return found | {f"run of {name}" for name in runs}

    def gate(self, finished: object = True, **changes: object) -> set[str]:  # noqa: FBT002 -- beside fields by name
        """Prepare for a gate on HEAD and return what is left; then all is built again."""
        commit = self.repo.head()
        removed = self.tree.check_out(commit)
        self.cache.prepare(replace(self.facts, commit=commit, removed=removed, **changes))
        left = self.left()
        self.built()
        if finished:
            self.cache.finish()
        return left


@pytest.fixture
def place(repo: Repo, tmp_path: Path) -> Place:
    """Return a place where a first gate has run."""
    repo.commit("start", dict(FILES))
    (tmp_path / "trees").mkdir()
    tree = FreshTree(repo.adapter, tmp_path / "trees/code", lambda: ("target",))
    made = Place(repo, tree, BuildCache(repo.adapter, tree.path, ".", tmp_path / "trees/code.json"), FACTS)
    made.gate()
    return made


def test_the_same_run_on_the_same_commit(place: Place) -> None:
    """Another gate of the run finds everything; in another run, scripts that declare nothing run again."""
    assert place.gate(gate="test") == ALL
    assert place.gate(run="two") == ALL - {"run of quiet"}


def test_a_build_script_whose_output_the_checkout_removed(place: Place) -> None:
    """A script that wrote a source which git ignores runs again; a file in a package without one has no effect."""
    (place.tree.path / "crates/declared/src/generated.rs").write_text("// generated")
    assert place.gate(gate="test") == ALL - {"run of declared"}
    (place.tree.path / "crates/low/notes.txt").write_text("notes")
    assert place.gate(gate="build") == ALL


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("crates/high/src/lib.rs", {"high"}),
        ("crates/low/src/lib.rs", {"low", "high"}),
        ("crates/apart/src/lib.rs", {"apart"}),
        ("crates/declared/src/lib.rs", {"declared", "run of declared"}),
        ("crates/quiet/src/lib.rs", {"quiet", "run of quiet"}),
    ],
)
def test_a_source_that_is_compiled(place: Place, path: str, gone: set[str]) -> None:
    """Its package, what is compiled with that, and the build scripts of these."""
    place.repo.commit("change", {path: "// changed\n"})
    assert place.gate() == ALL - gone


@pytest.mark.parametrize("named", ["../low/src/lib.rs", "../low", "../low/../low/src"])
def test_a_source_of_another_package_that_a_script_declares(place: Place, named: str) -> None:
    """The script runs again with an empty directory, although its package is compiled without the other one."""
    place.ran("declared", RUNS["declared"], f"cargo:rerun-if-changed={named}\n")
    place.repo.commit("change", {"crates/low/src/lib.rs": "// changed\n"})
    assert place.gate() == ALL - {"low", "high", "run of declared"}


def test_a_script_that_may_read_elsewhere(place: Place) -> None:
    """The script declares some inputs, and its code names a path outside its package: any source may be one."""
    place.repo.commit("script", {"crates/declared/build.rs": 'fn main() { read("../apart/src"); }\n'})
    place.gate()
    place.repo.commit("change", {"crates/low/src/lib.rs": "// changed\n"})
    assert place.gate() == ALL - {"low", "high", "run of declared"}


def test_documentation_of_a_package_that_is_not_compiled(place: Place) -> None:
    """Documentation may include any source, and no dep-info names it; beside compiled units, their dep-info does."""
    manifest = PACKAGE.format(name="extra")
    place.repo.commit("extra", {"crates/extra/Cargo.toml": manifest, "crates/extra/src/lib.rs": "// extra\n"})
    place.gate()
    documented = [place.debug / f".fingerprint/{name}-{300:016x}" for name in ("extra", "apart")]
    for each in documented:
        each.mkdir()
        (each / "doc-lib").touch()
    place.repo.commit("change", {"crates/low/src/lib.rs": "// changed\n"})
    place.gate()
    assert [each.exists() for each in documented] == [False, True]


@pytest.mark.parametrize("code", ["std::fs::read(path);", "helper::run();"])
def test_packages_and_links_below_a_script(place: Place, code: str) -> None:
    """A script that reads files reaches packages and links in its directory without leaving it."""
    needs = "" if "fs" in code else '\n[build-dependencies]\nhelper = "1"\n'
    manifest = PACKAGE.format(name="declared") + needs
    place.repo.commit(
        "script", {"crates/declared/build.rs": f"fn main() {{ {code} }}\n", "crates/declared/Cargo.toml": manifest}
    )
    place.gate()
    place.repo.commit("alone", {"crates/low/src/lib.rs": "// changed\n"})
    assert "run of declared" in place.gate()
    (place.repo.path / "crates/declared/notes.txt").symlink_to("../../notes.txt")
    place.repo.commit("no source")
    place.gate()
    place.repo.commit("still alone", {"crates/low/src/lib.rs": "// changed too\n"})
    assert "run of declared" in place.gate()
    (place.repo.path / "crates/declared/other").symlink_to("../low/src")
    place.repo.commit("link")
    place.gate()
    place.repo.commit("linked", {"crates/low/src/lib.rs": "// changed again\n"})
    assert "run of declared" not in place.gate()
    place.repo.git("rm", "-q", "crates/declared/other")
    place.repo.commit("nested", {"crates/declared/inner/Cargo.toml": PACKAGE.format(name="inner")})
    place.gate()
    place.repo.commit("nest", {"crates/low/src/lib.rs": "// changed\n"})
    assert "run of declared" not in place.gate()


@pytest.mark.parametrize(
    "files",
    [
        {"crates/apart/src/lib.rs": '#[path = "../../low/read.rs"]\nmod read;\n'},
        {"crates/apart/src/lib.rs": 'include!("read.in");\n'},
        {"crates/apart/Cargo.toml": '\n[lib]\nproc-macro = true\npath = "../other/lib.rs"\n'},
    ],
)
def test_a_macro_with_sources_elsewhere(place: Place, files: dict[str, str]) -> None:
    """Such sources are not examined, so the macro may read files."""
    macro = {"crates/apart/Cargo.toml": "\n[lib]\nproc-macro = true\n", **files}
    macro["crates/apart/Cargo.toml"] = PACKAGE.format(name="apart") + macro["crates/apart/Cargo.toml"]
    user = PACKAGE.format(name="quiet") + '\n[dependencies]\napart = { path = "../apart" }\n'
    place.repo.commit("macro", {**macro, "crates/quiet/Cargo.toml": user})
    place.gate()
    place.repo.commit("change", {"crates/low/src/lib.rs": "// changed\n"})
    assert place.gate() == ALL - {"low", "high", "quiet", "run of quiet"}


def test_uses_of_a_reading_macro_in_its_package_a_script_and_another_macro(place: Place) -> None:
    """Tests of the macro's own package, build scripts and macros are compiled again, the macro is not."""
    macro = PACKAGE.format(name="apart") + "\n[lib]\nproc-macro = true\n"
    table = '\n[{}]\napart = {{ path = "../apart" }}\n'
    place.repo.commit(
        "macro",
        {
            "crates/apart/Cargo.toml": macro,
            "crates/apart/src/lib.rs": "use std::fs;\n",
            "crates/declared/Cargo.toml": PACKAGE.format(name="declared") + table.format("build-dependencies"),
            "crates/quiet/Cargo.toml": PACKAGE.format(name="quiet")
            + table.format("dependencies")
            + "\n[lib]\nproc-macro = true\n",
            "crates/quiet/src/lib.rs": "use std::fs;\n",
        },
    )
    place.gate()
    own_test = place.debug / f".fingerprint/apart-{200:016x}"
    script = place.debug / f"build/declared-{201:016x}"
    for made in (own_test / "test-integration-test-own", script / "build_script_build.d"):
        made.parent.mkdir(parents=True)
        made.write_text("x: crates/declared/build.rs\n\ncrates/declared/build.rs:\n")
    place.repo.commit("change", {"crates/low/src/lib.rs": "// changed\n"})
    assert place.gate() == ALL - {"low", "high", "declared", "run of declared", "quiet", "run of quiet"}
    assert not own_test.exists()
    assert not script.exists()


@pytest.mark.parametrize("table", ["dependencies", "dev-dependencies"])
@pytest.mark.parametrize(("code", "gone"), [("use std::fs;\n", {"quiet", "run of quiet"}), ("// pure\n", set())])
def test_a_macro_that_may_read_files(place: Place, table: str, code: str, gone: set[str]) -> None:
    """Users of such a macro are compiled again with any source; a macro that reads no files changes nothing."""
    macro = PACKAGE.format(name="apart") + "\n[lib]\nproc-macro = true\n"
    user = PACKAGE.format(name="quiet") + f'\n[{table}]\napart = {{ path = "../apart" }}\n'
    files = {"crates/apart/Cargo.toml": macro, "crates/apart/src/lib.rs": code, "crates/quiet/Cargo.toml": user}
    place.repo.commit("macro", dict(files))
    place.gate()
    place.repo.commit("change", {"crates/low/src/lib.rs": "// changed\n"})
    assert place.gate() == ALL - {"low", "high"} - gone


def test_two_packages_of_one_name(place: Place) -> None:
    """Names do not show which of them was compiled: all packages of the tree are invalidated."""
    place.repo.commit("fixture", {"fixtures/low/Cargo.toml": PACKAGE.format(name="low")})
    place.gate()
    place.repo.commit("change", {"crates/apart/src/lib.rs": "// changed\n"})
    assert place.gate() == OUTSIDE


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "other\n"},
        {"crates/low/data.txt": "other\n"},
        {"crates/apart/src/orphan.rs": "// other\n"},
        {"clippy.toml": "msrv = '1.70'\n"},
        {"crates/low/src/new.rs": "// new\n"},
        {"crates/low/src/lib/mod.rs": "// beside\n"},
        {"crates/low/src/lib.rs": None},
        {"crates/low/Cargo.toml": PACKAGE.format(name="low") + "\n[features]\n"},
        {"crates/declared/inputs/one.txt": "other\n"},
        {".gitattributes": "*.txt text\n"},
        {"Cargo.lock": "version = 3\n"},
    ],
    ids=", ".join,
)
def test_anything_else(place: Place, files: dict[str, str | None]) -> None:
    """All packages of the tree; dependencies and rustc's incremental files stay."""
    place.repo.commit("change", files)
    assert place.gate() == OUTSIDE
    assert (place.debug / "incremental/low").exists()


def test_a_mode_and_a_link(place: Place) -> None:
    """The contents that cargo would find are the same, the files are not."""
    (place.repo.path / "crates/low/src/lib.rs").chmod(0o755)
    place.repo.commit("mode")
    assert place.gate() == OUTSIDE
    (place.repo.path / "crates/low/data.txt").unlink()
    (place.repo.path / "crates/low/data.txt").symlink_to("src/lib.rs")
    place.repo.commit("link")
    assert place.gate() == OUTSIDE


@pytest.mark.parametrize(
    "path", [".cargo/config.toml", "crates/low/.cargo/config", "rust-toolchain.toml", "rust-toolchain"]
)
def test_what_acts_on_dependencies_too(place: Place, path: str) -> None:
    """All files are removed, those of dependencies too."""
    place.repo.commit("change", {path: "# changed\n"})
    assert place.gate() == set()


def test_a_file_that_the_configuration_includes(place: Place) -> None:
    """The file acts on dependencies as the configuration does, wherever it is; other TOML files do not."""
    config = {".cargo/config.toml": 'include = ["../extra.toml"]\n', "extra.toml": "", "clippy.toml": ""}
    place.repo.commit("config", dict(config))
    place.gate()
    place.repo.commit("lints", {"clippy.toml": "msrv = '1.70'\n"})
    assert place.gate() == OUTSIDE
    place.repo.commit("extra", {"extra.toml": "[env]\nX = '1'\n"})
    assert place.gate() == set()


def test_a_configuration_behind_a_link(place: Place) -> None:
    """Any file that is no source may be part of it."""
    (place.repo.path / ".cargo").symlink_to("conf")
    place.repo.commit("link", {"conf/config.toml": "[net]\n"})
    place.gate()
    place.repo.commit("change", {"conf/config.toml": "[env]\n"})
    assert place.gate() == set()
    place.repo.commit("source", {"crates/apart/src/lib.rs": "// changed\n"})
    assert place.gate() == ALL - {"apart"}


@pytest.mark.parametrize("name", ["variables", "common", "surroundings"])
def test_variables_and_surroundings(place: Place, name: str) -> None:
    """Build scripts of dependencies may read them: all files are removed."""
    assert place.gate(**{name: "other"}) == set()


@pytest.mark.parametrize("name", ["toolchain", "inherited"])
def test_toolchain_and_inherited_variables(place: Place, name: str) -> None:
    """Cargo keeps the dependencies of each toolchain apart."""
    assert place.gate(**{name: "other"}) == OUTSIDE


def test_what_a_killed_gate_left(place: Place) -> None:
    """Its files may be incomplete."""
    place.gate(finished=False)
    assert place.gate() == OUTSIDE


def test_a_missing_or_unreadable_record(place: Place) -> None:
    """Nothing is kept without a readable record, or if the commit of the record no longer exists."""
    place.cache.record.unlink()
    assert place.gate() == set()
    place.cache.record.write_text("{")
    assert place.gate() == set()
    text = place.cache.record.read_text()
    place.cache.record.write_text(text.replace(place.repo.head(), "0" * 40))
    assert place.gate() == set()


def test_times_in_the_future(place: Place) -> None:
    """Clocks that were set back, or files that somebody stamped: what cargo compares means nothing."""
    future = time.time_ns() + 3_600_000_000_000
    os.utime(place.debug / f"deps/libapart-{HASHES['apart']}.rlib", ns=(future, future))
    assert place.gate() == set()


def test_an_unknown_layout(place: Place) -> None:
    """Another cargo may keep its records elsewhere: then nothing can be kept."""
    (place.debug / ".fingerprint").rename(place.debug / "records")
    place.repo.commit("nothing")
    place.gate()
    assert not (place.debug / "records").exists()


def test_fresh_clean_and_strict(place: Place) -> None:
    """`--fresh`: packages of the tree from nothing, once a run; `--clean`: all; `strict`: with every commit."""
    assert place.gate(run="two", least=Reset.EMPTY_MEMBERS) == OUTSIDE
    assert not (place.debug / "incremental/low/mark").exists()
    assert place.gate(run="two", gate="test", least=Reset.EMPTY_MEMBERS) == ALL
    assert place.gate(run="three", least=Reset.ALL) == set()
    place.repo.commit("change", {"crates/high/src/lib.rs": "// changed\n"})
    assert place.gate(strict=True) == OUTSIDE
    assert place.gate(strict=True) == ALL


def test_what_tests_and_other_trees_left(place: Place) -> None:
    """Programs of other trees, files of tests, nested target directories: removed before each gate."""
    for name in ("debug/program", "debug/examples/show", "tmp/file", "tests/trybuild/debug/.fingerprint/x/y", "x"):
        (place.tree.path / "target" / name).parent.mkdir(parents=True, exist_ok=True)
        (place.tree.path / "target" / name).write_text("x")
    (place.tree.path / "target/CACHEDIR.TAG").write_text("x")
    assert place.gate() == ALL
    kept = {str(path.relative_to(place.tree.path / "target")) for path in (place.tree.path / "target").glob("*")}
    assert kept == {"CACHEDIR.TAG", "debug"}
    assert {path.name for path in place.debug.iterdir()} == {".fingerprint", "build", "deps", "incremental"}


def test_a_script_that_did_not_end(place: Place) -> None:
    """Cargo begins it again, a dependency's too: it finds an empty directory."""
    (place.debug / f"build/openssl-sys-{RUNS['openssl-sys']}/output").unlink()
    assert place.gate() == ALL - {"run of openssl-sys"}


def test_a_declared_input_that_is_missing(place: Place) -> None:
    """Cargo runs such a script every time, so its directory is emptied every time, for another command, too."""
    place.ran("declared", RUNS["declared"], "cargo::rerun-if-changed=nowhere\n")
    assert place.gate() == ALL - {"run of declared"}
    place.ran("declared", RUNS["declared"], "cargo::rerun-if-changed=nowhere\n")
    place.cache.empty_scripts()
    assert place.left() == ALL - {"run of declared"}


def test_an_input_outside_the_tree(place: Place, tmp_path: Path) -> None:
    """A file elsewhere that dep-info names is compared by content, because cargo compares only times."""
    elsewhere = tmp_path / "elsewhere.rs"
    elsewhere.write_text("// one\n")
    unit = HASHES["apart"]

    def reading() -> None:
        (place.debug / f"deps/apart-{unit}.d").write_text(f"x: {elsewhere}\n\n{elsewhere}:\n")

    reading()
    place.cache.finish()
    reading()
    assert place.gate() == ALL
    reading()
    place.cache.finish()
    elsewhere.write_text("// other\n")
    os.utime(elsewhere, ns=(0, 0))
    assert place.gate() == OUTSIDE


LOCK = 'version = 4\n\n[[package]]\nname = "serde"\nversion = "{}"\nsource = "registry+x"\n'


def _source(place: Place) -> None:
    place.repo.commit("change", {"crates/apart/src/lib.rs": "// changed\n"})


def _script(place: Place) -> None:
    place.repo.commit("change", {"crates/declared/src/lib.rs": "// changed\n"})


def _data(place: Place) -> None:
    place.repo.commit("change", {"notes.txt": "changed\n"})


def _dependency(place: Place) -> None:
    place.repo.commit("lock", {"Cargo.lock": LOCK.format("1.0.0")})
    place.gate(sandbox=True)
    place.repo.commit("lock", {"Cargo.lock": LOCK.format("1.0.1")})


@pytest.mark.parametrize(
    ("change", "expected"),
    [(_source, ALL - {"apart"}), (_script, set()), (_data, set()), (_dependency, set())],
)
def test_in_a_sandbox_what_other_code_could_write_to(
    place: Place, change: Callable[[Place], None], expected: set[str]
) -> None:
    """Code that ran while it compiled must be this tree's, too; otherwise all files are removed."""
    place.gate(sandbox=True)
    change(place)
    assert place.gate(sandbox=True) == expected


def test_in_a_sandbox_without_such_code(place: Place) -> None:
    """The rules without a sandbox apply if no code of the tree runs while it compiles."""
    for name in ("declared", "quiet"):
        (place.repo.path / f"crates/{name}/build.rs").unlink()
    place.repo.commit("no scripts")
    place.cache.record.unlink()
    place.gate(sandbox=True)
    place.repo.commit("change", {"notes.txt": "changed\n"})
    assert place.gate(sandbox=True) == OUTSIDE
