"""Release artifacts: the release script, gh's extension, the pre-commit hook."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from support.repo import Repo
from trunkline.tasks import namespace

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "extras/gh-trunkline/gh-trunkline"


@pytest.fixture
def project(tmp_path: Path) -> Repo:
    """Return a copy of this project on main, with one changelog fragment and the environment of the tests."""
    repo = Repo.create(tmp_path / "project")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "src", "examples", "scripts/release", "pyproject.toml", "README.md", "LICENSE",
         "CHANGELOG.md", ".gitignore"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.decode().split("\0")):
        (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, repo.path / name, follow_symlinks=False)
    (repo.path / "changelog.d").mkdir()
    (repo.path / "changelog.d/+news.added.md").write_text("Something new.\n")
    (repo.path / ".venv").symlink_to(Path(sys.prefix))
    repo.git("branch", "-M", "main")
    repo.commit("the project")
    return repo


def release(repo: Repo, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the release script without the tests."""
    return subprocess.run(
        ["scripts/release", *args, "--no-test"], cwd=repo.path, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def digests(repo: Repo) -> dict[str, str]:
    """Return the SHA-256 of each built file, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (repo.path / "dist").iterdir()}


@pytest.mark.slow
def test_a_release_is_prepared_and_reproducible(project: Repo) -> None:
    """Version, changelog, packages, commit and tag are there; the same commit gives the same bytes again."""
    done = release(project, "0.9.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("next: git push --atomic origin main v0.9.0\n")
    assert project.git("log", "-1", "--format=%s").strip() == "Release 0.9.0"
    assert project.git("cat-file", "-t", "v0.9.0").strip() == "tag"
    news = (project.path / "CHANGELOG.md").read_text()
    assert news.index("## 0.9.0") < news.index("Something new.") < news.index("## 0.1.0")
    assert not (project.path / "changelog.d/+news.added.md").exists()
    built = digests(project)
    assert sorted(built) == ["trunkline-0.9.0-py3-none-any.whl", "trunkline-0.9.0.tar.gz"]
    with zipfile.ZipFile(project.path / "dist/trunkline-0.9.0-py3-none-any.whl") as wheel:
        description = wheel.read("trunkline-0.9.0.dist-info/METADATA").decode()
        assert '\n__version__ = "0.9.0"\n' in wheel.read("trunkline/__init__.py").decode()
    assert "# trunkline" in description
    assert re.findall(r"\]\((?!https?:)[^)]*\)|<picture|src=", description) == []  # an index cannot follow them
    project.git("tag", "--delete", "v0.9.0")
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    assert release(project, "0.9.0").returncode == 0
    assert digests(project) == built


@pytest.mark.parametrize(
    ("version", "prepare", "reason"),
    [
        ("", "", "which version?"),
        ("v1", "", "v1 is no version number"),
        ("0.9.0", "touch new-file", "the work tree has changes"),
        ("0.9.0", "git switch -qc topic", "a release is made on main, not on topic"),
        ("0.9.0", "git tag v0.9.0", "the tag v0.9.0 exists"),
        ("0.9.0", "git rm -q changelog.d/*.md && git commit -qm none", "there is nothing to release"),
    ],
)
def test_a_release_is_refused(project: Repo, version: str, prepare: str, reason: str) -> None:
    """Nothing changes; the reason is one line."""
    subprocess.run(["sh", "-c", prepare or "true"], cwd=project.path, check=True)
    before = project.git("rev-parse", "HEAD"), project.git("status", "--porcelain")
    done = release(project, version)
    assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
    assert (project.git("rev-parse", "HEAD"), project.git("status", "--porcelain")) == before


@pytest.mark.gh
def test_gh_runs_the_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real gh installs the directory and passes arguments and exit code on."""
    folder = tmp_path / "gh-trunkline"
    shutil.copytree(EXTENSION.parent, folder)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    subprocess.run(["gh", "extension", "install", "."], cwd=folder, check=True, capture_output=True)
    version = subprocess.run(["gh", "trunkline", "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("trunkline ")
    unknown = subprocess.run(["gh", "trunkline", "statsu"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2


def test_the_extension_without_the_program(tmp_path: Path) -> None:
    """The error names the missing program and the command that installs it."""
    done = subprocess.run(
        ["/bin/sh", str(EXTENSION)], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 6
    assert done.stderr.splitlines()[-1].startswith("next: pipx install .")


def test_the_hook_runs_a_task_that_exists() -> None:
    """pre-commit starts `trunkline gates` before a push, once, without file names."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, task = hook["entry"].split()
    assert program == "trunkline"
    assert task in namespace.task_names
    assert (hook["stages"], hook["pass_filenames"], hook["always_run"]) == (["pre-push"], False, True)
