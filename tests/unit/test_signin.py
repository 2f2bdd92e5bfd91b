"""Git's messages about failed sign-ins: exit code 4, with the page or the command that helps."""

from __future__ import annotations

import pytest

from trunkline.domain import sign_in
from trunkline.domain.errors import ExternalError, NotSignedIn
from trunkline.git.failures import failure
from trunkline.system.process import Completed

OPEN = "python3 -m webbrowser"
END = "fatal: unable to access 'https://github.com/octo/tiny.git/': The requested URL returned error: 403\n"
SAID = {
    "OAuth, re-authorize": (
        "remote: The `octo' organization has enabled or enforced SAML SSO.\n"
        "remote: To access this repository, you must re-authorize the OAuth Application `GitHub CLI`.\n" + END,
        (f"{OPEN} https://github.com/orgs/octo/sso", "gh auth refresh --hostname github.com"),
    ),
    "a token, with the address": (
        "remote: The 'octo' organization has enabled or enforced SAML SSO. To access\n"
        "remote: this repository, visit https://github.com/enterprises/o/sso?authorization_request=AB and try"
        " your request again.\n" + END,
        (
            f"{OPEN} 'https://github.com/enterprises/o/sso?authorization_request=AB'",
            "gh auth refresh --hostname github.com",
        ),
    ),
    "SSH": (
        ("ERROR: The 'octo' organization has enabled or enforced SAML SSO.\n"
        "To access this repository, you must use the HTTPS remote with a personal access token\n"
        "or SSH with an SSH key and passphrase\nthat has been authorized for this organization.\n"
        "Visit https://docs.github.com/articles/authenticating-to-a-github-organization-with-saml-single-sign-on/"
        " for more information.\n\nfatal: Could not read from remote repository.\n"),
        (
            f"{OPEN} https://github.com/settings/keys   # Configure SSO", f"{OPEN} https://github.com/orgs/octo/sso",
        ),
    ),
    "GitHub Enterprise": (
        ("remote: The 'octo' organization has enabled or enforced SAML SSO.\n"
        "fatal: unable to access 'https://ghe.example.com/octo/tiny.git/': The requested URL returned error: 403\n"),
        (f"{OPEN} https://ghe.example.com/orgs/octo/sso", "gh auth refresh --hostname ghe.example.com"),
    ),
    "no right to push": (
        "remote: Permission to octo/tiny.git denied to mallory.\n" + END, ("gh auth status", "gh auth login"),
    ),
    "an archived repository": (
        "ERROR: This repository was archived so it is read-only.\nfatal: Could not read from remote repository.\n",
        ("gh repo unarchive",),
    ),
    "no key": (
        "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.\n",
        ("ssh-add -l", "gh auth login"),
    ),
    "no password": (
        "fatal: could not read Username for 'https://github.com': terminal prompts disabled\n",
        ("gh auth login", "gh auth setup-git"),
    ),
    "a wrong password": (
        "fatal: Authentication failed for 'https://github.com/octo/tiny.git/'\n",
        ("gh auth login", "gh auth setup-git"),
    ),
}  # fmt: skip


def failed(stderr: str) -> Completed:
    """Return a `git fetch` that failed with these words."""
    return Completed(("git", "fetch"), 128, b"", stderr.encode(), 0.1)


@pytest.mark.parametrize(("stderr", "commands"), SAID.values(), ids=SAID)
def test_a_server_that_does_not_let_us_is_no_outage(stderr: str, commands: tuple[str, ...]) -> None:
    """Exit 4, never repeated, with what authorizes us."""
    error = failure(failed(stderr), network=True)
    assert isinstance(error, NotSignedIn)
    assert error.next_commands == commands


@pytest.mark.parametrize("stderr", [END, "ERROR: Repository not found.\n", "fatal: early EOF\n", ""])
def test_other_failures_are_not_taken_for_it(stderr: str) -> None:
    """A bare 403 may be a proxy's."""
    assert sign_in.rejection(stderr) is None
    assert isinstance(failure(failed(stderr), network=True), ExternalError)
