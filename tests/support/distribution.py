"""A Rust distribution server in a directory, whose toolchains are shell scripts for rustup."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

from support.gating import host

_PROGRAMS = {
    "rustc": {"bin/rustc": "rustc VERSION (distribution)"},
    "cargo": {"bin/cargo": "cargo VERSION (distribution)"},
    "rust-std": {"lib/rustlib/std": ""},
    "clippy-preview": {"bin/cargo-clippy": "clippy VERSION"},
    "rustfmt-preview": {"bin/cargo-fmt": "rustfmt VERSION"},
}
_EXTENSIONS = ("clippy-preview", "rustfmt-preview")


def make(root: Path, version: str) -> str:
    """Write the toolchain of a version, and return the value for RUSTUP_DIST_SERVER."""
    dist, triple = root / "dist", host()
    dist.mkdir(parents=True, exist_ok=True)
    lines = ['manifest-version = "2"', 'date = "2026-01-01"', "[renames]"]
    lines += [f'{name.removesuffix("-preview")} = {{ to = "{name}" }}' for name in _EXTENSIONS]
    lines += ["[profiles]", 'minimal = ["rustc", "cargo", "rust-std"]', 'default = ["rustc", "cargo", "rust-std"]']
    for name, files in _PROGRAMS.items():
        lines += _package(name, version, triple, _archive(dist / f"{name}-{version}.tar.gz", name, version, files))
    lines += _package("rust", version, triple, _archive(dist / f"rust-{version}.tar.gz", "rust", version, {}))
    for name in _PROGRAMS:
        kind = "extensions" if name in _EXTENSIONS else "components"
        lines += [f"[[pkg.rust.target.{triple}.{kind}]]", f'pkg = "{name}"', f'target = "{triple}"']
    manifest = "\n".join(lines).encode()
    (dist / f"channel-rust-{version}.toml").write_bytes(manifest)
    (dist / f"channel-rust-{version}.toml.sha256").write_text(f"{hashlib.sha256(manifest).hexdigest()}  manifest\n")
    own = subprocess.run(["rustup", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    (root / "release-stable.toml").write_text(f'schema-version = "1"\nversion = "{own}"\n')  # no newer rustup
    return root.as_uri()


def _package(name: str, version: str, triple: str, archive: Path) -> list[str]:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return [
        f"[pkg.{name}]", f'version = "{version}"', f"[pkg.{name}.target.{triple}]", "available = true",
        f'url = "{archive.as_uri()}"', f'hash = "{digest}"',
    ]  # fmt: skip


def _archive(path: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a component as an archive of rust-installer (its format 3)."""
    top = path.name.removesuffix(".tar.gz")
    content = {"rust-installer-version": "3\n", "components": f"{name}\n"}
    content[f"{name}/manifest.in"] = "".join(f"file:{each}\n" for each in files)
    for each, says in files.items():
        content[f"{name}/{each}"] = f"#!/bin/sh\necho '{says.replace('VERSION', version)}'\n"
    with tarfile.open(path, "w:gz") as archive:
        for each, text in content.items():
            entry = tarfile.TarInfo(f"{top}/{each}")
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path
