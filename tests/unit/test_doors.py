"""Git is started by four methods: `query` reads, `scratch` works in our own places, `mutate` and `push` change."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trunkline
from trunkline.domain.errors import TrunklineError
from trunkline.git.arguments import READING, subcommand
from trunkline.git.git import Git

SOURCE = Path(trunkline.__file__).parent
_FORMS_THAT_READ = {
    "config": {"--get", "--get-all", "--get-regexp", "--list", "--blob"},
    "notes": {"list", "show"},
    "stash": {"list"},
    "worktree": {"list"},
    "symbolic-ref": {"--quiet"},
    "remote": {"get-url", "-v"},
    "reflog": {"exists", "--format=%H"},
}
"""Of commands that read or write: arguments of which a query has one; without arguments `git remote` reads, too."""


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", node


def _literals(call: ast.Call) -> list[str]:
    return [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]


def test_a_query_has_a_form_that_reads() -> None:
    """`git config --get` reads, `git config NAME VALUE` writes; `git hash-object -w` writes an object."""
    wrong = []
    for place, call in _calls():
        assert isinstance(call.func, ast.Attribute)
        words = _literals(call)
        name = subcommand(words)
        if call.func.attr not in {"query", "cached_query"} or name not in _FORMS_THAT_READ.keys() | {"hash-object"}:
            continue
        rest = set(words[words.index(name) + 1 :])
        reads = "-w" not in rest if name == "hash-object" else bool(rest & _FORMS_THAT_READ[name])
        if not reads and not (name == "remote" and not rest):
            wrong.append(f"{place}: git {' '.join(words)}")
    assert wrong == []


def test_only_one_method_pushes() -> None:
    """`git push` as an argument of another method would need no lock."""
    assert [
        place
        for place, call in _calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"query", "cached_query", "scratch", "mutate"}
        and subcommand(_literals(call)) == "push"
    ] == []


@pytest.mark.parametrize("command", ["push", "update-ref", "commit-tree", "fetch", "checkout", ""])
def test_a_query_that_writes_does_not_start(tmp_path: Path, command: str) -> None:
    """A command that writes is refused before it starts, also one that follows options of git."""
    assert command not in READING
    with pytest.raises(AssertionError, match="is no query"):
        Git(tmp_path).query("-c", "a.b=c", command)


def test_a_scratch_command_does_not_push(tmp_path: Path) -> None:
    """Another command starts; git itself refuses an unknown one."""
    with pytest.raises(AssertionError, match="only `push` pushes"):
        Git(tmp_path).scratch("--no-pager", "push", "origin")
    with pytest.raises(TrunklineError):
        Git(tmp_path).scratch("no-such-command")
