"""Attacks on the state directory by other users and by branches: reading, replacing, redirecting its files."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from support.repo import Repo
from trunkline.commands import ci_workflow
from trunkline.context import open_run
from trunkline.domain.errors import Refused
from trunkline.gates import execute, slots
from trunkline.rust import cargo, lock_file, sources, target_directory, toml_text, units
from trunkline.rust.target_directory import Unit
from trunkline.system.files import private_directory, replace_bytes, write_inside

NOBODY = 65534
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user"
)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Return a directory that everybody can read; not in pytest's: each start of pytest closes those to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@as_root
def test_another_user_reads_the_state(open_directory: Path) -> None:
    """The directory is the user's alone, also where one that all could read was there before."""
    state = open_directory / "state"
    state.mkdir(mode=0o755)
    private_directory(state)
    replace_bytes(state / "journal", b"secret")
    become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    for argv in (("cat", str(state / "journal")), ("ls", str(state)), ("touch", str(state / "mine"))):
        assert subprocess.run([*become, *argv], capture_output=True, check=False).returncode != 0, argv
    assert subprocess.run([*become, "ls", str(open_directory)], capture_output=True, check=False).returncode == 0
    assert (state.stat().st_mode & 0o777, (state / "journal").stat().st_mode & 0o777) == (0o700, 0o600)


@as_root
def test_another_user_has_made_the_directory_before(tmp_path: Path) -> None:
    """A directory of theirs is not used, however it is called."""
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", NOBODY, NOBODY)
    with pytest.raises(Refused, match="belongs to user") as refused:
        private_directory(tmp_path / "state")
    assert refused.value.next_commands == (f"ls -la {tmp_path / 'state'}",)


@as_root
def test_sudo_has_made_the_directory_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a task that ran as root is given to the user."""
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    with pytest.raises(Refused, match="belongs to user 0") as refused:
        private_directory(tmp_path / "state")
    assert refused.value.next_commands == (f'sudo chown -R "$(id -un)" {tmp_path / "state"}',)


@pytest.mark.parametrize("what", ["listdir", "lstat", "open"])
def test_journals_of_root_are_not_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """`sudo` has made them: a run may be paused, so nothing is said to be open or not."""
    journal_file = tmp_path / "runs/20261129T000000.000000-a/journal.jsonl"
    journal_file.parent.mkdir(parents=True)
    journal_file.write_text("")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(journal_file))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open" if what == "lstat" else what, denied)
        if what == "lstat":
            patch.setattr(Path, "lstat", denied)
        with pytest.raises(PermissionError):
            open_run.open_run(tmp_path)
    assert open_run.open_run(tmp_path) is None


def test_everybody_could_replace_the_directory(tmp_path: Path) -> None:
    """A world-writable parent lets others replace the directory; a sticky one, like /tmp, does not."""
    above = tmp_path / "open"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(Refused, match="can be written by every user"):
        private_directory(above / "one" / "state")
    above.chmod(0o1777)
    assert private_directory(above / "one" / "state").is_dir()


@as_root
@pytest.mark.parametrize("name", [".cargo", "Cargo.toml", ".rustfmt.toml", "clippy.toml"])
def test_another_user_puts_settings_of_cargo_above_the_gates(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No gate runs below a directory in which another user left a file that cargo would follow; own files count."""
    above = tmp_path / "open"
    above.mkdir()
    above.chmod(0o1777)
    monkeypatch.setenv("TRUNKLINE_GATES_DIR", str(above / "gates"))
    monkeypatch.setenv("TRUNKLINE_STATE_DIR", str(tmp_path / ("long" * 20)))
    commit = repo.commit("start", {"a.txt": "a\n"})
    (above / name).mkdir() if name == ".cargo" else (above / name).touch()
    with slots.slot(repo.adapter, commit) as slot:
        assert above in slot.of("code").tree.parents
    os.chown(above / name, NOBODY, NOBODY)
    with pytest.raises(Refused, match=f"{name} belongs to user {NOBODY}"), slots.slot(repo.adapter, commit):
        pass


def test_a_toolchain_file_above_the_gates_alone(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate would run with another toolchain than its receipt names; a file above the state directory counts."""
    monkeypatch.setenv("TRUNKLINE_GATES_DIR", str(tmp_path / "project/gates"))
    monkeypatch.setenv("TRUNKLINE_STATE_DIR", str(tmp_path / ("long" * 20)))
    commit = repo.commit("start", {"a.txt": "a\n"})
    (tmp_path / "rust-toolchain.toml").touch()
    with slots.slot(repo.adapter, commit) as slot:
        assert tmp_path / "project" in slot.of("code").tree.parents
    (tmp_path / "project/rust-toolchain").touch()
    with (
        pytest.raises(Refused, match="rust-toolchain would choose the toolchain of the gates"),
        slots.slot(repo.adapter, commit),
    ):
        pass


def test_work_trees_of_gates_are_not_where_everybody_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their usual place is below the home directory."""
    for name in ("TRUNKLINE_GATES_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert slots.far_base() == Path("/home/ada/.cache/trunkline")


def test_a_branch_leads_what_we_write_out_of_the_tree(tmp_path: Path) -> None:
    """A directory of ours that is a link: nothing is written behind it; a file that is a link is replaced."""
    top, elsewhere = tmp_path / "top", tmp_path / "elsewhere"
    (elsewhere / "workflows").mkdir(parents=True)
    repo = Repo.create(top)
    (top / ".github").symlink_to(elsewhere)
    with pytest.raises(Refused, match="is a link"):
        ci_workflow.write(repo.adapter, "text")
    assert list((elsewhere / "workflows").iterdir()) == []
    (elsewhere / "mine").write_text("mine")
    (top / "link").symlink_to(elsewhere / "mine")
    write_inside(top, PurePosixPath("link"), b"ours")
    assert (elsewhere / "mine").read_text() == "mine"
    assert write_inside(top, PurePosixPath("a/b/c"), b"ours").read_bytes() == b"ours"


def test_a_lock_file_without_end() -> None:
    """A Cargo.lock that links to a device has no hash, and reading it does not block."""
    assert execute._sha256(Path("/dev/zero")) == ""
    assert execute._sha256(Path("/dev/tty")) == ""


def test_records_of_the_build_without_end(tmp_path: Path) -> None:
    """Records of cargo, and its configuration, may be links to a device: reading them ends."""
    profile = tmp_path / "target/debug"
    unit = Unit(profile, "tiny", "0123456789abcdef")
    for place in (profile / "deps", unit.build, unit.fingerprint):
        place.mkdir(parents=True)
    (unit.build / "output").symlink_to("/dev/zero")
    (profile / "deps/tiny-0123456789abcdef.d").symlink_to("/dev/zero")
    (unit.fingerprint / "dep-lib-tiny").touch()
    assert target_directory.declared_inputs(unit) is None
    assert target_directory.inputs(profile, [unit]) == {unit: None}
    assert toml_text.read(Path("/dev/zero")) is None
    assert not cargo._has_tests(Path("/dev/zero"))


def test_a_lock_file_that_became_a_link(repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Code of the tree may run as cargo updates the file: what it links to is not committed."""
    (tmp_path / "secret").write_text("secret")

    def update(tree: Path, _folder: Path, *, sandbox: bool) -> bool:
        (tree / "Cargo.lock").unlink()
        (tree / "Cargo.lock").symlink_to(tmp_path / "secret")
        return sandbox

    monkeypatch.setattr(sources, "update_lock", update)
    tree = repo.adapter.tree(repo.commit("start", {"Cargo.lock": "version = 4\n"}))
    assert lock_file.regenerate(repo.adapter, tree, tree, ("Cargo.lock",), sandbox=True) is None


def test_a_build_script_names_the_whole_machine(tmp_path: Path) -> None:
    """Its output may name anything: a directory outside the tree is not walked, a FIFO is not waited for."""
    (tmp_path / "tree/data").mkdir(parents=True)
    (tmp_path / "tree/data/one").touch()
    output = tmp_path / "output"
    output.write_text("cargo:rerun-if-changed=/\ncargo:rerun-if-changed=data\ncargo:rerun-if-changed=../..\n")
    script = units.BuildScript("tiny::build/script", str(tmp_path / "tree"), str(output))
    assert list(units._rerun_files(script, tmp_path / "tree")) == [str(tmp_path / "tree/data/one")]
    output.unlink()
    os.mkfifo(output)
    assert list(units._rerun_files(script, tmp_path / "tree")) == []
    os.mkfifo(tmp_path / "unit.d")
    assert list(units.dependencies(tmp_path / "unit.d")) == []
