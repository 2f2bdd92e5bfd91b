"""Conflicts that need no person, or not twice: Cargo.lock made again, git-rerere, the same conflict recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.killing import Yard, YardLanding
from support.landing import Landing
from support.repo import Repo

pytestmark = [pytest.mark.gh, pytest.mark.cargo]

_LOCK = 'version = 4\n\n[[package]]\nname = "{0}"\nversion = "0.1.0"\n\n'
_TINY = '[[package]]\nname = "tiny"\nversion = "0.1.0"\n'


def _adding(author: Repo, crate: str, *, needs: str = "") -> None:
    """Commit a crate of the workspace, as `cargo new` does, with the Cargo.lock that it makes."""
    manifest = (author.path / "Cargo.toml").read_text()
    workspace = "" if "[workspace]" in manifest else '\n[workspace]\nmembers = ["crates/*"]\n'
    package = f'[package]\nname = "{crate}"\nversion = "0.1.0"\nedition = "2021"\n{needs}'
    author.commit(
        f"crate {crate}",
        {
            "Cargo.toml": manifest + workspace,
            f"crates/{crate}/Cargo.toml": package,
            f"crates/{crate}/src/lib.rs": f"//! {crate}.\n",
            "Cargo.lock": _LOCK.format(crate) + _TINY,
        },
    )


def _both_add_a_crate(needs: str) -> Callable[[Landing], None]:
    def prepare(landing: Landing) -> None:
        author = landing.author
        author.git("switch", "--quiet", "feat/two")
        _adding(author, "beta", needs=needs)
        landing.push_as_author("feat/two")
        landing.merge_parent()
        author.git("pull", "--quiet", "origin", "main", env=landing.environment())
        _adding(author, "alpha")
        landing.push_as_author("main")

    return prepare


@pytest.fixture
def stack(grounds: Yard, request: pytest.FixtureRequest) -> Iterator[YardLanding]:
    """Return #519 and trunk each with a crate of their own: their Cargo.lock conflict, nothing else does."""
    needs = getattr(request, "param", "")
    with grounds.prepared(f"crates{len(needs)}", _both_add_a_crate(needs)) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def test_a_lockfile_is_made_again(stack: YardLanding) -> None:
    """Foreseen in the plan, done without a person, told, and what `--locked` demands."""
    plan = stack.invoke("rebase", "--pr", "519", "--dry-run")
    assert "no conflict but in Cargo.lock, which cargo makes again" in plan.out, plan.out + plan.err
    ran = stack.invoke("rebase", "--pr", "519", "--yes", "--no-push", "--skip", "gates")
    assert "Cargo.lock of " in ran.out, ran.out + ran.err
    assert "was made again by cargo: the gates judge it" in ran.out
    lock = stack.clone.git("show", "feat/two:Cargo.lock")
    assert [line for line in lock.splitlines() if line.startswith("name")] == [
        'name = "alpha"',
        'name = "beta"',
        'name = "tiny"',
    ]
    stack.clone.git("switch", "--quiet", "feat/two")
    done = stack.run("cargo", "metadata", "--locked", "--offline", "--format-version", "1")
    assert done.code == 0, done.err
    assert stack.clone.subjects("origin/main..feat/two") == ["entry struct", "use the arena", "crate beta"]


def test_a_lockfile_is_a_persons_where_stack_toml_says_so(stack: YardLanding) -> None:
    """`lockfile = "conflict"`: it pauses as any conflict."""
    path = stack.clone.path / "stack.toml"
    path.write_text(path.read_text().replace("schema = 1\n", 'schema = 1\nlockfile = "conflict"\n'))
    ran = stack.invoke("rebase", "--pr", "519", "--yes", "--no-push")
    assert (ran.code, "  Cargo.lock" in ran.err) == (3, True)


@pytest.mark.parametrize("stack", ['[dependencies]\nnot-to-be-had = "1"\n'], indirect=True)
def test_a_lockfile_that_cargo_cannot_make_here_pauses(stack: YardLanding) -> None:
    """A new dependency, and no network: a person's after all; nothing moved."""
    before = stack.world()
    ran = stack.invoke("rebase", "--pr", "519", "--yes", "--no-push")
    assert (ran.code, "  Cargo.lock" in ran.err) == (3, True), ran.out + ran.err
    after = stack.world()
    after["refs"].pop("refs/heads/feat/two")
    assert after == before


def _conflicting(landing: Landing) -> None:
    landing.merge_parent()
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    landing.author.commit("trunk edits lib", {"src/lib.rs": "//! Trunk's own.\n"}, author="Mallory")
    landing.push_as_author("main")
    path = landing.clone.path / "stack.toml"
    path.write_text(path.read_text().replace("schema = 1\n", "schema = 1\nrerere = true\n"))


RESOLVED = "//! Trunk's own.\n\npub mod arena;\npub mod entry;\n"


def _paused(landing: Landing) -> tuple[str, Path]:
    ran = landing.invoke("rebase", "--pr", "519", "--yes", "--no-push", "--skip", "fmt,gates")
    assert ran.code == 3, ran.out + ran.err
    return ran.err, landing.waiting_tree()


def _resolved_once(landing: Landing) -> None:
    _, tree = _paused(landing)
    (tree / "src/lib.rs").write_text(RESOLVED)
    Repo(tree).git("add", "--all")
    ran = landing.invoke("continue")
    assert ran.code in {0, 1}, ran.out + ran.err
    assert landing.clone.git("show", "feat/two:src/lib.rs") == RESOLVED.rstrip()
    assert landing.invoke("undo").code == 0


@pytest.fixture
def twice(grounds: Yard) -> Iterator[YardLanding]:
    """Return #519 in conflict with trunk, `rerere = true`."""
    with grounds.prepared("twice", _conflicting) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def test_rerere_fills_in_and_says_so(twice: YardLanding) -> None:
    """Opted in: the second time the file is resolved as before, but not staged; the pause says both."""
    _resolved_once(twice)
    message, tree = _paused(twice)
    assert "rerere filled in how you resolved src/lib.rs before: look, then git add" in message
    assert (tree / "src/lib.rs").read_text() == RESOLVED
    refused = twice.invoke("continue")
    assert (refused.code, "not resolved yet, or not added: src/lib.rs" in refused.err) == (3, True)
    Repo(tree).git("add", "--all")
    assert twice.invoke("continue").code in {0, 1}
    assert twice.clone.git("show", "feat/two:src/lib.rs") == RESOLVED.rstrip()


def test_without_rerere_the_same_conflict_is_recognised(twice: YardLanding) -> None:
    """Not opted in: nothing is filled in, whatever git's configuration says; how it was resolved is named."""
    path = twice.clone.path / "stack.toml"
    path.write_text(path.read_text().replace("rerere = true\n", ""))
    twice.clone.git("config", "rerere.enabled", "true")
    _resolved_once(twice)
    message, tree = _paused(twice)
    assert "rerere" not in message
    assert "<<<<<<<" in (tree / "src/lib.rs").read_text()
    (line,) = [line for line in message.splitlines() if "was resolved for #519" in line]
    command = line.partition("#519: ")[2].split()
    assert twice.run(*command).out == RESOLVED
