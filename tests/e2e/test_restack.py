"""`invoke restack`: every entry on its base again, in one pass; what people do to stacks, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.killing import Kill, Yard, YardLanding, records
from support.landing import BODY, SLUG, Landing
from support.repo import Repo
from support.soak import sample
from support.stacking import OWN, assert_stacked
from trunkline.domain.note import BEGIN
from trunkline.sim.faults import FaultKind

pytestmark = pytest.mark.gh

ONE, TWO, THREE = ((number, subjects) for number, (_, subjects) in OWN.items())


@pytest.fixture
def open_stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack, nothing merged, and a trunk that moved on."""
    with grounds.prepared("open", Landing.move_trunk) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


@pytest.fixture
def merged(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack with #518 squash-merged onto a trunk that moved on, its branch deleted."""
    with grounds.prepared("merged", lambda landing: (landing.merge_parent(), None)[1]) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def restack(landing: Landing, *flags: str) -> str:
    """Restack and return what was printed."""
    ran = landing.invoke("restack", *flags)
    assert ran.code == 0, ran.out + ran.err
    return ran.out


def refs(landing: Landing) -> tuple[dict[str, str], dict[str, str], list[object]]:
    """Return the local branches, the remote's refs, and what the pull requests say."""
    local = {ref: tip for ref, tip in landing.clone.refs().items() if ref.startswith("refs/heads/")}
    keys = ("state", "draft", "base", "body")
    pulls: list[object] = [[landing.pr(number)[key] for key in keys] for number in OWN]
    return local, Repo(landing.github.bare(SLUG)).refs(), pulls


def test_trunk_moved_on(open_stack: YardLanding) -> None:
    """Three entries follow it in one push; the checkout and its branch are left alone; again: nothing to do."""
    status = open_stack.clone.git("status", "--porcelain"), open_stack.clone.git("branch", "--show-current")
    restack(open_stack)
    assert_stacked(open_stack, ONE, TWO, THREE)
    assert len(open_stack.github.pushes(SLUG)[-1]) == 3
    assert (open_stack.clone.git("status", "--porcelain"), open_stack.clone.git("branch", "--show-current")) == status
    before = refs(open_stack)
    assert "origin has every branch already" in restack(open_stack)
    assert refs(open_stack) == before


@pytest.mark.parametrize("method", ["squash", "rebase", "merge"])
def test_the_bottom_was_merged(open_stack: YardLanding, method: str) -> None:
    """After each kind of merge, and with its branch deleted, each entry above has its own commits only."""
    open_stack.github.merge(SLUG, 518, method=method, delete_branch="web")
    restack(open_stack)
    assert_stacked(open_stack, TWO, THREE)


def test_a_stale_local_parent_is_no_boundary(merged: YardLanding) -> None:
    """github/gh-stack#512: the local branch of what was merged is older than what was merged."""
    merged.clone.git("branch", "--quiet", "feat/one", f"{merged.heads[518]}~2")
    restack(merged)
    assert_stacked(merged, TWO, THREE)


def test_a_remote_that_caps_a_push(open_stack: YardLanding) -> None:
    """Three branches, two a push: learned, in parts bottom first, said; every entry there in the end."""
    open_stack.github.lever("cap_pushes", SLUG, refs=2)
    message = restack(open_stack)
    assert "origin takes 2 branches a push: 3 in parts, bottom first" in message
    assert_stacked(open_stack, ONE, TWO, THREE)


def test_a_native_stack_is_githubs_to_retarget(merged: YardLanding) -> None:
    """With `native = "never"`, a base that only GitHub can change is named, with the command that changes it."""
    number = other_base_in_a_native_stack(merged)
    stack_file = merged.clone.path / "stack.toml"
    stack_file.write_text(stack_file.read_text() + '\n[publish]\nnative = "never"\n')
    ran = merged.invoke("restack", "--yes")
    assert ran.code == 5, ran.out
    assert f"in GitHub's native stack {number}, whose bases GitHub alone moves" in ran.err


def test_a_native_stack_with_a_wrong_base_is_made_again(merged: YardLanding) -> None:
    """Dissolved, retargeted, created again; all of it is in the plan before."""
    number = other_base_in_a_native_stack(merged)
    planned = merged.invoke("restack", "--dry-run").out
    for line in (f"stacks/{number}/unstack", "stacks -F 'pull_requests[]=519' -F 'pull_requests[]=520'"):
        assert line in planned, planned
    message = restack(merged)
    assert f"GitHub's native stack {number + 1}: #519 #520" in message
    assert merged.pr(519)["base"] == "main"
    native = merged.github.state()["repositories"][SLUG]["stacks"]
    assert [stack["members"] for stack in native.values()] == [[519, 520]]


def test_a_restack_links_a_native_stack_and_keeps_it_whole(open_stack: YardLanding) -> None:
    """Created where the repository has the feature; after trunk moved on it is still the same one, linear again."""
    open_stack.github.lever("enable_stacks", SLUG)
    assert "#518 #519 #520" in restack(open_stack)
    native = open_stack.github.state()["repositories"][SLUG]["stacks"]
    assert [stack["members"] for stack in native.values()] == [[518, 519, 520]]
    open_stack.move_trunk()
    again = restack(open_stack)
    assert "every base is right" in again
    assert open_stack.github.state()["repositories"][SLUG]["stacks"] == native
    assert_stacked(open_stack, ONE, TWO, THREE)


def other_base_in_a_native_stack(landing: YardLanding) -> int:
    """Make a native stack on a branch that is not trunk; return its number."""
    landing.clone.git("push", "--quiet", "origin", "main:refs/heads/other", env=landing.environment())
    edit = ("gh", "api", "-X", "PATCH", f"repos/{SLUG}/pulls/519", "-f")
    assert landing.run(*edit, "base=other").code == 0
    number: int = landing.github.lever("stack_natively", SLUG, numbers=[519, 520])
    assert "stacked pull request" in landing.run(*edit, "base=main").out
    return number


def test_trunk_gets_no_feature_commit(open_stack: YardLanding) -> None:
    """github/gh-stack#442 and #155: whatever is checked out, trunk is not pushed."""
    open_stack.clone.git("switch", "--quiet", "main")
    open_stack.clone.commit("mine, on main by mistake", {"mine.txt": "m\n"})
    trunk = open_stack.remote_head("main")
    restack(open_stack)
    assert open_stack.remote_head("main") == trunk
    assert_stacked(open_stack, ONE, TWO, THREE)


def test_the_middle_was_amended_here(open_stack: YardLanding) -> None:
    """github/gh-stack#471: what sat on the old commit follows the new one; the old one does not come back."""
    clone = open_stack.clone
    clone.git("switch", "--quiet", "feat/two")
    (clone.path / "src/entry.rs").write_text("//! Entry, reviewed.\n")
    clone.git("commit", "--quiet", "--all", "--amend", "--message=use the arena, reviewed")
    clone.git("switch", "--quiet", "main")
    restack(open_stack)
    assert_stacked(open_stack, ONE, (519, ["entry struct", "use the arena, reviewed"]), THREE)
    assert "reviewed" in clone.git("show", "feat/three:src/entry.rs")
    # Once more, and nobody but our journal and the force-push history knows the old base by now.
    clone.git("switch", "--quiet", "feat/two")
    clone.git("commit", "--quiet", "--amend", "--message=use the arena, again")
    clone.git("switch", "--quiet", "main")
    restack(open_stack)
    assert_stacked(open_stack, ONE, (519, ["entry struct", "use the arena, again"]), THREE)


def test_the_middle_was_amended_elsewhere(open_stack: YardLanding) -> None:
    """Its author force-pushed it: the remote's version is what the entry above follows."""
    author = open_stack.author
    author.git("switch", "--quiet", "feat/two")
    (author.path / "src/entry.rs").write_text("//! Entry, pushed.\n")
    author.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    author.git("push", "--quiet", "--force", "origin", "feat/two", env=open_stack.environment())
    restack(open_stack)
    assert_stacked(open_stack, ONE, TWO, THREE)
    assert "pushed" in open_stack.clone.git("show", "feat/three:src/entry.rs")


def test_an_entry_was_merged_out_of_order(open_stack: YardLanding) -> None:
    """#519 was squash-merged into #518's branch: #520 sits on #518, which now holds it."""
    _ready(open_stack, 519)
    open_stack.github.merge(SLUG, 519, delete_branch="web")
    restack(open_stack)
    assert_stacked(open_stack, (518, [*ONE[1], "PR 519 (#519)"]), THREE)


def _ready(landing: Landing, number: int) -> None:
    ran = landing.run("gh", "pr", "ready", str(number), "--repo", SLUG)
    assert ran.code == 0, ran.err


def test_no_note_where_nothing_was_verified_and_nothing_changed(grounds: Yard) -> None:
    """A stack that is up to date, out of draft, restacked without receipts: its descriptions stay as they were."""
    with grounds.prepared("nothing merged") as stack:
        for number in (519, 520):
            _ready(stack, number)
        before = [stack.pr(number)["body"] for number in OWN]
        printed = restack(stack)
        assert [stack.pr(number)["body"] for number in OWN] == before
        assert "none: nothing was verified here, and nothing changed for readers" in printed


def test_an_entry_that_trunk_has_already(open_stack: YardLanding) -> None:
    """Trunk has #520's change by another commit: the outcome reports it, keeps it, and closes no pull request."""
    author = open_stack.author
    author.git("switch", "--quiet", "main")
    author.commit("the same, by hand", {"src/evict.rs": "//! Evict.\n"})
    open_stack.push_as_author("main")
    out = restack(open_stack)
    assert "nothing is left of #520: #519 has all of it" in out or "nothing is left of #520" in out
    assert_stacked(open_stack, ONE, TWO, THREE)


def test_a_commit_that_trunk_has_already_is_left_out_on_request(open_stack: YardLanding) -> None:
    """Foreseen and listed by the plan; kept without a word of ours, left out with --drop-emptied, also afterwards."""
    author = open_stack.author
    author.git("switch", "--quiet", "main")
    author.commit("the same, by hand", {"src/entry.rs": "//! Entry.\n\n/// Entry.\npub struct Entry;\n"})
    open_stack.push_as_author("main")
    assert "1 commit will be empty" in open_stack.invoke("restack", "--dry-run").out
    out = restack(open_stack)
    assert "to leave it out: invoke restack --drop-emptied" in out
    assert_stacked(open_stack, ONE, TWO, THREE)
    assert "1 commit left out" in open_stack.invoke("restack", "--dry-run", "--drop-emptied").out
    out = restack(open_stack, "--drop-emptied")
    assert "left out: " in out
    assert_stacked(open_stack, ONE, (519, TWO[1][1:]), THREE)
    assert open_stack.invoke("undo").code == 0
    assert_stacked(open_stack, ONE, TWO, THREE)


@pytest.mark.parametrize(("typed", "left_out"), [(b"y\ny\n", True), (b"y\n\n", False), (b"y\n\4", False)])
def test_a_terminal_prompts(open_stack: YardLanding, typed: bytes, *, left_out: bool) -> None:
    """An emptied commit is dropped only after a yes; an empty answer and Ctrl-D are none."""
    author = open_stack.author
    author.git("switch", "--quiet", "main")
    author.commit("the same, by hand", {"src/entry.rs": "//! Entry.\n\n/// Entry.\npub struct Entry;\n"})
    open_stack.push_as_author("main")
    ran = open_stack.on_terminal("restack", typed=typed)
    assert ran.code == 0, ran.out
    assert "Leave it out? [y/N]" in ran.out
    assert_stacked(open_stack, ONE, (519, TWO[1][1:]) if left_out else TWO, THREE)


def test_end_of_file_is_no_yes(open_stack: YardLanding) -> None:
    """Ctrl-D at the prompt changes nothing and is no internal error."""
    before = refs(open_stack)
    ran = open_stack.on_terminal("restack", typed=b"\4")
    assert (ran.code, refs(open_stack)) == (0, before), ran.out


def test_of_an_entry_something_stays(open_stack: YardLanding) -> None:
    """--drop-emptied stops at an entry with no commit left and names the next command; entries below are done."""
    author = open_stack.author
    author.git("switch", "--quiet", "main")
    author.commit("the same, by hand", {"src/evict.rs": "//! Evict.\n"})
    open_stack.push_as_author("main")
    before = open_stack.remote_head("feat/three")
    ran = open_stack.invoke("restack", "--drop-emptied")
    assert ran.code == 5, ran.out + ran.err
    assert "nothing would be left of #520" in ran.err
    assert "next: gh pr close 520" in ran.err
    assert open_stack.remote_head("feat/three") == before


def test_a_bots_commit_is_never_discarded(open_stack: YardLanding) -> None:
    """github/gh-stack#380: pushed to one branch after it was rebased here: taken over, replayed, and named."""
    restack(open_stack, "--no-push")
    open_stack.author.git("switch", "--quiet", "--detach", open_stack.heads[520])
    open_stack.author.commit("a bot's fix", {"bot.txt": "b\n"}, author="Dependabot")
    open_stack.author.git("push", "--quiet", "origin", "HEAD:feat/three", env=open_stack.environment())
    bots = open_stack.author.head()
    ran = open_stack.invoke("restack")
    assert ran.code == 0, ran.err
    assert f'with 1 commit more: {bots[:7]} "a bot\'s fix" by Dependabot' in ran.out
    assert open_stack.clone.git("show", f"{open_stack.remote_head('feat/three')}:bot.txt") == "b"


def test_the_note_says_what_reviewers_need_to_see(open_stack: YardLanding) -> None:
    """An entry out of draft gets a note: only rebased, proven by patch; drafts without one stay as they are."""
    restack(open_stack)
    body = open_stack.pr(518)["body"]
    assert body.startswith(BODY)
    assert f"**Only rebased** since `{open_stack.heads[518][:7]}`" in body
    assert f": [`{open_stack.heads[518][:7]}..{open_stack.remote_head('feat/one')[:7]}`](https://github.com/" in body
    assert open_stack.pr(519)["body"] == BODY


def test_all_notes_are_written_in_one_request(open_stack: YardLanding) -> None:
    """Requests do not grow with the entries that have readers: as many for three as for one."""

    def asked() -> int:
        before = len(open_stack.github.requests())
        restack(open_stack)
        return len(open_stack.github.requests()) - before

    one = asked()
    for number in (519, 520):
        assert open_stack.run("gh", "pr", "ready", str(number), "--repo", SLUG).code == 0
    open_stack.author.git("switch", "--quiet", "main")
    open_stack.author.git("pull", "--quiet", "origin", "main", env=open_stack.environment())
    open_stack.author.commit("trunk goes on", {"src/trunk.rs": "//! More.\n"}, author="Mallory")
    open_stack.push_as_author("main")
    assert asked() <= one  # the first looks for native stacks too
    for number in (518, 519, 520):
        assert "**Only rebased** since" in open_stack.pr(number)["body"]


def test_all_bases_are_set_in_one_request(open_stack: YardLanding) -> None:
    """Requests do not grow with the pull requests that have a wrong base; a lost reply sets none twice."""
    counts = []
    restack(open_stack)  # looks for native stacks
    for wrong, kind in (((519,), None), ((519, 520), None), ((519, 520), FaultKind.LOSE_REPLY)):
        for number in wrong:
            assert open_stack.run("gh", "pr", "edit", str(number), "--base", "main", "--repo", SLUG).code == 0
        if kind is not None:
            open_stack.github.inject(kind, match="Retarget")
        before = len(open_stack.github.requests())
        restack(open_stack)
        counts.append(len(open_stack.github.requests()) - before)
        assert [open_stack.pr(number)["base"] for number in (519, 520)] == ["feat/one", "feat/two"]
    one, two, lost = counts
    assert one == two < lost
    assert [each.operation for each in open_stack.github.requests()].count("Retarget") == 2


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.LOSE_REPLY])
def test_notes_whose_request_fails_are_written_once(open_stack: YardLanding, kind: FaultKind) -> None:
    """A note that arrived is not written again, a lost one is: GitHub is queried before the second attempt."""
    for number in (519, 520):
        assert open_stack.run("gh", "pr", "ready", str(number), "--repo", SLUG).code == 0
    open_stack.github.inject(kind, match="ReviewerNotes")
    ran = open_stack.invoke("restack", TRUNKLINE_WAIT_FACTOR="0")
    assert ran.code == 0, ran.out + ran.err
    written = [each for each in open_stack.github.requests() if each.operation == "ReviewerNotes"]
    assert len(written) == (2 if kind is FaultKind.DROP else 1)
    for number in (518, 519, 520):
        assert open_stack.pr(number)["body"].count(BEGIN) == 1


def test_undo_and_redo(merged: YardLanding) -> None:
    """Everything as before, in one push; undone again: as restacked."""
    before = refs(merged)
    restack(merged)
    after = refs(merged)
    assert merged.invoke("undo").code == 0
    back = refs(merged)
    assert (back[1:], back[0].items() >= before[0].items()) == (before[1:], True)
    assert len(merged.github.pushes(SLUG)[-1]) == 2
    assert merged.invoke("undo").code == 0
    assert refs(merged) == after


@pytest.fixture
def conflicting(merged: YardLanding) -> YardLanding:
    """Trunk changed what #520 adds; #519 is not concerned."""
    merged.author.git("switch", "--quiet", "main")
    merged.author.git("pull", "--quiet", "origin", "main", env=merged.environment())
    merged.author.commit("trunk evicts", {"src/evict.rs": "//! Trunk's own.\n"}, author="Mallory")
    merged.push_as_author("main")
    return merged


def test_a_conflict_is_foreseen(conflicting: YardLanding) -> None:
    """`--dry-run` names the entry and the file of the conflict, and moves nothing."""
    before = refs(conflicting)
    ran = conflicting.invoke("restack", "--dry-run")
    assert ran.code == 0
    assert "conflict in" in ran.out
    assert "src/evict.rs" in ran.out
    assert refs(conflicting) == before


def test_a_conflict_pauses_there(conflicting: YardLanding) -> None:
    """Below is done, nothing is pushed; resolved, continue goes on to the end."""
    ran = conflicting.invoke("restack", "--json")
    assert ran.code == 3, ran.out + ran.err
    assert ran.json["error"]["next"] == ["invoke continue", "invoke skip", "invoke abort"]
    assert conflicting.clone.subjects("origin/main..feat/two") == TWO[1]
    assert conflicting.remote_head("feat/two") == conflicting.heads[519]
    tree = conflicting.waiting_tree()
    (tree / "src/evict.rs").write_text("//! Both.\n")
    Repo(tree).git("add", "--all")
    ran = conflicting.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert_stacked(conflicting, TWO, THREE)
    assert "Both" in conflicting.clone.git("show", "feat/three:src/evict.rs")


def test_abort_restores_every_entry(conflicting: YardLanding) -> None:
    """Entries below the conflict are restored, too; branches that the run created are deleted."""
    before = refs(conflicting)
    assert conflicting.invoke("restack").code == 3
    assert conflicting.invoke("abort").code == 0
    back = refs(conflicting)
    assert back[1:] == before[1:]
    assert back == before


RESTACK_RECORDS = 18
"""Records of the journal of a restack of two entries."""
AFTER = [kill for kill in records(RESTACK_RECORDS) if kill.when == "after"]


def test_every_record_is_a_point(merged: YardLanding) -> None:
    """The points below are all there are."""
    restack(merged)
    assert len(merged.invoke("log", "--json").json["runs"][0]["records"]) == RESTACK_RECORDS


@pytest.mark.slow
@pytest.mark.parametrize("kill", sample(AFTER, 8), ids=str)
def test_continue_finishes_a_killed_restack(merged: YardLanding, kill: Kill) -> None:
    """Killed after any record: continue ends as the restack would have."""
    assert merged.kill(kill, "restack").code == -9
    ran = merged.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    if "nothing to continue" in ran.out and merged.remote_head("feat/two") == merged.heads[519]:
        restack(merged)
    assert_stacked(merged, TWO, THREE)


@pytest.mark.slow
@pytest.mark.parametrize("kill", sample(AFTER[2:-1], 9), ids=str)
def test_abort_of_a_killed_restack(merged: YardLanding, kill: Kill) -> None:
    """Killed after a record: abort leaves every branch and pull request as it was."""
    before = refs(merged)
    assert merged.kill(kill, "restack").code == -9
    ran = merged.invoke("abort")
    assert ran.code == 0, ran.out + ran.err
    after = refs(merged)
    assert after[1:] == before[1:]
    assert {tip for ref, tip in after[0].items() if ref != "refs/heads/main"} <= {
        merged.heads[519], merged.heads[520],
    }  # fmt: skip
