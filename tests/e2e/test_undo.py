"""`invoke undo`: a finished run taken back, redone, refused on drift, killed at every record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from support.killing import Kill, Yard, YardLanding, records, warm
from support.landing import BODY, SLUG, Landing
from support.soak import sample
from trunkline.domain.note import BEGIN
from trunkline.sim.client import ask

pytestmark = [pytest.mark.gh, pytest.mark.slow]

UNDO_RECORDS = 14
"""Records of the journal of an undo: run, four steps of begin, intent and done, finished."""

BETWEEN = [Kill("process", "after", number) for number in sample(range(40), 20)]
"""Between the programs that an undo runs; a sample."""


@pytest.fixture
def landed(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack with #519 landed by a finished run; its base was feat/one, which is still there."""
    with grounds.prepared("landed", _land) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def _land(landing: Landing) -> None:
    warm(landing, delete="keep")
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    assert landing.pr(519)["base"] == "main"


def state(landing: Landing) -> dict[str, object]:
    """Return what an undo has to bring back."""
    pull = landing.pr(519)
    return {
        "local": landing.clone.refs().get("refs/heads/feat/two"),
        "tracking": landing.clone.refs().get("refs/remotes/origin/feat/two"),
        "remote": landing.remote_head("feat/two"),
        **{key: pull[key] for key in ("state", "draft", "base", "body")},
    }


def before(landing: Landing) -> dict[str, object]:
    """Return that as it was before the landing; the branch that the run made is where it was made."""
    tip = landing.heads[519]
    return {
        "local": tip, "tracking": tip, "remote": tip, "state": "OPEN", "draft": True, "base": "feat/one",
        "body": BODY,
    }  # fmt: skip


def patch(landing: Landing, number: int, **fields: str) -> None:
    """Change a pull request as its author does on the web page."""
    target, headers = f"/repos/{SLUG}/pulls/{number}", {"Authorization": "token sim"}
    status, answer = ask(landing.github.socket, "PATCH", target, json.dumps(fields).encode(), headers)
    assert status == 200, answer


def test_undo_takes_everything_back(landed: YardLanding) -> None:
    """Branch, tracking ref, remote, draft state, base and description are as before; the rebased tip is kept."""
    rebased = landed.clone.head("feat/two")
    ran = landed.invoke("undo")
    assert ran.code == 0, ran.out + ran.err
    assert state(landed) == before(landed)
    assert rebased in {t for ref, t in landed.clone.refs().items() if ref.startswith("refs/trunkline/backup/")}
    assert landed.github.pushes(SLUG)[-1] == ((rebased, landed.heads[519], "refs/heads/feat/two"),)


def test_the_entry_lands_again_after_an_undo(landed: YardLanding) -> None:
    """An undo leaves nothing behind that blocks a new landing."""
    assert landed.invoke("undo").code == 0
    ran = landed.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    assert landed.clone.subjects("origin/main..origin/feat/two") == ["entry struct", "use the arena"]


def test_a_checkout_of_the_branch_goes_back_too(landed: YardLanding) -> None:
    """The branch is checked out and clean: its files follow it back; dirty, the undo refuses first."""
    landed.clone.git("switch", "--quiet", "feat/two")
    (landed.clone.path / "src/lib.rs").write_text("// mine\n")
    after = state(landed)
    ran = landed.invoke("undo")
    assert (ran.code, "uncommitted" in ran.err, state(landed)) == (5, True, after)
    landed.clone.git("checkout", "--quiet", "src/lib.rs")
    assert landed.invoke("undo").code == 0
    assert landed.clone.git("status", "--porcelain") == ""
    assert landed.clone.head() == landed.heads[519]


def test_the_authors_later_edit_stays(landed: YardLanding) -> None:
    """Undo keeps text that the author wrote around the note after the landing."""
    patch(landed, 519, body="A new beginning.\n" + landed.pr(519)["body"])
    assert landed.invoke("undo").code == 0
    assert landed.pr(519)["body"] == "A new beginning.\n" + BODY


def _foreign_push(landing: Landing) -> None:
    landing.author.git("fetch", "--quiet", "origin", env=landing.environment())
    landing.author.git("switch", "--quiet", "--detach", "origin/feat/two")
    landing.author.commit("a bot's fix", {"bot.txt": "fix\n"}, author="Dependabot")
    landing.author.git("push", "--quiet", "origin", "HEAD:refs/heads/feat/two", env=landing.environment())


def _local_commit(landing: Landing) -> None:
    landing.clone.git("switch", "--quiet", "feat/two")
    landing.clone.commit("mine", {"mine.txt": "m\n"})


def _edited_note(landing: Landing) -> None:
    patch(landing, 519, body=landing.pr(519)["body"].replace(BEGIN, f"{BEGIN}\nread this first"))


def _other_base(landing: Landing) -> None:
    landing.author.git("push", "--quiet", "origin", "main:refs/heads/release", env=landing.environment())
    patch(landing, 519, base="release")


def _closed(landing: Landing) -> None:
    patch(landing, 519, state="closed")


def _remote_deleted(landing: Landing) -> None:
    landing.author.git("push", "--quiet", "origin", ":feat/two", env=landing.environment())


@pytest.mark.parametrize(
    ("drift", "named"),
    [
        (_foreign_push, "origin/feat/two"),
        (_local_commit, "feat/two"),
        (_edited_note, "#519's reviewer note"),
        (_other_base, "#519's base"),
        (_closed, "closed"),
        (_remote_deleted, "closed"),
    ],
)
def test_drift_is_named_and_nothing_is_undone(
    landed: YardLanding, drift: Callable[[Landing], None], named: str
) -> None:
    """Somebody changed what the run had changed: exit 5, it is named, and not one part is taken back."""
    drift(landed)
    after, pushes = state(landed), landed.github.pushes(SLUG)
    ran = landed.invoke("undo")
    assert (ran.code, named in ran.err) == (5, True), ran.err
    assert (state(landed), landed.github.pushes(SLUG)) == (after, pushes)


def test_a_deleted_base_is_reported_and_left(landed: YardLanding) -> None:
    """The old base was deleted since: everything else is restored, the base stays, and the outcome reports it."""
    landed.author.git("push", "--quiet", "origin", ":feat/one", env=landed.environment())
    ran = landed.invoke("undo")
    assert ran.code == 0, ran.out + ran.err
    assert "base left at main: branch feat/one no longer exists on origin" in ran.out
    assert state(landed) == {**before(landed), "base": "main"}


def test_a_push_that_would_close_the_pull_request_is_refused(landed: YardLanding) -> None:
    """Trunk came to hold the old head: pushing it back would leave no commits and close #519 for good."""
    landed.author.git("fetch", "--quiet", "origin", env=landed.environment())
    landed.author.git("switch", "--quiet", "--detach", "origin/main")
    landed.author.git("merge", "--quiet", "--strategy=ours", "--no-edit", landed.heads[519])
    landed.author.git("push", "--quiet", "origin", "HEAD:main", env=landed.environment())
    after = state(landed)
    ran = landed.invoke("undo")
    assert (ran.code, "for good" in ran.err) == (5, True), ran.err
    assert state(landed) == after


def test_dry_run_names_the_commands_and_changes_nothing(landed: YardLanding) -> None:
    """The plan has the leased push and the draft; no ref or pull request moves, no run is written."""
    after, runs = state(landed), len(landed.invoke("log", "--json").json["runs"])
    ran = landed.invoke("undo", "--dry-run")
    assert ran.code == 0, ran.err
    assert "gh pr ready 519 --undo" in ran.out
    assert f"--force-with-lease=refs/heads/feat/two:{landed.clone.head('feat/two')}" in ran.out.replace("\n", "")
    assert (state(landed), len(landed.invoke("log", "--json").json["runs"])) == (after, runs)


def test_what_cannot_be_undone_says_why(landed: YardLanding) -> None:
    """No such run: exit 2; a run that is not finished: exit 5 with what to do first; nothing changed: exit 0."""
    assert landed.invoke("undo", "--run", "2001").code == 2
    landed.kill(Kill("record", "after", 3), "undo")
    ran = landed.invoke("undo")
    assert (ran.code, "is not finished" in ran.err) == (5, True)
    assert landed.invoke("continue").code == 0
    assert landed.invoke("checklist", "--pr", "519").code in {0, 1}
    ran = landed.invoke("undo")  # the newest run that changed something is the undo
    assert ran.code == 0
    assert landed.pr(519)["draft"] is False


def test_every_record_of_an_undo_is_a_point(landed: YardLanding) -> None:
    """The points below are all there are."""
    landed.invoke("undo")
    assert len(landed.invoke("log", "--json").json["runs"][0]["records"]) == UNDO_RECORDS


@pytest.mark.parametrize("kill", [*sample(records(UNDO_RECORDS), 9), *BETWEEN], ids=str)
def test_continue_finishes_a_killed_undo(landed: YardLanding, kill: Kill) -> None:
    """Killed anywhere: continue ends as the undo would have."""
    assert landed.kill(kill, "undo").code == -9
    ran = landed.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    if "nothing to continue" in ran.out and landed.pr(519)["draft"] is False:  # it had not begun
        assert landed.invoke("undo").code == 0
    assert state(landed) == before(landed)


@pytest.mark.parametrize("kill", sample(records(UNDO_RECORDS), 12, first=3), ids=str)
def test_abort_of_a_killed_undo_is_the_landing_again(landed: YardLanding, kill: Kill) -> None:
    """Killed and aborted: everything stands as the landing left it; after the last record nothing is to abort."""
    after = state(landed)
    landed.kill(kill, "undo")
    ran = landed.invoke("abort")
    assert ran.code == 0, ran.out + ran.err
    finished = kill == Kill("record", "after", UNDO_RECORDS - 1)
    assert ("nothing to abort" in ran.out) is finished
    assert state(landed) == (before(landed) if finished else after)


ABORT_RECORDS = 6
"""Records that an abort of a pushed run appends: aborting, an intent each of four changes, aborted."""


@pytest.mark.parametrize(
    ("kill", "again"),
    [
        *[(kill, "abort") for kill in sample(records(ABORT_RECORDS), 6)],
        *[(kill, "continue") for kill in sample(records(ABORT_RECORDS), 6, first=1)],  # both take the same way
    ],
    ids=str,
)
def test_a_killed_abort_is_finished(landed: YardLanding, kill: Kill, again: str) -> None:
    """An abort of a run that had pushed, killed anywhere: abort again, or continue, ends it; never turned round."""
    assert landed.invoke("undo").code == 0
    before_note = 26
    assert landed.kill(Kill("record", "after", before_note), "rebase", "--pr", "519").code == -9
    assert landed.remote_head("feat/two") != landed.heads[519]
    assert landed.kill(kill, "abort").code == -9
    if kill == Kill("record", "before", 0):
        again = "abort"
    ran = landed.invoke(again)
    assert ran.code == 0, ran.out + ran.err
    assert state(landed) == before(landed)


def test_nothing_to_undo(grounds: Yard) -> None:
    """Without a run, undo ends with exit code 0 and one line."""
    with grounds.prepared("nothing merged") as fresh:
        ran = fresh.invoke("undo")
    assert (ran.code, "nothing to undo" in ran.out) == (0, True)
