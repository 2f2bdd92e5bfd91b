"""`invoke rehearse`: the same task for real against a simulated GitHub; outside the sandbox nothing changes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from support.killing import YardLanding
from support.landing import Landing

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
    """The table says what the real run then does; until then every file, ref and pull request is as it was."""
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
    assert gates["told"].startswith("6 of 6")
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


def test_land_and_offline(stack: YardLanding) -> None:
    """The whole landing, with GitHub not asked at all."""
    stack.clone.git("fetch", "--quiet", "origin", env=stack.environment())
    asked, before = len(stack.github.requests()), everything(stack)
    path = stack.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('[[entry]]\npr = 518\nbranch = "feat/one"\ntitle = "Arena"\n', ""))
    ran = stack.invoke("rehearse", "--task", "restack", "--offline", "--json", *QUICK)
    assert len(stack.github.requests()) == asked
    assert ran.json["rehearsal"]["command"].startswith("invoke restack"), ran.err
    path.write_bytes((stack.clone.path / "stack.toml").read_bytes())
    assert everything(stack)["world"]["remote"] == before["world"]["remote"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [("somebody-pushes", 5), ("network-drops", 0), ("github-fails", 0), ("reply-lost", 0)],
)
def test_a_bad_day(stack: YardLanding, fault: str, code: int) -> None:
    """What goes wrong goes wrong in the sandbox: told, and survived as the real run would."""
    before = everything(stack)
    ran = stack.invoke("rehearse", "--pr", "519", "--fault", fault, "--json", *QUICK)
    assert ran.json["rehearsal"]["task_exit_code"] in {code, 1}, ran.err
    assert ran.json["rehearsal"]["task_exit_code"] != 1 or "checklist" in ran.err
    if fault == "somebody-pushes":
        assert "moved on origin while we worked" in ran.err
    assert everything(stack) == before


def test_nonsense(stack: YardLanding) -> None:
    """A task or a fault that is none: exit 2, the choices named."""
    for flags in (("--task", "dance"), ("--fault", "locusts")):
        ran = stack.invoke("rehearse", "--pr", "519", *flags)
        assert (ran.code, "it is one of" in ran.err) == (2, True)
