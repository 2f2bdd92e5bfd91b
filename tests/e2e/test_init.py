"""`invoke init`: write stack.toml from GitHub's pull requests, compare it (--check) and update it (--update)."""

from __future__ import annotations

import json

import pytest

from support.killing import YardLanding
from support.landing import SLUG, Landing
from trunkline.config import validation

pytestmark = pytest.mark.gh


def entries(landing: Landing) -> list[tuple[int, str]]:
    """Return stack.toml's entries."""
    (stack,) = validation.load(landing.clone.path / "stack.toml")
    return [(entry.pr, entry.branch) for entry in stack.entries]


ALL = [(518, "feat/one"), (519, "feat/two"), (520, "feat/three")]


def test_a_new_file_holds_the_merged_parent(stack: YardLanding) -> None:
    """The merged #518 is an entry: #519 contains its commits, which would count as #519's own otherwise."""
    (stack.clone.path / "stack.toml").unlink()
    ran = stack.invoke("init")
    assert ran.code == 0, ran.err
    assert entries(stack) == ALL
    text = (stack.clone.path / "stack.toml").read_text()
    assert text.startswith("#:schema .trunkline/stack.schema.json\n")
    assert 'features = ["cpu"]' in text
    assert json.loads((stack.clone.path / ".trunkline/stack.schema.json").read_text())["title"] == "StackFile"
    ran = stack.invoke("rebase", "--pr", "519", "--dry-run")
    assert ran.code == 0, ran.err
    assert "2 commits" in ran.out


def test_it_never_overwrites(stack: YardLanding) -> None:
    """An existing stack.toml stays as it is; the error names `init --update`."""
    before = (stack.clone.path / "stack.toml").read_text()
    ran = stack.invoke("init")
    assert ran.code == 2
    assert "invoke init --update" in ran.err
    assert (stack.clone.path / "stack.toml").read_text() == before


def test_check_and_update_keep_what_people_wrote(stack: YardLanding) -> None:
    """--check reports a wrong branch, a missing entry and an unknown one; --update corrects them, keeps comments."""
    path = stack.clone.path / "stack.toml"
    text = path.read_text().replace("feat/two", "feat/deux").replace("schema = 1", "schema = 1  # ours")
    head, _, _ = text.partition("[[entry]]\npr = 520")
    path.write_text(f'{head}[[entry]]\npr = 77\nbranch = "gone"\n')
    ran = stack.invoke("init", "--check", "--json")
    assert ran.code == 1
    assert ran.json["differences"] == [
        "#77 gone is neither open nor merged on GitHub",
        "#519 has branch feat/two on GitHub, feat/deux in the file",
        "#520 feat/three is new on GitHub, on top of #519",
    ]
    ran = stack.invoke("init", "--update")
    assert ran.code == 0, ran.err
    assert entries(stack) == ALL
    assert "# ours" in path.read_text()
    assert 'next = "PR-3 will use' in path.read_text()
    again = stack.invoke("init", "--check")
    assert (again.code, again.out) == (0, "stack.toml says what GitHub has\n")


def test_other_tools_and_several_stacks(stack: YardLanding) -> None:
    """The bases that gh-stack and git-spice recorded are used; two stacks become two tables."""
    author = stack.author
    for branch, base in (("side/a", "main"), ("side/b", "main"), ("side/c", "main")):
        author.git("switch", "--quiet", "--create", branch, "main")
        author.commit(branch, {f"{branch[-1]}.txt": "x\n"})
        stack.push_as_author(branch)
        stack.github.open_pull_request(SLUG, head=branch, base=base, title=f"T {branch}", body="")
    tracked = {"trunk": {"branch": "main"}, "branches": [{"branch": "side/a"}, {"branch": "side/b"}]}
    (stack.clone.path / ".git/gh-stack").write_text(json.dumps({"schemaVersion": 1, "stacks": [tracked]}))
    spice = json.dumps({"base": {"name": "side/b", "hash": ""}})
    blob = stack.clone.git("hash-object", "-w", "--stdin", stdin=spice)
    inner = stack.clone.git("mktree", stdin=f"100644 blob {blob}\tc\n")
    middle = stack.clone.git("mktree", stdin=f"040000 tree {inner}\tside\n")
    tree = stack.clone.git("mktree", stdin=f"040000 tree {middle}\tbranches\n")
    stack.clone.git("update-ref", "refs/spice/data", stack.clone.git("commit-tree", tree, "-m", "data"))
    (stack.clone.path / "stack.toml").unlink()
    ran = stack.invoke("init")
    assert ran.code == 0, ran.err
    assert "sits on side/a by gh-stack; on GitHub it targets main" in ran.out
    assert "sits on side/b by git-spice" in ran.out
    assert "next: invoke status --stack feat/three\nnext: invoke status --stack side/c\n" in ran.out
    stacks = validation.load(stack.clone.path / "stack.toml")
    assert [[entry.branch for entry in each.entries] for each in stacks] == [
        ["feat/one", "feat/two", "feat/three"],
        ["side/a", "side/b", "side/c"],
    ]
    assert [each.name for each in stacks] == ["feat/three", "side/c"]


def test_nothing_open(stack: YardLanding) -> None:
    """Without a stack, exit code 2 names the open pull requests that sit on trunk, and the command for a fork."""
    for number in (519, 520):
        assert stack.run("gh", "pr", "close", str(number), "--repo", SLUG).code == 0
    (stack.clone.path / "stack.toml").unlink()
    stack.clone.git("remote", "add", "fork", "git@github.com:ada/tiny.git")
    ran = stack.run("trunkline", "init")
    assert ran.code == 2
    assert "(remote origin) sits on main" in ran.err
    assert "next: trunkline init --remote fork   # ada/tiny\n" in ran.err
    assert not (stack.clone.path / "stack.toml").exists()


def test_the_files_of_a_rust_repository(stack: YardLanding) -> None:
    """--write-tasks writes tasks.py, noxfile.py and the Makefile where they are missing, and they work."""
    clone = stack.clone.path
    (clone / "noxfile.py").write_text("import nox\n")
    ran = stack.run("trunkline", "init", "--write-tasks")
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.splitlines() == [
        "✓ has it already: tasks.py",
        "! noxfile.py is yours and stays; add at its end:",
        "    from trunkline.gates.sessions import gates",
        "✓ wrote trunkline.mk",
        "✓ wrote Makefile",
        "next: trunkline --list",
    ]
    assert (clone / "noxfile.py").read_text() == "import nox\n"
    (clone / "tasks.py").unlink()
    (clone / "noxfile.py").unlink()
    again = stack.run("trunkline", "init", "--write-tasks", "--json")
    assert {file["name"]: file["wrote"] for file in again.json["files"]} == {
        "tasks.py": True, "noxfile.py": True, "trunkline.mk": False, "Makefile": False,
    }  # fmt: skip
    made = stack.run("make", "stack-rebase", "PR=519", "ARGS=--dry-run")
    assert (made.code, "2 commits" in made.out) == (0, True), made.out + made.err
    refused = stack.run("make", "stack-rebase", "PR=519", TRUNKLINE_YES="")
    assert (refused.code, "next: invoke rebase --pr 519 --yes" in refused.err) == (2, True), refused.out + refused.err
    steps = stack.run("make", "-n", "stack-steps", "PR=519")
    assert steps.out.startswith("TRUNKLINE_PR=519 invoke verify-merged switch fetch onto fmt gates checks push ")
    listed = stack.run("nox", "-l")
    assert "gates(clippy)" in listed.out
    assert stack.invoke("init", "--write-tasks", "--check").code == 2
