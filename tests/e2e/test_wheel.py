"""The built wheel, installed into an environment of its own, far from the checkout: it has all that it needs."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from support.landing import small_stack

pytestmark = [pytest.mark.gh, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def pip(*args: str) -> None:
    """Run pip of the environment that tests run in; nothing is downloaded."""
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *args], check=True, cwd=ROOT
    )


def installed(place: Path) -> Path:
    """Build the wheel, install it alone into a new environment, and return that environment's programs."""
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(ROOT))
    (wheel,) = place.glob("trunkline-*.whl")
    venv.create(place / "venv", with_pip=False)
    python = place / "venv/bin/python"
    pip("--python", str(python), "install", "--no-index", "--no-deps", str(wheel))
    # Dependencies come from where the tests have theirs; a path in a .pth file brings no editable install along.
    (packages,) = (place / "venv/lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def test_the_wheel_lands_an_entry(tmp_path: Path) -> None:
    """The program, the gates by the packaged noxfile, templates, schemas and the simulator are in it."""
    programs = installed(tmp_path / "wheel")
    where = subprocess.run(
        [programs / "python", "-c", "import trunkline; print(trunkline.__file__)"], check=True, capture_output=True,
        text=True, cwd=tmp_path,
    ).stdout  # fmt: skip
    assert where.startswith(str(programs.parent))
    building = (
        "import pathlib, sys; from trunkline.sim.example import EXAMPLES\n"
        "assert EXAMPLES.is_relative_to(pathlib.Path(sys.prefix)), EXAMPLES\n"
        "print(*sorted(path.name for path in EXAMPLES.iterdir()))"
    )
    example = subprocess.run([programs / "python", "-c", building], check=True, capture_output=True, text=True)
    assert example.stdout.split() == [".gitattributes", "README.md", "kv-pool", "kv-pool-stack"]
    with small_stack(tmp_path / "stack", merged=True) as landing:
        (landing.clone.path / "tasks.py").unlink()
        landing.clone.commit("no tasks.py here")
        program = str(programs / "trunkline")
        for args, expected in (
            (("plan", "--pr", "519", "--markdown"), "# PR #519 Rebase Plan"),
            (("rehearse", "--pr", "519"), "feat/two"),
            (("rebase", "--pr", "519", "--fresh"), "6 of 6 on"),
            (("report",), "report.html"),
            (("init", "--check"), ""),
        ):
            ran = landing.run(program, *args)
            assert (ran.code, expected in ran.out) == (0, True), (args, ran.out + ran.err)
        assert "## Reviewer Note" in landing.pr(519)["body"]
