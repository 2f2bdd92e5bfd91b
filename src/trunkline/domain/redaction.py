"""Redact secrets in all output and files, by their values and by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "[redacted]"
_LEAST = 12
"""Shorter values are not redacted, because they may be ordinary words."""
_SECRET_NAME = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|SIGNING_KEY|CREDENTIALS?|PAT)"
    r"(_|$)",
    re.IGNORECASE,
)
_PLACE_NAME = re.compile(r"_(FILE|PATH|DIR|URL|HOST|SOCK|NAME|ID|TTL|SECONDS)$", re.IGNORECASE)
_PATTERNS = (
    # GitHub's tokens (github.blog, "Behind GitHub's new authentication token formats"), and cargo's
    # registry tokens.
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|cio[A-Za-z0-9]{29,})\b"), HIDDEN),
    # https://user:password@host
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)(\bauthorization[\"']?: *[\"']?(?:bearer|token|basic) +)[^\s\"']+"), rf"\1{HIDDEN}"),
    # token=..., "password": "...": by name; a colon counts with a space or a quote only, because
    # refs contain bare colons.
    (
        re.compile(
            r"(?i)((?<![\w-])[\w-]{0,40}(?:token|secret|password|passwd|passphrase|api[_-]?key)"
            r"(?:[\"']?: *[\"']|=[\"']?))[^\s\"'&,;]{6,}"
        ),
        rf"\1{HIDDEN}",
    ),
)


def is_secret_name(name: str) -> bool:
    """Return whether a variable is named like a secret: `GH_TOKEN`, but not `GH_TOKEN_FILE`."""
    return bool(_SECRET_NAME.search(name)) and not _PLACE_NAME.search(name)


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of variables that are named like secrets, longest first."""
    found = {
        value
        for name, value in environment.items()
        if is_secret_name(name) and len(value) >= _LEAST and not value.startswith(("/", "~", "."))
    }
    return tuple(sorted(found, key=len, reverse=True))


def redacted(text: str, secrets: Sequence[str]) -> str:
    """Return text without secrets.

    Args:
        text: anything.
        secrets: values to redact, longest first.
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def redacted_data(value: Any, secrets: Sequence[str]) -> Any:
    """Return JSON values without secrets; keys are unchanged."""
    if isinstance(value, str):
        return redacted(value, secrets)
    if isinstance(value, Mapping):
        return {key: redacted_data(each, secrets) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_data(each, secrets) for each in value]
    return value
