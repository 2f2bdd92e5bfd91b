"""Hash the settings outside a tree that can decide the verdict of its gates."""

from __future__ import annotations

import hashlib
import json

from trunkline.domain.names import Oid
from trunkline.gates import slots
from trunkline.git import checkout_settings
from trunkline.git.git import Git
from trunkline.rust import cargo


def outer_settings(git: Git, tree: Oid) -> str:
    """Return a SHA-256 over the settings outside a tree that can decide a verdict; "": there are none.

    These are the configuration of cargo, rustfmt and clippy, git's settings that change what a
    checkout writes, and the variables by which libraries are found. A receipt contains the hash: it
    counts only with the same settings.
    """
    config = cargo.outer_config(slots.first_place(git))
    others = {
        "checkout": checkout_settings.effect(git, tree),
        **{name: value for name, value in cargo.environment({}).items() if name in cargo.LIBRARY_VARIABLES},
    }
    acting = {name: value for name, value in others.items() if value}
    if not acting:
        return config
    return hashlib.sha256(json.dumps({**acting, "cargo": config}, sort_keys=True).encode()).hexdigest()
