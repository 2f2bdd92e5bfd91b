"""`invoke rehearse`: the same task for real against a simulated GitHub; outside the sandbox nothing changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import programs
from support.killing import YardLanding
from support.landing import Landing
from trunkline.sim.sandbox import sandbox

pytestmark = pytest.mark.gh
QUICK = ("--skip", "fmt,gates")


def everything(landing: Landing) -> dict[str, Any]:
    """Return a hash of every file of the clone and the remote, objects and receipts apart, and the pull requests."""
    found: dict[str, Any] = {"world": landing.world()}
    for root in (landing.clone.path, landing.github.root / "repos"):
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            # Looking at a remote may fetch objects (docs/decisions.md); receipts that were earned are kept.
            if path.is_file() and "/objects/" not in f"/{name}" and "trunkline/receipts" not in name:
                found[f"{root.name}/{name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_the_same_as_the_run_that_follows(stack: YardLanding) -> None:
    """The table equals the changes of the real run; until then every file, ref and pull request is unchanged."""
    before = everything(stack)
    ran = stack.invoke("rehearse", "--pr", "519", "--json")
    assert ran.code == 0, ran.out + ran.err
    assert everything(stack) == before
    found = ran.json["rehearsal"]
    assert [(ref["name"], ref["old"], ref["commits"]) for ref in found["refs"]] == [("feat/two", stack.heads[519], 4)]
    (pull,) = found["pull_requests"]
    assert pull["number"] == 519
    assert pull["fields"] == {"draft": {"before": "True", "after": "False"}}
    assert "+## Reviewer Note" in pull["body"]
    assert found["receipts"] == 6
    real = stack.invoke("rebase", "--pr", "519", "--yes", "--json")
    assert real.code == 0, real.err
    gates = next(step for step in real.json["steps"] if step["step"] == "gates")
    assert gates["message"].startswith("6 of 6")
    assert all("receipt" in line for line in real.err.splitlines() if line.strip().startswith("clippy"))
    tree = stack.clone.git("rev-parse", "feat/two^{tree}")
    assert any(path.name.startswith(tree[:12]) for path in (stack.clone.path / ".git/trunkline/receipts").iterdir())


def test_a_whole_stack_and_the_same_plan(stack: YardLanding) -> None:
    """restack, then for real: the same steps, the same trees."""
    ran = stack.invoke("rehearse", "--task", "restack", "--json", "--keep")
    assert ran.code == 0, ran.out + ran.err
    kept = Path(ran.json["rehearsal"]["kept"])
    assert {ref["name"] for ref in ran.json["rehearsal"]["refs"]} == {"feat/two", "feat/three"}
    door = stack.run(
        str(kept / "enter"), "-c", "git remote -v && trunkline log --json && gh pr view 519 --json state"
    )
    assert door.code == 0, door.out + door.err
    assert '"state":"OPEN"' in door.out
    assert stack.invoke("restack", "--yes").code == 0
    for branch in ("feat/two", "feat/three"):
        rehearsed = stack.run("git", "-C", str(kept / "checkout"), "rev-parse", f"{branch}^{{tree}}").out.strip()
        assert rehearsed == stack.clone.git("rev-parse", f"{branch}^{{tree}}")


def test_modify(stack: YardLanding) -> None:
    """The plan is carried out in the sandbox; without a plan the next command names the flag."""
    plan = stack.clone.path / ".git/plan"
    # stack.toml is tracked here: the commits may change, the entries may not
    text = stack.invoke("modify", "--print").out
    plan.write_text("\n".join(f"{line} anew" if line.startswith("    pick") else line for line in text.splitlines())
                    .replace("    pick", "    reword"))  # fmt: skip
    before = everything(stack)
    ran = stack.invoke("rehearse", "--task", "modify", "--plan", str(plan), "--json")
    assert ran.code == 0, ran.out + ran.err
    assert {ref["name"] for ref in ran.json["rehearsal"]["refs"]} >= {"feat/two", "feat/three"}
    assert everything(stack) == before
    ran = stack.invoke("rehearse", "--task", "modify")
    assert ran.code == 2
    assert "rehearse --task modify --plan FILE" in ran.err


def test_land_and_offline(stack: YardLanding) -> None:
    """The whole landing is rehearsed without a request to GitHub."""
    stack.clone.git("fetch", "--quiet", "origin", env=stack.environment())
    asked, before = len(stack.github.requests()), everything(stack)
    path = stack.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('[[entry]]\npr = 518\nbranch = "feat/one"\ntitle = "Arena"\n', ""))
    ran = stack.invoke("rehearse", "--task", "restack", "--offline", "--json", *QUICK)
    assert len(stack.github.requests()) == asked
    assert ran.json["rehearsal"]["command"].startswith("invoke restack"), ran.err
    assert everything(stack)["world"]["remote"] == before["world"]["remote"]


def test_a_bad_day_of_ones_own(stack: YardLanding) -> None:
    """A file of faults is read, and counted; what is wrong in one is named."""
    mine = stack.clone.path / "day.toml"
    mine.write_text(
        '[[fault]]\nkind = "secondary-limit"\nstatus = 429\nmatch = "PATCH /repos/$repository/pulls/$pr"\n'
    )
    ran = stack.invoke("rehearse", "--pr", "519", "--fault", "day.toml", "--json", *QUICK)
    assert (ran.json["rehearsal"]["faults_met"], ran.json["rehearsal"]["faults"]) == (1, 1), ran.err
    for text, message in (
        ('[[fault]]\nkind = "locusts"\n', "fault[0].kind"),
        ('[[fault]]\nkind = "drop"\ntime = 2\n', "unknown field `time`"),
        ('[[fault]]\nkind = "drop"\nmatch = "$nobody"\n', "$nobody is not known here"),
        ("[[fault]\n", "not a file of faults"),
        ("[other]\n", "day.toml"),
    ):
        mine.write_text(text)
        ran = stack.invoke("rehearse", "--pr", "519", "--fault", "day.toml")
        assert (ran.code, message in ran.err, "Traceback" in ran.err) == (2, True, False), ran.err


@pytest.mark.parametrize(
    ("fault", "code"),
    [("somebody-pushes", 3), ("network-drops", 0), ("github-fails", 0), ("reply-lost", 0), ("child-closes", 0)],
)
def test_a_bad_day(stack: YardLanding, fault: str, code: int) -> None:
    """A failure happens in the sandbox: it is reported and survived as in a real run."""
    before = everything(stack)
    ran = stack.invoke("rehearse", "--pr", "519", "--fault", fault, "--json", *QUICK)
    assert ran.json["rehearsal"]["task_exit_code"] in {code, 1}, ran.err
    assert ran.json["rehearsal"]["task_exit_code"] != 1 or "checklist" in ran.err
    assert ran.json["rehearsal"]["faults_met"] == ran.json["rehearsal"]["faults"] > 0
    if fault == "child-closes":
        assert {p["number"]: p["fields"] for p in ran.json["rehearsal"]["pull_requests"]}[520]["state"]
    if fault == "somebody-pushes":
        assert "1 commit pushed to origin since this run began" in ran.err
        assert f"next: invoke rehearse --pr 519 --skip fmt,gates --fault {fault} --json --keep" in ran.err
        assert "next: invoke continue" not in ran.err  # there is nothing to continue outside of the sandbox
    assert everything(stack) == before


def test_nonsense(stack: YardLanding) -> None:
    """A task or a fault that is none: exit 2, the choices named."""
    for flags, known in ((("--task", "dance"), "restack"), (("--fault", "locusts"), "network-drops")):
        ran = stack.invoke("rehearse", "--pr", "519", *flags)
        assert (ran.code, known in ran.err) == (2, True), ran.err


def test_served_by_hand(tmp_path: Path) -> None:
    """`sim.serve --example`: a shell that reads the file is in its world; SIGTERM ends it with 0."""
    argv = [sys.executable, "-c", "from trunkline.tasks.program import main; main()"]
    root = tmp_path / "world"
    faults = tmp_path / "day.toml"
    faults.write_text('[[fault]]\nkind = "status"\nmatch = "GET /user"\nstatus = 503\n')
    with subprocess.Popen(
        [*argv, "sim.serve", "--root", str(root), "--example", "--faults", str(faults)],
        stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as served:  # fmt: skip
        assert served.stdout is not None
        message = [served.stdout.readline() for _ in range(2)]
        assert message[1].strip() == f"in another shell: . {root}/environment.sh && cd {root}/checkout"
        typed = "gh pr view 518 --json state; invoke --version; gh api user"
        script = f". {root}/environment.sh && cd {root}/checkout && {typed}"
        seen = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": os.defpath},
        )  # fmt: skip
        assert '"state":"MERGED"' in seen.stdout, seen.stderr
        assert "Invoke" in seen.stdout, seen.stderr
        assert "503" in seen.stderr
        served.terminate()
        assert served.wait(60) == 0
    wrong = (
        (["--root", str(root), "--example"], "not empty"),
        (["--root", f"{faults}/below"], "cannot be created"),
        (["--faults", "none.toml"], "none.toml"),
    )
    for flags, word in wrong:
        bad = subprocess.run([*argv, "sim.serve", *flags], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (bad.returncode, word in bad.stderr) == (2, True), bad.stderr


def test_five_pull_requests_and_the_same_plan(tmp_path: Path) -> None:
    """Landing the example's five: the plan that the rehearsal carried out is the one printed outside, as data."""
    with sandbox(tmp_path / "sandbox") as place:
        env = {**os.environ, **place.variables(), "PATH": programs.path(), "TRUNKLINE_WAIT_FACTOR": "0"}

        def asked(*argv: str, **extra: str) -> dict[str, Any]:
            done = subprocess.run(
                ["trunkline", *argv, "--json"], cwd=place.checkout, env={**env, **extra}, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            found: dict[str, Any] = json.loads(done.stdout)
            return found

        before = asked("land", "--dry-run", "--skip", "fmt,gates")["plan"]
        assert [step["pr"] for step in before["steps"] if step["step"] == "merge"] == [519, 520, 521, 522]
        rehearsed = asked("rehearse", "--task", "land", "--skip", "fmt,gates", "--keep")["rehearsal"]
        kept = Path(rehearsed["kept"])
        door = subprocess.run(
            [str(kept / "enter"), "-c", "trunkline log --json"], env=env, capture_output=True, text=True, check=True
        )
        in_rehearsal = _without_ids(json.loads(door.stdout)["runs"][0]["records"][0]["data"]["steps"])
        assert [(step["name"], step["description"], step.get("pr"), step["commands"]) for step in in_rehearsal] == [
            (step["step"], step["description"], step.get("pr"), step["commands"]) for step in before["steps"]
        ]
        asked("land", "--yes", "--skip", "fmt,gates")
        assert _without_ids(asked("log")["runs"][0]["records"][0]["data"]["steps"]) == in_rehearsal


def _without_ids(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return steps without what they publish: that names commits, which differ by the second of the run."""
    return [{key: value for key, value in step.items() if key != "publishes"} for step in steps]


def test_the_example_needs_no_checkout(tmp_path: Path) -> None:
    """From an empty directory; it leaves nothing there, and names the command that begins in a repository."""
    env = {**os.environ, "PATH": programs.path(), "TMPDIR": str(tmp_path / "tmp")}
    here, temporary = tmp_path / "here", tmp_path / "tmp"
    here.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        ["trunkline", "rehearse", "--example", *QUICK], cwd=here, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "#519's description:" in done.stdout
    assert done.stdout.endswith("next: trunkline init\n")
    assert [*here.iterdir(), *temporary.iterdir()] == []
