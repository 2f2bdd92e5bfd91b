"""Recognise failed sign-ins to a git server from git's error output, and suggest a fix."""

from __future__ import annotations

import re
import shlex

import msgspec

SSO_SETTINGS = "https://github.com/settings/tokens"
"""The page on which a token is authorized for an organization with SAML single sign-on."""


class Rejection(msgspec.Struct, frozen=True):
    """The reason of a failed sign-in.

    Attributes:
        what: the reason in one line.
        commands: commands that may fix it.
    """

    what: str
    commands: tuple[str, ...]


# GitHub's messages over HTTPS (after "remote: ") and SSH, and those of git and OpenSSH (LC_ALL=C).
_SSO = re.compile(r"The ['`]([\w.-]+)['`] organization has enabled or enforced SAML SSO")
_ADDRESS = re.compile(r"https://[^\s'\"]*/sso\b[^\s'\"]*")
_HOST = re.compile(r"unable to access 'https://(?:[^/@']*@)?([\w.:-]+)/")
_PERMISSION = re.compile(r"Permission to (\S+?)(?:\.git)? denied to ([\w-]+)")
_UNKNOWN = re.compile(
    r"Authentication failed for|could not read (?:Username|Password) for|Permission denied \([\w,-]*publickey"
)


def rejection(stderr: str) -> Rejection | None:
    """Return the reason of a failed sign-in; None if the output shows none."""
    message = " ".join(line.strip().removeprefix("remote:").strip() for line in stderr.splitlines())
    if found := _SSO.search(message):
        what = f"GitHub requires credentials authorized for the organization {found[1]} (SAML single sign-on)"
        return Rejection(what, _authorize(message, found[1]))
    if "archived so it is read-only" in message:
        return Rejection("the repository is archived: GitHub takes no push to it", ("gh repo unarchive",))
    if found := _PERMISSION.search(message):
        return Rejection(f"GitHub does not let {found[2]} push to {found[1]}", ("gh auth status", "gh auth login"))
    if "(publickey" in message and _UNKNOWN.search(message):
        return Rejection("the server accepts none of your SSH keys", ("ssh-add -l", "gh auth login"))
    if _UNKNOWN.search(message):
        return Rejection("git is not signed in to the server", ("gh auth login", "gh auth setup-git"))
    return None


def _authorize(message: str, organization: str) -> tuple[str, ...]:
    """Return commands that authorize the token or key; the address in GitHub's message comes first."""
    host = found[1] if (found := _HOST.search(message)) else "github.com"
    by_ssh = "with an SSH key" in message and not _HOST.search(message)
    named = _ADDRESS.search(message)
    address = named[0].rstrip(".,") if named else f"https://{host}/orgs/{organization}/sso"
    browser = "python3 -m webbrowser"
    if by_ssh and not named:
        return f"{browser} https://{host}/settings/keys   # Configure SSO", f"{browser} {address}"
    return f"{browser} {shlex.quote(address)}", f"gh auth refresh --hostname {host}"
