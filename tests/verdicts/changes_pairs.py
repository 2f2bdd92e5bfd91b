"""Changes relative to a tree of their own, which is gated just before: most change only Rust sources.

Such a change leaves the rest of the build output valid, so each is a test of what is rebuilt after it.
"""

from __future__ import annotations

from verdicts.changes import CODE, DOC, FMT, LINT, OLD, WHOLE, Change, Edit, add, env, git, gone, link, move, put, sub

_SHAPES = "crates/base/src/shapes.rs"
_LIB = "crates/base/src/lib.rs"
_APP = "crates/app/src/lib.rs"
_FORBIDDEN = (add(_SHAPES, "// FORBIDDEN\n"),)
_WRONG = (sub(_SHAPES, "    n\n", "    n + 1\n"),)


def _nothing(_: object) -> None:
    """Change nothing."""


def _script(*lines: str) -> Edit:
    """Let a build script that declares its inputs do more; `text` is what must not contain FORBIDDEN."""
    body = "".join(f"    {line}\n" for line in (*lines, 'assert!(!text.contains("FORBIDDEN"));'))
    return sub("crates/dec/build.rs", "fn main() {\n", f"fn main() {{\n{body}")


def _macro(path: str = "../base/src/shapes.rs") -> Edit:
    """Let the macro read a source of another package."""
    return sub(
        "crates/mac/src/lib.rs",
        "    let text",
        f'    assert!(!std::fs::read_to_string(format!("{{top}}/{path}")).unwrap().contains("FORBIDDEN"));\n    let text',
    )


def _member(name: str, more: str = "") -> Edit:
    return put(
        f"crates/{name}/Cargo.toml",
        f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n\n[features]\ncpu = []\n{more}',
    )


def _test(body: str) -> Edit:
    """Add an integration test."""
    return put("crates/base/tests/more.rs", f"#[test]\nfn more() {{\n{body}}}\n")


_SCRIPTS = (
    Change(
        "a source that a script reaches by a joined ..",
        _FORBIDDEN,
        ("build",),
        first=(
            _script(
                'let path = std::path::Path::new("..").join("base").join("src");',
                'let text = std::fs::read_to_string(path.join("shapes.rs")).unwrap();',
            ),
        ),
    ),
    Change(
        "a source that a script reaches by pop",
        _FORBIDDEN,
        ("build",),
        first=(
            _script(
                'let mut path = std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap());',
                "path.pop();",
                'let text = std::fs::read_to_string(path.join("base/src/shapes.rs")).unwrap();',
            ),
        ),
    ),
    Change(
        "a source that a script reaches by its working directory",
        _FORBIDDEN,
        ("build",),
        first=(
            _script(
                'std::env::set_current_dir("..").unwrap();',
                'let text = std::fs::read_to_string("base/src/shapes.rs").unwrap();',
                'std::env::set_current_dir("dec").unwrap();',
            ),
        ),
    ),
    Change(
        "a source that a script reaches by a link in its package",
        _FORBIDDEN,
        ("build",),
        first=(
            link("crates/dec/elsewhere", "../base/src"),
            _script('let text = std::fs::read_to_string("elsewhere/shapes.rs").unwrap();'),
        ),
    ),
    Change(
        "a source that a script reaches by a variable of the tree's configuration",
        _FORBIDDEN,
        ("build",),
        first=(
            put(".cargo/config.toml", '[env]\nTOP = { value = "", relative = true }\n'),
            _script(
                'let top = std::env::var("TOP").unwrap();',
                'let text = std::fs::read_to_string(format!("{top}/crates/base/src/shapes.rs")).unwrap();',
            ),
        ),
    ),
    Change(
        "a member's source that the script of the package at the top reads",
        _FORBIDDEN,
        ("build",),
        first=(
            sub("Cargo.toml", "[workspace]\n", '[package]\nname = "top"\nversion = "0.1.0"\n\n[workspace]\n'),
            put("src/lib.rs", "//! The top.\n"),
            put(
                "build.rs",
                'fn main() {\n    println!("cargo:rerun-if-changed=build.rs");\n    let text = std::fs::read_to_string("crates/base/src/shapes.rs").unwrap();\n    assert!(!text.contains("FORBIDDEN"));\n}\n',
            ),
        ),
        relock=True,
        sample=("build",),
    ),
    Change(
        "a source in a directory of another package that a script declares",
        _FORBIDDEN,
        ("build",),
        first=(
            sub("crates/dec/build.rs", "rerun-if-changed=build.rs", "rerun-if-changed=../base/src"),
            _script(
                'let path = concat!("..", "/base/src");',
                'let text = std::fs::read_to_string(format!("{path}/shapes.rs")).unwrap();',
            ),
        ),
    ),
    Change(
        "a source that a module of a script reads",
        _FORBIDDEN,
        ("build",),
        first=(
            put(
                "crates/dec/helper.rs",
                'pub fn read() -> String {\n    std::fs::read_to_string("../base/src/shapes.rs").unwrap()\n}\n',
            ),
            _script("let text = helper::read();"),
            add("crates/dec/build.rs", "mod helper;\n"),
        ),
    ),
    Change(
        "a source that a build dependency of a script reads",
        _FORBIDDEN,
        ("build",),
        first=(
            add("crates/dec/Cargo.toml", '\n[build-dependencies]\nshared = { path = "../../shared" }\n'),
            put(
                "shared/src/lib.rs",
                'pub fn nothing() -> u32 {\n    0\n}\npub fn read() -> String {\n    std::fs::read_to_string("../base/src/shapes.rs").unwrap()\n}\n',
            ),
            _script("let text = shared::read();"),
        ),
        relock=True,
    ),
    Change(
        "a source that a command of a script reads",
        _FORBIDDEN,
        ("build",),
        first=(
            _script(
                'let out = std::process::Command::new("cat").arg("../base/src/shapes.rs").output().unwrap();',
                "let text = String::from_utf8(out.stdout).unwrap();",
            ),
        ),
    ),
    Change(
        "a script generates code from another package's source",
        _WRONG,
        ("test",),
        first=(
            _script(
                'let text = std::fs::read_to_string(std::path::Path::new("..").join("base/src/shapes.rs")).unwrap();',
                'std::fs::write(std::env::var("OUT_DIR").unwrap() + "/copy.rs", &text).unwrap();',
            ),
            add(
                "crates/dec/src/lib.rs",
                '/// A copy.\npub mod copy {\n    include!(concat!(env!("OUT_DIR"), "/copy.rs"));\n    #[test]\n    fn copied() {\n        assert_eq!(corners(2), 2);\n    }\n}\n',
            ),
        ),
    ),
)
_MACROS = (
    Change("a source of another package that a macro reads", _FORBIDDEN, ("build",), first=(_macro(),)),
    Change(
        "a source that a macro reads by a module outside its package",
        _FORBIDDEN,
        ("build",),
        first=(
            put(
                "shared/src/read.rs",
                "pub fn read(path: String) -> String {\n    std::fs::read_to_string(path).unwrap()\n}\n",
            ),
            put(
                "crates/mac/src/lib.rs",
                'use proc_macro::TokenStream;\n\n#[path = "../../../shared/src/read.rs"]\nmod read;\n\n/// A number.\n#[proc_macro]\npub fn number(_: TokenStream) -> TokenStream {\n    let top = std::env::var("CARGO_MANIFEST_DIR").unwrap();\n    assert!(!read::read(format!("{top}/../base/src/shapes.rs")).contains("FORBIDDEN"));\n    "3u32".parse().unwrap()\n}\n',
            ),
        ),
    ),
    Change(
        "a source that a macro reads by an included fragment",
        _FORBIDDEN,
        ("build",),
        first=(
            put(
                "crates/mac/src/read.in",
                "fn read(path: String) -> String {\n    std::fs::read_to_string(path).unwrap()\n}\n",
            ),
            put(
                "crates/mac/src/lib.rs",
                'use proc_macro::TokenStream;\n\ninclude!("read.in");\n\n/// A number.\n#[proc_macro]\npub fn number(_: TokenStream) -> TokenStream {\n    let top = std::env::var("CARGO_MANIFEST_DIR").unwrap();\n    assert!(!read(format!("{top}/../base/src/shapes.rs")).contains("FORBIDDEN"));\n    "3u32".parse().unwrap()\n}\n',
            ),
        ),
    ),
    Change(
        "a source that a macro reads for a test of its own package",
        _FORBIDDEN,
        WHOLE,
        first=(
            _macro(),
            put("crates/mac/spec.txt", "3\n"),
            put("crates/mac/tests/own.rs", "#[test]\nfn own() {\n    assert_eq!(mac::number!(), 3);\n}\n"),
            sub("crates/app/src/lib.rs", "mac::number!()", "3"),
        ),
        sample=WHOLE,
    ),
    Change(
        "a source that a macro reads for a build script",
        _FORBIDDEN,
        ("build",),
        first=(
            _macro(),
            put("crates/dec/spec.txt", "3\n"),
            add("crates/dec/Cargo.toml", '\n[build-dependencies]\nmac = { path = "../mac" }\n'),
            sub("crates/dec/build.rs", "fn main() {\n", "fn main() {\n    assert_eq!(mac::number!(), 3);\n"),
            sub("crates/app/src/lib.rs", "mac::number!()", "3"),
        ),
        relock=True,
    ),
    Change(
        "a source that a macro reads for another macro",
        _FORBIDDEN,
        ("build",),
        first=(
            _macro(),
            put("crates/two/spec.txt", "3\n"),
            _member("two", '\n[lib]\nproc-macro = true\n\n[dependencies]\nmac = { path = "../mac" }\n'),
            put(
                "crates/two/src/lib.rs",
                'use proc_macro::TokenStream;\n\n/// A number.\n#[proc_macro]\npub fn two(_: TokenStream) -> TokenStream {\n    let number = mac::number!();\n    let path = std::fs::metadata("/").unwrap();\n    assert!(path.is_dir());\n    format!("{number}u32").parse().unwrap()\n}\n',
            ),
            sub("crates/app/src/lib.rs", "mac::number!()", "3"),
        ),
        relock=True,
    ),
    Change(
        "a source that a macro reads for a test's dependency",
        _FORBIDDEN,
        ("test",),
        first=(
            _macro(),
            put("crates/dec/spec.txt", "3\n"),
            add("crates/dec/Cargo.toml", '\n[dev-dependencies]\nmac = { path = "../mac" }\n'),
            add("crates/dec/src/lib.rs", "#[test]\nfn three() {\n    assert_eq!(mac::number!(), 3);\n}\n"),
            sub("crates/app/src/lib.rs", "mac::number!()", "3"),
        ),
        relock=True,
    ),
    Change(
        "a variable that a macro reads",
        (env("OTHER", "set"),),
        ("build",),
        first=(
            sub(
                "crates/mac/src/lib.rs", "    let text", '    assert!(std::env::var("OTHER").is_err());\n    let text'
            ),
        ),
    ),
)
_INCLUDED = (
    Change(
        "another package's source, by a linked directory",
        (sub("crates/base/src/odd/place.rs", "0", "9 - 8"),),
        ("test",),
        first=(
            link("crates/app/src/common", "../../base/src/odd"),
            add(
                _APP,
                '#[path = "common/place.rs"]\nmod place;\n\n#[test]\nfn placed() {\n    assert_eq!(place::zero(), 0);\n}\n',
            ),
        ),
    ),
    Change(
        "another package's source, by include!",
        _WRONG,
        ("test",),
        first=(
            add(
                _APP,
                '/// Shapes.\npub mod shapes {\n    include!("../../base/src/shapes.rs");\n\n    #[test]\n    fn cornered() {\n        assert_eq!(corners(2), 2);\n    }\n}\n',
            ),
        ),
    ),
    Change(
        "another package's source, by include_str!",
        _FORBIDDEN,
        ("test",),
        first=(
            add(
                _APP,
                '#[test]\nfn allowed() {\n    assert!(!include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../base/src/shapes.rs")).contains("// FORB"));\n}\n',
            ),
        ),
    ),
    Change(
        "another package's source, for documentation only",
        (add(_SHAPES, '#[cfg(doc)]\ncompile_error!("documented");\n'),),
        DOC,
        first=(
            sub(_LIB, "mod shapes;", "#[cfg(not(doc))]\nmod shapes;"),
            sub(_LIB, " + shapes::corners(n)", " + n"),
            add(_APP, '#[cfg(doc)]\n#[path = "../../base/src/shapes.rs"]\nmod shapes;\n'),
        ),
    ),
    Change(
        "a source with a space and an umlaut in its name",
        (sub("crates/base/src/odd/plä ce.rs", "0", "7"),),
        ("test", "fmt"),
        first=(
            move("crates/base/src/odd/place.rs", "crates/base/src/odd/plä ce.rs"),
            sub(_LIB, "odd/place.rs", "odd/plä ce.rs"),
        ),
    ),
    Change(
        "a source with signs of make and shells in its name",
        (sub("crates/base/src/odd/a#b$c%d:e.rs", "0", "7"),),
        ("test",),
        first=(
            move("crates/base/src/odd/place.rs", "crates/base/src/odd/a#b$c%d:e.rs"),
            sub(_LIB, "odd/place.rs", "odd/a#b$c%d:e.rs"),
        ),
    ),
    Change(
        "a source in a package whose directory has an umlaut",
        (sub("crates/größe 2/src/lib.rs", "3", "4"),),
        ("test",),
        first=(
            _member("big"),
            move("crates/big", "crates/größe 2"),
            put(
                "crates/größe 2/src/lib.rs",
                "//! Big.\n\n#[test]\nfn three() {\n    assert_eq!(3, [0; 3].len());\n}\n",
            ),
        ),
        relock=True,
    ),
    Change(
        "a source of the same size",
        (sub(_SHAPES, "    n\n", "    9\n"),),
        ("test",),
        first=(_nothing,),
    ),
    Change(
        "a pointer of LFS without a filter",
        (put("crates/base/data/bytes.bin", "version https://git-lfs.github.com/spec/v1\n"),),
        ("test",),
        first=(put(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n"),),
    ),
)
_CHECKOUTS = (
    Change("core.autocrlf after a build", (git("core.autocrlf", "true"),), ("test",), first=(_nothing,)),
    Change(
        "core.autocrlf of a file that is only compiled in",
        (git("core.autocrlf", "true"),),
        ("build",),
        first=(
            add(
                _LIB,
                '/// Has no CR.\npub const SIX: [u8; 6] = *include_bytes!("../data/bytes.bin");\n',
            ),
        ),
    ),
    Change(
        "a filter's command",
        (git("filter.upper.smudge", "tr a-z A-Z"), git("filter.upper.clean", "tr A-Z a-z")),
        ("test",),
        first=(
            put(".gitattributes", "table.txt filter=upper\n"),
            git("filter.upper.smudge", "cat"),
            git("filter.upper.clean", "cat"),
        ),
    ),
    Change(
        "a test rewrote a file with its size and time",
        (
            gone("crates/base/tests/more.rs"),
            add(
                "crates/base/tests/whole.rs",
                '#[test]\nfn reads() {\n    assert_eq!(std::fs::read("data/lines.txt").unwrap(), b"one\\ntwo\\n");\n}\n',
            ),
        ),
        WHOLE,
        first=(
            git("core.checkStat", "minimal"),
            git("core.trustctime", "false"),
            _test(
                '    let time = std::fs::metadata("data/lines.txt").unwrap().modified().unwrap();\n    std::fs::write("data/lines.txt", "two\\none\\n").unwrap();\n    let file = std::fs::File::options().write(true).open("data/lines.txt").unwrap();\n    file.set_modified(time).unwrap();\n'
            ),
        ),
    ),
    Change(
        "a test hid a file from git and wrote it",
        (
            gone("crates/base/tests/more.rs"),
            add(
                "crates/base/tests/whole.rs",
                '#[test]\nfn reads() {\n    assert_eq!(std::fs::read("data/lines.txt").unwrap(), b"one\\ntwo\\n");\n}\n',
            ),
        ),
        WHOLE,
        first=(
            _test(
                '    let git = std::process::Command::new("git").args(["update-index", "--skip-worktree", "data/lines.txt"]).status().unwrap();\n    assert!(git.success());\n    std::fs::write("data/lines.txt", "other\\n").unwrap();\n'
            ),
        ),
    ),
    Change(
        "a test asks git for changes",
        (_nothing,),
        WHOLE,
        first=(
            _test(
                '    let git = std::process::Command::new("git").args(["status", "--porcelain"]).output().unwrap();\n    assert_eq!(String::from_utf8_lossy(&git.stdout), "");\n'
            ),
        ),
    ),
    Change(
        "a file committed below target",
        (put("target/kept/kept.txt", "two\n"),),
        ("test", "whole"),
        first=(
            put("target/kept/kept.txt", "one\n"),
            _test('    assert_eq!(std::fs::read_to_string("../../target/kept/kept.txt").unwrap(), "two\\n");\n'),
        ),
    ),
    Change(
        "a test looks for what another gate linked",
        (_nothing,),
        ("build", "test"),
        first=(
            sub(
                _LIB,
                "    fn times() {\n",
                '    fn times() {\n        let debug = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/debug");\n        for name in ["app", "app.d", "libbase.rlib", "libbase.d"] {\n            assert!(!std::path::Path::new(debug).join(name).exists(), "{name}");\n        }\n',
            ),
        ),
    ),
)
_CONFIGURATION = (
    Change(
        "a file that the tree's configuration includes",
        (put("conf/more.toml", '[env]\nEXTRA = "set"\n'),),
        ("test",),
        first=(
            put(".cargo/config.toml", 'include = ["../conf/more.toml"]\n'),
            put("conf/more.toml", '[env]\nOTHER = "set"\n'),
        ),
    ),
    Change(
        "the tree's configuration, in a linked directory",
        (put("conf/config.toml", '[env]\nEXTRA = "set"\n'),),
        ("test",),
        first=(link(".cargo", "conf"), put("conf/config.toml", '[env]\nOTHER = "set"\n')),
    ),
    Change(
        "a linked clippy.toml",
        (put("conf/clippy.toml", "too-many-arguments-threshold = 3\n"),),
        LINT,
        first=(link("clippy.toml", "conf/clippy.toml"), put("conf/clippy.toml", "\n")),
    ),
    Change(
        "a linked rustfmt.toml",
        (put("conf/rustfmt.toml", "tab_spaces = 2\n"),),
        FMT,
        first=(link("rustfmt.toml", "conf/rustfmt.toml"), put("conf/rustfmt.toml", "\n")),
    ),
    Change(
        "rustflags for one system",
        (put(".cargo/config.toml", '[target.\'cfg(unix)\']\nrustflags = ["--cfg", "odd"]\n'),),
        ("clippy", "msrv"),
        first=(add(_LIB, '#[cfg(odd)]\ncompile_error!("odd");\n'),),
    ),
    Change(
        "rustflags of the host and a named target",
        (put(".cargo/config.toml", '[build]\ntarget = "HOST"\nrustflags = ["--cfg", "odd"]\n'),),
        ("clippy", "whole"),
        first=(add("crates/gen/build.rs", '#[cfg(odd)]\ncompile_error!("odd");\n'),),
    ),
    Change(
        "a profile of dependencies of build scripts",
        (add("Cargo.toml", "\n[profile.dev.build-override]\ndebug-assertions = false\n"),),
        ("build",),
        first=(add("crates/gen/build.rs", '#[cfg(not(debug_assertions))]\ncompile_error!("odd");\n'),),
    ),
    Change(
        "a profile of one package",
        (add("Cargo.toml", "\n[profile.dev.package.shared]\ndebug-assertions = false\n"),),
        CODE,
        first=(add("shared/src/lib.rs", '#[cfg(not(debug_assertions))]\ncompile_error!("odd");\n'),),
    ),
    Change(
        "rust-version of one package above the toolchain",
        (sub("crates/dec/Cargo.toml", "rust-version.workspace = true", 'rust-version = "1.999"'),),
        ("build", "msrv"),
        first=(_nothing,),
    ),
    Change(
        "default-features = false no longer",
        (sub("crates/base/Cargo.toml", ", default-features = false", ""),),
        ("build",),
        first=(
            sub(
                "Cargo.toml", 'shared = { path = "shared" }', 'shared = { path = "shared", default-features = false }'
            ),
            add("shared/Cargo.toml", '\n[features]\ndefault = ["wrong"]\nwrong = []\n'),
            add("shared/src/lib.rs", '#[cfg(feature = "wrong")]\ncompile_error!("wrong");\n'),
            sub(
                "crates/base/Cargo.toml",
                "shared.workspace = true",
                'shared = { path = "../../shared", default-features = false }',
            ),
        ),
    ),
)
_TESTS = (
    Change(
        "documentation tests that are ignored, not run, and do not compile",
        (sub(_LIB, "/// ```compile_fail\n", "/// ```\n"),),
        WHOLE,
        first=(
            sub(
                _LIB,
                "/// Adds up.\n",
                '/// Adds up.\n///\n/// ```ignore\n/// nonsense\n/// ```\n///\n/// ```no_run\n/// panic!();\n/// ```\n///\n/// ```compile_fail\n/// let x: u32 = "";\n/// ```\n',
            ),
        ),
    ),
    Change(
        "a library's tests without a harness",
        (add("crates/dec/src/lib.rs", "#[cfg(test)]\nfn main() {\n    std::process::exit(3);\n}\n"),),
        ("test",),
        first=(
            add("crates/dec/Cargo.toml", "\n[lib]\nharness = false\n"),
            sub("crates/dec/src/lib.rs", "#[cfg(test)]\nmod tests", "#[cfg(any())]\nmod tests"),
        ),
    ),
    Change(
        "a test killed by a signal",
        (sub("crates/base/tests/more.rs", "-0", "-9"),),
        WHOLE,
        first=(
            _test(
                '    let id = std::process::id().to_string();\n    std::process::Command::new("kill").args(["-0", &id]).status().unwrap();\n    std::thread::yield_now();\n'
            ),
        ),
    ),
    Change(
        "a test that ends its program with exit code 0",
        (sub("crates/base/tests/more.rs", "exit(1)", "exit(0)"),),
        WHOLE,
        first=(_test("    std::process::exit(1);\n"),),
    ),
    Change(
        "no test", (sub(_LIB, "#[cfg(test)]\nmod tests", "#[cfg(any())]\nmod tests"),), ("test",), first=(_nothing,)
    ),
    Change(
        "a warning where warnings are denied in the source",
        (add(_LIB, "fn unused() {}\n"),),
        (*OLD, "whole"),
        first=(sub(_LIB, "mod nested;", "#![deny(warnings)]\nmod nested;"),),
    ),
    Change(
        "a test lists the top of the tree",
        (put("extra.txt", ""),),
        WHOLE,
        first=(
            _test(
                '    let mut names: Vec<_> = std::fs::read_dir("../..").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();\n    names.sort();\n    assert_eq!(names, [".git", ".gitignore", "Cargo.lock", "Cargo.toml", "README.md", "crates", "schema", "shared", "target"]);\n'
            ),
        ),
    ),
    Change(
        "a test creates a file and reads its input",
        (sub("crates/base/tests/more.rs", "0o644", "0o600"),),
        WHOLE,
        first=(
            _test(
                '    use std::io::Read;\n    use std::os::unix::fs::PermissionsExt;\n    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/new");\n    std::fs::write(path, "").unwrap();\n    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o644);\n    let mut text = String::new();\n    assert_eq!(std::io::stdin().read_to_string(&mut text).unwrap(), 0);\n'
            ),
        ),
    ),
)
PAIRS: tuple[Change, ...] = (*_SCRIPTS, *_MACROS, *_INCLUDED, *_CHECKOUTS, *_CONFIGURATION, *_TESTS)
