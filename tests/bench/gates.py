"""Our gates against the runbook's six commands typed in order, in one run on one machine: ratios, never asserted.

Usage: .venv/bin/python tests/bench/gates.py [--only example|generated|overhead] [--crates N] [--functions N]
       [--sandbox]

Both sides compile the same commits with the same toolchains. `A` is the runbook: one checkout, one target directory,
six commands one after the other. `ours` is `gate_commit`: the real nox, the persistent work tree, receipts ignored
except in the row "unchanged tree". The MSRV gate's toolchain is a stand-in: the installed one, whose rustc says that
it is the MSRV, so that neither side shares what it compiled with the other gates, as with a real one.

The generated workspace is a chain of crates with libraries, a binary, unit and integration tests. It uses real crates
from Debian's packages where they are installed, as a directory source:

    apt-get install librust-{serde,serde-derive,serde-json,regex,clap,clap-derive,anyhow,thiserror,rand}-dev \
        librust-{itertools,indexmap,chrono,toml,rayon,petgraph,tokio,aho-corasick,humantime,env-logger}-dev
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

from rich.console import Console  # noqa: E402 -- tests/ must be found first

from support.gating import MSRV, host, stand_in_rustup  # noqa: E402
from support.repo import Repo  # noqa: E402
from support.tables import header, row  # noqa: E402 -- tests/ must be found first
from trunkline.domain.names import Oid  # noqa: E402
from trunkline.domain.receipt import Verdict  # noqa: E402
from trunkline.domain.stack import GateOverride, GateSettings  # noqa: E402
from trunkline.gates.catalogue import catalogue  # noqa: E402
from trunkline.gates.run import gate_commit  # noqa: E402
from trunkline.rust import cargo  # noqa: E402

CORES = len(os.sched_getaffinity(0))
_COUNTER = iter(range(1_000_000))
console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds, children included."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


def measured(what: Callable[[], None]) -> Cost:
    """Run something and return what it cost."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    what()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - started, cpu)


@dataclass
class Race:
    """A workspace with the commits to gate, and the two sides."""

    repo: Repo
    settings: GateSettings
    typed: Path

    def runbook(self, commit: Oid) -> Cost:
        """Check the commit out and type the six commands in order."""
        subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=self.typed, check=True)

        def six() -> None:
            for gate in catalogue(self.settings):
                env = cargo.environment(gate.env)
                done = subprocess.run(gate.argv, cwd=self.typed, env=env, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(f"{shlex.join(gate.argv)}\n{done.stderr}")

        return measured(six)

    def ours(self, commit: Oid, *, receipts: bool = False) -> Cost:
        """Gate the commit with our six gates; without receipts, so that they run."""
        if not receipts:
            shutil.rmtree(self.repo.path / ".git/trunkline/receipts", ignore_errors=True)

        def six() -> None:
            for outcome in gate_commit(self.repo.path, commit, self.settings):
                if outcome.verdict is not Verdict.PASSED:
                    raise SystemExit(f"{outcome.gate} {outcome.verdict.value}: {outcome.diagnosis} {outcome.log}")

        return measured(six)


def race(contest: Race, edits: list[tuple[str, Callable[[], None]]]) -> None:
    """Run every row on both sides, ours and theirs in turn."""
    commit = start = contest.repo.head()
    cold = contest.runbook(start), contest.ours(start)
    _row("cold", *cold)
    _row("warm", contest.runbook(start), contest.ours(start))
    for name, edit in edits[:2]:
        edit()
        commit = contest.repo.commit(name)
        _row(name, contest.runbook(commit), contest.ours(commit))
    _row("unchanged tree", contest.runbook(commit), contest.ours(commit, receipts=True))
    theirs = mine = Cost(0, 0)
    for number in range(5):
        edits[2 + number % (len(edits) - 2)][1]()
        commit = contest.repo.commit(f"stack {number}")
        theirs, mine = theirs + contest.runbook(commit), mine + contest.ours(commit)
    _row("five commits of a stack, each warm from the one before", theirs, mine)
    _row("the same, A five times cold", Cost(5 * cold[0].wall, 5 * cold[0].cpu), mine)
    _row("floor: trunkline's cold CPU on all cores", cold[0], Cost(cold[1].cpu / CORES, cold[1].cpu))


def _row(name: str, theirs: Cost, mine: Cost) -> None:
    row([name, f"{theirs.wall:.2f} s", f"{mine.wall:.2f} s", f"{mine.wall / theirs.wall:.2f}", f"{theirs.cpu:.1f} s",
         f"{mine.cpu:.1f} s"])  # fmt: skip


def example(root: Path, settings: GateSettings) -> None:
    """Race on examples/kv-pool: four crates."""
    repo = Repo.create(root / "kv-pool")
    shutil.copytree(HERE.parents[2] / "examples/kv-pool", repo.path, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("target", ".git"))  # fmt: skip
    repo.commit("start")
    crates = repo.path / "crates"
    edits = [
        ("one leaf crate", appends(crates / "kvctl/src/main.rs")),
        ("one root crate", appends(crates / "kv-block/src/lib.rs")),
        ("stack", appends(crates / "kv-cache/src/lib.rs")),
        ("stack", appends(crates / "kvctl/src/main.rs")),
    ]
    contest(root, repo, settings, "examples/kv-pool", edits)


def generated(root: Path, settings: GateSettings, count: int, functions: int) -> None:
    """Race on a generated workspace: a chain of std-only crates, each using the ones below."""
    repo = Repo.create(root / "generated")
    members = [f"crate{number:02}" for number in range(count)]
    outside = from_debian(root)
    files: dict[str, str | None] = {
        "Cargo.toml": '[workspace]\nresolver = "2"\nmembers = ["crates/*"]\n',
        ".gitignore": "target/\n",
    }
    if outside:
        files[".cargo/config.toml"] = SOURCE
    for number, name in enumerate(members):
        below = members[max(0, number - 2) : number]
        uses = outside[number % 3 :: 3]
        dependencies = "".join(
            [f'{each} = {{ path = "../{each}" }}\n' for each in below] + [f"{use}\n" for use in uses]
        )
        files[f"crates/{name}/Cargo.toml"] = (
            f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n\n'
            f"[features]\ncpu = []\ngpu = []\n\n[dependencies]\n{dependencies}"
        )
        crates = [use.split(" = ")[0].replace("-", "_") for use in uses]
        files[f"crates/{name}/src/lib.rs"] = source(name, below, crates, functions)
        files[f"crates/{name}/tests/whole.rs"] = (
            f'#[test]\nfn works() {{\n    assert!({name}::f1("a b", 1).contains("0="));\n}}\n'
        )
        if number % 4 == 3:
            files[f"crates/{name}/src/main.rs"] = f'fn main() {{\n    println!("{{}}", {name}::f0("a b c", 2));\n}}\n'
    for name, content in files.items():
        (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.path / name).write_text(content or "")
    subprocess.run(["cargo", "generate-lockfile", "--offline", "--quiet"], cwd=repo.path, check=True)
    subprocess.run(["cargo", "fmt", "--all"], cwd=repo.path, check=True)
    repo.commit("start")
    sources = [repo.path / f"crates/{name}/src/lib.rs" for name in members]
    edits = [
        ("one leaf crate", appends(sources[-1])),
        ("one root crate", appends(sources[0])),
        *(("stack", appends(sources[-1 - number])) for number in (4, 3, 2, 1, 0)),
    ]
    contest(root, repo, settings, f"generated: {count} crates, {functions} functions each", edits)


REGISTRY = Path("/usr/share/cargo/registry")
SOURCE = f'[source.crates-io]\nreplace-with = "debian"\n\n[source.debian]\ndirectory = "{REGISTRY}"\n'
WANTED = (
    'serde = { version = "1", features = ["derive"] }', 'serde_json = "1"', 'regex = "1"',
    'clap = { version = "4", features = ["derive"] }', 'anyhow = "1"', 'thiserror = "1"', 'rand = "0.8"',
    'itertools = "0.10"', 'indexmap = "1"', 'chrono = "0.4"', 'toml = "0.5"', 'rayon = "1"', 'petgraph = "0.6"',
    'tokio = { version = "1", features = ["rt", "sync"] }', 'env_logger = "0.9"',
)  # fmt: skip


def from_debian(root: Path) -> list[str]:
    """Return the dependencies that Debian's packages, as far as installed, can serve whole."""
    found: list[str] = []
    place = root / "probe"
    (place / "src").mkdir(parents=True)
    (place / ".cargo").mkdir()
    (place / ".cargo/config.toml").write_text(SOURCE)
    (place / "src/lib.rs").touch()
    for wanted in WANTED if REGISTRY.is_dir() else ():
        listed = "\n".join([*found, wanted])
        (place / "Cargo.toml").write_text(
            f'[package]\nname = "probe"\nversion = "0.1.0"\n\n[dependencies]\n{listed}\n'
        )
        resolving = ["cargo", "generate-lockfile", "--offline", "--quiet"]
        if subprocess.run(resolving, cwd=place, capture_output=True, check=False).returncode == 0:
            found.append(wanted)
    names = [each.split(" = ")[0] for each in found]
    console.print(f"dependencies from Debian: {', '.join(names) or 'none; the workspace uses std alone'}")
    return found


def source(name: str, below: list[str], crates: list[str], functions: int) -> str:
    """Return a library with some code for rustc to chew on."""
    lines = [f"//! {name}.", "use std::collections::BTreeMap;", "use std::fmt::Write as _;", ""]
    lines += [f"use {each} as _;" for each in crates]
    if "serde" in crates:
        lines += ["/// A record.\n#[derive(serde::Serialize, serde::Deserialize)]\npub struct Record {"]
        lines += [f"    /// Field {number}.\n    pub field{number}: Vec<String>," for number in range(20)]
        lines += ["}"]
    for number in range(functions):
        calls = "".join(f" + {each}::f{number}(text, n / 2).len()" for each in below)
        lines.append(
            f"/// Function {number}.\npub fn f{number}(text: &str, n: usize) -> String {{\n"
            "    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();\n"
            "    for (index, word) in text.split_whitespace().enumerate() {\n"
            f"        found.entry(index % (n + {number + 1})).or_default().push(word.to_uppercase());\n    }}\n"
            "    let mut out = String::new();\n"
            '    for (key, words) in &found {\n        let _ = write!(out, "{key}={}", words.join(","));\n    }\n'
            f'    let _ = write!(out, "{{}}", n{calls});\n    out\n}}\n'
        )
    lines.append(
        "#[cfg(test)]\nmod tests {\n    #[test]\n    fn works() {\n"
        '        assert!(super::f0("a b", 1).starts_with("0="));\n    }\n}\n'
    )
    return "\n".join(lines)


def appends(path: Path) -> Callable[[], None]:
    """Return an edit: a private function more, before the file's first item."""

    def edit() -> None:
        number = next(_COUNTER)
        text = path.read_text()
        made = (
            f"\n/// Edit {number}.\n#[must_use]\npub fn edit_{number}(n: u64) -> u64 {{\n    n + {number + 2}\n}}\n"
        )
        at = text.find("\n#[cfg(test)]")
        path.write_text(text + made if at < 0 else text[:at] + made + text[at:])

    if path.name == "main.rs":  # a binary's unused function is a warning: change a comment's worth of code

        def edit_main() -> None:
            text = path.read_text()
            at = text.index("fn main()")
            at = text.index("{", at) + 1
            path.write_text(f"{text[:at]}\n    let _ = {next(_COUNTER) + 2} + 1;{text[at:]}")

        return edit_main
    return edit


def contest(
    root: Path, repo: Repo, settings: GateSettings, title: str, edits: list[tuple[str, Callable[[], None]]]
) -> None:
    """Clone the workspace for the runbook's side, race, print."""
    typed = root / f"{repo.path.name}-typed"
    repo.git("worktree", "add", "--quiet", "--detach", str(typed))
    header(title, "A", "trunkline", "ratio", "A, CPU", "trunkline, CPU")
    race(Race(repo, settings, typed), edits)


def overhead(root: Path) -> None:
    """Print what six gates that do nothing cost: nox, git, the slot, six sessions."""
    repo = Repo.create(root / "no-op")
    repo.commit("start", {"Cargo.toml": "", "Cargo.lock": ""})
    nothing = GateOverride(run=("true",), env={}, needs=())
    names = ("build", "test", "clippy", "fmt", "doc", "msrv")
    contest = Race(repo, replace(GateSettings(), overrides=dict.fromkeys(names, nothing)), root)
    contest.ours(repo.head())
    costs = sorted((contest.ours(repo.head()) for _ in range(5)), key=lambda cost: cost.wall)
    known = sorted((contest.ours(repo.head(), receipts=True) for _ in range(5)), key=lambda cost: cost.wall)
    console.print(
        f"six gates that do nothing: {costs[2].wall:.2f} s wall, {costs[2].cpu:.2f} CPU s (median of 5);"
        f" from receipts: {known[2].wall:.2f} s"
    )


def _call_it_msrv(toolchain: Path) -> None:
    """Let a toolchain's rustc report the MSRV as its version; cargo keeps units apart by `rustc -vV`."""
    real = toolchain.resolve()
    toolchain.unlink()
    (toolchain / "bin").mkdir(parents=True)
    for path in [*real.iterdir(), *(real / "bin").iterdir()]:
        if path.name not in {"bin", "rustc"}:
            (toolchain / path.relative_to(real)).symlink_to(path)
    rustc = toolchain / "bin" / "rustc"
    message = f"rustc {MSRV} (stand-in)\\nbinary: rustc\\nhost: {host()}\\nrelease: {MSRV}\\n"
    rustc.write_text(f'#!/bin/sh\ncase "$*" in -vV) printf "{message}"; exit ;; esac\nexec "{real}/bin/rustc" "$@"\n')
    rustc.chmod(0o755)


@contextmanager
def place() -> Iterator[tuple[Path, str]]:
    """Give a directory, a home and a RUSTUP_HOME of its own, and take them away again."""
    root = Path(tempfile.mkdtemp(prefix="gates-bench-"))
    real = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    os.environ.setdefault("CARGO_HOME", str(Path.home() / ".cargo"))
    os.environ["RUSTUP_HOME"] = str(real)
    stand_in = stand_in_rustup(root / "rustup")
    _call_it_msrv(root / "rustup" / "toolchains" / f"{MSRV}-{host()}")
    os.environ.update(
        RUSTUP_HOME=str(root / "rustup"), XDG_STATE_HOME=str(root / "state"), CARGO_NET_OFFLINE="true",
        GIT_COMMITTER_NAME="Bench", GIT_COMMITTER_EMAIL="bench@example.invalid",
    )  # fmt: skip
    try:
        yield root, stand_in
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Run the requested races."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=("example", "generated", "overhead"))
    parser.add_argument("--crates", type=int, default=12)
    parser.add_argument("--functions", type=int, default=60)
    parser.add_argument("--sandbox", action="store_true")
    asked = parser.parse_args()
    settings = GateSettings(sandbox=asked.sandbox)
    load = os.getloadavg()[0]
    about = f"{CORES} cores, load {load:.1f} at the start; the MSRV toolchain is a stand-in"
    with place() as (root, stand_in):
        console.print(f"{about}: {stand_in}")
        if asked.only in {None, "overhead"}:
            overhead(root)
        if asked.only in {None, "example"}:
            example(root, settings)
        if asked.only in {None, "generated"}:
            generated(root, settings, asked.crates, asked.functions)


if __name__ == "__main__":
    main()
