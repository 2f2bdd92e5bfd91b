"""`invoke receipts` and `invoke gates --stack`: the evidence listed, verified, signed, shared; a table of a stack."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.gating import FILES, Bench
from support.keys import ssh_key
from support.killing import Yard
from support.landing import Ran
from support.repo import Repo
from support.templates import copied

STACK = """\
schema = 1
[gates]
features = []
{more}
[gates.build]
run = ["sh", "-c", "! grep -q broken README.md"]
[gates.test]
run = ["true"]
[gates.clippy]
run = ["true"]
[gates.fmt]
run = ["true"]
[gates.doc]
run = ["true"]
[gates.msrv]
run = ["true"]
[[entry]]
pr = 1
branch = "feat/one"
[[entry]]
pr = 2
branch = "feat/two"
[[entry]]
pr = 3
branch = "feat/three"
"""
TASKS = "from trunkline.tasks import namespace as ns\n\n__all__ = ['ns']\n"


Invoke = Callable[..., Ran]


@pytest.fixture
def invoke(grounds: Yard) -> Invoke:
    """Return a function that runs invoke in a checkout."""

    def run(repo: Repo, *arguments: str) -> Ran:
        return grounds.run(arguments, cwd=repo.path, env=os.environ)

    return run


def stack_on(root: Path, *, more: str = "") -> Repo:
    """Return a clone whose stack has two entries here (the upper one broken) and a third that is not."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(root / "remote.git")], check=True)
    repo = Repo.create(root / "repo")
    repo.git("remote", "add", "origin", str(root / "remote.git"))
    repo.commit("start", {**FILES, "stack.toml": STACK.format(more=more), "tasks.py": TASKS, "README.md": "fine\n"})
    repo.git("switch", "--quiet", "-c", "feat/one")
    repo.commit("one", {"src/one.rs": "//! One.\n"})
    repo.git("switch", "--quiet", "-c", "feat/two")
    repo.commit("two", {"README.md": "broken\n"})
    repo.git("push", "--quiet", "origin", "main", "feat/one", "feat/two")
    return repo


@pytest.fixture
def gated(invoke: Invoke, tmp_path: Path) -> Repo:
    """Return that clone, gated: the trees, and so the receipts, are the same in every test."""

    def build(root: Path) -> None:
        assert invoke(stack_on(root), "gates", "--stack").code == 1

    copied(build, tmp_path)
    repo = Repo(tmp_path / "repo")
    repo.git("remote", "set-url", "origin", str(tmp_path / "remote.git"))
    return repo


def test_a_stack_is_gated_bottom_up_into_a_table(invoke: Invoke, tmp_path: Path) -> None:
    """Every entry is gated, a failure stops none; the table has entries x gates; then receipts cost nothing."""
    repo = stack_on(tmp_path)
    ran = invoke(repo, "gates", "--stack")
    assert ran.code == 1
    rows = {line.split()[0]: line for line in ran.out.splitlines() if line.startswith("#")}
    assert rows["#1"].count("✓") == 6
    assert (rows["#2"].count("✓"), rows["#2"].count("✗")) == (5, 1)
    assert "no branch" in rows["#3"]
    assert "1 of 3 entries did not pass every gate" in ran.err
    assert ran.err.endswith("next: invoke gates --pr 2\n"), "without a noxfile.py"
    again = json.loads(invoke(repo, "gates", "--all", "--json").out)
    first, second, third = again["entries"]
    assert all(outcome["reused"] for outcome in first["outcomes"])
    assert [outcome["verdict"] for outcome in second["outcomes"]].count("failed") == 1
    assert third["commit"] is None
    assert again["exit_code"] == 1


def test_receipts_are_listed_and_verified(invoke: Invoke, gated: Repo) -> None:
    """The list shows each; verify sees a flipped bit in a receipt and in a log, names the file, and exits 1."""
    repo = gated
    listed = invoke(repo, "receipts")
    assert listed.code == 0
    assert sum(line.startswith("✓") for line in listed.out.splitlines()) == 11
    assert invoke(repo, "receipts.verify").code == 0
    receipts = Bench(repo).receipts()
    content = receipts[0].read_bytes()
    receipts[0].write_bytes(content[:-20] + b"?" + content[-19:])
    verified = invoke(repo, "receipts.verify")
    assert verified.code == 1
    assert f"{receipts[0]}: its content does not match its name" in verified.err
    receipts[0].write_bytes(content)
    log = next(receipts[0].parent.glob("*.log"))
    log.write_bytes(log.read_bytes() + b"x")
    wrong = json.loads(invoke(repo, "receipts.verify", "--json").out)
    assert "its log does not match its checksum" in {each["problem"] for each in wrong["receipts"]}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return an SSH key pair's private half."""
    return ssh_key(tmp_path / "key")


def clone(root: Path, name: str) -> Repo:
    """Clone the remote as somebody else does."""
    subprocess.run(
        ["git", "clone", "--quiet", "-b", "feat/two", str(root / "remote.git"), str(root / name)], check=True
    )
    other = Repo(root / name)
    other.git("branch", "--quiet", "feat/one", "origin/feat/one")
    return other


def test_signed_receipts_prove_something_elsewhere(invoke: Invoke, tmp_path: Path, key: Path) -> None:
    """Receipts that are signed, pushed as notes and pulled prove the gates where the signer is trusted."""
    signers = tmp_path / "signers"
    signers.write_text(f"tess@example.invalid {Path(f'{key}.pub').read_text()}")
    repo = stack_on(tmp_path, more=f'sign = "{key}"\nsigners = "{signers}"')
    invoke(repo, "gates", "--stack")
    listed = json.loads(invoke(repo, "receipts.verify", "--json").out)
    assert {each["signed"] for each in listed["receipts"]} == {"tess@example.invalid"}
    pushed = invoke(repo, "receipts.push")
    assert "12 receipts: pushed" in pushed.out, pushed.out + pushed.err
    assert "the remote is up to date" in invoke(repo, "receipts.push").out
    other = clone(tmp_path, "other")
    pulled = json.loads(invoke(other, "receipts.pull", "--json").out)
    assert (pulled["taken"], pulled["untrusted"]) == (12, 0)
    entries = json.loads(invoke(other, "gates", "--stack", "--json").out)["entries"]
    assert all(outcome["reused"] for outcome in entries[0]["outcomes"])


def test_unsigned_receipts_of_others_prove_nothing(invoke: Invoke, gated: Repo, tmp_path: Path) -> None:
    """Everybody with write access can push a note: a receipt without a trusted signature does not count."""
    invoke(gated, "receipts.push")
    other = clone(tmp_path, "other")
    pulled = json.loads(invoke(other, "receipts.pull", "--json").out)
    assert (pulled["taken"], pulled["untrusted"]) == (0, 12)
    assert "no receipt yet" in invoke(other, "receipts").out


def test_notes_of_two_people_are_united(invoke: Invoke, gated: Repo, tmp_path: Path) -> None:
    """Both push; neither overwrites the other: the remote's note has the lines of both."""
    repo = gated
    other = clone(tmp_path, "other")
    invoke(other, "gates", "--stack")
    assert invoke(repo, "receipts.push").code == 0
    assert invoke(other, "receipts.push").code == 0
    notes = Repo(tmp_path / "remote.git").git("notes", "--ref=refs/notes/trunkline", "show", repo.head("feat/one"))
    assert len(notes.splitlines()) == 12
    assert len({json.loads(line)["name"] for line in notes.splitlines()}) == 12
