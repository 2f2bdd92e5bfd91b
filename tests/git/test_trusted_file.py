"""A stack.toml that comes with a branch is recognised: also one in conflict, and one whose name differs in case."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.config import reading, trust
from trunkline.domain.errors import Refused

OWN = '[gates.build]\nrun = ["evil"]\n'


@pytest.fixture
def clone(tmp_path: Path) -> Repo:
    """Return a clone whose trunk had a stack.toml once, and whose branch `evil` changes it."""
    made = Repo.create(tmp_path / "clone")
    made.commit("adopt", {"stack.toml": "schema = 1\n"})
    made.git("switch", "--quiet", "-c", "evil")
    made.commit("evil", {"stack.toml": OWN})
    made.git("switch", "--quiet", "main")
    made.commit("leave", {"stack.toml": None, "readme": ""})
    return made


def test_a_file_in_conflict_comes_with_a_branch(clone: Repo) -> None:
    """Deleted on trunk and changed on the branch: it is neither in HEAD nor in stage 0 of the index."""
    subprocess.run(["git", "merge", "evil"], cwd=clone.path, capture_output=True, check=False)
    assert (clone.path / "stack.toml").read_text() == OWN
    with pytest.raises(Refused, match="is not trusted"):
        trust.effective(clone.adapter, reading.read(clone.path / "stack.toml"))


def test_a_name_that_differs_in_case(clone: Repo) -> None:
    """On macOS `stack.toml` opens a tracked STACK.toml; the name in the directory is the tracked one."""
    clone.git("switch", "--quiet", "-c", "upper")
    clone.commit("upper", {"STACK.toml": OWN})
    found = reading.StackText(clone.path / "stack.toml", OWN, {"gates": {"build": {"run": ["evil"]}}})
    with pytest.raises(Refused, match="is not trusted"):
        trust.effective(clone.adapter, found)
    assert trust.is_tracked(clone.adapter, found.path)


def test_the_users_own_file(clone: Repo) -> None:
    """The file is in no commit and not in the index, so it came with no branch."""
    (clone.path / "stack.toml").write_text(OWN)
    found = reading.read(clone.path / "stack.toml")
    assert trust.effective(clone.adapter, found) is found


@pytest.mark.parametrize("opened", ["stack.toml", "."])
def test_a_file_that_every_user_can_write(clone: Repo, tmp_path: Path, opened: str) -> None:
    """TRUNKLINE_STACK_FILE names a file outside of the checkout; another user could say what runs, or replace it."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "stack.toml").write_text(OWN)
    (own / opened).chmod(0o777)
    with pytest.raises(Refused, match="can be written by every user") as refused:
        trust.effective(clone.adapter, reading.read(own / "stack.toml"))
    assert refused.value.next_commands == (f"chmod o-w {own / opened}",)
    (own / opened).chmod(0o775)
    assert trust.effective(clone.adapter, reading.read(own / "stack.toml")).text == OWN


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user(clone: Repo, tmp_path: Path) -> None:
    """Another user has put it into /tmp before."""
    (tmp_path / "stack.toml").write_text(OWN)
    os.chown(tmp_path / "stack.toml", 1234, 1234)
    with pytest.raises(Refused, match="belongs to user 1234"):
        trust.effective(clone.adapter, reading.read(tmp_path / "stack.toml"))


def test_a_fork_as_origin_that_was_never_fetched(clone: Repo, tmp_path: Path) -> None:
    """The printed command fetches it; its trunk is then known, and the file is not refused for that reason."""
    clone.git("switch", "--quiet", "evil")
    clone.git("remote", "add", "upstream", str(tmp_path / "elsewhere"))
    found = reading.StackText(clone.path / "stack.toml", OWN, {"gates": {"build": {"run": ["evil"]}}})
    with pytest.raises(Refused, match="upstream was never fetched") as refused:
        trust.effective(clone.adapter, found)
    assert refused.value.next_commands == ("git fetch upstream", "invoke trust")
    clone.git("remote", "add", "mine", str(tmp_path / "elsewhere"))
    with pytest.raises(Refused, match="no remote is called origin") as refused:
        trust.effective(clone.adapter, found)
    assert refused.value.next_commands == ("invoke trust",)
    clone.git("remote", "rename", "mine", "origin")
    Repo.create(tmp_path / "elsewhere").commit("theirs", {"stack.toml": "schema = 1\n"})
    with pytest.raises(Refused, match="origin was never fetched") as refused:
        trust.effective(clone.adapter, found)
    assert refused.value.next_commands == ("git fetch origin", "invoke trust")
    clone.git(*refused.value.next_commands[0].split()[1:])
    with pytest.raises(Refused, match="not set on origin/main") as refused:
        trust.effective(clone.adapter, found)
    assert refused.value.next_commands == ("invoke trust",)
