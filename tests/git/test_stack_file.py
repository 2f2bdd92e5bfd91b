"""Lookup of stack.toml by branch and work tree, and the path where `init` writes a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from support.inprocess import STACK, Quiet, desk
from support.repo import Repo
from trunkline.commands import doctor, init_local, init_update, rehearse, status
from trunkline.commands import init as init_command
from trunkline.commands import trust as trust_command
from trunkline.config import location, trust, writing
from trunkline.context.loading import choose_stack, found_text, load_stacks, top_of
from trunkline.domain.discover import Discovery, MergedPullRequest, OpenPullRequest, discover
from trunkline.domain.errors import Paused, Refused, UsageError, WrongFlag
from trunkline.domain.names import ZERO_OID, PrNumber, branch_name
from trunkline.domain.stack import Entry
from trunkline.github.pull_request_list import PullRequestList


def numbers(path: Path) -> list[int]:
    """Return the entries that a task in a directory lands."""
    return [entry.pr for entry in load_stacks(top_of(Repo(path).adapter))[0].entries]


def source(path: Path) -> str:
    """Return which file was used, where that is not the obvious one."""
    git = top_of(Repo(path).adapter)
    return trust.effective(git, found_text(git)).source


def fewer(text: str) -> str:
    """Return a stack.toml without its topmost entry."""
    return text[: text.rindex("\n[[entry]]")]


@pytest.fixture
def tracked(tmp_path: Path) -> Repo:
    """Return a clone whose trunk has a stack.toml of three entries; branch `old` has one of two, `older` has none."""
    origin = Repo.create(tmp_path / "origin")
    origin.commit("start", {"a.txt": "0\n"})
    origin.git("branch", "older")
    origin.commit("declare", {"stack.toml": fewer(STACK)})
    origin.git("branch", "old")
    origin.commit("one more", {"stack.toml": STACK})
    origin.git("clone", "--quiet", str(origin.path), str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    for name in ("old", "older"):
        clone.git("branch", "--quiet", name, f"origin/{name}")
    return clone


@pytest.mark.parametrize(
    ("branch", "said"),
    [("main", ""), ("old", "an older version"), ("older", "none in the work tree")],
)
@pytest.mark.parametrize("linked", [False, True], ids=["main", "linked"])
def test_trunks_definition_on_every_branch(tracked: Repo, branch: str, said: str, linked: bool) -> None:  # noqa: FBT001
    """Trunk's version is used where a branch has an older one or none; the output names the file."""
    place = tracked.path
    if linked:
        place = tracked.path.parent / "linked"
        tracked.git("switch", "--quiet", "--detach", "older")
        tracked.git("worktree", "add", "--quiet", str(place), branch)
    else:
        tracked.git("switch", "--quiet", branch)
    assert numbers(place) == [1, 2, 3]
    assert said in source(place)
    assert bool(said) == bool(source(place))


def test_an_edited_copy_counts(tracked: Repo) -> None:
    """On an old branch, too."""
    tracked.git("switch", "--quiet", "old")
    (tracked.path / "stack.toml").write_text(fewer(STACK).replace("pr = 2", "pr = 7"))
    assert numbers(tracked.path) == [1, 7]
    assert source(tracked.path) == ""


def test_the_file_of_the_main_work_tree(tracked: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A linked work tree takes it before trunk's; the variable comes before everything."""
    tracked.git("switch", "--quiet", "older")
    (tracked.path / "stack.toml").write_text(fewer(fewer(STACK)))
    linked = tracked.path.parent / "linked"
    tracked.git("worktree", "add", "--quiet", "--detach", str(linked), "older")
    assert numbers(linked) == [1]
    assert source(linked) == f"stack.toml is that of the main work tree, {tracked.path}"
    other = tracked.path.parent / "other.toml"
    other.write_text(fewer(STACK))
    monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(other))
    assert numbers(linked) == numbers(tracked.path) == [1, 2]
    assert source(tracked.path) == f"stack.toml is {other}, as TRUNKLINE_STACK_FILE says"


def test_a_copy_in_the_git_directory(tracked: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every work tree reads it, also the one of a conflict, where the main work tree is elsewhere."""
    copy = tracked.path / ".git/stack.toml"
    copy.write_text(tracked.git("show", "main:stack.toml"))
    monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(copy))
    tracked.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    for place in (tracked.path, tmp_path / "linked"):
        git = Repo(place).adapter
        assert trust.effective(git, found_text(git)).path == copy
        assert load_stacks(git)


def test_a_rehearsal_takes_the_same_file(tracked: Repo, tmp_path: Path) -> None:
    """The rehearsal's checkout has no stack file if the work tree has none."""
    assert rehearse._stack_elsewhere(tracked.adapter, tmp_path) == {}
    tracked.git("switch", "--quiet", "older")
    named = rehearse._stack_elsewhere(tracked.adapter, tmp_path)
    assert named == {"TRUNKLINE_STACK_FILE": str(tmp_path / "stack.toml")}
    assert (tmp_path / "stack.toml").read_text() == STACK


def test_status_says_which_file_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an entry's branch that has an older stack.toml than trunk."""
    with desk(monkeypatch) as there:
        there.trunk_commits("newer", {"stack.toml": f"{STACK}# newer\n"})
        there.clone.git("fetch", "--quiet")
        there.clone.git("switch", "--quiet", "two")
        (note, *_) = status.observe(there.stack_context(), offline=True).notes
        assert note == "stack.toml is that of origin/main: the one that is checked out is an older version of it"


def seen(repo: Repo, *branches: str) -> Any:
    """Return what `init` has seen: a stack of these branches, the first is #1."""
    bases = ["main", *branches]
    pulls = [OpenPullRequest(PrNumber(n), f"T{n}", bases[n - 1], bases[n]) for n in range(1, len(bases))]
    stack = tuple(Entry(pr.number, branch_name(pr.head), pr.title) for pr in pulls)
    found: Discovery = discover(pulls, "main")
    listing = PullRequestList("main", tuple(pulls), ())
    return init_command.PullRequestStacks(
        top_of(repo.adapter), "origin", branch_name("main"), (stack,), found, listing, ()
    )


def test_a_stack_begins_with_local_branches(repo: Repo) -> None:
    """Nothing is open: the checked-out branch and those below it are entries without a pull request."""
    repo.commit("start")
    repo.git("update-ref", "refs/remotes/origin/main", "main")
    for branch in ("one", "two", "three"):
        repo.git("switch", "--quiet", "-c", branch)
        repo.commit(branch)
    repo.git("branch", "beside", "main")
    repo.git("switch", "--quiet", "two")
    nothing = replace(seen(repo), stacks=())
    (stack,) = init_local.with_local(nothing).stacks
    assert stack == (Entry(None, branch_name("one")), Entry(None, branch_name("two")))
    assert init_local.with_local(seen(repo, "x")).stacks == seen(repo, "x").stacks
    merged = PullRequestList("main", (), (MergedPullRequest(PrNumber(9), "", "two", ZERO_OID),))
    assert init_local.with_local(replace(nothing, listing=merged)).stacks == ()
    repo.git("switch", "--quiet", "main")
    assert init_local.with_local(nothing).stacks == ()


def test_a_new_file_is_on_every_branch_and_in_no_pull_request(repo: Repo) -> None:
    """Written in a linked work tree, too: git shows nothing, a clean checkout stays clean."""
    repo.commit("start", {"a.txt": "0\n"})
    repo.git("branch", "one")
    (repo.path / ".git/info/exclude").write_text("*.log")  # the user's own, without a line end
    linked = repo.path.parent / "linked"
    repo.git("worktree", "add", "--quiet", "--detach", str(linked))
    path = init_command.write(seen(Repo(linked), "one", "two"))
    assert path == repo.path / "stack.toml"
    for each in (repo, Repo(linked)):
        assert each.git("status", "--porcelain") == ""
        assert numbers(each.path) == [1, 2]
    repo.git("switch", "--quiet", "one")
    assert numbers(repo.path) == [1, 2]
    assert (repo.path / ".git/info/exclude").read_text().splitlines() == [
        "*.log", "/stack.toml", "/.trunkline/stack.schema.json",
    ]  # fmt: skip
    init_update.update(seen(Repo(linked), "one", "two", "three"), init_update.check(
        seen(Repo(linked), "one", "two", "three")
    ))  # fmt: skip
    assert numbers(linked) == [1, 2, 3]
    assert repo.git("status", "--porcelain") == ""
    with pytest.raises(UsageError, match=r"there is a stack\.toml already"):
        init_command.write(seen(Repo(linked), "one"))


def test_kept_in_the_repository_on_request(repo: Repo) -> None:
    """`--track`: git shows it, also where an earlier `init` had hidden it."""
    repo.commit("start", {"a.txt": "0\n"})
    init_command.write(seen(repo, "one")).unlink()
    init_command.write(seen(repo, "one"), track=True)
    assert repo.git("status", "--porcelain", "--untracked-files=all").split() == [
        "??", ".trunkline/stack.schema.json", "??", "stack.toml",
    ]  # fmt: skip


def test_no_second_file_beside_trunks(tracked: Repo) -> None:
    """On a branch without one: an untracked file would be in the way of every switch to trunk."""
    tracked.git("switch", "--quiet", "older")
    with pytest.raises(UsageError, match=r"there is a stack\.toml already") as refused:
        init_command.write(seen(tracked, "one"))
    assert "origin/main" in refused.value.why


@pytest.mark.parametrize("branch", ["old", "older", "new"])
def test_mending_dirties_no_branch_of_a_stack(tracked: Repo, branch: str) -> None:
    """A tracked file is mended on trunk; the printed command does it."""
    tracked.git("branch", "new", "main")
    tracked.git("switch", "--quiet", branch)
    wider = seen(tracked, "one", "two", "three", "four")
    with pytest.raises(Refused, match="part of origin/main") as refused:
        init_update.update(wider, init_update.check(wider))
    assert tracked.git("status", "--porcelain") == ""
    (command,) = refused.value.next_commands
    switch, merge, _ = command.split(" && ")
    for typed in (switch, merge):
        tracked.git(*typed.split()[1:])
    init_update.update(wider, init_update.check(wider))
    assert numbers(tracked.path) == [1, 2, 3, 4]


def test_a_file_named_with_glob_characters_is_hidden(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pattern matches that file alone."""
    repo.commit("start", {"a.txt": "0\n"})
    monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(repo.path / "my [stack]*.toml"))
    init_command.write(seen(repo, "one"))
    (repo.path / "my s.toml").touch()
    assert repo.git("status", "--porcelain") == '?? "my s.toml"'
    assert not location.keep_untracked(repo.adapter, repo.path.parent / "elsewhere.toml", untracked=True)


def test_the_next_stack_after_one_that_has_landed(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init` and `--update` begin it in the same file: settings stay, the issue of the landed stack goes."""
    repo.commit("start", {"a.txt": "0\n"})
    path = init_command.write(seen(repo, "one", "two"))
    path.write_text(path.read_text().replace("schema = 1\n", "schema = 1  # ours\nissue = 319\n"))
    pulls = (OpenPullRequest(PrNumber(8), "T", "main", "next"), OpenPullRequest(PrNumber(9), "T", "next", "more"))
    stack = tuple(Entry(pr.number, branch_name(pr.head), pr.title) for pr in pulls)
    merged = tuple(MergedPullRequest(PrNumber(n), "T", name, ZERO_OID) for n, name in ((1, "one"), (2, "two")))
    now = replace(
        seen(repo), stacks=(stack,), found=discover(pulls, "main"), listing=PullRequestList("main", pulls, merged)
    )
    (checked,) = init_update.check(now)
    assert [each.message for each in checked.differences] == ["all of it is merged; next is #8 #9"]
    assert init_update.refuse_unfinished(now) == (checked,)
    init_update.update(now, (checked,))
    assert numbers(repo.path) == [8, 9]
    assert "# ours" in path.read_text()
    assert "issue" not in path.read_text()
    monkeypatch.chdir(repo.path)
    repo.git("remote", "add", "origin", "git@github.com:octo/repo.git")
    with pytest.raises(UsageError, match=r"there is a stack\.toml already"):
        init_update.refuse_unfinished(now)
    over = replace(now, stacks=(), listing=PullRequestList("main", (), (*merged, *(
        MergedPullRequest(pr.number, "T", pr.head, ZERO_OID) for pr in pulls
    ))))  # fmt: skip
    (none,) = init_update.check(over)
    assert (none.landed, none.differences) == (True, ())
    with pytest.raises(UsageError, match="no other stack is open"):
        init_update.refuse_unfinished(over)
    repo.git("update-ref", "refs/remotes/origin/main", "main")
    for branch in ("more", "four", "five"):  # more has landed: it is no entry again
        repo.git("switch", "--quiet", "-c", branch)
        repo.commit(branch)
    assert init_update.check(over) == (none,)  # GitHub has no other one
    (local,) = init_update.refuse_unfinished(over)
    assert [each.message for each in local.differences] == ["all of it is merged; next is four five"]
    init_update.update(over, (local,))
    assert [(entry.number, entry.branch) for entry in load_stacks(top_of(repo.adapter))[0].entries] == [
        (None, "four"), (None, "five")
    ]  # fmt: skip


SEVERAL = """\
schema = 1
[[stack]]
name = "done"  # ours

[[stack.entry]]
pr = 1
branch = "one"

[[stack]]
name = "open"

[[stack.entry]]
pr = 2
branch = "two"
"""


def several(repo: Repo, *open_pulls: OpenPullRequest) -> Any:
    """Return what `init` has seen where #1, the stack `done`, is merged."""
    merged = (MergedPullRequest(PrNumber(1), "T", "one", ZERO_OID),)
    pulls = (OpenPullRequest(PrNumber(2), "T", "main", "two"), *open_pulls)
    found = discover(pulls, "main", alone=True)
    stacks = tuple(tuple(Entry(pr.number, branch_name(pr.head), pr.title) for pr in stack) for stack in found.stacks)
    return replace(seen(repo), stacks=stacks, found=found, listing=PullRequestList("main", pulls, merged))


@pytest.mark.parametrize("drop", [False, True])
def test_a_landed_stack_beside_others(repo: Repo, drop: bool) -> None:  # noqa: FBT001
    """A landed stack is marked, or dropped on request: tasks then take the open one, and this one by its name."""
    repo.commit("start", {"a.txt": "0\n"})
    path = repo.path / "stack.toml"
    path.write_text(SEVERAL)
    with pytest.raises(WrongFlag, match="several stacks") as several_open:
        choose_stack(load_stacks(repo.adapter), "")
    assert len(several_open.value.choices) == len(load_stacks(repo.adapter))
    now = several(repo)
    checked = init_update.check(now)
    assert [each.message for one in checked for each in one.differences] == ["all of it is merged"]
    init_update.update(now, checked, drop=drop)
    stacks = load_stacks(repo.adapter)
    assert choose_stack(stacks, "").name == "open"
    assert [each.name for each in stacks] == (["open"] if drop else ["done", "open"])
    assert ('name = "done"  # ours\nlanded = true\n' in path.read_text()) is not drop
    if not drop:
        assert [entry.number for entry in choose_stack(stacks, "done").entries] == [1]
    assert not any(one.differences for one in init_update.check(now))


def test_the_successor_of_a_named_stack(repo: Repo) -> None:
    """The successor is a stack of its own, named after its top branch; the landed one keeps its entries."""
    repo.commit("start", {"a.txt": "0\n"})
    (repo.path / "stack.toml").write_text(SEVERAL)
    now = several(
        repo, OpenPullRequest(PrNumber(8), "T", "main", "next"), OpenPullRequest(PrNumber(9), "U", "next", "more")
    )
    init_update.update(now, init_update.check(now))
    stacks = load_stacks(repo.adapter)
    assert [(each.name, each.landed, each.numbers) for each in stacks] == [
        ("done", True, (1,)), ("open", False, (2,)), ("more", False, (8, 9)),
    ]  # fmt: skip
    assert not any(one.differences for one in init_update.check(now))


def test_the_successor_of_a_stack_whose_branch_name_is_used_again(repo: Repo) -> None:
    """Two stacks of one name would be invalid: the successor's name has the number of its top pull request."""
    repo.commit("start", {"a.txt": "0\n"})
    (repo.path / "stack.toml").write_text(SEVERAL)
    now = several(repo, OpenPullRequest(PrNumber(8), "T", "main", "done"))
    init_update.update(now, init_update.check(now))
    assert [(each.name, each.numbers) for each in load_stacks(repo.adapter)] == [
        ("done", (1,)), ("open", (2,)), ("done-8", (8,)),
    ]  # fmt: skip


def test_an_update_that_would_be_invalid_is_not_written(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git does not track the file, so there is no other copy of it."""
    repo.commit("start", {"a.txt": "0\n"})
    path = repo.path / "stack.toml"
    path.write_text(SEVERAL)
    now = several(repo)
    checked = init_update.check(now)
    monkeypatch.setattr(writing, "closed", lambda *_, **__: "schema = 1\n")
    with pytest.raises(UsageError):
        init_update.update(now, checked)
    assert path.read_text() == SEVERAL


def test_doctor_names_the_remote_that_init_needs(repo: Repo) -> None:
    """Before the missing stack.toml, for which it names `init`."""
    found = doctor.examine(Quiet(), offline=True, cwd=repo.path)
    fixes = [each.fix for each in found if each.about in {"remote", "stack.toml"}]
    assert fixes == ["git remote add origin git@github.com:OWNER/NAME.git", "invoke init"]


def test_a_paused_run_keeps_its_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """`init --update` is refused with exit code 3, and the file stays as it is."""
    with desk(monkeypatch) as stack:
        stack.conflict(2)
        assert isinstance(stack.restack().error, Paused)
        wider = seen(stack.clone, "one", "two", "three", "four")
        before = (stack.clone.path / "stack.toml").read_text()
        with pytest.raises(Paused, match="paused at commit") as refused:
            init_update.update(wider, init_update.check(wider))
        assert refused.value.next_commands == ("invoke continue", "invoke skip", "invoke abort")
        assert (stack.clone.path / "stack.toml").read_text() == before


@pytest.mark.parametrize(
    ("wrong", "named"),
    [("\n[gate]\nmsrv = '1'\n", "gate"), ("\n[[entry]]\npr = 1\nbranch = 'again'\n", "pr")],
)
def test_trust_confirms_no_file_that_is_not_valid(monkeypatch: pytest.MonkeyPatch, wrong: str, named: str) -> None:
    """Exit code 2 with file, line and key: a misspelt table would be confirmed, and then not apply."""
    with desk(monkeypatch) as stack:
        path = stack.clone.path / "stack.toml"
        path.write_text(path.read_text() + wrong)
        with pytest.raises(UsageError, match=rf"stack\.toml:\d+.*{named}"):
            trust_command.question_of(stack.clone.path)
