"""Names in printed commands are quoted: anyone who pushes a branch chooses its name, which may be shell code."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from trunkline.context.project import Project
from trunkline.context.scope import Scope
from trunkline.domain.command import argv_of
from trunkline.domain.names import Oid, branch_name, pr_number
from trunkline.domain.options import Options
from trunkline.domain.repository import Repository
from trunkline.domain.stack import Entry, Stack
from trunkline.planning.heads import diverged
from trunkline.planning.misplaced_commits import Misplaced

SOURCE = Path(__file__).resolve().parents[2] / "src/trunkline"
PROGRAMS = re.compile(r"(?:git|gh|rm|mv|ls|less|cat|cd) ")
NAMES = frozenset({
    "base_name", "branch", "branch_ref", "came_from", "checked_out", "current", "log", "onto", "path", "remote",
    "tracking", "trunk",
})  # fmt: skip
PREPARED = {"planning/own_merges.py": {"branch", "onto"}, "state/journal.py": {"path"}, "steps/together.py": {"path"}}
"""Variables that are quoted before, or a path of GitHub's API."""
EVIL = branch_name("a;touch${IFS}b&'")


def unquoted(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the names that an f-string with a command holds as they are, before its comment."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr) or not PROGRAMS.match(ast.unparse(node)[2:]):
            continue
        for value in node.values:
            if isinstance(value, ast.Constant):
                if " #" in str(value.value):
                    break
            elif isinstance(value, ast.FormattedValue):
                inner = value.value.func if isinstance(value.value, ast.Call) else value.value
                name = inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", "")
                if name in NAMES:
                    yield value.lineno, ast.unparse(value.value)


def test_every_name_in_a_command_is_quoted() -> None:
    """An f-string that begins like a command holds no bare name of a branch, a remote or a file."""
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {name}"
        for path in sorted(SOURCE.rglob("*.py"))
        if "sim" not in path.parts
        for line, name in unquoted(ast.parse(path.read_text(encoding="utf-8")))
        if name not in PREPARED.get(str(path.relative_to(SOURCE)), ())
    ]
    assert found == []


def test_the_command_that_shows_diverged_branches() -> None:
    """The shell passes the branch name on as one word."""
    nothing = cast("Any", None)
    entry = Entry(pr_number(7), EVIL)
    stack = Stack(branch_name("main"), "origin", (entry,))
    scope = Scope(
        Project(nothing, stack, Repository("host", "octo", "tiny"), Options(), nothing), entry, stacked=True
    )
    (command,) = diverged(scope, ()).next_commands
    assert shlex.split(command)[-1] == f"{EVIL}...origin/{EVIL}"


def test_the_command_that_moves_a_branch_back() -> None:
    """The argv in `--json` is that of git, with the whole name in its arguments."""
    entry, head, before = Entry(pr_number(7), EVIL), Oid("1" * 40), Oid("2" * 40)
    *_, remote, spec = shlex.split(Misplaced(entry, head, (), before, "o;ls").command)
    assert (remote, spec) == ("o;ls", f"{before}:refs/heads/{EVIL}")
    (_, _, typed) = argv_of(Misplaced(entry, head, (), before, "o;ls").command)
    assert shlex.split(typed)[-1] == f"{before}:refs/heads/{EVIL}"


def test_no_template_of_a_plan_holds_a_bare_branch_name_in_a_command() -> None:
    """The commands in the blocks of a plan are copied into a shell."""
    text = (SOURCE / "report/runbook.md.j2").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL)
    assert sum(block.count("entry.branch | word") for block in blocks) == text.count("entry.branch | word") > 0
    assert not [block for block in blocks if re.search(r"entry\.branch }}", block)]
