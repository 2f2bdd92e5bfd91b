"""The in-memory replay against git's own rebase, and against what users' configurations do to rebases."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from support.repo import Repo
from trunkline.domain.errors import InternalError, UsageError
from trunkline.git import history, replay

BY = "Tess Tester <tess@example.invalid> 1763600000 +0000"


@pytest.fixture
def diverged(repo: Repo) -> Repo:
    """Main moved on; topic has four commits, one with a message that git would clean up."""
    repo.commit("start", {"a.txt": "1\n2\n3\n4\n5\n6\n7\n8\n", "keep.txt": "k\n"})
    repo.git("switch", "--quiet", "-c", "topic")
    repo.commit("edit the top", {"a.txt": "one\n2\n3\n4\n5\n6\n7\n8\n"}, author="Grace")
    repo.commit("# not a comment\n\n\n  two blank lines above, spaces at the end  \n# fixup! me\n", {"b.txt": "b\n"})
    repo.commit("fixup! edit the top", {"a.txt": "one!\n2\n3\n4\n5\n6\n7\n8\n"})
    repo.commit("ünïcode ✓ subject", {"dir/ü.txt": "ü\n", "keep.txt": None})
    repo.git("switch", "--quiet", "main")
    repo.commit("main moved on", {"a.txt": "1\n2\n3\n4\n5\n6\n7\neight\n", "m.txt": "m\n"})
    return repo


def test_the_result_is_what_git_rebase_makes(diverged: Repo) -> None:
    """Trees, authors, dates and messages of every commit equal those of `git rebase --onto`."""
    git, onto = diverged.adapter, diverged.head("main")
    own = history.chain(git, diverged.head("topic~4"), diverged.head("topic"))
    ours = replay.replay(git, own, onto, by=BY)
    replay.check_replayed(git, own, base=onto, tip=ours.tip)
    diverged.git("switch", "--quiet", "--detach", "topic")
    diverged.git("-c", "core.commentChar=%", "rebase", "--quiet", "--onto", "main", diverged.head("topic~4"))
    pattern = "--format=%T%x00%an%x00%ae%x00%ad%x00%B%x00"
    theirs = diverged.git("log", "--reverse", pattern, f"{onto}..HEAD")
    assert diverged.git("log", "--reverse", pattern, f"{onto}..{ours.tip}") == theirs


def test_no_ref_no_index_and_no_file_is_touched(diverged: Repo) -> None:
    """Replaying writes objects only."""
    git = diverged.adapter
    (diverged.path / "untracked.txt").write_text("mine")
    (diverged.path / "a.txt").write_text("dirty\n")
    before = (diverged.refs(), diverged.git("status", "--porcelain"), (diverged.path / ".git/HEAD").read_text())
    own = history.chain(git, diverged.head("topic~4"), diverged.head("topic"))
    replay.replay(git, own, diverged.head("main"), by=BY)
    after = (diverged.refs(), diverged.git("status", "--porcelain"), (diverged.path / ".git/HEAD").read_text())
    assert after == before


HOSTILE_CONFIG = {
    "rebase.autoSquash": "true",
    "rebase.updateRefs": "true",
    "rebase.autoStash": "true",
    "rebase.rebaseMerges": "true",
    "rebase.backend": "apply",
    "rebase.missingCommitsCheck": "error",
    "merge.conflictStyle": "diff3",
    "rerere.enabled": "true",
    "rerere.autoUpdate": "true",
    "commit.cleanup": "scissors",
    "core.commentChar": "#",
    "i18n.commitEncoding": "latin1",
    "commit.template": "/nonexistent",
    "core.editor": "false",
    "core.autocrlf": "true",
}


def test_user_configuration_changes_nothing(diverged: Repo) -> None:
    """Settings that change the result of a rebase do not change a replay (docs/reliability.md, 11 to 13)."""
    git, onto = diverged.adapter, diverged.head("main")
    own = history.chain(git, diverged.head("topic~4"), diverged.head("topic"))
    plain = replay.replay(git, own, onto, by=BY)
    for key, value in HOSTILE_CONFIG.items():
        diverged.git("config", key, value)
    hook = diverged.path / ".git/hooks/post-commit"
    hook.write_text("#!/bin/sh\ntouch ran-a-hook\n")
    hook.chmod(0o755)
    assert replay.replay(git, own, onto, by=BY) == plain
    assert not (diverged.path / "ran-a-hook").exists()


def test_a_patch_that_trunk_has_already_is_kept_and_reported(diverged: Repo) -> None:
    """A commit of the child's own that trunk cherry-picked is kept, empty (docs/reliability.md, 7 and 8)."""
    diverged.git("cherry-pick", "topic~3")
    git = diverged.adapter
    own = history.chain(git, diverged.head("topic~4"), diverged.head("topic"))
    done = replay.replay(git, own, diverged.head("main"), by=BY)
    assert len(done.mapped) == 4
    assert done.emptied == (done.mapped[0][1],)


def test_a_commit_that_was_made_empty_is_not_reported(diverged: Repo) -> None:
    """`git commit --allow-empty`, to start CI again: kept as it is, and nothing to ask about."""
    diverged.git("switch", "--quiet", "topic")
    diverged.git("commit", "--quiet", "--allow-empty", "-m", "start CI")
    git, onto = diverged.adapter, diverged.head("main")
    own = history.chain(git, diverged.head("topic~5"), diverged.head("topic"))
    done = replay.replay(git, own, onto, by=BY)
    assert (len(done.mapped), done.emptied) == (len(own), ())


def test_what_changes_nothing_is_left_out_on_request(diverged: Repo) -> None:
    """Without it the others have the same trees; commits already in place keep their ids."""
    diverged.git("cherry-pick", "topic~3")
    git, onto = diverged.adapter, diverged.head("main")
    own = history.chain(git, diverged.head("topic~4"), diverged.head("topic"))
    kept = replay.replay(git, own, onto, by=BY)
    left = replay.replay(git, own, onto, by=BY, drop_empty=True)
    assert (left.dropped, [old for old, _ in left.mapped]) == ((own[0].oid,), [each.oid for each in own[1:]])
    assert git.tree(left.tip) == git.tree(kept.tip)
    replay.check_replayed(git, own[1:], base=onto, tip=left.tip)
    again = history.chain(git, onto, kept.tip)
    assert replay.empty(git, again) == again[:1]
    in_place = replay.replay(git, again[1:], again[0].oid, by=BY)
    assert in_place.mapped == tuple((each.oid, each.oid) for each in again[1:])


def test_a_conflict_stops_with_the_commit_and_its_files(diverged: Repo) -> None:
    """The first commit that does not apply is named with its files; those before it are done."""
    git = diverged.adapter
    diverged.commit("main edits b", {"b.txt": "other\n"})
    own = history.chain(git, diverged.head("topic~4"), diverged.head("topic"))
    done = replay.replay(git, own, diverged.head("main"), by=BY)
    assert done.conflict is not None
    assert done.conflict[0].oid == own[1].oid
    assert done.conflict[1] == ("b.txt",)
    assert [commit.oid for commit in done.rest] == [commit.oid for commit in own[1:]]
    assert len(done.mapped) == 1


def test_a_commit_of_another_encoding_keeps_its_bytes(repo: Repo) -> None:
    """A latin-1 message stays latin-1, with its header."""
    repo.commit("start", {"a": "a"})
    repo.git("switch", "--quiet", "-c", "topic")
    (repo.path / "b").write_text("b")
    repo.git("add", "b")
    (repo.path / "message").write_bytes("gr\xfc\xdfe".encode("latin1"))
    repo.git("-c", "i18n.commitEncoding=latin1", "commit", "--quiet", "--file=message")
    repo.git("switch", "--quiet", "main")
    repo.commit("main", {"c": "c"})
    git = repo.adapter
    own = history.chain(git, repo.head("topic~1"), repo.head("topic"))
    done = replay.replay(git, own, repo.head("main"), by=BY)
    (new,) = history.read_commits(git, [done.tip])
    assert (new.message, new.encoding) == (own[0].message, "latin1")
    assert b"gr\xfc\xdfe" in new.message


def test_the_oracle_catches_a_lost_a_doubled_and_a_swapped_commit(diverged: Repo) -> None:
    """A replay that drops, duplicates or reorders a commit does not pass the check before refs move."""
    git, onto = diverged.adapter, diverged.head("main")
    own = history.chain(git, diverged.head("topic~4"), diverged.head("topic"))
    independent = (own[0], own[1], own[3])
    for wrong in (independent[:-1], (*independent, own[1]), (own[1], own[0], own[3]), ()):
        done = replay.replay(git, wrong, onto, by=BY)
        with pytest.raises(InternalError):
            replay.check_replayed(git, independent, base=onto, tip=done.tip)
    altered = replace(own[0], message=b"edit the top!\n")
    done = replay.replay(git, (altered, own[1], own[3]), onto, by=BY)
    with pytest.raises(InternalError):
        replay.check_replayed(git, independent, base=onto, tip=done.tip)


def test_without_an_identity_it_says_what_to_type(diverged: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """No user.email: a clear error with the two commands, not git's page of advice."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    diverged.git("config", "user.useConfigOnly", "true")
    with pytest.raises(UsageError, match="who you are") as refused:
        replay.committer(diverged.adapter)
    assert "user.email" in refused.value.next_commands[0]


def test_a_merge_reads_no_history_below_its_base(repo: Repo) -> None:
    """A commit far below is missing: a long history is replayed without reading it."""
    for number in range(6):
        repo.commit(f"old {number}", {"old.txt": f"{number}\n"})
    gone = repo.head("HEAD~4")
    base = repo.commit("base", {"a.txt": "a\n"})
    ours = repo.commit("ours", {"b.txt": "b\n"})
    repo.git("switch", "--quiet", "--detach", base)
    theirs = repo.commit("theirs", {"c.txt": "c\n"})
    (repo.path / ".git/objects" / gone[:2] / gone[2:]).unlink()
    merged = replay.three_way(repo.adapter, base=base, ours=ours, theirs=theirs)
    assert repo.git("ls-tree", "--name-only", merged.tree).split() == ["a.txt", "b.txt", "c.txt", "old.txt"]
