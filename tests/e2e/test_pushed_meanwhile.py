"""Pushes by others to an entry's branch during a run: named, confirmed by the user, never landed unseen."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from support.killing import Yard
from support.landing import NO_OP_GATES, SLUG, STACK, Landing
from support.repo import Repo

pytestmark = pytest.mark.gh


def _gate_that_pushes(landing: Landing) -> None:
    root = landing.clone.path.parent
    script = f"cd {root} && test -e branch || exit 0; b=$(cat branch); rm branch; git -C author push -q origin $b"
    build = f'[gates.build]\nrun = ["sh", "-c", "{script}"]\nenv = {{}}\nneeds = []\n'
    gates = build + NO_OP_GATES[NO_OP_GATES.index("[gates.test]") :]
    (landing.clone.path / "stack.toml").write_text(STACK.format(gates=gates))
    landing.move_trunk()


@pytest.fixture
def stack(grounds: Yard) -> Iterator[Landing]:
    """Return the small stack with a gate that pushes what the author has prepared (`prepare`), once."""
    with grounds.prepared("a gate that pushes", _gate_that_pushes) as landing:
        landing.author.git("config", "core.sshCommand", landing.environment()["GIT_SSH_COMMAND"])
        yield landing


def prepare(landing: Landing, branch: str) -> None:
    """Let somebody have a commit on a branch that they push while the gates run."""
    landing.author.git("switch", "--quiet", branch)
    landing.author.commit("sneaky change", {"sneaky.txt": "s\n"}, author="Mallory")
    (landing.author.path.parent / "branch").write_text(branch)


def on_trunk(landing: Landing) -> set[str]:
    """Return the files of trunk on the remote."""
    return set(Repo(landing.github.bare(SLUG)).git("ls-tree", "-r", "--name-only", "main").splitlines())


def named(landing: Landing, *args: str) -> list[str]:
    """Run a task that stops at what was pushed meanwhile; return the command that it prints to go on."""
    ran = landing.invoke(*args, "--yes")
    assert ran.code == 3, ran.out + ran.err
    assert re.search(r'[0-9a-f]{7} Mallory: "sneaky change"', ran.err), ran.err
    assert "1 commit pushed to origin since this run began" in ran.err
    assert "sneaky.txt" not in on_trunk(landing)
    command, abort = re.findall("^next: invoke (.*)$", ran.err, re.MULTILINE)
    assert (command.endswith(" --yes"), abort) == (True, "abort"), "the approval is for going on alone"
    return shlex.split(command)


def test_on_an_entry_that_comes_later(stack: Landing) -> None:
    """A push onto #519's branch while #518 lands, the local branch behind: it lands once the user includes it."""
    stack.clone.git("branch", "--quiet", "feat/two", "origin/feat/two")
    prepare(stack, "feat/two")
    command = named(stack, "land", "--pr", "519", "--skip", "fmt", "--require", "gates")
    assert (stack.pr(518)["state"], stack.pr(519)["state"]) == ("MERGED", "OPEN")
    assert stack.invoke("continue", "--yes").code == 3
    assert stack.invoke("continue", "--include", "1234567").code == 5
    ran = stack.invoke(*command)
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.index("gates") < ran.out.index("merged")
    assert stack.pr(519)["state"] == "MERGED"
    assert "sneaky.txt" in on_trunk(stack)


def test_on_the_entry_whose_gates_run(stack: Landing) -> None:
    """The pushed commit is on the old commits: once included, all are replayed and gated again."""
    prepare(stack, "feat/one")
    command = named(stack, "rebase", "--pr", "518", "--skip", "fmt")
    ran = stack.invoke(*command)
    assert ran.code == 0, ran.out + ran.err
    subjects = Repo(stack.github.bare(SLUG)).subjects("main..feat/one")
    assert subjects == ["arena 1", "arena 2", "arena 3", "sneaky change"]


def test_it_may_be_left_where_it_is(stack: Landing) -> None:
    """`abort` leaves the branch as the others have it."""
    prepare(stack, "feat/one")
    named(stack, "rebase", "--pr", "518", "--skip", "fmt")
    assert stack.invoke("abort").code == 0
    assert stack.remote_head("feat/one") == stack.author.head("feat/one")


def test_a_person_may_take_it_in_at_once(stack: Landing) -> None:
    """A terminal prompts, also with `--yes`; the default is no."""
    prepare(stack, "feat/two")
    ran = stack.on_terminal("land", "--pr", "519", "--skip", "fmt", "--require", "gates", "--yes", typed=b"y\n")
    assert "1 commit pushed since the run began. Take it in? [y/N]" in ran.out
    assert (ran.code, "sneaky.txt" in on_trunk(stack)) == (0, True), ran.out


def test_what_was_there_before_is_no_news(stack: Landing) -> None:
    """Commits pushed before the run began are part of its plan."""
    stack.author.git("switch", "--quiet", "feat/one")
    stack.author.commit("known change", {"known.txt": "k\n"}, author="Grace")
    stack.push_as_author("feat/one")
    ran = stack.invoke("rebase", "--pr", "518", "--skip", "fmt")
    assert (ran.code, "since this run began" in ran.err) == (0, False), ran.out + ran.err
