"""Gates on GitHub Actions: the real gh dispatches the workflow, a runner types its jobs, the receipts come back."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support import programs
from support.landing import NO_OP_GATES, SLUG, Landing, small_stack
from support.repo import Repo
from support.runner import FILE, Runner

pytestmark = [pytest.mark.gh, pytest.mark.slow]
FAILING = NO_OP_GATES.replace(
    '[gates.clippy]\nrun = ["true"]', '[gates.clippy]\nrun = ["sh", "-c", "echo error: no; exit 3"]'
).replace(
    '[gates.msrv]\nrun = ["true"]\nenv = {}\nneeds = []',
    '[gates.msrv]\nrun = ["cargo", "+1.23.4", "check"]\nenv = {}\nneeds = []',
)


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Landing]:
    """Return the small stack: trunk has the workflow; #519 has a noxfile and gates of its own, not pushed.

    Git tracks #519's stack.toml, since the machines have no other; here it is trusted as it changes.
    """
    monkeypatch.setenv("TRUNKLINE_TRUST", "checkout")
    monkeypatch.setenv("TRUNKLINE_WAIT_FACTOR", "0.05")  # looks every 0.25 s: without a wait gh takes a whole core
    with small_stack(tmp_path / "stack") as made:
        made.clone.git("switch", "--quiet", "feat/two")
        assert made.run("trunkline", "init", "--write-tasks").code == 0
        stack = made.clone.path / "stack.toml"
        stack.write_text(stack.read_text().replace(NO_OP_GATES, FAILING))
        made.clone.git("add", "--force", "noxfile.py", "stack.toml")
        made.clone.commit("its gates")
        assert made.invoke("ci.workflow").code == 0
        text = (made.clone.path / FILE).read_text()
        made.author.git("switch", "--quiet", "main")
        made.author.commit("the workflow", {FILE: text})
        made.push_as_author("main")
        (made.clone.path / FILE).unlink()
        yield made


def use_actions(landing: Landing) -> None:
    """Let stack.toml say that Actions runs the gates."""
    path = landing.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('features = ["cpu"]\n', 'features = ["cpu"]\nexecutor = "actions"\n'))


@pytest.fixture
def on_actions(landing: Landing) -> Landing:
    """Return the small stack with gates on Actions."""
    use_actions(landing)
    return landing


def outcomes(landing: Landing, *flags: str) -> dict[str, tuple[str, str, str]]:
    """Gate the stack; return #519's (verdict, diagnosis, fix) by gate."""
    message = landing.invoke("gates", "--stack", *flags, "--json").json
    (entry,) = [each for each in message["entries"] if each["pr"] == 519]
    return {each["gate"]: (each["verdict"], each["diagnosis"], each["fix"]) for each in entry["outcomes"]}


def runs(landing: Landing) -> list[dict[str, Any]]:
    """Return the runs that GitHub has."""
    found: list[dict[str, Any]] = landing.github.lever("runs", SLUG)
    return found


def lent(landing: Landing) -> list[str]:
    """Return the refs of ours that the remote has."""
    return [ref for ref in Repo(landing.github.bare(SLUG)).refs() if ref.startswith("refs/trunkline/")]


def only(landing: Landing, number: int) -> None:
    """Leave one entry in stack.toml."""
    path = landing.clone.path / "stack.toml"
    head, *entries = path.read_text().split("[[entry]]")
    path.write_text(head + "".join(f"[[entry]]{each}" for each in entries if f"pr = {number}" in each))


def test_the_same_verdicts_as_here(landing: Landing, tmp_path: Path) -> None:
    """Verdict, diagnosis and fix are those of nox; receipts name Actions and the host, and serve the next run."""
    only(landing, 519)
    here = outcomes(landing)
    assert here["clippy"] == ("failed", "error: no", "")
    assert here["msrv"][0] == "unavailable"
    use_actions(landing)
    with Runner(landing, tmp_path / "runner") as runner:
        assert outcomes(landing) == here
    assert [name for name, _ in runner.ran] == ["build", "test", "clippy", "fmt", "doc", "msrv"]
    predicates = [each["statement"]["predicate"] for each in landing.invoke("receipts", "--json").json["receipts"]]
    ran_by = {(each["trunkline"]["executor"], each["trunkline"]["host"]) for each in predicates}
    assert ran_by == {("nox", os.uname().nodename), ("actions", os.uname().nodename)}
    assert landing.invoke("receipts.verify").code == 0
    assert lent(landing) == []
    with Runner(landing, tmp_path / "again") as runner:
        assert outcomes(landing) == here
    assert [name for name, _ in runner.ran] == ["clippy", "msrv"]  # what passed has receipts


def gating(landing: Landing, *which: str) -> subprocess.Popen[str]:
    """Start gating #519, or what is named, in a session of its own as a terminal's job is."""
    return subprocess.Popen(
        ["invoke", "gates", *(which or ("--pr", "519")), "--fresh"], cwd=landing.clone.path, text=True,
        env={**landing.environment(), "PATH": programs.path()}, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def at_a_gate(tmp_path: Path) -> tuple[Callable[[str], Mapping[str, str]], Path, Path]:
    """Return what makes a runner say that it began a gate, and wait for a word before each."""
    began, word = tmp_path / "began", tmp_path / "word"
    tmp_path.mkdir(exist_ok=True)
    os.mkfifo(began)
    os.mkfifo(word)
    met: list[str] = []

    def before(name: str) -> Mapping[str, str]:
        if not met:
            met.append(name)
            began.write_text(name)
            word.read_text()
        return {}

    return before, began, word


def test_an_interrupt_cancels_and_a_kill_is_joined(on_actions: Landing, tmp_path: Path) -> None:
    """Ctrl-C cancels the run and takes the commit back; after a kill the run goes on, and the next task joins it."""
    before, began, word = at_a_gate(tmp_path)
    with Runner(on_actions, tmp_path / "runner", before):
        first = gating(on_actions)
        assert began.read_text() == "build"
        assert len(lent(on_actions)) == 1
        first.send_signal(signal.SIGINT)
        out, _ = first.communicate(timeout=120)
        assert first.returncode == 130, out
        assert [run["conclusion"] for run in runs(on_actions)] == ["cancelled"]
        assert lent(on_actions) == []
        word.write_text("")
    before, began, word = at_a_gate(tmp_path / "second")
    with Runner(on_actions, tmp_path / "runner2", before) as runner:
        second = gating(on_actions)
        began.read_text()
        second.kill()
        second.communicate(timeout=120)
        third = gating(on_actions)
        assert third.stdout is not None
        said = next(line for line in third.stdout if "under way" in line)
        word.write_text("")
        rest, _ = third.communicate(timeout=120)
    assert "a run of the same gates is under way" in said
    assert third.returncode == 1, rest  # clippy fails
    assert "clippy failed" in rest
    assert len(runs(on_actions)) == 2
    assert len(runner.ran) == 6
    assert lent(on_actions) == []


def with_its_gates(landing: Landing, branch: str) -> None:
    """Let a local branch hold the stack.toml that is committed to #519's, whatever is checked out."""
    index = {"GIT_INDEX_FILE": str(landing.clone.path.parent / "index")}
    landing.clone.git("read-tree", branch, env=index)
    blob = landing.clone.git("rev-parse", "feat/two:stack.toml")
    landing.clone.git("update-index", "--add", "--cacheinfo", f"100644,{blob},stack.toml", env=index)
    tree = landing.clone.git("write-tree", env=index)
    commit = landing.clone.git("commit-tree", tree, "-p", branch, "-m", "its gates")
    landing.clone.git("update-ref", f"refs/heads/{branch}", commit)


def test_entries_run_side_by_side(on_actions: Landing) -> None:
    """Every entry's run is dispatched before the first has ended; Ctrl-C cancels all of them."""
    for branch in ("feat/one", "feat/three"):
        on_actions.clone.git("branch", "--quiet", branch, f"origin/{branch}")
        with_its_gates(on_actions, branch)
    run = gating(on_actions, "--stack")
    while len(runs(on_actions)) < 3:
        pass
    assert {each["status"] for each in runs(on_actions)} == {"queued"}
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 130, out
    assert {each["conclusion"] for each in runs(on_actions)} == {"cancelled"}
    assert lent(on_actions) == []


def test_jobs_that_never_start_have_no_verdict(on_actions: Landing) -> None:
    """Each gate has the reason of GitHub's annotation; no gate passes, and nothing is pushed."""
    run = gating(on_actions)
    number = queued(on_actions)
    message = "The job was not started because recent account payments have failed"
    pull(on_actions, "end_job", run=number, name="sessions", conclusion="failure", annotations=[message])
    pull(on_actions, "finish_run", run=number)
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 1, out
    assert out.count(message) >= 6
    assert lent(on_actions) == []


def queued(landing: Landing) -> int:
    """Return the number of the run, as soon as there is one."""
    while not (found := runs(landing)):
        pass
    return int(found[0]["id"])


def pull(landing: Landing, lever: str, /, **arguments: Any) -> None:
    """Pull a lever of the runner's."""
    landing.github.lever(lever, SLUG, **arguments)


def test_what_does_not_fit_is_not_believed(on_actions: Landing, tmp_path: Path) -> None:
    """A gate that another toolchain compiled, or that is not ours by our stack.toml, has no verdict."""
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "rustc").write_text("#!/bin/sh\necho 'rustc 1.0.0 (other)'\n")
    (shim / "rustc").chmod(0o755)
    other = {"PATH": f"{shim}:{programs.path()}"}
    only(on_actions, 519)
    path = on_actions.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('[gates.fmt]\nrun = ["true"]', '[gates.fmt]\nrun = ["true", "really"]'))
    with Runner(on_actions, tmp_path / "runner", lambda name: other if name == "doc" else {}):
        found = outcomes(on_actions)
    assert found["build"][0] == "passed"
    assert found["doc"][0] == found["fmt"][0] == "interrupted"
    assert "compiled it with rustc 1.0.0 (other), the run is with" in found["doc"][1]
    assert "ran something else: true on tree" in found["fmt"][1]


def test_a_stack_toml_that_is_not_tracked_is_reported(on_actions: Landing) -> None:
    """The machines would have none: refused before anything is lent or dispatched."""
    on_actions.clone.git("branch", "--quiet", "feat/one", "origin/feat/one")
    ran = on_actions.invoke("gates", "--pr", "518")
    assert ran.code == 2, ran.err
    assert "holds no stack.toml: GitHub Actions would not know its gates" in ran.err
    assert (runs(on_actions), lent(on_actions)) == ([], [])


def test_a_missing_or_older_workflow_is_reported(on_actions: Landing) -> None:
    """Without the workflow on trunk, or with an older one, the error names the fix; no temporary ref stays."""
    on_actions.author.git("switch", "--quiet", "main")
    on_actions.author.commit("older", {FILE: "name: x\non:\n  workflow_dispatch:\njobs: {}\n"})
    on_actions.push_as_author("main")
    ran = on_actions.invoke("gates", "--pr", "519")
    assert ran.code == 5, ran.err
    assert "Unexpected inputs provided" in ran.err
    on_actions.author.git("rm", "--quiet", FILE)
    on_actions.author.commit("none")
    on_actions.push_as_author("main")
    ran = on_actions.invoke("gates", "--pr", "519")
    assert ran.code == 2, ran.err
    assert ran.err.splitlines()[-1] == "next: invoke ci.workflow   # then land that file"
    assert lent(on_actions) == []
