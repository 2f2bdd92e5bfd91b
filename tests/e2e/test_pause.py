"""Conflicts: the pause, `invoke continue`, `invoke abort`; no work is lost on any of the ways."""

from __future__ import annotations

import contextlib
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.landing import SLUG, Landing
from support.repo import Repo

pytestmark = pytest.mark.gh


@pytest.fixture
def conflicting(landing: Landing) -> Landing:
    """Trunk changed what #519's second commit changes; its first applies."""
    landing.author.git("switch", "--quiet", "main")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    landing.author.commit("trunk edits lib", {"src/lib.rs": "//! Trunk's own.\n"}, author="Mallory")
    landing.push_as_author("main")
    return landing


def pause(landing: Landing) -> Path:
    """Run into the conflict and return the work tree that waits."""
    ran = landing.invoke("rebase", "--pr", "519", "--json")
    assert ran.code == 3, ran.out + ran.err
    assert ran.json["error"]["next"] == ["invoke continue", "invoke skip", "invoke abort"]
    return landing.waiting_tree()


def resolve(tree: Path, *, add: bool = True) -> None:
    """Resolve the conflict as a person does."""
    (tree / "src/lib.rs").write_text("//! Trunk's own.\n\npub mod arena;\npub mod entry;\n")
    if add:
        Repo(tree).git("add", "src/lib.rs")


def test_a_conflict_pauses_and_moves_nothing(conflicting: Landing) -> None:
    """Exit 3: files and work tree are named, last lines are the two commands, no branch moved."""
    before = conflicting.world()
    ran = conflicting.invoke("rebase", "--pr", "519")
    assert ran.code == 3
    assert "src/lib.rs" in ran.err
    assert "/replay/" in ran.err
    assert ran.err.rstrip().splitlines()[-3:] == [f"next: invoke {task}" for task in ("continue", "skip", "abort")]
    assert "in #519 feat/two" in ran.err
    after = conflicting.world()
    created = after["refs"].pop("refs/heads/feat/two")  # the local branch is made at the remote's tip, no more
    assert created == conflicting.heads[519]
    assert after == before


def test_a_resolution_that_changes_nothing_is_left_out_on_request(conflicting: Landing) -> None:
    """With --drop-emptied, a commit resolved to trunk's content is dropped; the resumed run keeps the flag."""
    assert conflicting.invoke("rebase", "--pr", "519", "--drop-emptied").code == 3
    tree = conflicting.waiting_tree()
    Repo(tree).git("checkout", "--quiet", "origin/main", "--", "src/lib.rs")
    ran = conflicting.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert "left out: " in ran.out
    assert conflicting.clone.subjects("origin/main..feat/two") == ["entry struct"]
    assert conflicting.pr(519)["draft"] is False


def test_a_resolution_that_leaves_nothing_stops(landing: Landing) -> None:
    """All of #520 resolved away with --drop-emptied: its pull request would be closed for good, so nothing moves."""
    assert landing.invoke("rebase", "--pr", "519").code == 0
    landing.github.merge(SLUG, 519, method="squash", delete_branch="web")
    landing.author.git("switch", "--quiet", "main")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    landing.author.commit("trunk evicts", {"src/evict.rs": "//! Trunk's own.\n"}, author="Mallory")
    landing.push_as_author("main")
    before = landing.remote_head("feat/three")
    assert landing.invoke("rebase", "--pr", "520", "--drop-emptied").code == 3
    Repo(landing.waiting_tree()).git("checkout", "--quiet", "origin/main", "--", "src/evict.rs")
    ran = landing.invoke("continue")
    assert ran.code == 5, ran.out + ran.err
    assert "nothing would be left of #520" in ran.err
    assert "next: invoke abort\nnext: gh pr close 520\n" in ran.err
    assert landing.remote_head("feat/three") == before
    assert landing.invoke("abort").code == 0


@pytest.mark.parametrize("how", ["commit", "cherry-pick"])
def test_continue_after_a_person_committed(conflicting: Landing, how: str) -> None:
    """`git commit` or `git cherry-pick --continue` in the work tree is as good as `git add`."""
    tree = pause(conflicting)
    resolve(tree)
    command = ["commit", "--no-edit"] if how == "commit" else ["cherry-pick", "--continue"]
    Repo(tree).git(*command, env={"GIT_EDITOR": "true"})
    ran = conflicting.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert conflicting.clone.subjects("origin/main..feat/two") == ["entry struct", "use the arena"]


def test_continue_refuses_what_is_not_resolved(conflicting: Landing) -> None:
    """Unstaged, with markers, or changed after staging: exit code 3 with the file; `continue` can be repeated."""
    tree = pause(conflicting)
    ran = conflicting.invoke("continue")
    assert (ran.code, "not resolved yet, or not added: src/lib.rs" in ran.err) == (3, True)
    Repo(tree).git("add", "src/lib.rs")
    ran = conflicting.invoke("continue")
    assert (ran.code, "conflict markers are left in src/lib.rs" in ran.err) == (3, True)
    resolve(tree)
    (tree / "src/entry.rs").write_text("// forgotten\n")
    ran = conflicting.invoke("continue")
    assert (ran.code, "changed but not added: src/entry.rs" in ran.err) == (3, True)
    Repo(tree).git("add", "--all")
    assert conflicting.invoke("continue").code == 0
    assert "forgotten" in conflicting.clone.git("show", "feat/two:src/entry.rs")


def test_a_new_rebase_does_not_run_over_a_pause(conflicting: Landing) -> None:
    """While a conflict waits, rebase ends with exit code 3 and starts no other run."""
    tree = pause(conflicting)
    resolve(tree, add=False)
    for dry in ((), ("--dry-run",)):
        ran = conflicting.invoke("rebase", "--pr", "519", *dry)
        assert (ran.code, "is paused" in ran.err, str(tree) in ran.err) == (3, True, True)
    assert "Trunk's own" in (tree / "src/lib.rs").read_text()


def test_abort_goes_back_and_keeps_the_resolution(conflicting: Landing) -> None:
    """`abort` restores the branch, removes the work tree and keeps the resolution under a backup ref."""
    before = conflicting.invoke("switch", "--pr", "519")
    assert before.code == 0
    tip = conflicting.clone.head("feat/two")
    tree = pause(conflicting)
    resolve(tree)
    ran = conflicting.invoke("abort", "--json")
    assert ran.code == 0, ran.err
    assert conflicting.clone.head("feat/two") == tip
    assert not tree.exists()
    kept = ran.json["outcome"]["data"]["kept"]
    assert "pub mod entry;" in conflicting.clone.git("show", f"{kept}:src/lib.rs")
    assert conflicting.clone.git("status", "--porcelain") == ""
    assert conflicting.invoke("abort").out.strip() == "nothing to abort: no run is open"


def test_abort_after_a_failed_gate_restores_the_branch(landing: Landing) -> None:
    """The branch was rebased, a gate failed: abort brings the old tip back; nothing had been pushed."""
    landing.author.git("switch", "--quiet", "main")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    text = (landing.clone.path / "stack.toml").read_text().replace('run = ["true"]', 'run = ["false"]', 1)
    (landing.clone.path / "stack.toml").write_text(text)
    landing.clone.git("branch", "--quiet", "feat/two", "origin/feat/two")
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "build failed" in ran.err) == (1, True)
    assert ran.err.rstrip().splitlines()[-1] == "next: invoke continue"
    assert landing.remote_head("feat/two") == landing.heads[519]
    assert landing.clone.head("feat/two") != landing.heads[519]
    assert landing.invoke("abort").code == 0
    assert landing.clone.head("feat/two") == landing.heads[519]


def test_abort_leaves_what_it_did_not_do(landing: Landing) -> None:
    """The branch moved after the run stopped: abort leaves it, and ends the run."""
    path = landing.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('run = ["true"]', 'run = ["false"]', 1))
    assert landing.invoke("rebase", "--pr", "519").code == 1
    landing.clone.git("switch", "--quiet", "feat/two")
    mine = landing.clone.commit("mine, after", {"mine.txt": "m\n"})
    landing.clone.git("switch", "--quiet", "main")
    ran = landing.invoke("abort")
    assert (ran.code, "before the run there was none" in ran.out) == (0, True), ran.out + ran.err
    assert landing.clone.head("feat/two") == mine
    kept = landing.clone.git("for-each-ref", "--points-at", landing.heads[519], "refs/trunkline/backup/")
    assert kept.endswith("/feat/two")
    assert landing.invoke("abort").out.strip() == "nothing to abort: no run is open"


def test_a_second_conflict_pauses_again(landing: Landing) -> None:
    """Two commits conflict one after the other: each gets its pause, and the run ends with both resolved."""
    landing.author.git("switch", "--quiet", "main")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    files: dict[str, str | None] = {"src/lib.rs": "//! Trunk.\n", "src/entry.rs": "//! Trunk.\n"}
    landing.author.commit("trunk edits both", files)
    landing.push_as_author("main")
    tree = pause(landing)
    (tree / "src/entry.rs").write_text("//! Both.\n")
    Repo(tree).git("add", "--all")
    ran = landing.invoke("continue")
    assert (ran.code, "src/lib.rs" in ran.err) == (3, True)
    resolve(tree)
    ran = landing.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert "2 conflicts resolved by hand" in ran.out
    assert landing.clone.subjects("origin/main..feat/two") == ["entry struct", "use the arena"]


def test_ctrl_c_during_the_gates_is_resumable(landing: Landing) -> None:
    """SIGINT: exit code 130, the gate's process has ended, nothing was pushed; `continue` finishes the run."""
    path = landing.clone.path / "stack.toml"
    good = path.read_text()
    path.write_text(good.replace('run = ["true"]', 'run = ["sleep", "4242"]', 1))
    running = subprocess.Popen(
        [sys.executable, "-m", "invoke", "rebase", "--pr", "519"], cwd=landing.clone.path, env=landing.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: "4242" in processes())
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, out + err
    assert err.rstrip().splitlines()[-2:] == ["next: invoke continue", "next: invoke abort"]
    wait_until(lambda: "4242" not in processes())
    assert landing.remote_head("feat/two") == landing.heads[519]
    path.write_text(good)
    ran = landing.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert landing.pr(519)["draft"] is False


def processes() -> str:
    """Return the command lines of all processes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(found)


def wait_until(true: Callable[[], bool], *, seconds: float = 300) -> None:
    """Wait for something, bounded."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        select.select([], [], [], 0.02)
