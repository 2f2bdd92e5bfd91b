"""Build the environments of child processes.

Programs whose output is parsed get an allowlist: variables that are not listed cannot change what
git and gh print (CLICOLOR_FORCE, GH_DEBUG, GIT_TRACE, PAGER), or redirect them to another
repository (GIT_DIR, GH_REPO). Our own processes and the user's hooks get nearly everything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

# Paths of programs and their files, the user's identity, and access to network, keys and keyring.
_KEPT = frozenset({
    "ALL_PROXY", "BROWSER", "CURL_CA_BUNDLE", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "DYLD_FALLBACK_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "GH_CONFIG_DIR", "GH_HOST", "GNUPGHOME", "GPG_AGENT_INFO", "GPG_TTY", "HOME", "HTTPS_PROXY",
    "HTTP_PROXY", "KRB5CCNAME", "KRB5_CONFIG", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "LOCALE_ARCHIVE", "LOGNAME",
    "NIX_SSL_CERT_FILE", "NO_PROXY", "PATH", "PINENTRY_USER_DATA", "REQUESTS_CA_BUNDLE", "SHELL", "SSH_AGENT_PID",
    "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM",
    "TMPDIR", "TZ", "USER", "WAYLAND_DISPLAY", "WSLENV", "WSL_DISTRO_NAME", "WSL_INTEROP", "XAUTHORITY", "all_proxy",
    "http_proxy", "https_proxy", "no_proxy",
})  # fmt: skip
_KEPT_PREFIXES = ("LC_", "XDG_", "GCM_", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_")
# Of GIT_*: access to remotes, the user's identity, the user's configuration. GIT_CONFIG_COUNT and
# its pairs have a lower priority than our `git -c` options (git-config(1), ENVIRONMENT); containers
# and CI use them to set safe.directory.
_GIT_KEPT = frozenset({
    "GIT_ALLOW_PROTOCOL", "GIT_ASKPASS", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_NAME", "GIT_COMMITTER_DATE",
    "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_NAME", "GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_HTTP_PROXY_AUTHMETHOD", "GIT_PROXY_COMMAND",
    "GIT_PROXY_SSL_CAINFO", "GIT_PROXY_SSL_CERT", "GIT_PROXY_SSL_KEY", "GIT_SSH", "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_SSL_NO_VERIFY",
    "GIT_TERMINAL_PROMPT",
})  # fmt: skip
_TOKENS = frozenset({"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"})
_REGISTRY_TOKEN = "CARGO_REGISTRY_TOKEN"  # noqa: S105 -- a variable's name
KEEP_VARIABLE = "TRUNKLINE_KEEP_ENV"
"""Comma-separated names of more variables for git and gh, for example for a credential helper."""


def environment(*, tokens: bool = False, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a program whose output is parsed: git, gh, ssh-keygen.

    Args:
        tokens: keep GitHub tokens; only gh and git's network commands need them.
        extra: variables to add or replace.
    """
    named = frozenset(name.strip() for name in os.environ.get(KEEP_VARIABLE, "").split(","))
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT
        or name in _GIT_KEPT
        or name.startswith(_KEPT_PREFIXES)
        or (name in named and not _is_token(name))
        or (tokens and name in _TOKENS)
    }
    kept.update(extra or {})
    return kept


def own_environment(*, tokens: bool = False) -> dict[str, str]:
    """Return the environment of our own processes (nox, the simulator) and of the user's hooks.

    It is the inherited environment without tokens and without the GIT_* variables that select
    another repository.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("GIT_") or name in _GIT_KEPT or name.startswith(_KEPT_PREFIXES))
        and (tokens or not _is_token(name))
    }


def token_variable() -> str:
    """Return the variable whose token gh uses for github.com, in gh's order; "": gh's own credentials are used."""
    return next((name for name in ("GH_TOKEN", "GITHUB_TOKEN") if os.environ.get(name)), "")


def _is_token(name: str) -> bool:
    registry = name == _REGISTRY_TOKEN or (name.startswith("CARGO_REGISTRIES_") and name.endswith("_TOKEN"))
    return registry or name in _TOKENS
