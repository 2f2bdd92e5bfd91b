"""Propose gates for the parts of the Cargo workspace that no gate covers."""

from __future__ import annotations

from pathlib import Path

from trunkline.domain.stack import GateSettings
from trunkline.domain.workspace import Proposal, proposals
from trunkline.gates.catalogue import catalogue, feature_flags
from trunkline.git.git import Git
from trunkline.rust import cargo


def proposed(git: Git, settings: GateSettings) -> tuple[Proposal, ...]:
    """Return gates that would cover the rest; () if nothing is uncovered or there is no workspace.

    Args:
        git: the repository at the top of the checkout.
        settings: the `[gates]` table.
    """
    workspace = cargo.workspace(git.cwd / settings.root)
    if workspace is None:
        return ()
    members = {Path(manifest).resolve() for manifest in workspace.manifests}
    listed = git.query("ls-files", "-z", "--", ":(top,glob)**/Cargo.toml").stdout
    tracked = [name for name in listed.decode("utf-8", "replace").split("\0") if name]
    members.add((git.cwd / settings.root / "Cargo.toml").resolve())
    outside = [name for name in tracked if (git.cwd / name).resolve() not in members and _package(git.cwd / name)]
    commands = [gate.argv for gate in catalogue(settings)]
    return proposals(workspace, commands, feature_flags(settings), outside, locked=settings.locked)


def _package(manifest: Path) -> bool:
    try:
        return b"[package]" in manifest.read_bytes()
    except OSError:
        return False
