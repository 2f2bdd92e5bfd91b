"""Hash the settings outside a tree that can decide the verdict of its gates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import msgspec

from trunkline.domain.names import Oid
from trunkline.gates import slots
from trunkline.git import checkout_settings
from trunkline.git.checkout_settings import CheckoutSettings
from trunkline.git.git import Git
from trunkline.rust import cargo


class OuterSettings(msgspec.Struct, frozen=True):
    """The settings outside the trees of a repository that can decide a verdict.

    Attributes:
        config: a hash of the configuration of cargo, rustfmt and clippy, or "".
        checkout: git's settings that may change what a checkout writes.
        libraries: the variables by which libraries are found.
    """

    config: str
    checkout: CheckoutSettings
    libraries: Mapping[str, str]

    def digest(self, git: Git, tree: Oid) -> str:
        """Return a SHA-256 over the settings that act on a tree; "": there are none.

        A receipt contains it, and counts only with the same settings.
        """
        others = {"checkout": checkout_settings.effect(git, tree, self.checkout), **self.libraries}
        acting = {name: value for name, value in others.items() if value}
        if not acting:
            return self.config
        return hashlib.sha256(json.dumps({**acting, "cargo": self.config}, sort_keys=True).encode()).hexdigest()


def read(git: Git) -> OuterSettings:
    """Return the settings in force."""
    libraries = {name: value for name, value in cargo.environment({}).items() if name in cargo.LIBRARY_VARIABLES}
    return OuterSettings(cargo.outer_config(slots.first_place(git)), checkout_settings.in_force(git), libraries)


def outer_settings(git: Git, tree: Oid) -> str:
    """Return the `digest` of the settings in force for a tree."""
    return read(git).digest(git, tree)
