"""Settings outside a tree that can decide a verdict: a receipt counts only with the same ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.domain.stack import GateSettings
from trunkline.gates import slots
from trunkline.gates.catalogue import catalogue
from trunkline.gates.outer_settings import outer_settings
from trunkline.gates.proof import Surroundings
from trunkline.git.checkout_settings import CheckoutSettings

LFS = {"filter.lfs.smudge": "sh -c smudge", "filter.lfs.clean": "sh -c clean", "filter.lfs.required": "true"}


@pytest.fixture
def now(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Return the function that hashes the settings for the tree of HEAD."""
    for name in ("LD_LIBRARY_PATH", "LIBRARY_PATH", "PKG_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    repo.commit("one", {"a.txt": "one\n"})
    return lambda: outer_settings(repo.adapter, repo.adapter.tree(repo.head()))


@pytest.mark.parametrize(
    ("values", "attributes", "umask"),
    [
        pytest.param({"core.autocrlf": "true"}, "", 0o022, id="line ends"),
        pytest.param({"core.eol": "CRLF"}, "", 0o022, id="line ends of text"),
        pytest.param({"core.symlinks": "false"}, "", 0o022, id="no links"),
        pytest.param(LFS, "", 0o022, id="a filter that the tree names"),
        pytest.param({"filter.other.process": "x"}, "*.bin filter=other\n", 0o022, id="a filter that the user names"),
        pytest.param({}, "*.rs text eol=crlf\n", 0o022, id="attributes"),
        pytest.param({}, "[attr]mine -diff\n", 0o022, id="a macro"),
        pytest.param({}, "", 0o027, id="umask"),
    ],
)
def test_settings_that_change_a_checkout(values: dict[str, str], attributes: str, umask: int) -> None:
    """Each of them changes the files of a tree, or their modes."""
    assert CheckoutSettings(values, (attributes,), umask).effect(frozenset({"lfs"})) != ""


@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        pytest.param({"core.autocrlf": "input", "core.eol": "lf", "core.symlinks": "true"}, "", id="as without them"),
        pytest.param({"core.filemode": "true", "core.ignorecase": "no"}, "", id="as git init sets them"),
        pytest.param({name: value for name, value in LFS.items() if "smudge" not in name}, "", id="only for commits"),
        pytest.param({"filter.other.smudge": "x"}, "", id="a filter that nothing names"),
        pytest.param({}, "# text\n*.rs diff=rust merge=union\n", id="attributes of diffs and merges"),
    ],
)
def test_settings_without_effect_on_a_checkout(values: dict[str, str], attributes: str) -> None:
    """Receipts of machines that differ in these settings remain comparable."""
    for umask in (0o022, 0o002):
        assert CheckoutSettings(values, (attributes,), umask).effect(frozenset({"lfs"})) == ""


def test_a_filter_program_that_is_installed_later() -> None:
    """Git writes the file unfiltered as long as the program of an optional filter is missing."""
    missing = CheckoutSettings({"filter.lfs.smudge": "no-such-program"}, (), 0o022).effect(frozenset({"lfs"}))
    assert len({missing, CheckoutSettings(LFS, (), 0o022).effect(frozenset({"lfs"}))}) == 2


def test_settings_of_git_are_part_of_the_hash(repo: Repo, now: Callable[[], str]) -> None:
    """Configuration and attribute files, as git reads them; a filter only once the tree names it."""
    found = [now()]
    assert found == [""], "nothing is set"
    repo.git("config", "core.autocrlf", "true")
    found.append(now())
    repo.git("config", "core.autocrlf", "false")
    (repo.path / ".git/info").mkdir(exist_ok=True)
    (repo.path / ".git/info/attributes").write_text("*.txt text eol=crlf\n")
    found.append(now())
    (repo.path / ".git/info/attributes").unlink()
    repo.git("config", "filter.lfs.smudge", "cat")
    assert now() == "", "no attribute file of the tree names the filter"
    repo.commit("lfs", {".gitattributes": "*.txt filter=lfs\n"})
    found.append(now())
    assert len(set(found)) == len(found)


def test_paths_of_libraries_are_part_of_the_hash(now: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A build script finds another library by them; the target directory is emptied, too."""
    found = {now()}
    for name in ("LD_LIBRARY_PATH", "LIBRARY_PATH", "PKG_CONFIG_PATH"):
        monkeypatch.setenv(name, "/opt/lib")
        found.add(now())
    assert len(found) == 4


def test_the_configuration_above_work_trees_with_short_paths(
    repo: Repo, now: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the path of the state directory is too long, cargo reads what is above the other place."""
    monkeypatch.setenv("TRUNKLINE_STATE_DIR", str(tmp_path / ("long" * 25)))
    monkeypatch.setenv("TRUNKLINE_GATES_DIR", str(tmp_path / "short/gates"))
    assert slots.first_place(repo.adapter).is_relative_to(tmp_path / "short")
    (tmp_path / "short/.cargo").mkdir(parents=True)
    assert now() == ""
    (tmp_path / "short/.cargo/config.toml").write_text('[build]\nrustflags = ["--cfg", "x"]\n')
    assert now() != ""


@pytest.mark.cargo
@pytest.mark.parametrize("path", ["a/rust-toolchain", "rust-toolchain.toml", "a/b/rust-toolchain.toml"])
@pytest.mark.parametrize("link", [False, True])
def test_the_toolchain_file_of_a_tree(repo: Repo, path: str, link: bool) -> None:  # noqa: FBT001 -- a table
    """In any directory above the workspace, also as a link: what rustup finds in the gates' work tree."""
    gate = next(iter(catalogue(GateSettings(root="a/b"))))
    text = '[toolchain]\nchannel = "1.0.0"\n'
    repo.commit("one", {"a/b/Cargo.toml": "[workspace]\n"})
    surroundings = Surroundings(repo.adapter)
    before = surroundings.toolchain(gate, repo.adapter.tree(repo.head()), "a/b")
    if link:
        (repo.path / path).symlink_to("../" * path.count("/") + "toolchain.toml")
    repo.commit("two", {"toolchain.toml" if link else path: text})
    assert surroundings.toolchain(gate, repo.adapter.tree(repo.head()), "a/b") != before, "1.0.0 is not installed"
