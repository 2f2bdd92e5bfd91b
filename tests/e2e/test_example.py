"""The main job on the example workspace: real git, real gh, real cargo, all six gates.

Toolchain 1.89.0 is not available everywhere, so a RUSTUP_HOME of the test's own has a toolchain *named* 1.89.0 that
is the installed one: a stand-in. It exercises the real `cargo +1.89.0` path, and says nothing about Rust 1.89.0.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import needs, programs
from trunkline.sim.sandbox import Sandbox, sandbox

pytestmark = [pytest.mark.gh, pytest.mark.cargo, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the installed toolchain 1.89.0 in a RUSTUP_HOME of the test's own."""
    installed = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout
    about = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = next(line.split()[1] for line in about.splitlines() if line.startswith("host:"))
    home = tmp_path / "rustup"
    (home / "toolchains").mkdir(parents=True)
    for name in ("stand-in", f"1.89.0-{host}"):
        (home / "toolchains" / name).symlink_to(installed.strip())
    (home / "settings.toml").write_text('version = "12"\ndefault_toolchain = "stand-in"\nprofile = "minimal"\n')
    monkeypatch.setenv("RUSTUP_HOME", str(home))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Sandbox]:
    """Return the example's sandbox."""
    with sandbox(tmp_path / "sandbox") as made:
        yield made


def shell(place: Sandbox, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the sandbox's checkout."""
    return subprocess.run(
        argv, cwd=place.checkout, env={**place.environment(), "PATH": programs.path()}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.usefixtures("stand_in")
@needs.rustup
def test_the_main_job_with_all_six_gates(place: Sandbox) -> None:
    """One command: five commits on trunk, six verdicts, pushed, ready, noted; and the whole again from receipts."""
    ran = shell(place, "invoke", "rebase", "--pr", "519")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    fork = place.example.pull(518).head[:7]
    assert f"5 commits, fork point {fork} (head of #518), no conflict" in ran.stdout
    assert "6 of 6 on " in ran.stdout
    place.git("fetch", "--quiet", "origin")
    assert place.git("rev-list", "--count", "origin/main..origin/feat/319-kv-pool-v2-pr2-entry") == "5"
    body = place.description(519)
    assert body.startswith(place.example.pull(519).body)
    assert body.count("- [x] **") == 6
    again = shell(place, "invoke", "rebase", "--pr", "519")
    assert (again.returncode, "(6 from receipts)" in again.stdout) == (0, True)


def test_the_examples_makefile(place: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make land PR=519` in the example chains all the single steps; its gates are real in the test above."""
    no_ops = "".join(f'[gates.{name}]\nrun = ["true"]\n' for name in ("build", "test", "clippy", "doc"))
    text = (place.checkout / "stack.toml").read_text()
    file = tmp_path / "stack.toml"
    file.write_text(text.replace('msrv = "1.89.0"', f'[gates.msrv]\nrun = ["true"]\n{no_ops}'))
    monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(file))
    ran = shell(place, "make", "land", "PR=519")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.rstrip().splitlines()[-1] == "next: invoke rebase --pr 520   # once #519 is merged"


def test_the_seeds_checks_of_520(place: Sandbox) -> None:
    """The runbook's three: eviction deallocates, stats are tested, unsafe helpers are in tests."""
    place.git("fetch", "--quiet", "origin")
    place.git("branch", "--quiet", place.example.pull(520).branch, f"origin/{place.example.pull(520).branch}")
    ran = shell(place, "invoke", "checks", "--pr", "520")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 of 3 on " in ran.stdout
    assert (
        "found inside fn remove_cache_entry: crates/kv-cache/src/manager.rs:97: self.pool.deallocate(" in ran.stdout
    )
    assert "2 tests passed: manager::tests::stats_tell_evictions_and_waste, stats::tests::an_empty_" in ran.stdout
    assert "all inside #[cfg(test)]: crates/kv-pool/src/raw.rs:26: pub(crate) unsafe fn at(" in ran.stdout


def test_the_demo() -> None:
    """`make demo`'s program: the plain rebase conflicts, the rehearsal ends green, what would change is shown."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo")], capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "CONFLICT (content): Merge conflict in crates/kv-block/src/lib.rs" in ran.stdout
    assert "conflicts in the first (exit code 1)" in ran.stdout
    assert re.search(r"✓ rebased +5 commits", ran.stdout)
    assert "+## Reviewer Note" in ran.stdout
    assert re.search(r"feat/319-kv-pool-v2-pr2-entry +[0-9a-f]{7} +[0-9a-f]{7}", ran.stdout)
    if "--accept-unavailable msrv" in ran.stdout:
        assert "+- [ ] **msrv** skipped (accepted as unavailable)" in ran.stdout
