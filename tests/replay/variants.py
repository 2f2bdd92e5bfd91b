"""Stacks in which the owner of each commit is known: `pytest -n 0 tests/replay/variants.py [-k NAME]`.

Each variant is something that people, colleagues or GitHub do to a stack. `status`, `plan`, `rebase`, `restack`,
`land` and the note must find the same own commits, and `git rebase --onto` with the known fork point gives the
expected trees. Every answer that a question prints is typed. Minutes long, so not collected by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from support.inprocess import NO_CARGO, Quiet
from support.stage import Ran, Stage, stage
from support.variants import ASKED, REFUSED, VARIANTS, Variant
from trunkline.commands import land, plan, rebase, restack, status
from trunkline.context.loading import open_context, open_stack
from trunkline.domain.commits import Commit
from trunkline.domain.decisions import Forecast
from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import Oid, pr_number
from trunkline.domain.options import Options
from trunkline.git import history
from trunkline.git.git import Git
from trunkline.planning import heads
from trunkline.planning.replay_plan import own_commit_count


def ids(commits: tuple[Commit, ...]) -> list[Oid]:
    """Return the object ids."""
    return [commit.oid for commit in commits]


def planned(s: Stage, task: str) -> tuple[Git, Forecast]:
    """Return the plan of a task, and the adapter that holds its commits in memory."""
    lowest = s.open_entries()[0]
    of_stack = open_stack(stack="", options=Options(skip=NO_CARGO), reporter=Quiet())
    if task == "restack":
        return of_stack.git, restack.plan(of_stack)
    if task == "land":
        return of_stack.git, land.plan(of_stack)
    one = open_context(str(lowest), stack="", options=Options(skip=NO_CARGO), reporter=Quiet())
    return one.git, rebase.plan(one, rebase.WHOLE)


def compare(s: Stage, task: str, expected: Mapping[int, tuple[list[str], bool]]) -> list[str]:
    """Return how a task's plan differs from the expected one."""
    wrong = []
    git, forecast = planned(s, task)
    for number, (trees, stopped) in expected.items():
        found = forecast.decisions.replays.get(pr_number(number))
        if found is None:
            continue
        if ids(found.work.own) != s.own[number]:
            own = [commit.subject for commit in found.work.own]
            wrong.append(f"{task} #{number}: own {own}, expected {subjects(s, number)}")
        elif bool(found.done.conflict) != stopped:
            wrong.append(f"{task} #{number}: conflict {found.done.conflict}, git's {stopped}")
        elif not stopped and not found.nothing:
            new = [commit.tree for commit in history.read_commits(git, [n for _, n in found.done.mapped])]
            wrong += [] if new == trees else [f"{task} #{number}: other trees than git's"]
    return wrong


def counted_otherwise(s: Stage) -> list[str]:
    """Return where the note counts other own commits than there are."""
    of_stack = open_stack(stack="", options=Options(skip=NO_CARGO), reporter=Quiet())
    view = replace(of_stack.view(), decisions=restack.plan(of_stack).decisions)
    open_ = [(view.of(entry), len(s.own[int(entry.key)])) for entry in view.open_entries()]
    counts = [(of.entry.label, own_commit_count(of, heads.entry_tip(of).oid), count) for of, count in open_]
    return [f"note {label}: {found} own, expected {count}" for label, found, count in counts if found != count]


def subjects(s: Stage, number: int) -> list[str]:
    """Return the expected own commits."""
    repo = s.clone if s.clone.git("cat-file", "-t", s.own[number][0], check=False) else s.author
    return [repo.git("log", "-1", "--format=%s", name) for name in s.own[number]]


def no_dead_end(s: Stage, ran: Ran) -> list[str]:
    """Type every answer of a question; return those that fail."""
    wrong = []
    answers = [line for line in ran.next if "--fork-point" in line]
    if not answers:
        return [f"no answer is printed:\n{ran.text}"]
    for line in answers:
        again = s.run(line.replace(" --fork-point", " --dry-run --fork-point", 1))
        if again.code not in {0, 3} or (again.code == 3 and "must say" in again.text):
            wrong.append(f"{line}: exit {again.code}\n{again.text}")
    return wrong


def type_answers(s: Stage, lines: Sequence[str]) -> None:
    """Type every answer of a task's questions; after a lasting answer no question is left."""
    wrong = []
    for line in lines:
        ran = s.run(f"invoke {line}")
        if line.startswith("rebase") and ran.code == 0:
            continue  # the question is about another entry
        assert ran.code == 3, f"{line}: exit {ran.code}\n{ran.text}"
        wrong += no_dead_end(s, ran)
    assert not wrong, "\n".join(wrong)
    answers = [line for line in s.run("invoke restack --dry-run").next if "--fork-point" in line]
    ran = s.run(f"{answers[-1].partition('   #')[0]} --yes")
    assert ran.code == 0, ran.text
    assert s.run("invoke restack --dry-run").code == 0


def differences(s: Stage, lowest: int, expected: Mapping[int, tuple[list[str], bool]]) -> list[str]:
    """Return how status, plan, rebase, restack and land differ from the known own commits and git's trees."""
    wrong = list[str]()
    for task in ("restack", "land", "rebase"):
        try:
            wrong += compare(s, task, expected)
        except TrunklineError as error:
            wrong.append(f"{task}: {error.what}\n{error.why}\nnext: {error.next_commands}")
    found = status.observe(open_stack(stack="", options=Options(), reporter=Quiet()), offline=False)
    counts = {int(row.entry.key): row.own for row in found.entries}
    wrong += [
        f"status #{number}: {counts[number]} own, expected {len(s.own[number])}"
        for number in expected
        if counts[number] != len(s.own[number])
    ]
    wrong += counted_otherwise(s)
    try:
        one = open_context(str(lowest), stack="", options=Options(skip=NO_CARGO), reporter=Quiet())
        wrong += [] if ids(plan.predict_landing(one).replay.own) == s.own[lowest] else ["plan: other own commits"]
    except TrunklineError as error:
        wrong.append(f"plan: {error.what}\n{error.why}\nnext: {error.next_commands}")
    return wrong


def assert_restacked(s: Stage, expected: Mapping[int, tuple[list[str], bool]]) -> None:
    """A restack pushes git's trees; another one has nothing to ask."""
    ran = s.run("invoke restack --yes")
    assert ran.code == (3 if any(stopped for _, stopped in expected.values()) else 0), ran.text
    if ran.code:
        return
    base = s.hub.tip(s.trunk)
    for number, (trees, _) in expected.items():
        tip = s.hub.tip(s.names[number])
        held = s.hub.bare.git("log", "--reverse", "--topo-order", "--format=%T", f"{base}..{tip}").splitlines()
        assert held == trees, f"#{number} after restack"
        base = tip
    again = s.run("invoke restack --dry-run")
    assert again.code == 0, again.text


@pytest.mark.parametrize("case", VARIANTS, ids=lambda case: case.name)
def test_variant(monkeypatch: pytest.MonkeyPatch, case: Variant) -> None:
    """Every task finds the own commits that are known by construction."""
    with stage(monkeypatch, **case.shape) as s:
        case.do(s)
        lowest = s.open_entries()[0]
        lines = ["restack --dry-run", "land --dry-run", f"rebase --dry-run --pr {lowest}"]
        if case.expect == ASKED:
            type_answers(s, lines)
        elif case.expect == REFUSED:
            codes = {line: s.run(f"invoke {line}").code for line in lines}
            assert set(codes.values()) == {5}, codes
        else:
            expected = s.expected()
            wrong = differences(s, lowest, expected)
            assert not wrong, "\n".join(wrong)
            assert_restacked(s, expected)
