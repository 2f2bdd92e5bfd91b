"""Seals the environment of every test: home, git configuration, identity, dates, locale, state."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.killing import Yard, yard
from support.repo import Repo
from support.soak import SOAK
from trunkline.domain import command

# No test depends on how fast or how busy the machine is.
settings.register_profile("trunkline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trunkline")

_REAL_HOME = Path.home()
_KEPT = ("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for maintainers of scenarios."""
    parser.addoption("--rewrite-scenarios", action="store_true", help="write the output of tests/scenarios anew")


_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def pytest_configure() -> None:
    """Restore the default signal handlers: a shell's `&` ignores SIGINT, and nohup ignores SIGHUP."""
    for number in _SIGNALS:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that only a soak run has time for."""
    if SOAK:
        return
    deselected = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


@pytest.fixture(scope="session")
def short_directory() -> Iterator[Path]:
    """Return a directory with a short path: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tg-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """Restore the signal handlers after the test: the program installs handlers that end the process."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def sealed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, short_directory: Path) -> Path:
    """Give the test a home of its own and an environment that it does not share; return the home."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # The toolchains are the machine's: they cannot be installed into a test's home.
    rust = {
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(_REAL_HOME / ".rustup")),
        "CARGO_HOME": os.environ.get("CARGO_HOME", str(_REAL_HOME / ".cargo")),
    }
    for name in list(os.environ):
        if not name.startswith("PYTEST_"):
            monkeypatch.delenv(name)
    sealed_values = {
        **kept,
        **rust,
        "HOME": str(home),
        "USER": "tester",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "XDG_STATE_HOME": str(home / "state"),
        "TRUNKLINE_GATES_DIR": str(short_directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_TERMINAL_PROMPT": "0",
        "NO_COLOR": "1",
        "CARGO_NET_OFFLINE": "true",
        "RUSTUP_AUTO_INSTALL": "0",
        "TRUNKLINE_WAIT_FACTOR": "0",  # nobody sleeps
        "TRUNKLINE_YES": "1",  # a test has no terminal; tests of the question unset it
    }
    monkeypatch.setattr(command, "_caller", command.Caller())  # otherwise that of the previous test's task
    for name, value in sealed_values.items():
        monkeypatch.setenv(name, value)
    (home / "gitconfig").write_text(
        "[user]\n\tname = Tess Tester\n\temail = tess@example.invalid\n[init]\n\tdefaultBranch = main\n"
    )
    return home


@pytest.fixture(scope="session")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """Return the prepared stacks of this worker, and the process that forks for each task."""
    with yard(tmp_path_factory.mktemp("yard")) as made:
        yield made


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Return an empty repository."""
    return Repo.create(tmp_path / "repo")
