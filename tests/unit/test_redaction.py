"""Secrets are taken out by value and by name, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.redaction import HIDDEN, redacted, redacted_data, secret_values

# Made up here, split so that no scanner of repositories takes them for real ones.
GITHUB = "ghp_" + "a1B2" * 9
FINE = "github_pat_" + "1" * 22


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        pytest.param(f"remote: denied to {GITHUB}", GITHUB, id="GitHub's own shape"),
        pytest.param(f"x{FINE[0:0]} {FINE}.", FINE, id="fine-grained"),
        pytest.param("https://me:hunter2hunter2@github.com/o/r", "hunter2hunter2", id="in an URL"),
        pytest.param("Authorization: Bearer abc.def.ghi", "abc.def.ghi", id="a header"),
        pytest.param('{"api_key": "k-123456789"}', "k-123456789", id="JSON"),
        pytest.param("failed: --registry-token=s3cr3ts3cr3t here", "s3cr3ts3cr3t", id="an option"),
    ],
)
def test_by_shape_and_name(text: str, hidden: str) -> None:
    """Values that look like secrets or have the name of one are redacted."""
    message = redacted(text, ())

    assert hidden not in message
    assert HIDDEN in message


@pytest.mark.parametrize(
    "text",
    [
        f"git push --force-with-lease=refs/heads/fix/token:{'a' * 40} origin {'b' * 40}:refs/heads/fix/token",
        "git@github.com:octo/tiny.git",
        "ssh://git@github.com/octo/tiny.git",
        "the token: it expired",
        "error[E0425]: cannot find value `token` in this scope (src/token.rs:1:1)",
        "feat: secret handshake, password field",
        "f" * 64,
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Commands, refs, object ids and prose are printed unchanged."""
    assert redacted(text, ()) == text


def test_which_variables_are_secrets() -> None:
    """Long values of variables with the name of a secret; paths and short values are none."""
    held = {
        "GH_TOKEN": "canary-canary-1", "AWS_SECRET_ACCESS_KEY": "canary-canary-22", "DB_PASSWORD": "canary-canary",
        "TOKEN_FILE": "canary-canary-4", "SECRET_HOME": "/home/me/secrets", "PASSWORD": "short",
        "PATH": "/usr/bin:/bin", "TOKENIZERS": "canary-canary-5",
    }  # fmt: skip

    assert secret_values(held) == ("canary-canary-22", "canary-canary-1", "canary-canary")


@given(st.text(), st.text(min_size=12).filter(lambda text: text not in HIDDEN), st.text())
def test_by_value_wherever_it_is(before: str, secret: str, after: str) -> None:
    """A secret is removed from any text, at any depth of the data."""
    data = redacted_data({"a": [before + secret + after, {"b": (secret,)}], "n": 1}, [secret])

    assert data["n"] == 1
    assert data["a"][1]["b"] == [HIDDEN] or secret in HIDDEN
    assert secret not in data["a"][1]["b"][0]
