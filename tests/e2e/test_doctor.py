"""`invoke doctor`: the obstacles to a landing, each with the command that removes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.killing import Yard, YardLanding
from support.landing import Landing, Ran

pytestmark = pytest.mark.gh


@pytest.fixture
def stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack as it was opened."""
    with grounds.prepared("nothing merged") as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def found(ran: Ran, about: str) -> list[dict[str, Any]]:
    """Return the findings about something."""
    return [each for each in ran.json["findings"] if each["about"] == about]


def test_all_is_well(stack: YardLanding) -> None:
    """Tools, checkout, remote, sign-in and every gate; exit 0, nothing moved."""
    before = stack.world()
    ran = stack.invoke("doctor", "--json")
    assert ran.code == 0, ran.out
    assert {each["health"] for each in ran.json["findings"]} == {"ok"}
    about = {each["about"] for each in ran.json["findings"]}
    assert about >= {"git", "gh", "checkout", "stack.toml", "remote", "sign-in", "gate build", "gate msrv"}
    assert "octocat on github.com, ADMIN in octo/tiny" in str(ran.json)
    assert stack.world() == before


def test_what_a_hostile_configuration_would_run(stack: YardLanding) -> None:
    """Command-valued keys of the repository's own configuration are named; none of them ran on the way."""
    ran_it = stack.clone.path.parent / "ran"
    for key, value in (
        ("core.fsmonitor", f"touch {ran_it}; false"),
        ("core.sshCommand", f"touch {ran_it}; ssh"),
        ("filter.x.smudge", "cat"),
        ("alias.st", "!touch ran"),
        ("url.https://evil.invalid/.insteadOf", "https://example.invalid/"),
    ):
        stack.clone.git("config", key, value)
    hook = stack.clone.path / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    ran = stack.invoke("doctor", "--offline", "--json")
    assert [each["message"].partition(":")[0] for each in found(ran, "hooks")] == ["pre-push"]
    message = " ".join(each["message"] for each in found(ran, "git config"))
    for key in ("core.fsmonitor", "core.sshcommand", "filter.x.smudge", "alias.st", "insteadof"):
        assert key in message
    assert all(each["health"] == "warning" for each in found(ran, "git config"))
    status = stack.invoke("status", "--offline")
    assert status.code == 0, status.err
    assert not ran_it.exists(), "core.fsmonitor's command ran"


def test_replaced_commits_and_grafts_are_named(stack: YardLanding) -> None:
    """With them git shows another history than the one that is pushed."""
    clone, one = stack.clone, stack.heads[518]
    clone.git("replace", one, stack.heads[520])
    grafts = clone.path / ".git/info/grafts"
    grafts.write_text(f"{stack.heads[520]}\n")
    ran = stack.invoke("doctor", "--offline", "--json")
    message = {each["message"]: each["fix"] for each in found(ran, "history")}
    assert [fix for text, fix in message.items() if one[:7] in text] == [f"git replace -d {one}"]
    assert [fix for text, fix in message.items() if "grafts" in text] == [f"mv {grafts} {grafts}.off"]


def test_a_ref_that_is_not_complete_is_named(stack: YardLanding) -> None:
    """A missing object is an obstacle, with the command that fetches it."""
    backup = "refs/trunkline/backup/r/0/feat/one"
    place = stack.clone.path / ".git" / backup
    place.parent.mkdir(parents=True)
    place.write_text(f"{'1' * 40}\n")
    ran = stack.invoke("doctor", "--offline", "--json")
    (history,) = found(ran, "history")
    assert (history["health"], history["fix"]) == ("error", "git fetch --refetch origin")
    assert history["message"].startswith(f"{backup} is not complete")
    assert ran.code != 0


def test_a_gate_that_cannot_run_and_a_state_that_is_open_to_all(stack: YardLanding) -> None:
    """Exit 1; the last line is the first fix."""
    path = stack.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('run = ["true"]', 'run = ["no-such-program"]', 1))
    state = stack.clone.path / ".git/trunkline"
    state.mkdir(mode=0o755, exist_ok=True)
    state.chmod(0o755)
    ran = stack.invoke("doctor", "--offline")
    assert ran.code == 1
    assert "✗ gate build   cannot run here" in ran.out
    assert ran.err.rstrip().splitlines()[-1] == f"next: chmod 700 {state}"


def test_not_signed_in(stack: YardLanding) -> None:
    """GitHub's message, and the command that signs in."""
    ran = stack.invoke("doctor", "--json", GH_TOKEN="", GITHUB_TOKEN="")
    (finding,) = found(ran, "sign-in")
    assert (ran.code, finding["health"], finding["fix"]) == (1, "error", "gh auth login")


def test_no_checkout_at_all(stack: Landing, tmp_path: Path) -> None:
    """Outside a repository: said, no traceback."""
    ran = stack.invoke("doctor", "--offline", "--json", cwd=tmp_path)
    (finding,) = found(ran, "checkout")
    assert (ran.code, finding["health"]) == (1, "error")


def test_a_git_that_is_too_old(stack: YardLanding, tmp_path: Path) -> None:
    """With a git that reports 2.30, doctor reports an error, and no task starts."""
    real = stack.environment()["PATH"]
    fake = tmp_path / "git"
    fake.write_text(
        '#!/bin/sh\nfor a in "$@"; do [ "$a" = version ] && { echo git version 2.30.2; exit; }; done\n'
        f'exec /usr/bin/env PATH="{real}" git "$@"\n'
    )
    fake.chmod(0o755)
    old: Any = {"PATH": f"{tmp_path}:{real}"}
    ran = stack.invoke("doctor", "--json", **old)
    assert (ran.code, found(ran, "git")[0]["message"]) == (1, "git version 2.30.2 is too old")
    ran = stack.invoke("rebase", "--pr", "518", "--yes", **old)
    assert (ran.code, "needs git 2.38" in ran.err) == (2, True)


def test_what_stack_toml_asks_for_beyond_trunkline(stack: YardLanding) -> None:
    """A pattern check needs ast-grep, an executor needs Dask: each is listed with the installed version."""
    file = stack.clone.path / "stack.toml"
    check = '\n[[entry.check]]\nkind = "pattern"\nname = "x"\npattern = "x"\n'
    file.write_text(file.read_text().replace("[gates]\n", '[gates]\nexecutor = "dask"\n', 1) + check)
    ran = stack.invoke("doctor", "--offline", "--json")
    (tool,), (executor,) = found(ran, "checks"), found(ran, "executor")
    assert (tool["health"], tool["message"].split()[0]) == ("ok", "ast-grep")
    assert (executor["health"], executor["message"].split(", ")[1]) == ("ok", "workers of this machine")


LFS_FILTER = {"filter.lfs.process": "git-lfs filter-process", "filter.lfs.required": "true"}


def test_git_lfs_that_is_missing_is_named(stack: YardLanding) -> None:
    """By doctor and by the task that needs a checkout, each with the command that installs it."""
    stack.clone.git("switch", "--quiet", "feat/one")
    stack.clone.commit("assets", {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "a.bin": "a\n"})
    for key, value in LFS_FILTER.items():
        stack.clone.git("config", key, value)
    ran = stack.invoke("doctor", "--offline", "--json")
    (message,) = [each for each in found(ran, "checkout") if "LFS" in each["message"]]
    assert (message["health"], message["fix"]) == ("error", "sudo apt-get install git-lfs && git lfs install")
    assert found(ran, "git config") == [], "the filter is no intruder"
    gated = stack.invoke("gates", "--pr", "518", "--json", "--yes")
    assert gated.code == 6, gated.out + gated.err
    assert "git-lfs is not installed" in gated.json["error"]["what"]
    assert gated.json["error"]["next"] == ["sudo apt-get install git-lfs && git lfs install"]


def test_what_the_gates_leave_out_is_named(stack: YardLanding) -> None:
    """Integration tests and an excluded crate: a note each, with the gate to write; no library: in the way."""
    tree = stack.clone.path
    (tree / "tests").mkdir()
    (tree / "tests/it.rs").write_text("#[test]\nfn holds() {}\n")
    (tree / "fuzz").mkdir()
    (tree / "fuzz/Cargo.toml").write_text('[package]\nname = "fuzz"\nversion = "0.1.0"\n')
    with (tree / "Cargo.toml").open("a") as manifest:
        manifest.write('\n[workspace]\nexclude = ["fuzz"]\n')
    stack.clone.git("add", "--intent-to-add", "fuzz/Cargo.toml")
    message = found(stack.invoke("doctor", "--offline", "--json"), "coverage")
    assert [(each["health"], each["message"].partition(":")[0]) for each in message] == [
        ("warning", "no gate runs the integration tests (it)"),
        ("warning", "no gate compiles fuzz/Cargo.toml"),
    ]
    text = (tree / "stack.toml").read_text()
    (tree / "stack.toml").write_text(re.sub(r"\[gates\.test\]\nrun[^\n]*\nenv[^\n]*\nneeds[^\n]*\n", "", text))
    stack.invoke("trust", "--yes")
    (tree / "src/lib.rs").rename(tree / "src/main.rs")
    message = found(stack.invoke("doctor", "--offline", "--json"), "coverage")
    assert ("error", True) in [(each["health"], "can never pass" in each["message"]) for each in message]
