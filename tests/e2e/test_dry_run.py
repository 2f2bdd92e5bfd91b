"""A dry run changes nothing, in every task and with every way to request it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.landing import SLUG, Landing
from trunkline.tasks import namespace
from trunkline.tasks.definition import LandingTask

ARGUMENTS = {"checks": ("--tick", "looked", "--reason", "I did"), "init": ("--update",)}


def mutating() -> list[str]:
    """Return the tasks that change anything, by the names that a person types."""
    inner = [(f"{name}.", each) for name, each in namespace.collections.items()]
    return [
        f"{prefix}{name}"
        for prefix, collection in [("", namespace), *inner]
        for name, task in collection.tasks.items()
        if isinstance(task, LandingTask) and task.mutates
    ]


def everything(landing: Landing) -> dict[str, Any]:
    """Return the files, refs and state of the clone, and all that GitHub has.

    Objects that no ref holds are no change, nor is the cached answer that a repository has no native stacks.
    """
    clone = landing.clone.path
    left_out = ("objects", "index", "FETCH_HEAD", "trunkline/native-stacks.json")
    files = {
        str(path.relative_to(clone)): path.read_bytes()
        for path in clone.rglob("*")
        if path.is_file() and not str(path.relative_to(clone)).startswith(tuple(f".git/{name}" for name in left_out))
    }
    return {"files": files, **landing.world()}


@pytest.mark.gh
def test_no_task_changes_anything(landing: Landing) -> None:
    """Every task that mutates, with --dry-run, with Invoke's own -R, and by the environment."""
    stack = landing.clone.path / "stack.toml"
    check = '\n[[entry.check]]\nkind = "manual"\nname = "looked"\ntitle = "Looked"\n'
    head, mark, rest = stack.read_text().partition("\n[[entry]]\npr = 520")
    stack.write_text(head + check + mark + rest)
    (landing.clone.path / "noxfile.py").write_text("from trunkline.gates.sessions import gates\n")
    landing.clone.git("switch", "--quiet", "feat/two")
    before = everything(landing)
    for name in mutating():
        for flags, dry in (((name, "-R"), ""), ((name,), "1")):
            ran = landing.invoke(*flags, *ARGUMENTS.get(name, ()), TRUNKLINE_PR="519", TRUNKLINE_DRY_RUN=dry)
            assert ran.code in {0, 1, 2, 5}, (name, ran.out, ran.err)
            assert "defect" not in ran.err, (name, ran.err)
            assert everything(landing) == before, name


@pytest.mark.gh
@pytest.mark.parametrize("how", ["--dry-run", "-n", "-R", "invoke.yaml"])
def test_a_landing(landing: Landing, how: str, tmp_path: Path) -> None:
    """Invoke's and trunkline's flag both print the plan; nothing is pushed."""
    before = everything(landing)
    settings = tmp_path / "invoke.yaml"
    settings.write_text("run:\n  dry: true\n")
    flags = ("-f", str(settings), "rebase") if how == "invoke.yaml" else ("rebase", how)
    ran = landing.invoke(*flags, "-p", "519", "-y")
    assert (ran.code, "push feat/two" in ran.out) == (0, True), ran.out + ran.err
    assert everything(landing) == before
    assert landing.pr(519)["draft"]


@pytest.mark.gh
def test_a_paused_run(open_stack: Landing) -> None:
    """`continue` prints what is left to do, `abort` what it would restore."""
    stack, author = open_stack, open_stack.author
    author.git("switch", "--quiet", "main")
    author.commit("in the way", {"src/entry.rs": "//! Other.\n"}, author="Mallory")
    stack.push_as_author("main")
    stack.github.merge(SLUG, 518, method="squash", delete_branch="web")
    assert stack.invoke("rebase", "--pr", "519").code == 3
    before = everything(stack)
    for flag in ("--dry-run", "-R"):
        ran = stack.invoke("continue", flag)
        assert (ran.code, "push feat/two" in ran.out, "fetch" in ran.out) == (0, True, False), ran.out + ran.err
        assert stack.invoke("abort", flag).code == 0
        assert everything(stack) == before
    assert stack.invoke("abort").code == 0
