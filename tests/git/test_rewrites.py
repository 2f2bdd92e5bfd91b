"""Sequences of `amend`, `absorb` and `modify`: every change of every commit stays in the stack."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.inprocess import STACK, Desk, desk
from trunkline.commands import absorb, amend, modify, rewriting
from trunkline.context.loading import open_context
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.modify_operations import Operation
from trunkline.domain.options import Options

STEPS = 7


def top(stack: Desk) -> str:
    """Return the topmost branch of stack.toml."""
    return str(stack.stack_context().stack.entries[-1].branch)


def contents(stack: Desk) -> dict[str, str]:
    """Return the files of the topmost branch with their contents, and check that it is checked out clean."""
    assert stack.clone.git("status", "--porcelain") == ""
    names = stack.clone.git("ls-tree", "-r", "--name-only", "HEAD").splitlines()
    return {name: stack.clone.git("show", f"HEAD:{name}") for name in names}


def shape(stack: Desk, dice: random.Random, number: int) -> None:
    """Run one operation of `modify` that drops nothing; one that does not fit the stack is passed over."""
    context = stack.stack_context()
    stacked = modify.open_stacked(context)
    entries = [each.entry.label for each in stacked.entries]
    commits = [commit.oid for each in stacked.entries for commit in each.own]
    kind = dice.choice(["move", "fold", "split", "squash", "reword"])
    name = dice.choice(entries if kind in {"move", "fold"} else commits)
    operation = Operation(
        kind, name, dice.choice(entries), "main", branch=f"new-{number}", message=f"message {number}"
    )
    try:
        made = modify.plan(context, stacked, modify.after(stacked, operation))
    except (UsageError, Refused):
        return
    if made is not None:
        assert rewriting.run(made.context, made.rewriting).error is None


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int) -> None:
    """After each step the topmost branch has exactly the files and lines that were put into the stack."""
    dice = random.Random(seed)  # noqa: S311 -- no secret
    own = tmp_path / "stack.toml"
    own.write_text(STACK)
    with desk(monkeypatch) as stack:
        monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(own))
        clone = stack.clone
        clone.git("switch", "--quiet", "three")
        expected = contents(stack)
        for number in range(STEPS):
            step = dice.choice(["amend", "absorb", "modify", "modify"])
            if step == "modify":
                shape(stack, dice, number)
                clone.git("switch", "--quiet", top(stack))
            else:
                name = f"amended-{number}.txt" if step == "amend" else dice.choice(sorted(expected))
                expected[name] = f"{expected.get(name, '')}\n{number}".strip()
                (clone.path / name).write_text(f"{expected[name]}\n")
                clone.git("add", name)
                entry = stack.stack_context().stack.entries[-1]
                options = Options()
                here = open_context(str(entry.key), stack="", options=options, reporter=stack.quiet, cwd=clone.path)
                context = here.over_the_stack()
                plan = absorb.plan(context)[1] if step == "absorb" else None
                plan = plan or amend.plan(context.view(), amend.Request())  # a line of trunk fits no commit
                assert rewriting.run(context, plan).error is None
            assert contents(stack) == expected, f"seed {seed}, step {number}: {step}"
