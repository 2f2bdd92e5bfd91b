"""`invoke rebase` and its steps: what a landing does, and what it leaves alone."""

from __future__ import annotations

import fcntl
import json
import shutil

import pytest

from support.landing import BODY, SLUG, Landing
from trunkline.domain.note import BEGIN, END

pytestmark = pytest.mark.gh


def parent_of(landing: Landing, branch: str, count: int) -> str:
    """Return the commit `count` below the remote branch's tip."""
    landing.clone.git("fetch", "--quiet", "origin", env=landing.environment())
    return landing.clone.git("rev-parse", f"origin/{branch}~{count}")


def test_statuses_are_published_on_request(landing: Landing) -> None:
    """One for each gate that a receipt proves, on the pushed commit; once; and they are no CI of GitHub's."""
    path = landing.clone.path / "stack.toml"
    path.write_text(path.read_text().replace("[gates]", "[publish]\nstatuses = true\n\n[gates]", 1))
    ran = landing.invoke("rebase", "--pr", "519", "--yes")
    assert ran.code == 0, ran.out + ran.err
    state = landing.github.state()["repositories"]["octo/tiny"]["statuses"]
    (published,) = state.values()
    assert set(state) == {landing.remote_head("feat/two")}
    assert [each["context"] for each in published] == [
        f"trunkline/{name}" for name in ("build", "test", "clippy", "fmt", "doc", "msrv")
    ]
    assert {each["state"] for each in published} == {"SUCCESS"}
    assert landing.invoke("note", "--pr", "519").code == 0
    assert landing.github.state()["repositories"]["octo/tiny"]["statuses"] == state
    entries = landing.invoke("status", "--json").json["stack"]["entries"]
    assert entries[1]["pull_request"]["checks"] == "no checks"


def test_one_command_lands_the_entry(landing: Landing) -> None:
    """Rebased onto trunk with its own commits only, pushed, retargeted, ready, noted: and the last line is next."""
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    trunk = landing.remote_head("main")
    assert parent_of(landing, "feat/two", 2) == trunk
    assert landing.clone.subjects("origin/main..origin/feat/two") == ["entry struct", "use the arena"]
    assert landing.clone.refs()["refs/heads/feat/two"] == landing.remote_head("feat/two")
    pull = landing.pr(519)
    assert (pull["draft"], pull["base"], pull["state"]) == (False, "main", "OPEN")
    assert pull["head_oid"] == landing.remote_head("feat/two")
    assert ran.out.rstrip().splitlines()[-1] == "next: invoke rebase --pr 520   # once #519 is merged"


def test_the_authors_text_stays_byte_for_byte(landing: Landing) -> None:
    """The note lies between its markers at the end; what the author wrote is what it was."""
    landing.invoke("rebase", "--pr", "519")
    body = landing.pr(519)["body"]
    assert body.startswith(BODY + "\n\n" + BEGIN)
    assert body.endswith(END)
    assert landing.remote_head("feat/two") in body
    assert "**Next in stack:** PR-3 will use `pool.deallocate(entry.block)`." in body


def test_every_old_tip_has_a_backup(landing: Landing) -> None:
    """Before the branch moved, its old tip got a ref of its own."""
    landing.invoke("rebase", "--pr", "519")
    backups = {tip for ref, tip in landing.clone.refs().items() if ref.startswith("refs/trunkline/backup/")}
    assert landing.heads[519] in backups


def test_messages_authors_and_dates_are_kept(landing: Landing) -> None:
    """Own commits keep author, author date and message; the committer is the user."""
    pattern = "--format=%an|%ae|%ad|%B"
    before = landing.author.git("log", "--reverse", pattern, "feat/one..feat/two")
    landing.invoke("rebase", "--pr", "519")
    assert landing.clone.git("log", "--reverse", pattern, "origin/main..feat/two") == before
    assert landing.clone.git("log", "-1", "--format=%cn", "feat/two") == "Tess Tester"


def test_running_it_again_changes_nothing(landing: Landing) -> None:
    """A finished landing repeated: exit 0, no push, no write to GitHub, every gate from its receipt."""
    landing.invoke("rebase", "--pr", "519")
    world, pushes = landing.world(), landing.github.pushes(SLUG)
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    assert landing.world() == world
    assert landing.github.pushes(SLUG) == pushes
    assert "6 from receipts" in ran.out


def test_single_steps_chained_on_one_line(landing: Landing) -> None:
    """The steps alone, chained, end where the whole does."""
    steps = ["verify-merged", "fetch", "switch", "onto", "fmt", "gates", "push", "ready", "note", "checklist", "next"]
    ran = landing.invoke(*[part for step in steps for part in (step, "--pr", "519")])
    assert ran.code == 0, ran.out + ran.err
    assert landing.clone.git("branch", "--show-current") == "feat/two"
    assert landing.clone.git("status", "--porcelain") == ""
    assert landing.pr(519)["draft"] is False
    assert landing.remote_head("feat/two") == landing.clone.head("feat/two")


def test_the_whole_stack_is_read_in_one_round_trip(landing: Landing) -> None:
    """verify-merged sends one request to GitHub for a stack of any height."""
    before = len(landing.github.requests())
    assert landing.invoke("verify-merged", "--pr", "520").code == 5
    asked = landing.github.requests()[before:]
    assert [(request.method, request.path) for request in asked] == [("POST", "/graphql")]


def test_json_is_one_object_on_stdout(landing: Landing) -> None:
    """--json: stdout is one JSON object with every step; progress is on stderr."""
    ran = landing.invoke("rebase", "--pr", "519", "--json", "--no-push")
    message = ran.json
    assert message["exit_code"] == ran.code
    marks = {each["step"]: each["mark"] for each in message["steps"]}
    assert (marks["push"], marks["ready"], marks["note"]) == ("skipped", "skipped", "skipped")
    assert marks["onto"] == "done"
    assert "rebased" in ran.err


def test_no_push_leaves_everything_others_see(landing: Landing) -> None:
    """--no-push: rebased and gated here; the remote and the pull request as they were."""
    before = landing.pr(519)
    ran = landing.invoke("rebase", "--pr", "519", "--no-push")
    assert ran.code == 0, ran.out + ran.err
    assert landing.remote_head("feat/two") == landing.heads[519]
    assert landing.pr(519) == before
    assert landing.clone.head("feat/two") != landing.heads[519]


def test_dry_run_changes_nothing_and_says_what_would(landing: Landing) -> None:
    """--dry-run names the fork point and the exact commands; no ref, file or pull request moves."""
    before, refs = landing.world(), landing.clone.refs()
    ran = landing.invoke("rebase", "--pr", "519", "--dry-run")
    assert ran.code == 0, ran.out + ran.err
    assert f"fork point {landing.heads[518][:7]} (head of #518)" in ran.out
    assert "no conflict" in ran.out
    assert (landing.world(), landing.clone.refs()) == (before, refs)


def test_a_dirty_checkout_of_another_branch_is_left_alone(landing: Landing) -> None:
    """Edits, staged changes, untracked files and HEAD are unchanged; the entry lands."""
    (landing.clone.path / "src/lib.rs").write_text("// edited\n")
    (landing.clone.path / "staged.txt").write_text("staged\n")
    landing.clone.git("add", "staged.txt")
    (landing.clone.path / "untracked.txt").write_text("mine\n")
    before = landing.clone.git("status", "--porcelain", "--branch")
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    after = landing.clone.git("status", "--porcelain", "--branch").replace(" [behind 2]", "")
    assert after == before
    assert (landing.clone.path / "src/lib.rs").read_text() == "// edited\n"


def test_a_clean_checkout_of_the_branch_moves_along(landing: Landing) -> None:
    """On the very branch, clean: files and index follow the branch; untracked files stay."""
    landing.clone.git("switch", "--quiet", "feat/two")
    (landing.clone.path / "untracked.txt").write_text("mine\n")
    assert landing.invoke("rebase", "--pr", "519").code == 0
    assert landing.clone.git("branch", "--show-current") == "feat/two"
    assert landing.clone.git("status", "--porcelain") == "?? untracked.txt"
    assert (landing.clone.path / "TRUNK.md").read_text() == "moved\n"


def test_a_dirty_checkout_of_the_branch_stops_before_anything(landing: Landing) -> None:
    """On the very branch with edits: exit 5, the file is named, nothing moved."""
    landing.clone.git("switch", "--quiet", "feat/two")
    (landing.clone.path / "src/lib.rs").write_text("// edited\n")
    before = landing.world()
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 5
    assert "src/lib.rs" in ran.err
    assert landing.world() == before


def test_an_untracked_file_in_the_way_stops_before_the_branch_moves(landing: Landing) -> None:
    """A file of the user's where trunk has one now is not overwritten."""
    landing.clone.git("switch", "--quiet", "feat/two")
    (landing.clone.path / "TRUNK.md").write_text("mine\n")
    before = landing.world()
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 5
    assert "TRUNK.md" in ran.err
    assert landing.world() == before
    assert (landing.clone.path / "TRUNK.md").read_text() == "mine\n"


def test_a_branch_checked_out_elsewhere_is_not_moved(landing: Landing, tmp_path: object) -> None:
    """Another work tree has the branch: exit 5, it is named."""
    landing.clone.git("worktree", "add", "--quiet", f"{tmp_path}/other", "feat/two")
    before = landing.world()
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "other" in ran.err) == (5, True)
    assert landing.world() == before


@pytest.mark.parametrize("method", ["squash", "rebase", "merge"])
def test_every_way_a_parent_is_merged(open_stack: Landing, method: str) -> None:
    """Squash, rebase or merge commit, the branch kept: two own commits on trunk, base main.

    The scenarios `*-parent.txt` do the same with the branch deleted.
    """
    open_stack.merge_parent(method, delete="keep")
    ran = open_stack.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    word = {"squash": "squash-merged", "rebase": "rebase-merged", "merge": "#518 merged"}[method]
    assert word in ran.out
    open_stack.clone.git("fetch", "--quiet", "origin", env=open_stack.environment())
    assert open_stack.clone.subjects("origin/main..origin/feat/two") == ["entry struct", "use the arena"]
    assert open_stack.pr(519)["base"] == "main"


def test_a_billing_failure_is_reported_and_blocks_nothing(landing: Landing) -> None:
    """CI that does not start for want of money is neither red nor green."""
    landing.github.add_billing_failure(SLUG, landing.heads[519])
    ran = landing.invoke("verify-merged", "--pr", "519")
    assert ran.code == 0
    assert "CI is not operational: a billing failure" in ran.out


def test_an_ordinary_red_check_is_no_billing_failure(landing: Landing) -> None:
    """A failed check with another annotation is no billing failure."""
    landing.github.add_check_run(
        SLUG, landing.heads[519], "test", conclusion="FAILURE", annotations=("exit code 101",)
    )
    ran = landing.invoke("verify-merged", "--pr", "519", "--json")
    assert ran.json["steps"][0]["data"]["ci"]["state"] == "operational"


def test_push_without_green_gates_is_refused(landing: Landing) -> None:
    """Without receipts for this tree: exit code 5, no push; gates skipped by name allow it, with a warning."""
    shutil.rmtree(landing.clone.path / ".git/trunkline/receipts")
    landing.invoke("onto", "--pr", "519")
    refused = landing.invoke("push", "--pr", "519")
    assert (refused.code, "not run on this tree" in refused.err) == (5, True)
    assert landing.remote_head("feat/two") == landing.heads[519]
    ran = landing.invoke("rebase", "--pr", "519", "--skip", "gates", "--json")
    assert ran.code == 0, ran.err
    body = landing.pr(519)["body"]
    assert "Skipped by name: gates." in body
    assert "[x]" not in body.partition(BEGIN)[2]
    assert next(step for step in ran.json["steps"] if step["step"] == "gates")["mark"] == "skipped"


def test_a_foreign_commit_on_the_remote_branch_is_not_discarded(landing: Landing) -> None:
    """Somebody pushed to the branch meanwhile: exit 5, commit and author named, theirs is still there."""
    assert landing.invoke("rebase", "--pr", "519", "--no-push").code == 0
    landing.author.git("switch", "--quiet", "feat/two")
    theirs = landing.author.commit("a bot's fix", {"bot.txt": "fix\n"}, author="Dependabot")
    landing.push_as_author("feat/two")
    ran = landing.invoke("push", "--pr", "519")
    assert ran.code == 5
    assert "a bot's fix" in ran.err
    assert "Dependabot" in ran.err
    assert landing.remote_head("feat/two") == theirs


def test_diverged_local_and_remote_stop(landing: Landing) -> None:
    """Both sides hold commits that the other lacks: nothing is chosen, both stay."""
    landing.clone.git("switch", "--quiet", "feat/two")
    landing.clone.commit("mine", {"mine.txt": "m\n"})
    landing.author.git("switch", "--quiet", "feat/two")
    landing.author.commit("theirs", {"theirs.txt": "t\n"})
    landing.push_as_author("feat/two")
    before = landing.world()
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "theirs" in ran.err) == (5, True)
    assert landing.world() == before


def test_the_remote_branch_deleted_is_not_created_again(landing: Landing) -> None:
    """Somebody deleted the branch, which closed the pull request: exit 5 and nothing is pushed."""
    landing.author.git("push", "--quiet", "origin", ":feat/two", env=landing.environment())
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "closed" in ran.err) == (5, True)
    assert landing.remote_head("feat/two") == ""


def test_what_fmt_changes_is_a_commit_of_its_own(landing: Landing) -> None:
    """Unformatted code: `style: cargo fmt` on top of the own commits, and the gates run on it."""
    landing.author.git("switch", "--quiet", "feat/two")
    ugly = "//! Tiny.\n\n/// Adds.\npub fn add(a:u32,b:u32)->u32{a+b}\n\npub mod arena;\npub mod entry;\n"
    landing.author.commit("ugly", {"src/lib.rs": ugly})
    landing.push_as_author("feat/two")
    ran = landing.invoke("rebase", "--pr", "519", "--json")
    assert ran.code == 0, ran.err
    subjects = landing.clone.subjects("origin/main..origin/feat/two")
    assert subjects == ["entry struct", "use the arena", "ugly", "style: cargo fmt"]
    tip = landing.clone.git("show", "feat/two:src/lib.rs")
    assert "pub fn add(a: u32, b: u32) -> u32 {" in tip
    assert landing.clone.git("diff", "--name-only", "feat/two~1", "feat/two") == "src/lib.rs"


def test_the_journal_has_each_step_and_id(landing: Landing) -> None:
    """`invoke log --json` has each step of the run, with intent before outcome, and the ids that moved."""
    landing.invoke("rebase", "--pr", "519")
    run = landing.invoke("log", "--json").json["runs"][0]
    assert run["state"] == "finished"
    push = [record["kind"] for record in run["records"] if record["step"] == "push"]
    assert push == ["begin", "branch-pushed", "done"]
    done = next(r for r in run["records"] if (r["step"], r["kind"]) == ("push", "done"))
    assert done["data"]["facts"]["old"] == landing.heads[519]


def test_a_second_run_names_the_run_that_holds_the_lock(landing: Landing) -> None:
    """The second of two simultaneous runs ends with exit code 5; after the first has ended, the lock is free."""
    state = landing.clone.path / ".git/trunkline"
    (state / "lease.json").write_text(json.dumps({"pid": 1, "since": "2025-11-19T10:00:00+00:00", "run": "other"}))
    with (state / "lease.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = landing.invoke("fetch", "--pr", "519")
        assert (ran.code, "2025-11-19" in ran.err) == (5, True)
    assert landing.invoke("fetch", "--pr", "519").code == 0


def test_the_checklist_before_and_after(landing: Landing) -> None:
    """Before: exit 1, five lines open with their evidence. After: six of six, exit 0."""
    landing.invoke("switch", "--pr", "519")
    ran = landing.invoke("checklist", "--pr", "519", "--json")
    assert ran.code == 1
    lines = {line["line"]: line["state"] for line in ran.json["steps"][0]["data"]["lines"]}
    assert list(lines.values()) == ["done", "open", "open", "done", "open", "open"]
    assert landing.invoke("rebase", "--pr", "519").code == 0
    ran = landing.invoke("checklist", "--pr", "519")
    assert (ran.code, "6 of 6" in ran.out) == (0, True)


def test_next_has_the_notes_of_the_entry(landing: Landing) -> None:
    """Next names the entry above, what this entry's note says of it, and its command."""
    ran = landing.invoke("next", "--pr", "519", "--json")
    data = ran.json["steps"][0]["data"]
    assert (data["pr"], data["command"]) == (520, "invoke rebase --pr 520")
    assert data["notes"] == "PR-3 will use `pool.deallocate(entry.block)`."
    assert landing.invoke("next", "--pr", "520", "--json").json["steps"][0]["data"]["pr"] is None


def test_a_pre_push_hook_may_refuse(landing: Landing) -> None:
    """The user's pre-push hook runs, and its refusal stops the landing: exit 5, its words are shown."""
    hook = landing.clone.path / ".git/hooks/pre-push"
    hook.write_text("#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "not on a Friday" in ran.err) == (5, True)
    assert landing.remote_head("feat/two") == landing.heads[519]
    hook.unlink()
    ran = landing.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert landing.pr(519)["draft"] is False


def test_a_server_side_refusal_is_reported(landing: Landing) -> None:
    """A hook of the remote rejects the ref: exit 5, the remote's reason is shown, the branch is as it was."""
    hook = landing.github.bare(SLUG) / "hooks/update"
    hook.write_text("#!/bin/sh\necho 'protected branch' >&2\nexit 1\n")
    hook.chmod(0o755)
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "protected branch" in ran.err) == (5, True)
    assert "remote rejected" in ran.err
    assert landing.remote_head("feat/two") == landing.heads[519]
