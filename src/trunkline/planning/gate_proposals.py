"""Proposes gates for what the stack's gates leave out of the Cargo workspace; `domain.workspace` decides."""

from __future__ import annotations

from pathlib import Path

from trunkline.domain.stack import GateSettings
from trunkline.domain.workspace import Proposal, proposals
from trunkline.gates.catalogue import catalogue, feature_flags
from trunkline.git.git import Git
from trunkline.rust import cargo


def proposed(git: Git, settings: GateSettings) -> tuple[Proposal, ...]:
    """Return gates that would cover what no gate covers; (): there is nothing, or no Cargo workspace.

    Args:
        git: the checkout, at its top.
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
    return proposals(workspace, [gate.argv for gate in catalogue(settings)], feature_flags(settings), outside)


def _package(manifest: Path) -> bool:
    try:
        return b"[package]" in manifest.read_bytes()
    except OSError:
        return False
