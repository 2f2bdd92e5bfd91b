"""The processes of a restack and of status do not grow with the number of entries, those of submit as they must."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from support.inprocess import STACK, Desk, Pull, desk
from trunkline.commands import restack, status, submit
from trunkline.context import observer
from trunkline.domain.names import pr_number
from trunkline.domain.step import StepName
from trunkline.system import process


def add_entries(stack: Desk, patch: pytest.MonkeyPatch, count: int) -> None:
    """Add entries of two commits on top of the stack, with open pull requests and local branches."""
    author, tables, below = stack.author, "", "three"
    author.git("switch", "--quiet", "three")
    for number in range(4, 4 + count):
        branch = f"b{number}"
        author.git("switch", "--quiet", "-c", branch)
        for part in (1, 2):
            author.commit(f"{branch} {part}", {f"own/{branch}-{part}.txt": f"{branch}\n"})
        author.git("push", "--quiet", "origin", branch, f"{branch}:refs/pull/{number}/head")
        stack.hub.pulls[number] = Pull(pr_number(number), branch, below)
        tables, below = tables + f'\n[[entry]]\npr = {number}\nbranch = "{branch}"\n', branch
    stack.clone.git("fetch", "--quiet", str(stack.root / "bare"), "+refs/heads/*:refs/remotes/origin/*")
    for number in range(4, 4 + count):
        stack.clone.git("branch", "--quiet", f"b{number}", f"origin/b{number}")
    (stack.root / "stack.toml").write_text(STACK + tables)
    patch.setenv("TRUNKLINE_STACK_FILE", str(stack.root / "stack.toml"))


@contextlib.contextmanager
def counted(entries: int) -> Iterator[tuple[Desk, Counter[str]]]:
    """Yield a stack after trunk moved on, and how often each program and git command has run since."""
    found: Counter[str] = Counter()
    real = process.run

    def run(argv: Sequence[str], **options: Any) -> process.Completed:
        words = [word for word in argv if not word.startswith("-") and "=" not in word]
        found[" ".join(words[:2])] += 1
        return real(argv, **options)

    with pytest.MonkeyPatch.context() as patch, desk(patch) as stack:
        add_entries(stack, patch, entries - len(stack.hub.pulls))
        stack.trunk_commits("trunk moves on", {"trunk.txt": "1\n"})
        patch.setattr(observer, "_MAX_AGE", 3600.0)  # else local branches are observed again after 0.25 s
        patch.setattr(process, "run", run)
        yield stack, found


def processes_of_a_restack(entries: int) -> Counter[str]:
    """Return how often each program and git command runs in a restack."""
    with counted(entries) as (stack, found):
        ran = restack.run(stack.stack_context(skip=frozenset({StepName.PUSH, StepName.RETARGET})))
        assert ran.error is None
        assert stack.clone.subjects(f"{stack.clone.head('three')}..b{entries}")[:2] == ["b4 1", "b4 2"]
    return found


def processes_of_status(entries: int) -> Counter[str]:
    """Return how often each program and git command runs in status."""
    with counted(entries) as (stack, found):
        seen = status.observe(stack.stack_context(), offline=True)
        assert [entry.own for entry in seen.entries[-2:]] == [2, 2]
    return found


def processes_of_submit(entries: int) -> Counter[str]:
    """Return how often each program and git command runs in submit, and the number of requests to GitHub."""
    with counted(entries) as (stack, found):
        path = stack.root / "stack.toml"
        path.write_text(re.sub(r"pr = \d+\n", "", path.read_text()))
        stack.hub.pulls.clear()
        gone = [ref for ref in stack.hub.bare.refs() if ref != "refs/heads/main" and not ref.startswith("refs/tags/")]
        stack.hub.bare.git("update-ref", "--stdin", stdin="".join(f"delete {ref}\n" for ref in gone))
        found.clear()
        requests, context = stack.hub.requests, stack.stack_context()
        assert submit.run(context, submit.forecast(context)).error is None
        assert [pull.base for pull in stack.hub.pulls.values()][-2:] == [f"b{entries - 2}", f"b{entries - 1}"]
        found["requests"] = stack.hub.requests - requests
    return found


def test_submit_of_more_entries_takes_a_request_for_each_pull_request() -> None:
    """Branches, pull requests and the template of the description are read once for all entries.

    Three requests and forty git processes for each entry took half of the 4 s of a submit of five.
    """
    more = processes_of_submit(9)
    more.subtract(processes_of_submit(6))
    grown = {name: count / 3 for name, count in more.items() if count}
    assert grown == {"requests": 1, "git branch": 1, "git rev-parse": 1}  # the last one: is stack.toml still trusted?


def test_more_entries_take_no_more_git_processes() -> None:
    """Heads are compared in memory; reflogs, backups and attribute files are read once for all entries.

    A process for each pair of entries took 11 s of a restack of 50, three for each entry 0.5 s.
    """
    assert processes_of_a_restack(4) == processes_of_a_restack(9)


def test_status_of_more_entries_takes_no_more_processes() -> None:
    """Two processes for each pair of entries took 7 s of a status of 50."""
    assert processes_of_status(4) == processes_of_status(9)
