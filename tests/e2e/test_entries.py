"""Unusual entries, and the ways to select one."""

from __future__ import annotations

from typing import Any

import pytest

from support.landing import Landing
from trunkline.domain.names import Oid

pytestmark = pytest.mark.gh


def push_to_two(landing: Landing) -> None:
    """Stand on #519's branch as its author."""
    landing.author.git("switch", "--quiet", "feat/two")


def test_merge_commits_of_its_own_are_refused(landing: Landing) -> None:
    """A merge among the own commits cannot be replayed one by one: exit 5, it is named."""
    push_to_two(landing)
    landing.author.git("switch", "--quiet", "-c", "side")
    landing.author.commit("side work", {"side.txt": "s\n"})
    landing.author.git("switch", "--quiet", "feat/two")
    landing.author.commit("more work", {"more.txt": "m\n"})
    landing.author.git("merge", "--quiet", "--no-ff", "-m", "merge side into entry", "side")
    landing.push_as_author("feat/two")
    before = landing.world()
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "merge side into entry" in ran.err) == (5, True)
    assert landing.world() == before


def test_trunk_merged_into_the_entry_is_left_out_and_named(landing: Landing) -> None:
    """The button "Update branch" after the parent's squash: the merge is no commit of the entry's."""
    author = landing.author
    author.git("switch", "--quiet", "-C", "feat/two", landing.heads[518])
    author.git("merge", "--quiet", "--no-ff", "-m", "merge main", "main")
    author.commit("entry struct", {"src/entry.rs": "//! Entry.\n"})
    landing.push_as_author("feat/two", force=True)
    ran = landing.invoke("fetch", "--pr", "519", "onto", "--pr", "519")
    assert (ran.code, "merge main" in ran.out) == (0, True), ran.out + ran.err
    assert landing.clone.subjects("origin/main..feat/two") == ["entry struct"]


def test_an_entry_that_trunk_contains_is_not_pushed(landing: Landing) -> None:
    """GitHub shows the pull request as merged, so nothing is left to do; a push would bring its branch back."""
    landing.author.git("switch", "--quiet", "-C", "feat/two", landing.heads[518])
    landing.author.git("switch", "--quiet", "main")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    landing.author.git("switch", "--quiet", "-C", "feat/two", "main")
    landing.author.commit("first", {"first.txt": "1\n"})
    landing.push_as_author("feat/two", force=True)
    landing.clone.git("fetch", "--quiet", "origin", env=landing.environment())
    landing.clone.git("branch", "--quiet", "feat/two", "origin/main")
    landing.author.git("push", "--quiet", "origin", "feat/two:main", env=landing.environment())
    before = landing.remote_head("feat/two")
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out
    assert "#519 is merged already" in ran.out
    assert (landing.pr(519)["state"], landing.remote_head("feat/two")) == ("MERGED", before)


def test_a_squash_that_trunk_reverted_is_warned_of(landing: Landing) -> None:
    """Trunk reverted #518: its changes are not brought back, and the output names the revert."""
    author = landing.author
    author.git("switch", "--quiet", "main")
    author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    author.git("revert", "--no-edit", "HEAD")
    landing.push_as_author("main")
    ran = landing.invoke("rebase", "--pr", "519", "--skip", "fmt,gates", "--no-push")
    assert ran.code == 0, ran.out + ran.err
    assert "warning: origin/main reverted #518" in ran.out
    planned = landing.invoke("plan", "--pr", "519", "--markdown")
    assert planned.out.count(" reverted #518 in ") == 3, planned.out  # step, checklist and note
    assert "src/arena.rs" not in landing.clone.git("ls-tree", "-r", "--name-only", "feat/two")


def push_signed(landing: Landing) -> Oid:
    """Give #519's only commit a signature, as GitHub's web interface does, and push it; return it."""
    push_to_two(landing)
    raw = landing.author.git("cat-file", "commit", "feat/two")
    head, _, message = raw.partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    signed = landing.author.git(
        "hash-object", "-t", "commit", "-w", "--stdin", stdin=f"{head}\n{signature}\n\n{message}\n"
    )
    landing.author.git("reset", "--quiet", "--hard", signed)
    landing.push_as_author("feat/two", force=True)
    return landing.author.head()


def test_a_signature_that_cannot_be_made_again_is_dropped_and_named(landing: Landing) -> None:
    """A web signature, whose key is on no machine, is dropped as by `git rebase`, and reported, in JSON too."""
    signed = push_signed(landing)
    ran = landing.invoke("onto", "--pr", "519", "--json")
    assert ran.code == 0, ran.err
    (step,) = ran.json["steps"]
    assert step["data"]["unsigned"] == [signed]
    assert any("signature dropped" in line for line in step["details"])


def test_required_signatures_are_refused_with_the_commits_named(landing: Landing) -> None:
    """`[rebase] signatures = "require"`: exit 5, which commits, and how to sign."""
    push_signed(landing)
    file = landing.clone.path / "stack.toml"
    file.write_text(file.read_text().replace("[gates]", '[rebase]\nsignatures = "require"\n\n[gates]', 1))
    before = landing.world()
    ran = landing.invoke("onto", "--pr", "519")
    assert (ran.code, ran.err.rstrip().splitlines()[-1]) == (5, "next: git config commit.gpgSign true")
    assert "#519 feat/two: 1 commit would lose the signature" in ran.err
    assert landing.world() == before


def test_the_entry_is_that_of_the_branch_checked_out(landing: Landing) -> None:
    """Without --pr: TRUNKLINE_PR, else the branch checked out; from a subdirectory too."""
    landing.clone.git("switch", "--quiet", "feat/two")
    ran = landing.invoke("verify-merged", cwd=landing.clone.path / "src")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "#519 feat/two -> main")
    ran = landing.invoke("next", TRUNKLINE_PR="518")
    assert ran.out.splitlines()[0] == "#518 feat/one -> main"


def test_hostile_titles_and_subjects_reach_the_terminal_harmless(landing: Landing) -> None:
    """Escapes in a commit subject are shown, not obeyed."""
    landing.clone.git("switch", "--quiet", "feat/two")
    landing.clone.commit("mine", {"mine.txt": "m\n"})
    push_to_two(landing)
    landing.author.commit("\x1b]0;owned\x07 theirs", {"theirs.txt": "t\n"})
    landing.push_as_author("feat/two")
    ran = landing.invoke("rebase", "--pr", "519")
    assert "\x1b" not in ran.out + ran.err
    assert "\\x1b]0;owned\\x07 theirs" in ran.err


def test_tokens_never_reach_what_is_printed(landing: Landing) -> None:
    """The token is in no output, no journal and no receipt."""
    canary = "sim"  # the simulator's only token; as a word of its own it occurs nowhere else in what is written
    ran = landing.invoke("rebase", "--pr", "519", "--json")
    state = landing.clone.path / ".git/trunkline"
    written = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    assert f'"{canary}"' not in ran.out + ran.err
    assert not any(f'"{canary}"'.encode() in content or b"GH_TOKEN" in content for content in written)


def test_secrets_of_the_environment_are_taken_out(landing: Landing) -> None:
    """A hook that prints a secret: neither the error, nor the JSON, nor the journal has it."""
    canary = "canary-in-a-coal-mine"
    hook = landing.clone.path / ".git/hooks/pre-push"
    hook.write_text('#!/bin/sh\necho "deploying with $DEPLOY_TOKEN and password=$OTHER" >&2; exit 1\n')
    hook.chmod(0o755)
    secret: Any = {"DEPLOY_TOKEN": canary, "OTHER": "told-by-its-name"}
    ran = landing.invoke("rebase", "--pr", "519", "--json", **secret)
    assert ran.code == 5, ran.err
    written = [path.read_bytes() for path in (landing.clone.path / ".git/trunkline").rglob("*") if path.is_file()]
    for word in (canary, "told-by-its-name"):
        assert word not in ran.out + ran.err
        assert not any(word.encode() in content for content in written)
    assert "deploying with [redacted] and password=[redacted]" in ran.err
    assert "deploying with [redacted]" in ran.json["error"]["stderr"]


def test_the_next_entry_lands_after_this_one(landing: Landing) -> None:
    """#519 lands and is squash-merged; then #520: its fork point is #519's old head, from the force-push history."""
    assert landing.invoke("rebase", "--pr", "519").code == 0
    landing.github.merge("octo/tiny", 519, method="squash", delete_branch="web")
    ran = landing.invoke("rebase", "--pr", "520")
    assert ran.code == 0, ran.out + ran.err
    assert landing.clone.subjects("origin/main..feat/three") == ["evict"]
    assert "fork point" in ran.out
    assert landing.pr(520)["base"] == "main"


def test_entries_by_make(landing: Landing) -> None:
    """Tasks chained from a Makefile: make stops at the first that fails, with its message, and can be run again."""
    makefile = landing.clone.path / "chain.mk"
    makefile.write_text(
        "land:\n\tinvoke verify-merged --pr 519\n\tinvoke fetch --pr 519 onto --pr 519 fmt --pr 519\n"
        "\tTRUNKLINE_PR=519 invoke gates push ready note checklist next\n"
        "wrong:\n\tinvoke verify-merged --pr 520\n\ttouch never\n"
    )
    ran = landing.run("make", "-f", "chain.mk", "wrong")
    assert (ran.code, "#519 below is not merged yet" in ran.err) == (2, True)
    assert not (landing.clone.path / "never").exists()
    for _ in range(2):
        ran = landing.run("make", "-f", "chain.mk", "land")
        assert ran.code == 0, ran.out + ran.err
    assert landing.pr(519)["draft"] is False
