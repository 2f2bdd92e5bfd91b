"""SIGKILL before and after every record of the journal: `continue` finishes, `abort` restores, nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.killing import ODD, Kill, Yard, YardLanding, records, warm
from support.landing import BODY, SLUG, Landing, keep_receipts
from support.repo import Repo
from support.soak import SOAK, sample
from trunkline.domain.note import BEGIN, END

pytestmark = [pytest.mark.gh, pytest.mark.slow]

RECORDS = 30
"""Records of the journal of a whole landing; `test_every_record_is_a_point` says when this is no longer so."""
PROCESSES = 120
"""At least the programs that a whole landing runs; a point beyond the last kills nothing."""
POINTS = records(RECORDS)
TORN = [Kill("record", "torn", number) for number in sample(range(RECORDS), 15)]
BETWEEN = [Kill("process", "after", number) for number in sample(range(PROCESSES), 60)]


@pytest.fixture
def landing(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack with #518 merged and receipts for #519's replay; main is checked out, edited."""
    with grounds.prepared("warm", _warm) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


@pytest.fixture
def on_branch(grounds: Yard) -> Iterator[YardLanding]:
    """Return the same with #519's branch checked out, clean but for an untracked file."""
    with grounds.prepared("on branch", _on_branch) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def _warm(landing: Landing) -> None:
    warm(landing)
    (landing.clone.path / "src/lib.rs").write_text("// the user's edit\n")
    (landing.clone.path / "untracked.txt").write_text("mine\n")


def _on_branch(landing: Landing) -> None:
    warm(landing)
    landing.clone.git("switch", "--quiet", "feat/two")
    (landing.clone.path / "untracked.txt").write_text("mine\n")


def checkout(landing: Landing) -> tuple[str, str]:
    """Return what the user sees of the checkout: where HEAD is and what is edited."""
    head = (landing.clone.path / ".git/HEAD").read_text()
    return head, landing.clone.git("status", "--porcelain")


def assert_nothing_left(landing: Landing) -> None:
    """No work tree of a conflict, no lock of git's, no temporary file of ours."""
    assert "/replay/" not in landing.clone.git("worktree", "list", "--porcelain")
    assert list((landing.clone.path / ".git").rglob("*.lock")) == [landing.clone.path / ".git/trunkline/lease.lock"]


def assert_old_tip_kept(landing: Landing) -> None:
    """The branch's old tip has a backup, or is where a branch still is."""
    assert landing.heads[519] in landing.clone.refs().values()
    assert landing.heads[519] in {
        tip for ref, tip in landing.clone.refs().items() if ref.startswith("refs/trunkline/backup/")
    }


def assert_landed(landing: Landing) -> None:
    """The oracle: own commits once, in order, on trunk; here, there and the pull request agree; the note once."""
    landing.clone.git("fetch", "--quiet", "origin", env=landing.environment())
    assert landing.clone.subjects("origin/main..origin/feat/two") == ["entry struct", "use the arena"]
    tip = landing.remote_head("feat/two")
    assert landing.clone.refs()["refs/heads/feat/two"] == tip
    assert landing.clone.git("rev-parse", f"{tip}~2") == landing.remote_head("main")
    pattern = "--format=%an|%ae|%ad|%B"
    assert landing.clone.git("log", pattern, "-2", tip) == landing.author.git("log", pattern, "-2", "feat/two")
    pull = landing.pr(519)
    assert (pull["state"], pull["draft"], pull["base"], pull["head_oid"]) == ("OPEN", False, "main", tip)
    body = pull["body"]
    assert (body.count(BEGIN), body.count(END)) == (1, 1)
    assert body.startswith(BODY)
    assert tip in body.partition(BEGIN)[2]
    assert_old_tip_kept(landing)
    assert_nothing_left(landing)


def assert_as_before(landing: Landing) -> None:
    """The other oracle: branch, remote and pull request as they were before the run."""
    assert landing.clone.refs().get("refs/heads/feat/two", landing.heads[519]) == landing.heads[519]
    assert landing.remote_head("feat/two") == landing.heads[519]
    pull = landing.pr(519)
    assert (pull["state"], pull["draft"], pull["body"]) == ("OPEN", True, BODY)
    assert_nothing_left(landing)


def go_on(landing: Landing) -> None:
    """Continue; where the run had not begun to be one, the task is typed again."""
    ran = landing.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    if "nothing to continue" in ran.out and landing.pr(519)["draft"]:
        ran = landing.invoke("rebase", "--pr", "519")
        assert ran.code == 0, ran.out + ran.err


def test_every_record_is_a_point(landing: YardLanding) -> None:
    """The points below are all there are; their number is printed."""
    assert landing.invoke("rebase", "--pr", "519").code == 0
    (run,) = landing.invoke("log", "--json").json["runs"]
    assert len(run["records"]) == RECORDS
    print(f"points: {len(POINTS)} of records, {len(TORN)} torn, {len(BETWEEN)} of processes")  # noqa: T201


@pytest.mark.parametrize("kill", [*sample(POINTS, 11), *TORN, *BETWEEN], ids=str)
def test_continue_finishes_after_a_kill(landing: YardLanding, kill: Kill) -> None:
    """Killed anywhere: continue ends where an undisturbed run ends, and the checkout is as the user left it."""
    before = checkout(landing)
    ran = landing.kill(kill, "rebase", "--pr", "519")
    assert ran.code == (-9 if kill.what == "record" else ran.code), ran.out + ran.err
    go_on(landing)
    assert checkout(landing) == before
    assert_landed(landing)


@pytest.mark.parametrize("part", sample([0.0, 0.5, 0.99], 3, first=1))
def test_killed_while_git_unpacked_a_fetch(grounds: Yard, part: float) -> None:
    """The commits are there, a part of what they are made of is not: the same command again fetches the rest."""
    with grounds.prepared("not fetched", merged=True) as landing:
        clone, bare = landing.clone, Repo(landing.github.bare(SLUG))
        held, before = landing.clone.head("origin/main"), clone.refs()
        new = [line.split()[0] for line in bare.git("rev-list", "--objects", "main", f"^{held}").splitlines()]
        assert landing.kill(Kill("fetch", "before", 0), "rebase", "--pr", "519").code == -9
        clone.unpack(bare, new[: 1 + int(part * (len(new) - 1))])
        assert clone.git("cat-file", "-t", landing.remote_head("main")) == "commit"
        assert clone.refs() == before
        go_on(landing)
        assert_landed(landing)
        assert "missing" not in clone.git("fsck", "--connectivity-only")


FAULTS = [
    Kill("process", when, number)
    for turn, when in enumerate(ODD)
    for number in sample(range(3, PROCESSES), 110, first=26 * turn)
]


@pytest.mark.parametrize("kill", FAULTS, ids=str)
def test_every_program_may_fail(landing: YardLanding, kill: Kill) -> None:
    """A timeout, a lost response, or an unknown exit code is reported; the run can be resumed and lands."""
    ran = landing.kill(kill, "rebase", "--pr", "519", TRUNKLINE_WAIT_FACTOR="0")
    assert ran.code in {0, 1, 2, 4, 5, 6}, ran.out + ran.err
    assert "Traceback" not in ran.err
    if ran.code:
        assert "\nnext: " in ran.err
        go_on(landing)
    assert_landed(landing)


@pytest.mark.parametrize("kill", sample(POINTS, 21, first=2), ids=str)
def test_abort_restores_after_a_kill(landing: YardLanding, kill: Kill) -> None:
    """Killed anywhere: abort brings branch, remote, draft state and description back."""
    before = checkout(landing)
    landing.kill(kill, "rebase", "--pr", "519")
    ran = landing.invoke("abort")
    assert ran.code == 0, ran.out + ran.err
    assert checkout(landing) == before
    if landing.pr(519)["draft"]:
        assert_as_before(landing)
    else:  # killed after the last record: there was nothing left to abort
        assert kill == Kill("record", "after", RECORDS - 1)


SYSCALLS = [(call, number) for call in ("rename", "unlink", "link", "fsync", "mkdir") for number in range(1, 40)]


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("call", "number"), SYSCALLS)
def test_killed_at_a_system_call(landing: YardLanding, call: str, number: int) -> None:
    """SIGKILL in a system call that changes files, of trunkline or of its git: continue, or typed again."""
    before = checkout(landing)
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    landing.run("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject,
                "trunkline", "rebase", "--pr", "519")  # fmt: skip
    for lock in (landing.clone.path / ".git").rglob("*.lock"):
        if lock.name != "lease.lock":
            lock.unlink()  # as the message tells a person to, once no other git runs
    go_on(landing)
    assert checkout(landing) == before
    assert_landed(landing)


MOVES = [Kill(word, when, 0) for word in ("read-tree", "update-ref") for when in ("before", "after")]
MOVES += [Kill("update-ref", "before", 1), Kill("update-ref", "after", 1)]
"""Around the two commands that move a checkout and its branch; the first `update-ref` makes the backup."""
if SOAK:
    MOVES += [Kill("process", "after", number) for number in range(30, 72)]


@pytest.mark.parametrize("kill", sample(MOVES, 3), ids=str)
def test_a_checkout_that_moves_along_survives_a_kill(on_branch: YardLanding, kill: Kill) -> None:
    """Killed while the user's own checkout follows its branch: continue ends with both at the new tip, clean."""
    assert on_branch.kill(kill, "rebase", "--pr", "519").code == -9
    go_on(on_branch)
    assert_landed(on_branch)
    assert on_branch.clone.git("status", "--porcelain") == "?? untracked.txt"
    assert on_branch.clone.git("branch", "--show-current") == "feat/two"


@pytest.mark.parametrize("kill", sample(MOVES, 3, first=1), ids=str)
def test_a_checkout_goes_back_by_abort(on_branch: YardLanding, kill: Kill) -> None:
    """The same, aborted: branch and checkout are back, clean."""
    assert on_branch.kill(kill, "rebase", "--pr", "519").code == -9
    ran = on_branch.invoke("abort")
    assert ran.code == 0, ran.out + ran.err
    assert on_branch.clone.git("status", "--porcelain") == "?? untracked.txt"
    assert_as_before(on_branch)


@pytest.mark.parametrize("task", ["continue", "abort", "rebase"])
def test_a_checkout_that_git_had_half_moved(on_branch: YardLanding, task: str) -> None:
    """Git itself died in `read-tree`: files are new, the index is old; no command takes them for the user's."""
    index = on_branch.clone.path / ".git/index"
    old = index.read_bytes()
    assert on_branch.kill(Kill("read-tree", "after", 0), "rebase", "--pr", "519").code == -9
    index.write_bytes(old)
    assert on_branch.clone.git("status", "--porcelain") == "?? TRUNK.md\n?? untracked.txt"
    arguments = ("--pr", "519") if task == "rebase" else ()
    ran = on_branch.invoke(task, *arguments)
    assert ran.code == 0, ran.out + ran.err
    assert on_branch.clone.git("status", "--porcelain") == "?? untracked.txt"
    if task != "abort":
        assert_landed(on_branch)


def test_an_edit_over_a_half_moved_checkout_is_not_taken_back(on_branch: YardLanding) -> None:
    """After a kill and an edit by the user, no file is restored over the edit: exit code 5 with the reason."""
    on_branch.kill(Kill("read-tree", "after", 0), "rebase", "--pr", "519")
    mine = on_branch.clone.path / "src/entry.rs"
    mine.write_text("// mine\n")
    ran = on_branch.invoke("continue")
    assert (ran.code, "uncommitted" in ran.err) == (5, True), ran.err
    assert mine.read_text() == "// mine\n"


RESOLVED = "//! Trunk's own.\n\npub mod arena;\npub mod entry;\n"


def _conflict(landing: Landing) -> None:
    """Trunk changes what #519's second commit changes."""
    landing.merge_parent()
    landing.author.git("switch", "--quiet", "main")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    landing.author.commit("trunk edits lib", {"src/lib.rs": "//! Trunk's own.\n"}, author="Mallory")
    landing.push_as_author("main")


def _conflict_with_receipts(landing: Landing) -> None:
    """The same, with receipts for the result of the resolution."""
    _conflict(landing)
    keep_receipts(landing, _resolved)


def _resolved(landing: Landing) -> None:
    assert landing.invoke("rebase", "--pr", "519", "--no-push").code == 3
    resolve(landing)
    ran = landing.invoke("continue")
    assert ran.code == 0, ran.out + ran.err


def _paused(landing: Landing) -> None:
    """The conflict, run into the conflict, which a person has resolved and added."""
    _conflict(landing)
    assert landing.invoke("rebase", "--pr", "519").code == 3
    resolve(landing)


def resolve(landing: Landing, name: str = "src/lib.rs", content: str = RESOLVED) -> None:
    """Resolve the conflict as a person does."""
    (tree,) = [line.split()[1] for line in landing.clone.git("worktree", "list", "--porcelain").splitlines()
               if line.startswith("worktree ") and "/replay/" in line]  # fmt: skip
    (Path(tree) / name).write_text(content)
    Repo(Path(tree)).git("add", name)


@pytest.mark.parametrize("kill", sample([kill for kill in records(12) if kill.number >= 6], 4, first=1), ids=str)
def test_a_kill_around_the_pause(grounds: Yard, kill: Kill) -> None:
    """After a kill just before or after the conflict is journaled, `continue` reaches the pause, and then the end."""
    with grounds.prepared("conflict", _conflict_with_receipts) as landing:
        assert isinstance(landing, YardLanding)
        landing.kill(kill, "rebase", "--pr", "519")
        assert landing.invoke("continue").code == 3
        resolve(landing)
        ran = landing.invoke("continue")
        assert ran.code == 0, ran.out + ran.err
        assert_landed(landing)
        assert landing.clone.git("show", "feat/two:src/lib.rs") == RESOLVED.rstrip("\n")


@pytest.mark.parametrize(
    "kill",
    [*sample(records(9), 8), *[Kill("process", "after", number) for number in sample(range(48), 24, first=12)]],
    ids=str,
)
def test_a_resolution_survives_a_kill(grounds: Yard, kill: Kill) -> None:
    """After a kill of `continue` at any point the next one ends with the same resolution."""
    with grounds.prepared("paused", _paused) as landing:
        assert isinstance(landing, YardLanding)
        landing.kill(kill, "continue")
        ran = landing.invoke("continue")
        assert ran.code == 0, ran.out + ran.err
        assert_landed(landing)
        assert landing.clone.git("show", "feat/two:src/lib.rs") == RESOLVED.rstrip("\n")


@pytest.mark.parametrize("kill", records(6)[1::3], ids=str)
def test_a_resolution_is_kept_by_an_abort_after_a_kill(grounds: Yard, kill: Kill) -> None:
    """`continue` killed, then aborted: all is as before, and what was resolved is under a backup ref."""
    with grounds.prepared("paused", _paused) as landing:
        assert isinstance(landing, YardLanding)
        landing.kill(kill, "continue")
        ran = landing.invoke("abort")
        assert ran.code == 0, ran.out + ran.err
        assert_as_before(landing)
        kept = [ref for ref in landing.clone.refs() if ref.startswith("refs/trunkline/backup/")]
        assert any(landing.clone.git("show", f"{ref}:src/lib.rs") == RESOLVED.rstrip("\n") for ref in kept)


def _both_resolved(landing: Landing) -> None:
    assert landing.invoke("rebase", "--pr", "519", "--no-push").code == 3
    resolve(landing, "src/entry.rs", "//! Both entries.\n")
    assert landing.invoke("continue").code == 3
    resolve(landing)
    ran = landing.invoke("continue")
    assert ran.code == 0, ran.out + ran.err


def _paused_of_two(landing: Landing) -> None:
    """Both own commits conflict; the run waits at the first, which a person has resolved and added."""
    landing.merge_parent()
    landing.author.git("switch", "--quiet", "main")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    both: dict[str, str | None] = {"src/lib.rs": "//! Trunk's own.\n", "src/entry.rs": "//! Trunk's entry.\n"}
    landing.author.commit("trunk edits both", both, author="Mallory")
    landing.push_as_author("main")
    keep_receipts(landing, _both_resolved)
    assert landing.invoke("rebase", "--pr", "519").code == 3
    resolve(landing, "src/entry.rs", "//! Both entries.\n")


@pytest.mark.parametrize(
    "kill",
    [*sample(records(6), 6, first=1), *[Kill("process", "after", n) for n in sample(range(14, 40), 13)]],
    ids=str,
)
def test_the_first_of_two_resolutions_survives_a_kill(grounds: Yard, kill: Kill) -> None:
    """After a kill between two conflicts, with the first work tree removed, the first resolution is kept."""
    with grounds.prepared("paused of two", _paused_of_two) as landing:
        assert isinstance(landing, YardLanding)
        landing.kill(kill, "continue")
        ran = landing.invoke("continue")
        assert (ran.code, "src/lib.rs" in ran.err) == (3, True), ran.out + ran.err
        resolve(landing)
        ran = landing.invoke("continue")
        assert ran.code == 0, ran.out + ran.err
        assert_landed(landing)
        assert landing.clone.git("show", "feat/two:src/lib.rs") == RESOLVED.rstrip("\n")
        assert landing.clone.git("show", "feat/two~1:src/entry.rs") == "//! Both entries."
