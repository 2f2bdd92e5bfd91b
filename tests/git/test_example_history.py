"""The example's history matches examples/README.md, checked with real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.domain.errors import UsageError
from trunkline.domain.names import Oid, oid
from trunkline.sim.example import EXAMPLES, Example, ExamplePull, build_example

OWN = {518: 24, 519: 5, 520: 4, 521: 3, 522: 3}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the example is built, once: no test changes it."""
    return tmp_path_factory.mktemp("example") / "kv-pool.git"


@pytest.fixture(scope="module")
def example(bare: Path) -> Example:
    """Return the example that was built."""
    return build_example(bare)


@pytest.fixture
def clone(example: Example, bare: Path, tmp_path: Path) -> Repo:
    """A clone with every branch of the example, main checked out."""
    repo = Repo(tmp_path / "clone")
    Repo(bare).git("clone", "--quiet", str(bare), str(repo.path))
    for pull in example.pulls:
        repo.git("branch", "--quiet", pull.branch, f"origin/{pull.branch}")
    return repo


def squash(repo: Repo, pull: ExamplePull) -> Oid:
    """Merge a pull request's branch into main as GitHub's squash does; a conflict is an error."""
    repo.git("switch", "--quiet", "main")
    repo.git("merge", "--quiet", "--squash", pull.branch)
    repo.git("commit", "--quiet", "--message", f"{pull.title} (#{pull.number})")
    return repo.head()


def crates_without_cpu(repo: Repo) -> list[str]:
    """Return the crates of the checkout that could not be gated with `--features cpu`."""
    manifests = sorted(repo.path.glob("crates/*/Cargo.toml"))
    return [path.parent.name for path in manifests if "\ncpu = " not in path.read_text()]


def test_the_object_ids_are_the_same_every_time(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two builds agree in every field, whatever the directory and the caller's environment."""
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")
    monkeypatch.setenv("GIT_DIR", "nowhere")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert build_example(tmp_path / "elsewhere" / "again.git") == example


def test_an_existing_repository_is_built_into(example: Example, tmp_path: Path) -> None:
    """A bare repository that is there already gets the branches, and no other ref."""
    repo = Repo(tmp_path / "made.git")
    repo.path.mkdir()
    repo.git("init", "--quiet", "--bare", "--initial-branch=main")
    assert build_example(repo.path) == example
    expected = {f"refs/heads/{pull.branch}": pull.head for pull in example.pulls}
    assert repo.refs() == {**expected, "refs/heads/main": example.trunk_moved}


def test_without_a_checkout_it_says_where_the_sources_are(tmp_path: Path) -> None:
    """An installed package has no examples: a usage error, and no repository is left behind."""
    with pytest.raises(UsageError, match="sources are not here"):
        build_example(tmp_path / "new.git", tmp_path)
    assert not (tmp_path / "new.git").exists()


def test_each_branch_has_its_own_commits_and_those_below(example: Example, clone: Repo) -> None:
    """24, then 5, 4, 3 and 3; #519 is 29 commits above its merge base with main."""
    assert {pull.number: pull.own for pull in example.pulls} == OWN
    base = clone.git("merge-base", "main", example.pull(519).branch)
    assert base == example.trunk_at_branch
    above = clone.git("rev-list", "--count", f"main..{example.pull(519).branch}")
    assert above == "29"
    assert clone.git("rev-list", "--count", f"{example.trunk_at_branch}..main") == "3"
    assert [pull.base for pull in example.pulls] == ["main", *(pull.branch for pull in example.pulls[:-1])]


def test_trunk_begins_as_the_workspace_in_examples(example: Example, clone: Repo) -> None:
    """Nothing of examples/kv-pool is forgotten by history.toml, and nothing else is committed."""
    committed = clone.git("ls-tree", "-r", "--name-only", example.trunk_at_branch).splitlines()
    workspace = EXAMPLES / "kv-pool"
    built = {"target", "__pycache__", ".nox"}
    files = [path.relative_to(workspace) for path in workspace.rglob("*") if path.is_file()]
    assert sorted(str(path) for path in files if not built & set(path.parts)) == sorted(committed)
    assert clone.git("show", "main:stack.toml") + "\n" == example.stack_toml


def test_a_plain_rebase_conflicts_at_the_first_of_29_commits(example: Example, clone: Repo) -> None:
    """A plain `git rebase main` after the squash merge stops at the first commit."""
    squash(clone, example.pull(518))
    done = subprocess.run(
        ["git", "rebase", "main", example.pull(519).branch], cwd=clone.path, capture_output=True, check=False
    )
    assert done.returncode == 1
    first = clone.git("rev-list", "--reverse", f"main..{example.pull(519).head}").splitlines()[0]
    assert clone.head("REBASE_HEAD") == first
    assert (clone.path / ".git/rebase-merge/msgnum").read_text() == "1\n"
    assert (clone.path / ".git/rebase-merge/end").read_text() == "29\n"
    conflicts = clone.git("diff", "--name-only", "--diff-filter=U").splitlines()
    assert conflicts == ["crates/kv-block/src/layout.rs", "crates/kv-block/src/lib.rs"]


def test_trunk_itself_is_in_the_way_of_the_first_commit(example: Example, clone: Repo) -> None:
    """#518's first commit conflicts with trunk even unmerged, and its whole change does not."""
    first = clone.git("rev-list", "--reverse", f"main..{example.pull(518).head}").splitlines()[0]
    picked = subprocess.run(["git", "cherry-pick", first], cwd=clone.path, capture_output=True, check=False)
    assert picked.returncode == 1
    assert clone.git("diff", "--name-only", "--diff-filter=U") == "crates/kv-block/src/lib.rs"
    clone.git("cherry-pick", "--abort")
    clone.git("merge-tree", "--write-tree", "main", example.pull(518).head)


def test_the_stack_lands_in_turn_from_its_fork_points(example: Example, clone: Repo) -> None:
    """From the old head of the one below, each rebase replays exactly the own commits, with no conflict."""
    tip = squash(clone, example.pull(518))
    for below, pull in zip(example.pulls, example.pulls[1:], strict=False):
        clone.git("rebase", "--quiet", "--onto", tip, below.head, pull.branch)
        replayed = clone.subjects(f"{tip}..{pull.branch}")
        assert replayed == clone.subjects(f"{below.head}..{pull.head}")
        assert len(replayed) == OWN[pull.number]
        assert not crates_without_cpu(clone)
        tip = squash(clone, pull)
    merged = clone.git("merge-tree", "--write-tree", example.trunk_moved, example.pulls[-1].head)
    assert clone.git("rev-parse", "main^{tree}") == merged


def test_descriptions_are_as_people_write_them(example: Example) -> None:
    """Each has a summary and a checklist; #519's has what a careless writer would damage."""
    for pull in example.pulls:
        assert pull.body.startswith("## Summary\n")
        assert "- [ ]" in pull.body or pull.number == 518
    body = example.pull(519).body
    assert body.encode() == (EXAMPLES / "kv-pool-stack/519/body.md").read_bytes()
    for tricky in ("<!-- ", "```rust\n", "\n~~~text\n", "🧱", "&amp;", "locally  \n", "\t", "\\\n"):
        assert tricky in body


def test_people_and_dates_are_fixed(example: Example, clone: Repo) -> None:
    """Several authors; trunk's commits are GitHub's; no commit is dated now."""
    authors = set(clone.git("log", "--format=%an", example.pulls[-1].branch, "main").splitlines())
    assert authors == {"Ana Beltrán", "Jonas Lindqvist", "Mira Okafor", "Tomasz Wren"}
    moved = f"{example.trunk_at_branch}..{example.trunk_moved}"
    assert set(clone.git("log", "--format=%cn", moved).splitlines()) == {"GitHub"}
    dates = clone.git("log", "--format=%cs%n%as", "--branches").splitlines()
    assert (min(dates), max(dates)) == ("2025-10-20", "2025-11-18")


@pytest.mark.cargo
def test_every_tip_is_formatted(example: Example, clone: Repo) -> None:
    """`cargo fmt --all` has nothing to change on main, on any branch, or on #519 once it is rebased."""
    tip = squash(clone, example.pull(518))
    clone.git("rebase", "--quiet", "--onto", tip, example.pull(518).head, example.pull(519).branch)
    tips = [
        example.trunk_at_branch,
        example.trunk_moved,
        *example.heads.values(),
        oid(clone.git("rev-parse", "HEAD")),
    ]
    for commit in tips:
        clone.git("checkout", "--quiet", "--detach", commit)
        done = subprocess.run(
            ["cargo", "fmt", "--all", "--", "--check"], cwd=clone.path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{commit}\n{done.stdout}{done.stderr}"
