"""Code of build scripts that may read files of other packages."""

from __future__ import annotations

import pytest

from trunkline.rust.tree_facts import NAMES_OTHER_PLACES


@pytest.mark.parametrize(
    "code",
    [
        'read("../apart/src")',
        'let path = Path::new("..").join("apart");',
        'let path = concat!(env!("CARGO_MANIFEST_DIR"), "/..", "/apart");',
        "path.pop();",
        'std::env::set_current_dir("/");',
        'let top = std::env::var("TOP");',
        'let top = std::env::var("CARGO_WORKSPACE_DIR");',
        "for (name, value) in std::env::vars() {}",
        "let top = std::env::var(name);",
        'let top = option_env!("PWD");',
        'Path::new(&package).with_file_name("apart")',
        'package.strip_suffix("told")',
        'package.replace("told", "apart")',
        "package.rsplit_once('/')",
        "&package[..package.len() - 4]",
        'read_to_string("/proc/self/cwd/x")',
        "mod helper;",
        'Command::new("git")',
    ],
)
def test_code_that_names_other_places(code: str) -> None:
    """Such a script runs again after any change of a source."""
    assert NAMES_OTHER_PLACES.search(code.encode())


@pytest.mark.parametrize(
    "code",
    [
        'let out = std::env::var("OUT_DIR").unwrap();',
        "for number in 0..9 {}",
        'let os = std::env::var_os("CARGO_CFG_TARGET_OS");',
        'println!("cargo:rustc-env=X={}", env!("CARGO_PKG_NAME"));',
        'println!("cargo:rerun-if-changed=build.rs");',
    ],
)
def test_code_that_stays_in_its_package(code: str) -> None:
    """Such a script runs again only after changes in its package or of its declared inputs."""
    assert not NAMES_OTHER_PLACES.search(code.encode())
