"""The preflight finds obstacles before anything is compiled, one cause for all gates that it stops."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from support import needs
from support.gating import FILES, LIB, NOXFILE, STACK, Bench
from support.repo import Repo
from trunkline.domain.cause import CauseId
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.reuse import Reuse
from trunkline.gates.catalogue import catalogue
from trunkline.gates.executor import GateJob
from trunkline.gates.preflight import refused_anywhere
from trunkline.gates.run import gate_commit, run_gate_jobs

pytestmark = [pytest.mark.cargo, pytest.mark.skipif(shutil.which("cargo") is None, reason="Rust is not installed")]
FIVE = ("build", "test", "clippy", "fmt", "doc")
WORKSPACE = '[workspace]\nmembers = ["one", "nowhere"]\nresolver = "2"\n'


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a crate that passes the gates."""
    repo = Repo.create(tmp_path / "repo")
    repo.commit("start", dict(FILES))
    return Bench(repo)


def typed(command: str, bench: Bench) -> None:
    """Type a command that an outcome has printed, at the top of the checkout."""
    identity = {f"GIT_{who}_{what}": "x@invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["bash", "-c", command], cwd=bench.repo.path, env={**os.environ, **identity, "CARGO_NET_OFFLINE": "true"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def causes(outcomes: dict[str, GateOutcome]) -> dict[str, set[str]]:
    """Return the gates that did not pass, by the key of their cause."""
    found: dict[str, set[str]] = {}
    for name, outcome in outcomes.items():
        if outcome.verdict is not Verdict.PASSED:
            found.setdefault(outcome.cause_key, set()).add(name)
    return found


def test_no_lock_file_in_the_commit(bench: Bench) -> None:
    """One cause for all `--locked` gates, none of which runs; the others pass as they do in a clone."""
    bench.repo.commit("no lock file", {"Cargo.lock": None, ".gitignore": "Cargo.lock\ntarget/\n"})
    outcomes = bench.gate(*FIVE)
    assert causes(outcomes) == {"lockfile-missing:Cargo.lock": {"build", "test", "doc"}}
    assert outcomes["build"].diagnosis.startswith("there is no Cargo.lock in the commit, and --locked demands one")
    assert outcomes["build"].log == ""
    assert "cannot create the lock file" in outcomes["build"].quoted
    typed(outcomes["build"].fix, bench)
    assert causes(bench.gate("build")) == {}


def test_gates_that_do_not_demand_a_lock_file(bench: Bench) -> None:
    """`[gates] locked = false`: a workspace without Cargo.lock passes."""
    bench.repo.commit("no lock file", {"Cargo.lock": None})
    bench.settings = replace(bench.settings, locked=False)
    outcomes = bench.gate("build", "doc")
    assert causes(outcomes) == {}
    assert "--locked" not in outcomes["build"].command


def test_a_lock_file_that_is_out_of_date(bench: Bench) -> None:
    """The cause is an outdated file, not a missing one; the printed command updates it."""
    bench.repo.commit("version", {"Cargo.toml": FILES["Cargo.toml"].replace("0.1.0", "0.2.0")})
    outcomes = bench.gate("build", "test")
    assert causes(outcomes) == {"lockfile-outdated:Cargo.lock": {"build", "test"}}
    typed(outcomes["build"].fix, bench)
    bench.repo.commit("the lock file")
    assert causes(bench.gate("build")) == {}


def test_a_member_that_is_missing(bench: Bench) -> None:
    """Five gates, one cause, in cargo's words; `cargo fmt` does not print its help."""
    files = {name.replace("src/", "one/src/"): content for name, content in FILES.items() if name != "Cargo.toml"}
    bench.repo.commit(
        "member", {**files, "src/lib.rs": None, "one/Cargo.toml": FILES["Cargo.toml"], "Cargo.toml": WORKSPACE}
    )
    outcomes = bench.gate(*FIVE)
    assert list(causes(outcomes).values()) == [set(FIVE)]
    assert all(outcome.cause == CauseId.MANIFEST.value for outcome in outcomes.values())
    assert "failed to read `nowhere/Cargo.toml`: No such file or directory" in outcomes["fmt"].diagnosis


def test_a_broken_manifest_and_a_feature_that_no_member_has(bench: Bench) -> None:
    """Each is one cause; without the feature, formatting is still checked."""
    bench.repo.commit("no feature", {"Cargo.toml": FILES["Cargo.toml"].replace("cpu", "gpu")})
    outcomes = bench.gate(*FIVE)
    assert list(causes(outcomes).values()) == [{"build", "test", "clippy", "doc"}]
    assert outcomes["build"].cause == CauseId.FEATURE.value
    bench.repo.commit("broken", {"Cargo.toml": FILES["Cargo.toml"] + "\nwrong\n"})
    outcomes = bench.gate(*FIVE)
    assert list(causes(outcomes).values()) == [set(FIVE)]
    assert outcomes["fmt"].diagnosis == "key with no value, expected `=` (Cargo.toml:9:6)"


def test_one_broken_dependency_is_one_cause(bench: Bench) -> None:
    """A crate of the workspace that does not compile fails four gates for one reason."""
    manifest = f'{FILES["Cargo.toml"]}\n[dependencies]\nlow = {{ path = "low" }}\n\n[workspace]\nmembers = ["low"]\n'
    low = '[package]\nname = "low"\nversion = "0.1.0"\n'
    entry = f"[{low}\n".replace("[package]", "[package]]")
    lock = FILES["Cargo.lock"].replace("[[package]]", f"{entry}[[package]]") + 'dependencies = [\n "low",\n]\n'
    sources = {"low/Cargo.toml": low, "low/src/lib.rs": "fn f() { missing() }\n"}
    bench.settings = replace(bench.settings, features=())
    bench.repo.commit("broken", {"Cargo.toml": manifest, "Cargo.lock": lock, **sources})
    outcomes = bench.gate("build", "test", "clippy")
    assert causes(outcomes) == {"compile-error:low/src/lib.rs:1:10": {"build", "test", "clippy"}}


def test_the_caller_can_refuse_before_anything_runs(bench: Bench) -> None:
    """All known problems are reported at once, and no gate begins when the caller refuses."""
    bench.repo.commit("two", {"Cargo.toml": FILES["Cargo.toml"].replace("cpu", "gpu"), "src/lib.rs": LIB + "\n"})
    bench.override("deny", run=("cargo", "not-installed"))
    began: list[str] = []
    message: list[GateOutcome] = []

    class RefusedError(Exception):
        pass

    def refuse(stopped: tuple[GateOutcome, ...]) -> None:
        message.extend(stopped)
        raise RefusedError

    with pytest.raises(RefusedError):
        gate_commit(
            bench.repo.path, bench.repo.head(), bench.settings, only=("build", "fmt", "deny"), began=began.append,
            on_stopped=refuse,
        )  # fmt: skip
    assert {(outcome.gate, outcome.verdict) for outcome in message} == {
        ("build", Verdict.FAILED), ("deny", Verdict.UNAVAILABLE)
    }  # fmt: skip
    assert began == []
    assert bench.receipts() == []


def test_a_path_dependency_in_a_submodule(bench: Bench, tmp_path: Path) -> None:
    """With the user's clone of it the gate passes; where none can be had, it is named, and what is printed helps."""
    low = Repo.create(tmp_path / "low")
    low.commit("start", {"Cargo.toml": '[package]\nname = "low"\nversion = "0.1.0"\n', "src/lib.rs": "//! Low.\n"})
    local = ("-c", "protocol.file.allow=always")
    bench.repo.git(*local, "submodule", "--quiet", "add", str(low.path), "vendor/low")
    entry = '[[package]]\nname = "low"\nversion = "0.1.0"\n\n[[package]]'
    lock = FILES["Cargo.lock"].replace("[[package]]", entry) + 'dependencies = [\n "low",\n]\n'
    manifest = f'{FILES["Cargo.toml"]}\n[dependencies]\nlow = {{ path = "vendor/low" }}\n'
    bench.repo.commit("submodule", {"Cargo.toml": manifest, "Cargo.lock": lock})
    assert causes(bench.gate("build")) == {}
    clone = Repo(tmp_path / "clone")
    bench.repo.git("clone", "--quiet", str(bench.repo.path), str(clone.path))
    other = Bench(clone)
    outcomes = other.gate("build", "test")
    assert causes(outcomes) == {"submodule-missing:vendor/low": {"build", "test"}}
    assert "vendor/low is in the submodule vendor/low, which could not be checked out" in outcomes["build"].diagnosis
    clone.git("config", "--global", "protocol.file.allow", "always")
    typed(outcomes["build"].fix, other)
    assert causes(other.gate("build")) == {}


def test_a_build_script_that_needs_a_variable(bench: Bench) -> None:
    """Its own words are quoted; `[gates.env]` gives the variable to every gate, in the directories they share."""
    bench.commit(build_rs='fn main() { std::env::var("NEEDED").expect("NEEDED names the database"); }\n')
    outcomes = bench.gate("build", "test", "clippy")
    assert causes(outcomes) == {"build-script:tiny": {"build", "test", "clippy"}}
    assert outcomes["build"].diagnosis == (
        "the build script of tiny failed: NEEDED names the database: NotPresent (build.rs:1:37)"
    )
    assert "[gates.env]" in outcomes["build"].fix
    groups = [gate.group for gate in catalogue(bench.settings)]
    bench.settings = replace(bench.settings, env={"NEEDED": "1"})
    assert [gate.group for gate in catalogue(bench.settings)] == groups
    assert causes(bench.gate("build", "test", "clippy")) == {}


def test_of_a_stack_all_is_known_before_the_first_gate_runs(bench: Bench) -> None:
    """An obstacle of the upper entry is reported before the lower one is compiled."""
    events: list[tuple[str, object]] = []
    good = bench.repo.head()
    same = bench.repo.commit("nothing")
    bench.repo.commit("no feature", {"Cargo.toml": FILES["Cargo.toml"].replace("cpu", "gpu")})
    gates = tuple(gate for gate in catalogue(bench.settings) if gate.name in {"build", "fmt"})

    def order(commit: Oid) -> GateJob:
        return GateJob(
            bench.repo.adapter, commit, gates, bench.settings, reuse=Reuse.ALL, say=lambda _: None,
            progress=lambda outcome: events.append((outcome.gate, outcome.verdict)),
            began=lambda name: events.append(("began", name)),
            on_stopped=lambda stopped: events.append(("stopped", [each.gate for each in stopped])),
        )  # fmt: skip

    one, again, two = run_gate_jobs([order(good), order(same), order(bench.repo.head())])
    assert events[:2] == [("stopped", []), ("stopped", ["build"])]
    assert events[2][0] == "began"
    assert [outcome.reused for outcome in again] == [True, True]
    assert [outcome.verdict for outcome in (*one, *two)] == [
        Verdict.PASSED, Verdict.PASSED, Verdict.FAILED, Verdict.PASSED
    ]  # fmt: skip


@needs.rustup
def test_plain_nox_says_first_what_will_not_pass(bench: Bench) -> None:
    """Nox names the obstacles of all chosen gates before the first runs, and none of other gates."""
    quick = "".join(f'\n[gates.{name}]\nrun = ["true"]\n' for name in ("test", "clippy", "fmt", "doc"))
    missing = '\n[gates.msrv]\nrun = ["cargo", "+1.23.4", "check"]\n'
    stack = STACK.replace("\n[[entry]]", f"{quick}{missing}\n[[entry]]").replace("cpu", "gpu")
    bench.repo.commit("adopt", {"noxfile.py": NOXFILE, "stack.toml": stack})
    said = bench.nox("-s", "gates")
    text = said.stdout + said.stderr
    first = text.index("test passed")
    for words in (
        "build will not pass (failed): ", "msrv will not pass (unavailable): the toolchain 1.23.4 is not installed",
        "next: rustup toolchain install 1.23.4",
    ):  # fmt: skip
        assert text.count(words.partition(":")[0] + ":") >= 1
        assert text.index(words) < first
    assert text.count("msrv will not pass") == 1
    assert said.returncode != 0
    alone = bench.nox("-s", "gates(fmt)")
    assert "will not pass" not in alone.stdout + alone.stderr
    assert alone.returncode == 0


def test_what_the_commit_itself_lacks(bench: Bench) -> None:
    """Without the lock file no machine's cargo passes `--locked`; of missing tools, other machines know better."""
    bench.override("msrv", run=("cargo", "+1.23.4", "check"))
    gates = catalogue(bench.settings)
    assert refused_anywhere(bench.repo.adapter, bench.repo.head(), gates, ".") == {}
    bench.repo.commit("no lock file", {"Cargo.lock": None})
    found = refused_anywhere(bench.repo.adapter, bench.repo.head(), gates, ".")
    assert {name: outcome.cause for name, outcome in found.items()} == dict.fromkeys(
        ("build", "test", "doc"), CauseId.NO_LOCK.value
    )
