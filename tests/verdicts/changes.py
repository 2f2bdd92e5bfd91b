"""Changes of every kind that can alter a verdict, each relative to the workspace in which all gates pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from support.gating import MSRV
from verdicts.workspace import File, World

Edit = Callable[[World], None]
CODE = ("build", "test")
WHOLE = ("whole",)
LINT = ("clippy",)
DOC = ("doc",)
FMT = ("fmt",)
OLD = ("msrv",)
ALL = ("build", "test", "clippy", "fmt", "doc", "msrv", "whole")
_LIB = "crates/base/src/lib.rs"


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        name: what is changed, in words.
        edits: the changes to the world.
        gates: the gates whose verdicts are compared.
        relock: the lock file follows the manifests.
        sample: the gates that CI compares; (): it is no part of that sample.
        first: the changes of a commit that is gated just before; `edits` are relative to it.
    """

    name: str
    edits: tuple[Edit, ...]
    gates: tuple[str, ...]
    relock: bool = False
    sample: tuple[str, ...] = ()
    first: tuple[Edit, ...] = ()

    @property
    def before(self) -> Change | None:
        """The change that is gated just before this one."""
        return replace(self, name=f"before: {self.name}", edits=self.first, first=()) if self.first else None


def put(path: str, text: str, mode: str = "100644") -> Edit:
    """Write a file."""

    def edit(world: World) -> None:
        world.tree[path] = File(text.encode(), mode)

    return edit


def sub(path: str, old: str, new: str) -> Edit:
    """Replace text in a file."""

    def edit(world: World) -> None:
        file = world.tree[path]
        text = file.content.decode()
        assert old in text, f"{path} has no {old!r}"
        world.tree[path] = replace(file, content=text.replace(old, new).encode())

    return edit


def add(path: str, text: str) -> Edit:
    """Append to a file."""

    def edit(world: World) -> None:
        file = world.tree[path]
        world.tree[path] = replace(file, content=file.content + text.encode())

    return edit


def gone(path: str) -> Edit:
    """Remove a file, or a directory with all it holds."""

    def edit(world: World) -> None:
        found = [each for each in world.tree if each == path or each.startswith(f"{path}/")]
        assert found, path
        for each in found:
            del world.tree[each]

    return edit


def move(old: str, new: str) -> Edit:
    """Rename a file, or a directory."""

    def edit(world: World) -> None:
        found = [each for each in world.tree if each == old or each.startswith(f"{old}/")]
        assert found, old
        for each in found:
            world.tree[new + each.removeprefix(old)] = world.tree.pop(each)

    return edit


def link(path: str, target: str) -> Edit:
    """Make a symbolic link."""
    return put(path, target, "120000")


def mode(path: str, value: str) -> Edit:
    """Set git's mode of a file."""

    def edit(world: World) -> None:
        world.tree[path] = replace(world.tree[path], mode=value)

    return edit


def env(name: str, value: str) -> Edit:
    """Set a variable of all gates."""

    def edit(world: World) -> None:
        world.env[name] = value

    return edit


def outer(text: str) -> Edit:
    """Set cargo's configuration outside the tree."""

    def edit(world: World) -> None:
        world.outer = text

    return edit


def git(name: str, value: str) -> Edit:
    """Set a setting of the repository."""

    def edit(world: World) -> None:
        world.git[name] = value

    return edit


def _manifest(name: str, more: str = "") -> str:
    return f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{more}'


def _root(old: str, new: str) -> Edit:
    return sub("Cargo.toml", old, new)


_SOURCES = (
    Change("a function's value", (sub("crates/base/src/shapes.rs", "    n\n", "    n + 1\n"),), ("test", "whole")),
    Change("a type error in a library", (sub("crates/base/src/shapes.rs", "    n\n", '    "n"\n'),), CODE + LINT),
    Change("a type error in a binary", (add("crates/app/src/main.rs", "fn broken() -> u32 {}\n"),), CODE + OLD),
    Change("a warning in a library", (add(_LIB, "fn unused() {}\n"),), (*CODE, *LINT, *OLD)),
    Change(
        "a lint of clippy",
        (sub("crates/base/src/shapes.rs", "    n\n", "    return n;\n"),),
        LINT,
        sample=("clippy",),
    ),
    Change(
        "a lint of clippy in a test",
        (add("crates/base/tests/whole.rs", "#[test]\nfn bad() {\n    let x = 5;\n    assert!(x == x);\n}\n"),),
        LINT,
    ),
    Change(
        "a lint of clippy in an example",
        (sub("crates/base/examples/show.rs", "    println", "    let _ = 1 as u32 as u32;\n    println"),),
        LINT,
    ),
    Change(
        "a lint of clippy in a benchmark",
        (
            sub(
                "crates/base/benches/speed.rs",
                "    println",
                "    let v: Vec<u8> = Vec::new();\n    let _ = v.len() == 0;\n    println",
            ),
        ),
        LINT,
    ),
    Change("formatting", (sub("crates/base/src/shapes.rs", "    n\n", "  n\n"),), FMT + LINT),
    Change("formatting of a test", (add("crates/base/tests/whole.rs", "#[test] fn x(){}\n"),), FMT),
    Change("formatting of a build script", (add("crates/gen/build.rs", "#[allow(dead_code)] fn x(){}\n"),), FMT),
    Change("a comment", (add("crates/base/src/shapes.rs", "// A comment.\n"),), (*CODE, *FMT)),
    Change("an integration test fails", (sub("crates/base/tests/whole.rs", "5)", "6)"),), ("test", "whole")),
    Change("an integration test is gone", (gone("crates/base/tests/whole.rs"),), ("whole",)),
    Change(
        "an integration test does not compile",
        (add("crates/base/tests/whole.rs", "fn x( {}\n"),),
        ("test", "whole", "clippy", "msrv"),
    ),
    Change(
        "an example does not compile",
        (add("crates/base/examples/show.rs", "fn x( {}\n"),),
        ("build", "whole", "clippy", "msrv"),
    ),
    Change(
        "a benchmark does not compile",
        (add("crates/base/benches/speed.rs", "fn x( {}\n"),),
        ("build", "whole", "clippy", "msrv"),
    ),
    Change(
        "a documentation test fails",
        (sub(_LIB, "/// assert_eq!(base::total(2), 3);", "/// assert_eq!(base::total(2), 4);"),),
        WHOLE,
    ),
    Change(
        "a documentation test in the readme fails",
        (sub("crates/base/README.md", "1, 2)", "1, 3)"),),
        WHOLE,
        sample=("whole",),
    ),
    Change(
        "a unit test is gone with what it tests",
        (
            sub(_LIB, "        assert_eq!(super::FRAGMENT, 1);\n", ""),
            put("crates/base/src/fragment.in", "pub const FRAGMENT: u32 = 2;\n"),
        ),
        CODE,
    ),
    Change("the included fragment", (put("crates/base/src/fragment.in", "pub const FRAGMENT: u32 = 2;\n"),), CODE),
    Change(
        "the included fragment does not compile",
        (put("crates/base/src/fragment.in", "pub const FRAGMENT: u32 = ;\n"),),
        (*CODE, *LINT, *DOC),
    ),
    Change("the included fragment is gone", (gone("crates/base/src/fragment.in"),), (*CODE, *LINT)),
    Change("the included text", (put("crates/base/data/table.txt", "other\n"),), CODE),
    Change("the included text is no text", (put("crates/base/data/table.txt", "\ufeff\n"),), CODE),
    Change("the included text is gone", (gone("crates/base/data/table.txt"),), CODE + DOC),
    Change("the included bytes", (put("crates/base/data/bytes.bin", "other\n"),), CODE),
    Change("the included readme is gone", (gone("crates/base/README.md"),), (*CODE, *DOC)),
    Change(
        "a module at a path of its own",
        (put("crates/base/src/odd/place.rs", "pub fn zero() -> u32 {\n    9\n}\n"),),
        CODE,
    ),
    Change("a module at a path of its own is gone", (gone("crates/base/src/odd"),), (*CODE, *FMT)),
    Change(
        "nested.rs becomes nested/mod.rs",
        (move("crates/base/src/nested.rs", "crates/base/src/nested/mod.rs"),),
        CODE + FMT,
    ),
    Change(
        "nested/mod.rs beside nested.rs",
        (put("crates/base/src/nested/mod.rs", "pub fn one() -> u32 {\n    1\n}\n"),),
        (*CODE, *LINT, *FMT),
        sample=("build", "fmt"),
    ),
    Change(
        "a module file renamed in case only", (move("crates/base/src/shapes.rs", "crates/base/src/Shapes.rs"),), CODE
    ),
    Change("a file that no module names", (put("crates/base/src/orphan.rs", "this is no Rust\n"),), CODE + FMT),
    Change("a new binary beside the others", (put("crates/app/src/bin/extra.rs", "fn main( {}\n"),), (*CODE, *FMT)),
    Change(
        "a new integration test that fails",
        (put("crates/base/tests/new.rs", "#[test]\nfn new() {\n    panic!();\n}\n"),),
        WHOLE,
    ),
    Change(
        "a new example that does not compile",
        (put("crates/base/examples/new.rs", "fn main( {}\n"),),
        ("clippy", "whole"),
    ),
    Change(
        "a new benchmark that does not compile",
        (put("crates/base/benches/new.rs", "fn main( {}\n"),),
        ("clippy", "msrv"),
    ),
    Change("the binary is gone that a test runs", (gone("crates/app/src/main.rs"),), ("whole", "clippy")),
    Change(
        "a broken link in documentation",
        (
            sub(_LIB, "/// Adds up.", "/// Adds [`Nothing`] up."),
            put(
                "crates/base/src/fragment.in",
                "#[deny(rustdoc::broken_intra_doc_links)]\n/// [`Nothing`]\npub const FRAGMENT: u32 = 1;\n",
            ),
        ),
        DOC,
    ),
    Change(
        "a denied lint of rustdoc",
        (
            sub(
                _LIB,
                "mod nested;",
                "#[deny(rustdoc::bare_urls)]\npub mod urls {\n    //! See http://example.com.\n}\nmod nested;",
            ),
        ),
        DOC,
    ),
    Change("code for documentation only", (add(_LIB, '#[cfg(doc)]\ncompile_error!("documented");\n'),), DOC + CODE),
    Change("code for tests only", (add(_LIB, '#[cfg(test)]\ncompile_error!("tested");\n'),), (*CODE, *LINT)),
    Change("code for a feature only", (sub(_LIB, "pub fn cpu() {}", "pub fn cpu() -> u32 {}"),), CODE),
    Change(
        "code for a debug build only",
        (add(_LIB, '#[cfg(not(debug_assertions))]\ncompile_error!("release");\n'),),
        CODE,
    ),
    Change(
        "a denied warning of documentation in code",
        (sub(_LIB, "mod nested;", "#![deny(missing_docs)]\nmod nested;"),),
        CODE + LINT,
    ),
    Change(
        "a macro_rules macro",
        (
            add(
                _LIB,
                "macro_rules! twice {\n    ($e:expr) => {\n        $e + $e + x\n    };\n}\n/// Twice.\npub const TWICE: u32 = twice!(2);\n",
            ),
        ),
        CODE,
    ),
)
_RUN_TIME = (
    Change("a file that a test reads", (put("crates/base/data/runtime.txt", "other\n"),), ("test",)),
    Change("a file that a test reads is gone", (gone("crates/base/data/runtime.txt"),), ("test",)),
    Change("a file that a test does not want", (put("crates/base/data/unwelcome.txt", ""),), ("test",)),
    Change("the target of a link", (link("crates/base/data/link.txt", "table.txt"),), ("test",), sample=("test",)),
    Change("a link becomes a file", (put("crates/base/data/link.txt", "runtime\n"),), ("test",)),
    Change("a file becomes a link", (link("crates/base/data/table.txt", "runtime.txt"),), CODE),
    Change("the included text through a link", (link("crates/base/data/table.txt", "lines.txt"),), CODE),
    Change("a source becomes a link to another", (link("crates/base/src/shapes.rs", "nested.rs"),), (*CODE, *FMT)),
    Change(
        "a directory of sources becomes a link",
        (move("crates/base/src/odd", "crates/base/odd"), link("crates/base/src/odd", "../odd")),
        CODE,
    ),
    Change(
        "a file becomes a directory",
        (gone("crates/base/data/runtime.txt"), put("crates/base/data/runtime.txt/x", "x\n")),
        ("test",),
    ),
    Change("a program loses its bit", (mode("crates/base/data/tool.sh", "100644"),), ("test",), sample=("test",)),
    Change("a source becomes a program", (mode("crates/base/src/shapes.rs", "100755"),), CODE),
    Change(
        "line ends of a file that a test reads",
        (put(".gitattributes", "*.txt text eol=crlf\n"),),
        ("test",),
        sample=("test",),
    ),
    Change(
        "line ends of sources",
        (put(".gitattributes", "*.rs text eol=crlf\n"), put("rustfmt.toml", 'newline_style = "Unix"\n')),
        FMT,
    ),
    Change(
        "line ends of sources, in a directory's own attributes",
        (put("crates/base/src/.gitattributes", "*.rs eol=crlf\n"), put("rustfmt.toml", 'newline_style = "Unix"\n')),
        FMT,
    ),
    Change("CRLF committed as bytes", (put("crates/base/data/lines.txt", "one\r\ntwo\r\n"),), ("test",)),
    Change(
        "CRLF in a source",
        (put("crates/base/src/shapes.rs", "pub fn corners(n: u32) -> u32 {\r\n    n\r\n}\r\n"),),
        FMT + LINT,
    ),
    Change(
        "a text attribute over CRLF bytes",
        (put("notes.md", "one\r\ntwo\r\n"), put(".gitattributes", "*.md text\n")),
        ("build", "fmt"),
        sample=("build", "fmt"),
    ),
    Change(
        "an ident attribute",
        (
            put(".gitattributes", "*.in ident\n"),
            put("crates/base/src/fragment.in", "/// $Id$\npub const FRAGMENT: u32 = 1;\n"),
        ),
        CODE,
    ),
    Change("an encoding attribute", (put(".gitattributes", "lines.txt working-tree-encoding=UTF-16\n"),), ("test",)),
    Change("core.autocrlf", (git("core.autocrlf", "true"),), ("test", "fmt")),
    Change(
        "core.eol with a text attribute", (git("core.eol", "crlf"), put(".gitattributes", "*.txt text\n")), ("test",)
    ),
    Change(
        "a filter that changes a file",
        (
            git("filter.upper.smudge", "tr a-z A-Z"),
            git("filter.upper.clean", "tr A-Z a-z"),
            put(".gitattributes", "table.txt filter=upper\n"),
        ),
        CODE,
    ),
    Change(
        "a filter that changes nothing",
        (
            git("filter.same.smudge", "cat"),
            git("filter.same.clean", "cat"),
            put(".gitattributes", "table.txt filter=same\n"),
        ),
        CODE,
    ),
    Change("an ignored name that is committed", (put("crates/base/data/x.ignored", "x\n"),), ("build",)),
    Change("everything is ignored", (put(".gitignore", "*\n"),), ("build", "test")),
    Change("target is not ignored", (put(".gitignore", "\n"),), ("build", "fmt")),
    Change(
        "a test leaves a file in cargo's directory",
        (
            add(
                "crates/base/tests/whole.rs",
                '#[test]\nfn leaves() {\n    let here = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));\n    std::fs::create_dir(here.join("made")).unwrap();\n}\n',
            ),
        ),
        WHOLE,
    ),
    Change(
        "a test looks for programs of other trees",
        (
            put(
                "crates/base/tests/alone.rs",
                '#[test]\nfn alone() {\n    let top = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));\n    assert!(!top.join("made").exists());\n    assert!(!top.join("../debug/extra").exists());\n}\n',
            ),
        ),
        WHOLE,
    ),
    Change(
        "a test makes an ignored file and finds none",
        (
            add(
                "crates/base/tests/whole.rs",
                '#[test]\nfn makes() {\n    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/made.ignored");\n    assert!(!std::path::Path::new(path).exists());\n    std::fs::write(path, "x").unwrap();\n}\n',
            ),
        ),
        WHOLE,
    ),
    Change(
        "a test changes times and modes of sources",
        (
            add(
                "crates/base/tests/whole.rs",
                '#[test]\nfn changes() {\n    use std::os::unix::fs::PermissionsExt;\n    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/lines.txt");\n    let file = std::fs::File::options().write(true).open(path).unwrap();\n    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o222, 0o200);\n    file.set_modified(std::time::SystemTime::now()).unwrap();\n    file.set_permissions(PermissionsExt::from_mode(0o666)).unwrap();\n}\n',
            ),
        ),
        WHOLE,
    ),
    Change("a test fails", (sub(_LIB, "super::total(2), 3", "super::total(2), 4"),), ("test",), sample=("test",)),
    Change("a test is ignored", (sub(_LIB, "    fn times()", "    #[ignore]\n    fn times()"),), ("test",)),
)
_SCRIPTS = (
    Change("a file that a build script reads undeclared", (put("schema/schema.txt", "8\n"),), CODE, sample=("test",)),
    Change("a file that a build script reads undeclared is gone", (gone("schema"),), CODE + OLD),
    Change(
        "a file that a build script reads undeclared is wrong", (put("schema/schema.txt", "x\n"),), (*CODE, *LINT)
    ),
    Change("a declared file", (put("crates/dec/inputs/value.txt", "6\n"),), CODE),
    Change(
        "a declared file is gone",
        (gone("crates/dec/inputs/value.txt"), put("crates/dec/inputs/other.txt", "1\n")),
        CODE,
    ),
    Change(
        "a new file in a declared directory", (put("crates/dec/inputs/other.txt", "1\n"),), CODE, sample=("build",)
    ),
    Change(
        "a source that a build script reads",
        (add("crates/dec/src/lib.rs", "// FORBIDDEN\n"),),
        (*CODE, *LINT),
        sample=("build",),
    ),
    Change(
        "a build script does not write what is included",
        (sub("crates/gen/build.rs", 'format!("{out}/generated.rs")', 'format!("{out}/other.rs")'),),
        (*CODE, *LINT, *DOC),
        sample=("build",),
    ),
    Change("a build script is gone whose output is included", (gone("crates/gen/build.rs"),), (*CODE, *LINT)),
    Change(
        "a build script fails",
        (sub("crates/gen/build.rs", "fn main() {\n", 'fn main() {\n    panic!("no");\n'),),
        (*CODE, *LINT, *DOC, *OLD),
    ),
    Change(
        "a build script warns",
        (sub("crates/gen/build.rs", "fn main() {\n", "fn main() {\n    let x = 1;\n"),),
        (*CODE, *LINT),
    ),
    Change(
        "a build script prints a cfg",
        (
            sub("crates/gen/build.rs", "fn main() {\n", 'fn main() {\n    println!("cargo:rustc-cfg=odd");\n'),
            add("crates/gen/src/lib.rs", '#[cfg(odd)]\ncompile_error!("odd");\n'),
        ),
        CODE,
    ),
    Change(
        "a build script sets a variable",
        (
            sub("crates/gen/build.rs", "fn main() {\n", 'fn main() {\n    println!("cargo:rustc-env=MADE=1");\n'),
            add("crates/gen/src/lib.rs", '/// Made.\npub const MADE: &str = env!("MADE");\n'),
        ),
        CODE,
    ),
    Change(
        "a variable that no build script sets",
        (add("crates/gen/src/lib.rs", '/// Made.\npub const MADE: &str = env!("MADE");\n'),),
        CODE,
    ),
    Change(
        "a build script links a library that is not there",
        (
            sub(
                "crates/gen/build.rs",
                "fn main() {\n",
                'fn main() {\n    println!("cargo:rustc-link-lib=nosuchlibrary");\n',
            ),
        ),
        CODE,
    ),
    Change(
        "a build script of another name",
        (
            sub("crates/gen/Cargo.toml", 'version = "0.1.0"\n', 'version = "0.1.0"\nbuild = "other.rs"\n'),
            put("crates/gen/other.rs", "fn main() {}\n"),
        ),
        CODE,
    ),
    Change(
        "build = false",
        (sub("crates/gen/Cargo.toml", 'version = "0.1.0"\n', 'version = "0.1.0"\nbuild = false\n'),),
        CODE,
    ),
    Change(
        "a build script declares a file that is not there",
        (sub("crates/dec/build.rs", "rerun-if-changed=inputs", "rerun-if-changed=nowhere"),),
        CODE,
    ),
    Change(
        "a build script declares git's HEAD",
        (sub("crates/dec/build.rs", "rerun-if-changed=inputs", "rerun-if-changed=../../.git/HEAD"),),
        CODE,
    ),
    Change(
        "a build script declares the environment only",
        (
            sub(
                "crates/dec/build.rs",
                '    println!("cargo:rerun-if-changed=inputs");\n    println!("cargo:rerun-if-changed=build.rs");\n',
                "",
            ),
            put("crates/dec/inputs/value.txt", "6\n"),
        ),
        CODE,
    ),
    Change(
        "links, and what a dependent's script is told",
        (
            sub("crates/dec/Cargo.toml", 'version = "0.1.0"\n', 'version = "0.1.0"\nlinks = "dec"\n'),
            sub("crates/dec/build.rs", "fn main() {\n", 'fn main() {\n    println!("cargo:told=1");\n'),
            put(
                "crates/app/build.rs",
                'fn main() {\n    std::fs::create_dir(format!("{}/made", std::env::var("OUT_DIR").unwrap())).unwrap();\n    assert_eq!(std::env::var("DEP_DEC_TOLD").unwrap(), "2");\n}\n',
            ),
        ),
        CODE,
    ),
    Change(
        "a build dependency of the tree",
        (
            add("crates/gen/Cargo.toml", '\n[build-dependencies]\nshared = { path = "../../shared" }\n'),
            sub("crates/gen/build.rs", "fn main() {\n", "fn main() {\n    assert_eq!(shared::nothing(), 1);\n"),
        ),
        CODE,
        relock=True,
    ),
    Change(
        "a build script writes into its sources",
        (
            sub(
                "crates/gen/build.rs",
                "fn main() {\n",
                'fn main() {\n    std::fs::write("src/made.rs", "// made\\n").unwrap();\n',
            ),
        ),
        ("build", "fmt"),
    ),
    Change(
        "a build script writes an ignored file",
        (
            sub(
                "crates/gen/build.rs",
                "fn main() {\n",
                'fn main() {\n    assert!(!std::path::Path::new("made.ignored").exists());\n    std::fs::write("made.ignored", "x").unwrap();\n',
            ),
        ),
        ("build", "clippy", "doc"),
    ),
    Change(
        "a build script looks at DEBUG",
        (
            sub(
                "crates/gen/build.rs",
                "fn main() {\n",
                'fn main() {\n    assert_eq!(std::env::var("DEBUG").unwrap(), "true");\n',
            ),
        ),
        ALL,
        sample=("build",),
    ),
    Change(
        "a build script looks for cargo's directory in the tree",
        (
            sub(
                "crates/gen/build.rs",
                "fn main() {\n",
                'fn main() {\n    assert!(std::env::var("CARGO_TARGET_DIR").is_err());\n    assert!(std::path::Path::new("../../target").is_dir());\n',
            ),
        ),
        ("build", "clippy"),
    ),
    Change(
        "a build script is told of clippy",
        (
            sub(
                "crates/gen/build.rs",
                "fn main() {\n",
                'fn main() {\n    assert!(std::env::var("CLIPPY_ARGS").is_err());\n',
            ),
        ),
        ("clippy", "doc", "build"),
    ),
    Change(
        "a build script looks at RUSTDOCFLAGS",
        (
            sub(
                "crates/gen/build.rs",
                "fn main() {\n",
                'fn main() {\n    assert!(std::env::var("RUSTDOCFLAGS").is_err());\n',
            ),
        ),
        ("clippy", "doc", "build"),
    ),
    Change(
        "a build script runs make with cargo's jobs",
        (
            sub(
                "crates/gen/build.rs",
                "fn main() {\n",
                'fn main() {\n    std::fs::write(format!("{}/Makefile", std::env::var("OUT_DIR").unwrap()), "all:\\n\\t@true\\n").unwrap();\n    let flags = std::env::var("CARGO_MAKEFLAGS").unwrap();\n    let made = std::process::Command::new("make").current_dir(std::env::var("OUT_DIR").unwrap()).env("MAKEFLAGS", flags).status().unwrap();\n    assert!(made.success());\n',
            ),
        ),
        ("build", "test"),
        sample=("build",),
    ),
)
_MACROS = (
    Change("a file that a macro reads", (put("crates/app/spec.txt", "4\n"),), CODE, sample=("test",)),
    Change("a file that a macro reads is gone", (gone("crates/app/spec.txt"),), (*CODE, *LINT, *DOC)),
    Change("a file that a macro reads is wrong", (put("crates/app/spec.txt", "x\n"),), (*CODE, *OLD)),
    Change("a macro's code", (sub("crates/mac/src/lib.rs", "text.trim()", '"9"'),), CODE),
    Change(
        "a macro panics",
        (
            sub(
                "crates/mac/src/lib.rs",
                "    let top",
                '    panic!("no");\n    #[allow(unreachable_code)]\n    let top',
            ),
        ),
        CODE,
    ),
    Change(
        "a macro reads another crate's source",
        (sub("crates/mac/src/lib.rs", "{top}/spec.txt", "{top}/../base/data/table.txt"),),
        CODE,
    ),
    Change(
        "a macro looks for a directory",
        (
            sub(
                "crates/mac/src/lib.rs",
                "    let text",
                '    assert!(!std::path::Path::new(&format!("{top}/migrations")).exists());\n    let text',
            ),
        ),
        CODE,
    ),
    Change(
        "a directory that a macro looks for",
        (
            sub(
                "crates/mac/src/lib.rs",
                "    let text",
                '    assert!(!std::path::Path::new(&format!("{top}/migrations")).exists());\n    let text',
            ),
            put("crates/app/migrations/1.sql", ""),
        ),
        CODE,
    ),
)
_MANIFESTS = (
    Change(
        "rust-version above the toolchain",
        (_root(f'rust-version = "{MSRV}"', 'rust-version = "1.999"'),),
        (*CODE, *LINT, *DOC, *OLD),
        sample=("msrv",),
    ),
    Change(
        "rust-version below what the code needs, as clippy sees it",
        (
            _root(f'rust-version = "{MSRV}"', 'rust-version = "1.60"'),
            add(
                _LIB,
                "/// Takes an array.\npub fn each() -> std::array::IntoIter<u8, 1> {\n    [1u8].into_iter()\n}\n/// Since 1.70.\npub fn once() -> std::cell::OnceCell<u8> {\n    std::cell::OnceCell::new()\n}\n",
            ),
        ),
        LINT,
    ),
    Change(
        "the edition",
        (
            _root('edition = "2021"', 'edition = "2018"'),
            add(
                _LIB,
                "/// Is a keyword since.\npub fn dynamic() -> Option<u32> {\n    let async_ = 1;\n    u32::try_from(async_).ok()\n}\n",
            ),
        ),
        (*CODE, *FMT),
    ),
    Change("the edition 2024", (_root('edition = "2021"', 'edition = "2024"'),), (*CODE, *LINT, *FMT)),
    Change(
        "a lint table denies",
        (_root("[workspace.lints.rust]\n", '[workspace.lints.rust]\nmissing_docs = "deny"\n'),),
        (*CODE, *LINT, *DOC),
    ),
    Change(
        "a lint table forbids unsafe",
        (
            _root("[workspace.lints.rust]\n", '[workspace.lints.rust]\nunsafe_code = "forbid"\n'),
            add(_LIB, "/// Is unsafe.\npub fn danger() -> u8 {\n    unsafe { 1u8 }\n}\n"),
        ),
        CODE,
    ),
    Change(
        "a lint table of clippy",
        (
            _root(
                "[workspace.lints.rust]\n",
                '[workspace.lints.clippy]\nmust_use_candidate = "deny"\n\n[workspace.lints.rust]\n',
            ),
        ),
        LINT,
    ),
    Change(
        "a package leaves the lint table",
        (sub("crates/base/Cargo.toml", "[lints]\nworkspace = true\n", '[lints.rust]\nunused = "deny"\n'),),
        CODE,
    ),
    Change(
        "default features",
        (
            sub("crates/base/Cargo.toml", "[features]\n", '[features]\ndefault = ["wrong"]\nwrong = []\n'),
            add(_LIB, '#[cfg(feature = "wrong")]\ncompile_error!("wrong");\n'),
        ),
        CODE,
    ),
    Change(
        "the feature asked for needs another",
        (
            sub("crates/base/Cargo.toml", "cpu = []\n", 'cpu = ["wrong"]\nwrong = []\n'),
            add(_LIB, '#[cfg(feature = "wrong")]\ncompile_error!("wrong");\n'),
        ),
        CODE,
    ),
    Change(
        "the feature asked for is gone from one package",
        (sub("crates/base/Cargo.toml", "cpu = []\n", "gpu = []\n"),),
        CODE,
    ),
    Change(
        "the version",
        (sub("crates/base/Cargo.toml", 'version = "0.1.0"', 'version = "0.2.0"'),),
        CODE,
    ),
    Change(
        "the version, and the lock file",
        (sub("crates/base/Cargo.toml", 'version = "0.1.0"', 'version = "0.2.0"'),),
        CODE,
        relock=True,
        sample=("test",),
    ),
    Change("the lock file is gone", (gone("Cargo.lock"),), (*CODE, *DOC)),
    Change(
        "the lock file has one package less",
        (sub("Cargo.lock", '[[package]]\nname = "shared"\nversion = "0.1.0"\n', ""),),
        CODE,
    ),
    Change("the lock file is broken", (put("Cargo.lock", "this is no lock file\n"),), (*CODE, *LINT)),
    Change(
        "a dependency is gone",
        (sub("crates/base/Cargo.toml", "\n[dependencies]\nshared.workspace = true\n", ""),),
        CODE,
        relock=True,
    ),
    Change(
        "a dependency's name is changed",
        (
            sub(
                "crates/app/Cargo.toml",
                'base = { path = "../base" }',
                'ground = { path = "../base", package = "base" }',
            ),
        ),
        ("test", "build"),
    ),
    Change(
        "a new member",
        (
            put("crates/new/Cargo.toml", _manifest("new", "[features]\ncpu = []\n")),
            put("crates/new/src/lib.rs", "pub fn new( {}\n"),
        ),
        CODE,
        relock=True,
    ),
    Change("a member is gone", (gone("crates/app"),), (*CODE, *LINT), relock=True),
    Change("a member is gone that another needs", (gone("crates/dec"),), CODE),
    Change(
        "members are listed",
        (_root('members = ["crates/*"]', 'members = ["crates/base", "crates/mac"]'),),
        ("build", "test"),
        relock=True,
    ),
    Change(
        "a package is excluded",
        (_root('exclude = ["shared"]', 'exclude = ["shared", "crates/app"]'),),
        ("build", "test"),
        relock=True,
    ),
    Change(
        "the excluded package breaks", (sub("shared/src/lib.rs", "    0\n", '    "0"\n'),), CODE, sample=("build",)
    ),
    Change("the excluded package's value", (sub("shared/src/lib.rs", "    0\n", "    1\n"),), CODE),
    Change(
        "a package with a name of its own",
        (
            sub("crates/dec/Cargo.toml", 'name = "dec"', 'name = "declared"'),
            sub(
                "crates/app/Cargo.toml",
                'dec = { path = "../dec" }',
                'dec = { path = "../dec", package = "declared" }',
            ),
        ),
        CODE,
        relock=True,
    ),
    Change(
        "a library with a name of its own",
        (add("crates/base/Cargo.toml", '\n[lib]\nname = "ground"\n'),),
        ("build", "whole"),
    ),
    Change(
        "a library at a path of its own",
        (
            add("crates/dec/Cargo.toml", '\n[lib]\npath = "src/other.rs"\n'),
            put("crates/dec/src/other.rs", "pub const VALUE: u32 = 6;\n"),
        ),
        CODE,
    ),
    Change(
        "test = false",
        (add("crates/base/Cargo.toml", "\n[lib]\ntest = false\n"), put("crates/base/data/runtime.txt", "other\n")),
        ("test",),
    ),
    Change(
        "doctest = false",
        (
            add("crates/base/Cargo.toml", "\n[lib]\ndoctest = false\n"),
            sub(_LIB, "base::total(2), 3", "base::total(2), 4"),
        ),
        WHOLE,
    ),
    Change(
        "harness = false",
        (
            add("crates/base/Cargo.toml", '\n[[test]]\nname = "whole"\nharness = false\n'),
            put("crates/base/tests/whole.rs", "fn main() {\n    std::process::exit(1);\n}\n"),
        ),
        WHOLE,
    ),
    Change(
        "autotests = false",
        (
            sub("crates/base/Cargo.toml", 'version = "0.1.0"\n', 'version = "0.1.0"\nautotests = false\n'),
            sub("crates/base/tests/whole.rs", "5)", "6)"),
        ),
        WHOLE,
    ),
    Change(
        "autobins = false",
        (sub("crates/app/Cargo.toml", 'version = "0.1.0"\n', 'version = "0.1.0"\nautobins = false\n'),),
        ("whole", "build"),
    ),
    Change(
        "autoexamples = false",
        (
            sub("crates/base/Cargo.toml", 'version = "0.1.0"\n', 'version = "0.1.0"\nautoexamples = false\n'),
            add("crates/base/examples/show.rs", "fn x( {}\n"),
        ),
        LINT,
    ),
    Change(
        "required-features",
        (
            add(
                "crates/app/Cargo.toml",
                '\n[[bin]]\nname = "app"\npath = "src/main.rs"\nrequired-features = ["gpu"]\n',
            ),
            sub("crates/app/Cargo.toml", "cpu = []\n", "cpu = []\ngpu = []\n"),
        ),
        ("whole", "build"),
    ),
    Change(
        "the profile aborts",
        (
            _root("opt-level = 0\n", 'opt-level = 0\npanic = "abort"\n'),
            put(
                "crates/app/src/main.rs",
                '#[cfg(panic = "abort")]\ncompile_error!("aborts");\nfn main() {\n    println!("3 5 7");\n}\n',
            ),
        ),
        ("build",),
    ),
    Change(
        "the profile checks no overflow",
        (
            _root("opt-level = 0\n", "opt-level = 0\noverflow-checks = false\n"),
            sub("crates/base/src/shapes.rs", "    n\n", "    n.wrapping_sub(0) + u32::MAX - u32::MAX\n"),
        ),
        ("test",),
    ),
    Change(
        "the profile has no assertions",
        (
            _root("opt-level = 0\n", "opt-level = 0\ndebug-assertions = false\n"),
            add(_LIB, '#[cfg(not(debug_assertions))]\ncompile_error!("no assertions");\n'),
        ),
        CODE,
    ),
    Change("the resolver", (_root('resolver = "2"', 'resolver = "1"'),), CODE),
    Change("a manifest is no TOML", (add("crates/dec/Cargo.toml", "[[[\n"),), (*CODE, *FMT, *DOC)),
    Change(
        "a manifest has an unknown key",
        (sub("crates/dec/Cargo.toml", 'version = "0.1.0"\n', 'version = "0.1.0"\nunknown = 1\n'),),
        CODE,
    ),
    Change(
        "a [patch] of the tree",
        (add("Cargo.toml", '\n[patch.crates-io]\nunused = { path = "shared", package = "shared" }\n'),),
        CODE,
    ),
    Change("a member of its own workspace", (add("crates/dec/Cargo.toml", "\n[workspace]\n"),), CODE),
    Change(
        "a dependency for tests",
        (
            add("crates/dec/Cargo.toml", '\n[dev-dependencies]\nbase = { path = "../base" }\n'),
            add(
                "crates/dec/src/lib.rs",
                "#[cfg(test)]\n#[test]\nfn based() {\n    assert_eq!(base::total(1), 1);\n}\n",
            ),
        ),
        ("test",),
        relock=True,
    ),
    Change(
        "a dependency of one system",
        (
            add("crates/dec/Cargo.toml", "\n[target.'cfg(unix)'.dependencies]\nmac = { path = \"../mac\" }\n"),
            add("crates/dec/src/lib.rs", "/// Seven.\npub const SEVEN: u32 = mac::number!();\n"),
        ),
        CODE,
        relock=True,
    ),
)
_CONFIGURATION = (
    Change("clippy.toml", (put("clippy.toml", "too-many-arguments-threshold = 3\n"),), LINT, sample=("clippy",)),
    Change(
        "clippy.toml of one package", (put("crates/base/clippy.toml", "too-many-arguments-threshold = 3\n"),), LINT
    ),
    Change(".clippy.toml", (put(".clippy.toml", "too-many-arguments-threshold = 3\n"),), LINT),
    Change("clippy.toml is wrong", (put("clippy.toml", "no-such-setting = 3\n"),), LINT),
    Change(
        "clippy.toml disallows a method",
        (put("clippy.toml", 'disallowed-methods = ["std::process::Command::new"]\n'),),
        LINT,
    ),
    Change("clippy.toml's rust-version", (put("clippy.toml", 'msrv = "1.30.0"\n'),), LINT),
    Change("rustfmt.toml", (put("rustfmt.toml", "tab_spaces = 2\n"),), FMT, sample=("fmt",)),
    Change("rustfmt.toml of one package", (put("crates/base/rustfmt.toml", "tab_spaces = 2\n"),), FMT),
    Change(".rustfmt.toml", (put(".rustfmt.toml", "max_width = 40\n"),), FMT),
    Change("rustfmt.toml is wrong", (put("rustfmt.toml", "no_such_setting = 2\n"),), FMT),
    Change(
        "rustflags of the tree",
        (
            put(".cargo/config.toml", '[build]\nrustflags = ["--cfg", "odd"]\n'),
            add(_LIB, '#[cfg(odd)]\ncompile_error!("odd");\n'),
        ),
        ("clippy", "msrv", "whole"),
    ),
    Change(
        "[env] of the tree", (put(".cargo/config.toml", '[env]\nEXTRA = "set"\n'),), (*CODE, *LINT), sample=("test",)
    ),
    Change(
        "[env] of one package's directory", (put("crates/base/.cargo/config.toml", '[env]\nEXTRA = "set"\n'),), CODE
    ),
    Change(
        "an alias of the tree",
        (
            put(".cargo/config.toml", '[alias]\nclippy = "check"\n'),
            sub("crates/base/src/shapes.rs", "    n\n", "    return n;\n"),
        ),
        LINT,
    ),
    Change("the tree's configuration is broken", (put(".cargo/config.toml", "[[[\n"),), ALL),
    Change("the tree's configuration, under its old name", (put(".cargo/config", '[env]\nEXTRA = "set"\n'),), CODE),
    Change(
        "a target directory of the tree's own",
        (put(".cargo/config.toml", '[build]\ntarget-dir = "out.ignored"\n'),),
        ("build", "test", "fmt"),
    ),
    Change(
        "a build directory of the tree's own",
        (put(".cargo/config.toml", '[build]\nbuild-dir = "build.ignored"\n'),),
        ("build", "test", "fmt"),
        sample=("build",),
    ),
    Change("a target of its own", (put(".cargo/config.toml", '[build]\ntarget = "HOST"\n'),), ("build", "test")),
    Change(
        "a runner of the tree", (put(".cargo/config.toml", '[target.HOST]\nrunner = "false"\n'),), ("test", "build")
    ),
    Change("a linker of the tree", (put(".cargo/config.toml", '[target.HOST]\nlinker = "/nowhere"\n'),), CODE),
    Change(
        "a compiler wrapper of the tree",
        (put(".cargo/config.toml", '[build]\nrustc-wrapper = "/nowhere"\n'),),
        ("build", "clippy"),
    ),
    Change(
        "a profile of the tree's configuration",
        (
            put(".cargo/config.toml", "[profile.dev]\ndebug-assertions = false\n"),
            add(_LIB, '#[cfg(not(debug_assertions))]\ncompile_error!("no assertions");\n'),
        ),
        CODE,
    ),
    Change(
        "net.offline in the tree's configuration", (put(".cargo/config.toml", "[net]\noffline = true\n"),), ("build",)
    ),
    Change(
        "a toolchain that is not installed",
        (put("rust-toolchain.toml", '[toolchain]\nchannel = "1.20.0"\n'),),
        ("build",),
    ),
    Change(
        "a toolchain of the tree",
        (put("rust-toolchain.toml", f'[toolchain]\nchannel = "{MSRV}"\n'),),
        ("build", "test"),
    ),
    Change("a toolchain file that is wrong", (put("rust-toolchain.toml", "[toolchain]\n"),), ("build",)),
    Change("a toolchain in the old form", (put("rust-toolchain", f"{MSRV}\n"),), ("build", "fmt")),
)
_SURROUNDINGS = (
    Change("a variable of the gates", (env("EXTRA", "set"),), CODE, sample=("test",)),
    Change(
        "a declared variable of the gates",
        (
            env("DECLARED_EXTRA", "set"),
            sub(
                "crates/dec/build.rs",
                "fn main() {\n",
                'fn main() {\n    assert!(std::env::var("DECLARED_EXTRA").is_err());\n',
            ),
        ),
        CODE,
    ),
    Change(
        "a variable that a test looks at",
        (
            env("OTHER", "set"),
            sub(_LIB, "    fn times() {\n", '    fn times() {\n        assert!(std::env::var("OTHER").is_err());\n'),
        ),
        ("test",),
    ),
    Change(
        "flags of the gates",
        (env("RUSTFLAGS", "--cfg odd"), add(_LIB, '#[cfg(odd)]\ncompile_error!("odd");\n')),
        CODE,
    ),
    Change(
        "a test looks at the variables of make and cargo",
        (
            sub(
                _LIB,
                "    fn times() {\n",
                '    fn times() {\n        for name in ["MAKEFLAGS", "CARGO_MAKEFLAGS", "CARGO_TARGET_DIR", "RUSTC_WRAPPER", "CARGO_PROFILE_DEV_DEBUG"] {\n            assert!(std::env::var(name).is_err(), "{name}");\n        }\n',
            ),
        ),
        ("test",),
        sample=("test",),
    ),
    Change(
        "a backtrace names files",
        (
            sub(
                _LIB,
                "    fn times() {\n",
                '    fn times() {\n        let trace = std::backtrace::Backtrace::force_capture().to_string();\n        assert!(trace.contains("src/lib.rs"), "{trace}");\n',
            ),
        ),
        ("test",),
    ),
    Change(
        "a test binds a socket in cargo's directory",
        (
            add(
                "crates/base/tests/whole.rs",
                '#[test]\nfn socket() {\n    let here = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));\n    std::os::unix::net::UnixListener::bind(here.join("socket")).unwrap();\n}\n',
            ),
        ),
        WHOLE,
    ),
    Change(
        "a test runs cargo in the tree",
        (
            add(
                "crates/base/tests/whole.rs",
                '#[test]\nfn nested() {\n    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixture");\n    let done = std::process::Command::new(env!("CARGO")).arg("build").current_dir(top).status().unwrap();\n    assert!(done.success());\n    assert!(std::path::Path::new(top).join("target/debug").is_dir());\n}\n',
            ),
            put("fixture/Cargo.toml", _manifest("fixture", "\n[workspace]\n")),
            put(
                "fixture/Cargo.lock",
                '# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = 4\n\n[[package]]\nname = "fixture"\nversion = "0.1.0"\n',
            ),
            put("fixture/src/main.rs", "fn main() {}\n"),
        ),
        WHOLE,
    ),
    Change(
        "flags of the configuration outside",
        (outer('[build]\nrustflags = ["--cfg", "odd"]\n'), add(_LIB, '#[cfg(odd)]\ncompile_error!("odd");\n')),
        ("clippy", "msrv"),
    ),
    Change("[env] of the configuration outside", (outer('[env]\nEXTRA = "set"\n'),), CODE),
    Change(
        "a target directory of the configuration outside",
        (outer('[build]\ntarget-dir = "ELSEWHERE"\n'),),
        ("build", "test"),
    ),
    Change("nothing but a commit", (), ("build", "test")),
)
CHANGES: tuple[Change, ...] = (
    *_SOURCES, *_RUN_TIME, *_SCRIPTS, *_MACROS, *_MANIFESTS, *_CONFIGURATION, *_SURROUNDINGS
)  # fmt: skip
