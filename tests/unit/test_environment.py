"""Environments of child processes: the variables that git, gh and our own processes receive."""

from __future__ import annotations

import pytest

from trunkline.github.client import GitHub
from trunkline.system import process

MISLEADING = {
    "CLICOLOR": "1", "CLICOLOR_FORCE": "1", "GH_FORCE_TTY": "120", "GH_DEBUG": "api", "DEBUG": "1", "GH_REPO": "a/b",
    "GH_PATH": "/elsewhere/gh", "PAGER": "less", "GIT_PAGER": "less", "GIT_DIR": "/elsewhere", "GIT_WORK_TREE": "/x",
    "GIT_INDEX_FILE": "/x", "GIT_TRACE": "1", "GIT_TRACE_CURL": "1", "GIT_EXTERNAL_DIFF": "true", "GIT_EDITOR": "vi",
    "GIT_CONFIG_PARAMETERS": "'color.ui'='always'", "GIT_NAMESPACE": "x", "GIT_REPLACE_REF_BASE": "refs/x",
    "GIT_LITERAL_PATHSPECS": "1", "GIT_QUARANTINE_PATH": "/x", "COLORTERM": "truecolor", "LESS": "-R", "COLUMNS": "1",
    "GLAMOUR_STYLE": "dark", "PYTHONPATH": "/x", "APP_SECRET": "x",
}  # fmt: skip
NEEDED = {
    "HOME": "/home/me", "PATH": "/bin", "https_proxy": "p", "HTTPS_PROXY": "p", "NO_PROXY": "n", "SSL_CERT_FILE": "c",
    "SSH_AUTH_SOCK": "s", "GH_CONFIG_DIR": "g", "XDG_CONFIG_HOME": "x", "XDG_RUNTIME_DIR": "x", "TMPDIR": "/t",
    "LANG": "de_DE.UTF-8", "LC_MESSAGES": "C", "GNUPGHOME": "k", "GPG_TTY": "/dev/tty", "GIT_SSH_COMMAND": "ssh -v",
    "DBUS_SESSION_BUS_ADDRESS": "d", "DISPLAY": ":0", "USER": "me", "TERM": "xterm", "GIT_CONFIG_GLOBAL": "/cfg",
    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
    "GIT_AUTHOR_NAME": "Me",
}  # fmt: skip
TOKENS = {"GH_TOKEN": "t1", "GITHUB_TOKEN": "t2", "GH_ENTERPRISE_TOKEN": "t3", "GITHUB_ENTERPRISE_TOKEN": "t4"}


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, sealed: object) -> None:
    assert sealed
    for name in ("GIT_TERMINAL_PROMPT", "GIT_CONFIG_NOSYSTEM", "XDG_STATE_HOME", "LC_ALL"):
        monkeypatch.delenv(name)
    for name, value in {**MISLEADING, **NEEDED, **TOKENS}.items():
        monkeypatch.setenv(name, value)


def test_a_program_gets_what_is_listed_and_nothing_else() -> None:
    """Nothing that changes its output or where it works; all that finds home, network, keys and identity."""
    kept = process.environment()
    assert {name: kept.get(name) for name in NEEDED} == NEEDED
    assert not kept.keys() & (MISLEADING.keys() | TOKENS.keys())
    assert process.environment(extra={"A": "b"}) == {**kept, "A": "b"}


def test_tokens_go_to_the_network_alone() -> None:
    """The environment has them only with `tokens=True`."""
    assert process.environment(tokens=True).keys() - process.environment().keys() == TOKENS.keys()


def test_a_person_adds_what_their_credential_helper_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name; a token does not go to git's local commands even then."""
    monkeypatch.setenv("TRUNKLINE_KEEP_ENV", "APP_SECRET, GH_TOKEN")
    assert "APP_SECRET" in process.environment()
    assert "GH_TOKEN" not in process.environment()


def test_gh_talks_to_the_host_that_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colour, no pager, no other host or repository, whatever the caller's shell has set."""
    monkeypatch.setenv("GH_HOST", "elsewhere.example")
    kept = GitHub._environment()
    assert not kept.keys() & ({"GH_HOST"} | MISLEADING.keys())
    assert (kept["NO_COLOR"], kept["GH_PAGER"], kept["GH_TOKEN"]) == ("1", "cat", "t1")


def test_our_own_processes_get_everything_but_tokens_and_other_repositories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nox needs the caller's Python; a pre-push hook what its owner set."""
    monkeypatch.setenv("CARGO_REGISTRIES_MINE_TOKEN", "t5")
    own = process.own_environment()
    assert (own["PYTHONPATH"], own["APP_SECRET"]) == ("/x", "x")
    assert not own.keys() & {*TOKENS, "CARGO_REGISTRIES_MINE_TOKEN", "GIT_DIR", "GIT_INDEX_FILE", "GIT_TRACE"}
