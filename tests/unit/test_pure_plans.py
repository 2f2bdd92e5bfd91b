"""Parents, replay plans, reverts, pushes and status queries as functions of values, without git."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.context.project import Project
from trunkline.context.scope import Scope
from trunkline.domain.added import AddedEntry
from trunkline.domain.changes import (
    EntryInserted,
    LocalMoved,
    OpenStateChanged,
    RemoteMoved,
    ReviewState,
    StateChanged,
    is_closed_first,
    is_different,
    joined,
    rank,
)
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, branch_name, pr_number
from trunkline.domain.options import Options
from trunkline.domain.replay_plan import Replay, ReplayPlan
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import Entry, RebaseSettings, Stack
from trunkline.domain.step import StepName
from trunkline.git.push import RefUpdate, push_arguments, typed_push
from trunkline.github.client import GitHub
from trunkline.github.rest_objects import Ref
from trunkline.operations.revert import step_functions
from trunkline.planning.evidence import bases_outside
from trunkline.planning.replay_plan import dropped_signatures, refuse_nothing_left

ONE, TWO, THREE = (Oid(digit * 40) for digit in "123")
ENTRY = Entry(pr_number(7), branch_name("feat/seven"))
STACK = Stack(branch_name("main"), "origin", (ENTRY, Entry(pr_number(8), branch_name("feat/eight"))))
PULL = PullRequest(
    number=pr_number(8), title="", url="", state=PrState.OPEN, draft=True, body="", base="feat/seven",
    head="feat/eight", head_oid=ONE, head_repository="octo/tiny",
)  # fmt: skip


def scope(signatures: str = "drop") -> Scope:
    """Return the first entry's scope, without a checkout."""
    nothing = cast("Any", None)
    stack = msgspec.structs.replace(STACK, rebase=RebaseSettings(signatures=signatures))
    return Scope(Project(nothing, stack, Repository("host", "octo", "tiny"), Options(), nothing), ENTRY, stacked=True)


def commit(name: Oid, *, signed: bool = False) -> Commit:
    """Return a commit."""
    return Commit(name, (TWO,), THREE, b"Ada <a@x> 1 +0000", b"words\n", signed=signed)


# --- Parents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "earlier", "outside"),
    [
        ("main", (), ()),
        ("feat/seven", (), ()),
        ("feat/six", (), ("feat/six",)),
        ("main", ("feat/six",), ("feat/six",)),
        ("main", ("feat/five", "feat/six", "feat/five"), ("feat/five", "feat/six")),
        ("feat/six", ("feat/six", "feat/seven", "main"), ("feat/six",)),
    ],
)
def test_bases_outside_the_stack(base: str, earlier: tuple[str, ...], outside: tuple[str, ...]) -> None:
    """The current base comes first, then the latest; entries and trunk are left out."""
    assert bases_outside(STACK, msgspec.structs.replace(PULL, base=base, earlier_bases=earlier)) == outside


def test_an_entry_without_a_pull_request_has_no_base_outside() -> None:
    """GitHub has no record of it."""
    assert bases_outside(STACK, None) == ()


# --- Replay plans --------------------------------------------------------------------------------------------------


def plan(*own: Commit) -> ReplayPlan:
    """Return a plan with these own commits."""
    return ReplayPlan(ONE, ONE, ONE, TWO, THREE, "merge base", own, "origin/main")


def test_a_replay_that_drops_every_commit_is_refused() -> None:
    """Pushing it would close the pull request for good."""
    with pytest.raises(Refused, match="nothing would be left of #7") as refused:
        refuse_nothing_left(ENTRY, plan(commit(ONE)), Replay(TWO, (), dropped=(ONE,)))
    assert refused.value.next_commands[0] == "gh pr close 7"


def test_a_replay_that_drops_some_commits_passes() -> None:
    """One commit is left."""
    refuse_nothing_left(ENTRY, plan(commit(ONE), commit(TWO)), Replay(TWO, (), dropped=(ONE,)))


def test_dropped_signatures_are_named() -> None:
    """A message for each commit, and none without signed commits."""
    assert dropped_signatures(scope(), [commit(ONE, signed=True)])[0].startswith("signature dropped: 1111111")
    assert dropped_signatures(scope("require"), []) == ()


def test_required_signatures_are_not_dropped() -> None:
    """The error names the setting of git that signs."""
    with pytest.raises(Refused, match="1 commit would lose the signature") as refused:
        dropped_signatures(scope("require"), [commit(ONE, signed=True)])
    assert refused.value.next_commands == ("git config commit.gpgSign true",)


# --- Reverts -------------------------------------------------------------------------------------------------------


def test_moves_of_one_branch_are_joined() -> None:
    """The first tip, the last one, and every tip between count as the run's."""
    first = LocalMoved(pr=pr_number(7), before=ONE, left=TWO)
    both = joined(first, LocalMoved(pr=pr_number(7), before=TWO, left=THREE))
    assert isinstance(both, LocalMoved)
    assert (both.before, both.left) == (ONE, THREE)
    assert [both.is_ours(tip) for tip in (ONE, TWO, THREE, "")] == [True, True, True, False]


def test_moves_that_cancel_each_other_out_have_no_effect() -> None:
    """There is nothing to revert, unless the run created the branch."""
    moved = LocalMoved(pr=pr_number(7), before=ONE, left=ONE)
    assert not is_different(moved)
    assert is_different(LocalMoved(pr=pr_number(7), before=ONE, left=ONE, created=True))


def test_pushes_are_reverted_in_one_step() -> None:
    """All pushed branches go back in one atomic push; every other change has a step of its own."""
    pushed = tuple(RemoteMoved(pr=pr_number(n), before=ONE, left=TWO) for n in (7, 8))
    state = StateChanged(
        pr=pr_number(7), before=ReviewState("main", draft=True), left=ReviewState("main", draft=False)
    )
    moved = LocalMoved(pr=pr_number(8), before=ONE, left=TWO)
    keys = list(step_functions(cast("Any", None), (*pushed, state, moved)))
    assert keys == [(StepName.PUSH, None), (StateChanged.step, 7), (LocalMoved.step, 8)]


def test_created_branches_are_deleted_last() -> None:
    """A pull request leaves its base before that branch is deleted, and the checkout its branch."""
    pr = pr_number(7)
    state = StateChanged(pr=pr, before=ReviewState("main", draft=True), left=ReviewState("half", draft=True))
    here = LocalMoved(pr=branch_name("half"), before=ONE, left=ONE, created=True)
    there = RemoteMoved(pr=branch_name("half"), before=ONE, left=ONE, created=True)
    added = EntryInserted(pr=branch_name("half"), added=AddedEntry(branch=branch_name("half"), below=""))
    closed = OpenStateChanged(pr=branch_name("half"), before=True, left=False, number=pr)
    moved = RemoteMoved(pr=pr, before=ONE, left=TWO)
    assert [rank(each) for each in (closed, moved, state, there, added, here)] == [
        (0, 0), (1, 0), (1, 1), (1, 5), (2, 1), (3, 0),
    ]  # fmt: skip
    assert [change.is_ours("") for change in (here, there, moved)] == [True, True, False]


def test_a_branch_that_was_created_and_deleted_is_no_change() -> None:
    """The same for one that was deleted and created again at its tip; each alone is a change."""
    made = LocalMoved(pr=pr_number(7), before=ONE, left=ONE, created=True)
    gone = LocalMoved(pr=pr_number(7), before=ONE, left=ONE, deleted=True)
    assert not is_different(joined(made, gone))
    assert not is_different(joined(gone, made))
    assert is_different(made)
    assert is_different(gone)


def test_a_reopened_pull_request_is_closed_before_pushes_are_reverted() -> None:
    """GitHub would mark an open one as merged."""
    assert is_closed_first(OpenStateChanged(pr=pr_number(7), before=True, left=False))
    assert not is_closed_first(OpenStateChanged(pr=pr_number(7), before=False, left=True))


# --- Push arguments ------------------------------------------------------------------------------------------------

TIPS = st.sampled_from([ONE, TWO, THREE, None])
BRANCHES = st.lists(st.sampled_from(["a", "feat/b", "c+d", "é"]), min_size=1, unique=True)


@given(BRANCHES, st.lists(TIPS, min_size=4, max_size=4), st.lists(TIPS, min_size=4, max_size=4))
def test_every_pushed_ref_has_its_own_lease(names: list[str], old: list[Oid | None], new: list[Oid | None]) -> None:
    """No force, no refspec that begins with +, one lease with the expected tip for each ref, all or none."""
    branches = [branch_name(name) for name in names]
    updates = [RefUpdate(*each) for each in zip(branches, old, new, strict=False)]
    arguments = push_arguments("origin", updates)
    options, specs = arguments[: arguments.index("--end-of-options")], arguments[-len(updates) :]
    assert {"--atomic", "--no-force-if-includes"} <= set(options)
    assert not {"--force", "-f", "--mirror", "--delete"} & set(options)
    assert not any(spec.startswith("+") for spec in specs)
    leases = [option for option in options if option.startswith("--force-with-lease")]
    assert leases == [f"--force-with-lease=refs/heads/{each.branch}:{each.old or ''}" for each in updates]
    assert specs == tuple(f"{each.new or ''}:refs/heads/{each.branch}" for each in updates)


def test_a_push_is_shown_as_typed() -> None:
    """The lease stays visible, options for machines do not."""
    shown = typed_push("origin", [RefUpdate(branch_name("a"), ONE, TWO)])
    assert shown == f"git push --atomic --force-with-lease=refs/heads/a:{ONE} origin {TWO}:refs/heads/a"


# --- Commit statuses -----------------------------------------------------------------------------------------------


def test_statuses_are_read_a_hundred_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub lists thirty otherwise: those on the next page would be published again in every run."""
    paths: list[str] = []

    def rest(_: GitHub, path: str, kind: Any) -> Any:
        paths.append(path)
        return kind(statuses=())

    monkeypatch.setattr(GitHub, "rest", rest)
    assert GitHub(Repository("host", "octo", "tiny"), Path()).statuses(ONE) == {}
    assert paths == [f"commits/{ONE}/status?per_page=100"]


# --- Branches ------------------------------------------------------------------------------------------------------


def test_a_branch_with_special_characters_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a URL, `#` begins a fragment and `%` an escape: the wrong branch would be read."""
    paths: list[str] = []

    def read(_: GitHub, path: str, kind: type[Ref]) -> Ref:
        paths.append(path)
        return msgspec.convert({"object": {"sha": ONE}}, kind)

    monkeypatch.setattr(GitHub, "_request", read)
    monkeypatch.setattr(GitHub, "_send_mutation", lambda _self, _write, read_back: read_back())
    GitHub(Repository("host", "octo", "tiny"), Path()).create_branch(branch_name("fix/#7-50%"), ONE)
    assert paths == ["git/ref/heads/fix/%237-50%25"]
