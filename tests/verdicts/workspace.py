"""A small Cargo workspace with something of every kind that can decide a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from support.gating import MSRV


@dataclass(frozen=True)
class File:
    """One path of a tree.

    Attributes:
        content: its bytes, or a link's target.
        mode: git's mode.
    """

    content: bytes
    mode: str = "100644"


Tree = dict[str, File]
"""The files of a commit, by path."""


@dataclass
class World:
    """Input of a gate: a tree, and the settings that are not part of it.

    Attributes:
        tree: the files.
        env: variables that all gates set (`[gates.NAME] env`).
        outer: text of a cargo configuration outside the tree, or "".
        git: settings of the repository, as `git config` takes them.
    """

    tree: Tree
    env: dict[str, str] = field(default_factory=dict)
    outer: str = ""
    git: dict[str, str] = field(default_factory=dict)


def _manifest(name: str, more: str = "") -> str:
    return (
        f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition.workspace = true\nrust-version.workspace = true\n'
        f"\n[lints]\nworkspace = true\n\n[features]\ncpu = []\n{more}"
    )


ROOT = f"""\
[workspace]
resolver = "2"
members = ["crates/*"]
exclude = ["shared"]

[workspace.package]
edition = "2021"
rust-version = "{MSRV}"

[workspace.lints.rust]
unexpected_cfgs = {{ level = "allow" }}

[workspace.dependencies]
shared = {{ path = "shared" }}

[profile.dev]
opt-level = 0
"""
LIB = """\
#![doc = include_str!("../README.md")]

mod nested;
#[path = "odd/place.rs"]
mod place;
mod shapes;

include!("fragment.in");

/// Text that is compiled in.
pub const TABLE: &str = include_str!("../data/table.txt");
/// Bytes that are compiled in.
pub const BYTES: &[u8] = include_bytes!("../data/bytes.bin");
/// A variable of the gate.
pub const EXTRA: Option<&str> = option_env!("EXTRA");
/// The version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Adds up.
///
/// ```
/// assert_eq!(base::total(2), 3);
/// ```
#[must_use]
pub fn total(n: u32) -> u32 {
    nested::one() + place::zero() + shapes::corners(n) + shared::nothing()
}

/// Takes many.
#[must_use]
pub fn many(a: u32, b: u32, c: u32, d: u32, e: u32, f: u32) -> u32 {
    a + b + c + d + e + f
}

#[cfg(feature = "cpu")]
/// Is there with a feature.
pub fn cpu() {}

#[cfg(test)]
mod tests {
    #[test]
    fn total() {
        assert_eq!(super::total(2), 3);
    }

    #[test]
    fn compiled_in() {
        assert_eq!(super::TABLE.trim(), "table");
        assert_eq!(super::BYTES, b"bytes\\n");
        assert_eq!(super::EXTRA, None);
        assert_eq!(super::VERSION, "0.1.0");
        assert_eq!(super::FRAGMENT, 1);
    }

    #[test]
    fn read_at_run_time() {
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let bytes = |name| std::fs::read(top.join(name)).unwrap();
        assert_eq!(bytes("data/runtime.txt"), b"runtime\\n");
        assert_eq!(bytes("data/link.txt"), b"runtime\\n");
        assert_eq!(bytes("data/lines.txt"), b"one\\ntwo\\n");
        assert!(!top.join("data/unwelcome.txt").exists());
    }

    #[test]
    fn mode() {
        use std::os::unix::fs::PermissionsExt;
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let facts = std::fs::metadata(top.join("data/tool.sh")).unwrap();
        assert_eq!(facts.permissions().mode() & 0o111, 0o111);
    }

    #[test]
    fn times() {
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let facts = |name| std::fs::metadata(top.join(name)).unwrap();
        let modified = |name| facts(name).modified().unwrap();
        let second = std::time::Duration::from_secs(1);
        assert!(modified("data/table.txt") + second >= modified("src/lib.rs"));
        assert!(modified("src/lib.rs") + second >= modified("data/table.txt"));
    }
}
"""
MACRO = """\
use proc_macro::TokenStream;

/// Reads a number from a file that no compiler is told of.
#[proc_macro]
pub fn number(_: TokenStream) -> TokenStream {
    let top = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let text = std::fs::read_to_string(format!("{top}/spec.txt")).unwrap();
    format!("{}u32", text.trim()).parse().unwrap()
}
"""
UNDECLARED = """\
//! Declares none of its inputs; works in an empty directory only.
fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::create_dir(format!("{out}/made")).unwrap();
    let schema = std::fs::read_to_string("../../schema/schema.txt").unwrap();
    std::fs::write(
        format!("{out}/generated.rs"),
        format!("pub const GENERATED: u32 = {};\\n", schema.trim()),
    )
    .unwrap();
}
"""
DECLARED = """\
//! Declares its inputs, and makes a directory.
fn main() {
    println!("cargo:rerun-if-changed=inputs");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DECLARED_EXTRA");
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::create_dir(format!("{out}/made")).unwrap();
    let value = std::fs::read_to_string("inputs/value.txt").unwrap();
    std::fs::write(
        format!("{out}/value.rs"),
        format!("pub const VALUE: u32 = {};\\n", value.trim()),
    )
    .unwrap();
    let library = std::fs::read_to_string("src/lib.rs").unwrap();
    if library.contains("FORBIDDEN") {
        panic!("the library says FORBIDDEN");
    }
    assert!(std::env::var("EXTRA").is_err(), "EXTRA is set");
}
"""
FILES: dict[str, str] = {
    "Cargo.toml": ROOT,
    ".gitignore": "/target\n*.ignored\n",
    "README.md": "# Top\n",
    "schema/schema.txt": "7\n",
    "crates/base/Cargo.toml": _manifest("base", "\n[dependencies]\nshared.workspace = true\n"),
    "crates/base/README.md": "Base.\n\n```\nassert_eq!(1 + 1, 2);\n```\n",
    "crates/base/src/lib.rs": LIB,
    "crates/base/src/fragment.in": "/// Included.\npub const FRAGMENT: u32 = 1;\n",
    "crates/base/src/nested.rs": "pub fn one() -> u32 {\n    1\n}\n",
    "crates/base/src/odd/place.rs": "pub fn zero() -> u32 {\n    0\n}\n",
    "crates/base/src/shapes.rs": "pub fn corners(n: u32) -> u32 {\n    n\n}\n",
    "crates/base/data/table.txt": "table\n",
    "crates/base/data/bytes.bin": "bytes\n",
    "crates/base/data/runtime.txt": "runtime\n",
    "crates/base/data/lines.txt": "one\ntwo\n",
    "crates/base/benches/speed.rs": 'fn main() {\n    println!("{}", base::total(1));\n}\n',
    "crates/base/examples/show.rs": 'fn main() {\n    println!("{}", base::total(1));\n}\n',
    "crates/base/tests/whole.rs": "#[test]\nfn whole() {\n    assert_eq!(base::total(4), 5);\n}\n",
    "crates/mac/Cargo.toml": _manifest("mac", "\n[lib]\nproc-macro = true\n"),
    "crates/mac/src/lib.rs": MACRO,
    "crates/gen/Cargo.toml": _manifest("gen"),
    "crates/gen/build.rs": UNDECLARED,
    "crates/gen/src/lib.rs": 'include!(concat!(env!("OUT_DIR"), "/generated.rs"));\n'
    "\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn generated() {\n        assert_eq!(super::GENERATED, 7);\n"
    "    }\n}\n",
    "crates/dec/Cargo.toml": _manifest("dec"),
    "crates/dec/build.rs": DECLARED,
    "crates/dec/inputs/value.txt": "5\n",
    "crates/dec/src/lib.rs": 'include!(concat!(env!("OUT_DIR"), "/value.rs"));\n'
    "\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn value() {\n        assert_eq!(super::VALUE, 5);\n    }\n}\n",
    "crates/app/Cargo.toml": _manifest(
        "app",
        '\n[dependencies]\nbase = { path = "../base" }\ndec = { path = "../dec" }\ngen = { path = "../gen" }\n'
        'mac = { path = "../mac" }\n',
    ),
    "crates/app/spec.txt": "3\n",
    "crates/app/src/lib.rs": "/// The number.\npub const NUMBER: u32 = mac::number!();\n\n#[cfg(test)]\nmod tests {\n"
    "    #[test]\n    fn number() {\n        assert_eq!(super::NUMBER, 3);\n    }\n}\n",
    "crates/app/src/main.rs": 'fn main() {\n    println!("{} {} {}", app::NUMBER, dec::VALUE, gen::GENERATED);\n}\n',
    "crates/app/tests/cli.rs": "#[test]\nfn prints() {\n"
    '    let mut app = std::process::Command::new(env!("CARGO_BIN_EXE_app"));\n    let out = app.output().unwrap();\n'
    '    assert_eq!(String::from_utf8_lossy(&out.stdout), "3 5 7\\n");\n}\n',
    "shared/Cargo.toml": '[package]\nname = "shared"\nversion = "0.1.0"\nedition = "2021"\n',
    "shared/src/lib.rs": "pub fn nothing() -> u32 {\n    0\n}\n",
}
LINKS = {"crates/base/data/link.txt": "runtime.txt"}
PROGRAMS = {"crates/base/data/tool.sh": "#!/bin/sh\n"}


def base_tree() -> Tree:
    """Return the workspace in which all gates pass, without its lock file."""
    tree = {path: File(text.encode()) for path, text in FILES.items()}
    tree |= {path: File(target.encode(), "120000") for path, target in LINKS.items()}
    tree |= {path: File(text.encode(), "100755") for path, text in PROGRAMS.items()}
    return tree
