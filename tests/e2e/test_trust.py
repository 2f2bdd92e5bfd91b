"""Trust: settings of a branch that change what runs are not used until the user confirms them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import needs, programs
from support.killing import YardLanding
from support.landing import NO_OP_GATES, STACK, Ran
from support.repo import Repo
from trunkline.commands.init_files import _NOXFILE

pytestmark = pytest.mark.gh
TRUNKS = STACK.format(gates=f"sandbox = true\n{NO_OP_GATES}")
OPEN = STACK.format(gates=NO_OP_GATES)
BUILD = '[gates.build]\nrun = ["true"]'


def track(stack: YardLanding, text: str = OPEN) -> None:
    """Let trunk track a stack.toml, and the clone have no other."""
    stack.author.git("switch", "--quiet", "main")
    stack.author.commit("adopt trunkline", {"stack.toml": text, "noxfile.py": _NOXFILE})
    stack.push_as_author("main")
    (stack.clone.path / "stack.toml").unlink()
    (stack.clone.path / ".git/info/exclude").write_text("")
    stack.clone.git("pull", "--quiet", env=stack.environment())


def attack(stack: YardLanding, text: str, **files: str) -> None:
    """Let somebody push a stack.toml to #519's branch, and check that out."""
    stack.author.git("switch", "--quiet", "feat/two")
    stack.author.commit("innocent", {"stack.toml": text, "noxfile.py": _NOXFILE, **files}, author="Mallory")
    stack.push_as_author("feat/two")
    stack.clone.git("fetch", "--quiet", env=stack.environment())
    stack.clone.git("switch", "--quiet", "-C", "feat/two", "--track", "origin/feat/two")


def marking(stack: YardLanding) -> tuple[str, Path]:
    """Return a stack.toml whose build gate leaves a mark, and the mark."""
    mark = stack.clone.path.parent / "attacked"
    return OPEN.replace(BUILD, f'[gates.build]\nrun = ["touch", "{mark}"]'), mark


TASKS: list[tuple[str, ...]] = [
    ("status",), ("plan", "--pr", "519"), ("gates", "--pr", "519"), ("gates", "--stack"), ("doctor", "--offline"),
    ("rebase", "--pr", "519", "--yes"), ("restack", "--yes"), ("land", "--yes"), ("note", "--pr", "519", "--yes"),
    ("checks", "--pr", "519"), ("receipts",), ("ci.workflow",), ("report",), ("rehearse", "--pr", "519"),
    ("status", "--json"),
]  # fmt: skip


def test_no_task_runs_a_command_of_the_branch(open_stack: YardLanding) -> None:
    """Each stops with exit 5 and the difference; no gate, no push, and --yes and --dry-run confirm nothing."""
    track(open_stack)
    text, mark = marking(open_stack)
    attack(open_stack, text)
    before = open_stack.world()
    for task in TASKS:
        ran = open_stack.invoke(*task)
        assert ran.code == 5, (task, ran.out, ran.err)
        assert "gates.build.run:" in ran.err, (task, ran.err)
        assert '["true"] on origin/main' in ran.err, (task, ran.err)
        assert "next: invoke trust" in ran.err
    assert open_stack.invoke("trust", "--dry-run").code == 0
    assert open_stack.invoke("gates", "--pr", "519").code == 5
    assert not mark.exists()
    assert open_stack.world() == before


def test_nox_runs_no_command_of_the_branch(open_stack: YardLanding) -> None:
    """`nox -s gates` in that checkout: exit 5, listed nothing, run nothing."""
    track(open_stack)
    text, mark = marking(open_stack)
    attack(open_stack, text)
    for arguments in (("-s", "gates"), ("-l",)):
        done = nox(open_stack, *arguments)
        assert done.returncode == 5, done.stdout + done.stderr
        assert "gates.build.run" in done.stderr
    assert not mark.exists()


def nox(stack: YardLanding, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run nox in the clone."""
    return subprocess.run(
        [sys.executable, "-m", "nox", *arguments], cwd=stack.clone.path, capture_output=True, text=True, check=False,
        env={**stack.environment(**extra), "PATH": programs.path()}, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


def changed(pattern: str, by: str, text: str = TRUNKS) -> str:
    """Return a stack.toml with one thing replaced."""
    assert pattern in text
    return text.replace(pattern, by)


ATTACKS: dict[str, tuple[str, str]] = {
    "the sandbox dropped": (changed("sandbox = true\n", ""), "gates.sandbox: not set here, true on origin/main"),
    "the sandbox off": (changed("sandbox = true", "sandbox = false"), "gates.sandbox: false here"),
    "another executor": (changed("sandbox = true", 'sandbox = true\nexecutor = "dask"'), "gates.executor"),
    "a scheduler of their own": (
        changed("sandbox = true", 'sandbox = true\nexecutor = "dask"\nscheduler = "tcp://203.0.113.1:8786"'),
        "gates.scheduler",
    ),
    "a signers file of their own": (changed("sandbox = true", 'sandbox = true\nsigners = "them"'), "gates.signers"),
    "a gate of their own": (changed(NO_OP_GATES, f'{NO_OP_GATES}[gates.own]\nrun = ["evil"]\n'), "gates.own.run"),
    "a gate's environment": (changed("env = {}", 'env = {RUSTC = "evil"}'), "gates.build.env"),
    "a check that is a command": (
        f'{TRUNKS}\n[[entry.check]]\nkind = "command"\nname = "c"\nrun = ["evil"]\n', "entry[#520].check"
    ),
    "a note template": (changed("[gates]", '[note]\ntemplate = "docs/note.md"\n\n[gates]'), "note.template"),
    "receipts instead of checks": (changed("[gates]", '[land]\nrequire = "gates"\n\n[gates]'), "land.require"),
    "another trunk": (changed('trunk = "main"', 'trunk = "feat/two"'), 'trunk: "feat/two" here'),
    "another remote": (changed('remote = "origin"', 'remote = "evil"'), 'remote: "evil" here'),
}  # fmt: skip


def test_each_kind_of_setting_is_trunks(open_stack: YardLanding) -> None:
    """The settings of trunk's file count; another trunk with the same file does not make it trunk's."""
    track(open_stack, TRUNKS)
    for name, (text, message) in ATTACKS.items():
        attack(open_stack, text)
        ran = open_stack.invoke("status")
        assert (ran.code, message in ran.err) == (5, True), f"{name}:\n{ran.out}{ran.err}"


def test_what_is_harmless_needs_no_word(open_stack: YardLanding) -> None:
    """A branch may list entries and write titles and notes."""
    track(open_stack)
    text = OPEN.replace('title = "Entry"', 'title = "Another"').replace("issue = 319", "issue = 320")
    attack(open_stack, text[: text.index("[[entry]]\npr = 520")])
    ran = open_stack.invoke("status")
    assert ran.code == 0, ran.err
    assert "Another" in ran.out
    assert "#520" not in ran.out


def test_a_person_confirms(open_stack: YardLanding) -> None:
    """`trust` shows the difference and keeps a hash, which holds until one of these settings changes."""
    track(open_stack)
    text, mark = marking(open_stack)
    attack(open_stack, text)
    confirmed = open_stack.invoke("trust")
    assert confirmed.code == 0
    assert "gates.build.run" in confirmed.out
    assert confirmed.out.splitlines()[-1] == "next: invoke status"
    assert open_stack.invoke("gates", "--pr", "519").code == 0
    assert mark.exists()
    kept = open_stack.clone.path / ".git/trunkline/trust.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert all(len(digest) == 64 for digest in json.loads(kept.read_text())["policies"])
    path = open_stack.clone.path / "stack.toml"
    path.write_text(text.replace('title = "Entry"', 'title = "Mine"'))
    assert open_stack.invoke("status").code == 0
    path.write_text(text.replace("touch", "rm"))
    assert open_stack.invoke("status").code == 5


def test_an_edit_of_a_tracked_file_is_confirmed_too(open_stack: YardLanding) -> None:
    """An uncommitted edit needs confirmation: it may be a program's and not the user's."""
    track(open_stack)
    path = open_stack.clone.path / "stack.toml"
    path.write_text(marking(open_stack)[0])
    assert open_stack.invoke("status").code == 5
    assert open_stack.invoke("trust").code == 0
    assert open_stack.invoke("status").code == 0
    assert "trusted: it has the settings of origin" in reset(open_stack).out


def reset(stack: YardLanding) -> Ran:
    """Take the edit back, and ask what there is to trust."""
    stack.clone.git("checkout", "--quiet", "--", "stack.toml")
    return stack.invoke("trust")


def test_ones_own_file_is_trusted(open_stack: YardLanding) -> None:
    """Git does not track it: it came with no branch, whatever trunk has."""
    text, mark = marking(open_stack)
    (open_stack.clone.path / "stack.toml").write_text(text)
    assert "git does not track it" in open_stack.invoke("trust").out
    open_stack.clone.git("branch", "--quiet", "--force", "feat/two", "origin/feat/two")
    assert open_stack.invoke("gates", "--pr", "519").code == 0
    assert mark.exists()


def test_a_branch_that_brings_the_first_stack_toml(open_stack: YardLanding) -> None:
    """The policy of a branch is untrusted where trunk tracks no stack.toml."""
    (open_stack.clone.path / "stack.toml").unlink()
    attack(open_stack, marking(open_stack)[0])
    ran = open_stack.invoke("gates", "--pr", "519")
    assert ran.code == 5
    assert "not set on origin/main" in ran.err


def test_a_branch_that_links_to_a_file_that_git_does_not_track(open_stack: YardLanding) -> None:
    """The link is the branch's, wherever it leads."""
    track(open_stack)
    text, mark = marking(open_stack)
    (open_stack.clone.path / "target").mkdir()
    (open_stack.clone.path / "target/stack.toml").write_text(text)
    open_stack.author.git("switch", "--quiet", "feat/two")
    (open_stack.author.path / "stack.toml").unlink(missing_ok=True)
    (open_stack.author.path / "stack.toml").symlink_to("target/stack.toml")
    open_stack.author.commit("a link", author="Mallory")
    open_stack.push_as_author("feat/two")
    open_stack.clone.git("fetch", "--quiet", env=open_stack.environment())
    open_stack.clone.git("switch", "--quiet", "feat/two")
    assert open_stack.invoke("gates", "--pr", "519").code == 5
    assert not mark.exists()


@needs.sandbox
def test_an_old_branch_gives_way_to_trunk(open_stack: YardLanding) -> None:
    """A file that trunk had once does not bring back what trunk has taken away: trunk's own counts."""
    track(open_stack)
    open_stack.clone.git("branch", "--quiet", "old")
    open_stack.author.git("switch", "--quiet", "main")
    open_stack.author.commit("sandbox", {"stack.toml": TRUNKS.replace("Arena", "Newer")})
    open_stack.push_as_author("main")
    open_stack.clone.git("fetch", "--quiet", env=open_stack.environment())
    open_stack.clone.git("switch", "--quiet", "old")
    assert "Newer" in open_stack.invoke("status").out
    outcomes = open_stack.invoke("gates", "--pr", "518", "--json").json
    assert '"sandbox": "none"' not in json.dumps(outcomes)


def test_where_trunk_is_not_known_nothing_is_trusted(open_stack: YardLanding) -> None:
    """A branch may call itself trunk, or be one of two that usually are: the remote's default branch decides."""
    track(open_stack)
    clone = open_stack.clone
    clone.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    assert open_stack.invoke("status").code == 0  # there is only one that usually is
    clone.git("update-ref", "refs/remotes/origin/master", "refs/remotes/origin/main")
    ran = open_stack.invoke("status")
    assert ran.code == 5
    assert "next: git remote set-head origin --auto" in ran.err
    clone.git("remote", "set-head", "origin", "--auto", env=open_stack.environment())
    assert open_stack.invoke("status").code == 0


def test_a_machine_that_trusts_what_it_checks_out(open_stack: YardLanding) -> None:
    """On CI, which runs the pull request anyway, only the environment variable waives the confirmation."""
    track(open_stack)
    text, mark = marking(open_stack)
    attack(open_stack, text)
    assert open_stack.invoke("status", TRUNKLINE_TRUST="yes").code == 5
    assert nox(open_stack, "-s", "gates(build)", TRUNKLINE_TRUST="checkout").returncode == 0
    assert mark.exists()


def test_init_trusts_what_it_writes(open_stack: YardLanding) -> None:
    """The file stays trusted when it is tracked afterwards."""
    clone = open_stack.clone
    (clone.path / "stack.toml").unlink()
    (clone.path / ".git/info/exclude").write_text("")
    assert open_stack.invoke("init").code == 0
    clone.git("add", "--force", "stack.toml")
    clone.commit("track it")
    assert open_stack.invoke("status").code == 0


def test_values_of_the_branch_do_not_reach_the_terminal_as_they_are(open_stack: YardLanding) -> None:
    """An escape sequence in a setting could hide the line that it is in."""
    track(open_stack)
    attack(open_stack, OPEN.replace(BUILD, '[gates.build]\nrun = ["evil\\u001b[2K\\u202e"]'))
    ran = open_stack.invoke("status")
    assert ran.code == 5
    assert "\x1b" not in ran.err
    assert "\u202e" not in ran.err


def test_a_stack_toml_above_the_repository_is_not_taken(open_stack: YardLanding) -> None:
    """`nox` looks up to the top of the work tree: a file in /tmp may be anybody's."""
    clone: Repo = open_stack.clone
    text, mark = marking(open_stack)
    (clone.path.parent / "stack.toml").write_text(text)
    (clone.path / "stack.toml").unlink()
    (clone.path / "noxfile.py").write_text(_NOXFILE)
    nox(open_stack, "-s", "gates(build)")
    assert not mark.exists()
    shutil.rmtree(clone.path.parent / "stack.toml", ignore_errors=True)
