"""Signed commits that are replayed: signed again with a key of ssh or gpg, or the loss is named."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import needs
from support.inprocess import Desk, desk
from support.keys import ssh_key
from trunkline.domain.errors import ExternalError
from trunkline.domain.names import oid
from trunkline.domain.snapshot import ForcePush, PrState


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned, and a trunk that moved on."""
    with desk(monkeypatch) as place:
        place.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
        yield place


def configure(stack: Desk, **settings: str) -> None:
    """Let git sign commits, with these settings."""
    for key, value in {"commit.gpgSign": "true", **settings}.items():
        stack.clone.git("config", key.replace("_", "."), value)


def signed(stack: Desk) -> list[str]:
    """Return whether git finds the signature of each commit of the stack good: G, else another letter."""
    return stack.clone.git("log", "--format=%G?", "origin/main..three").split()


def sign_on_the_web(stack: Desk, branch: str) -> str:
    """Let GitHub sign a branch's only commit with a key that no machine has."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    raw = author.git("cat-file", "commit", f"origin/{branch}")
    head, _, message = raw.partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    made = author.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=f"{head}\n{signature}\n\n{message}\n")
    author.git("push", "--quiet", "--force", "origin", f"{made}:refs/heads/{branch}")
    stack.clone.git("fetch", "--quiet", str(stack.root / "bare"), made)
    stack.clone.git("branch", "--quiet", "--force", branch, made)
    return made


def test_commits_are_signed_again_with_an_ssh_key(stack: Desk, tmp_path: Path) -> None:
    """Each new commit is signed if git signs for this user, and git verifies the signature."""
    key = ssh_key(tmp_path / "key")
    (tmp_path / "signers").write_text(f"tess@example.invalid {key.with_suffix('.pub').read_text()}")
    configure(stack, gpg_format="ssh", user_signingKey=str(key))
    stack.clone.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "signers"))
    assert stack.restack().error is None, stack.quiet.lines
    assert signed(stack) == ["G"] * 6


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_commits_are_signed_again_with_a_gpg_key(
    stack: Desk, short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with a key of gpg."""
    home = short_directory / "gpg"
    home.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("GNUPGHOME", str(home))
    make = ("--quick-generate-key", "Tess <tess@example.invalid>", "ed25519", "sign", "never")
    try:
        subprocess.run(["gpg", "--batch", "--quiet", "--passphrase", "", *make], check=True, capture_output=True)
        configure(stack, user_signingKey="tess@example.invalid")
        assert stack.restack().error is None, stack.quiet.lines
        assert signed(stack) == ["G"] * 6
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)


@needs.ssh_keygen
def test_a_key_that_fails_moves_nothing(stack: Desk) -> None:
    """No entry is moved before all are signed."""
    configure(stack, gpg_format="ssh", user_signingKey=str(stack.root / "no-key"))
    before = stack.tips()
    with pytest.raises(ExternalError, match='"one 1" could not be signed') as found:
        stack.restack()
    assert "no-key" in found.value.stderr
    assert stack.tips() == before


def test_a_lost_signature_is_named_though_somebody_restacked_the_parent_before_its_merge(stack: Desk) -> None:
    """The parent was rebased by others and merged as it was; the entry's own signed commit is replayed, and named."""
    made = sign_on_the_web(stack, "two")
    author, pull = stack.author, stack.hub.pulls[1]
    author.git("fetch", "--quiet", "origin")
    before = oid(stack.hub.tip("one"))
    author.git("switch", "--quiet", "--detach", "origin/one")
    author.git("rebase", "--quiet", "origin/main")
    merged = author.head()
    author.git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/one", "HEAD:refs/heads/main")
    stack.hub.bare.git("update-ref", "refs/pull/1/head", merged)
    pull.pushes.append(ForcePush(before, merged))
    pull.state, pull.merged_head, pull.merge_commit = PrState.MERGED, merged, merged
    stack.hub.pulls[2].base = "main"
    done = stack.rebase(2)
    assert done.error is None, done.error.why
    (unsigned,) = (each.data["unsigned"] for each in done.outcomes.values() if "unsigned" in each.data)
    assert unsigned == [made]
    assert any("signature dropped" in line for line in stack.quiet.lines)
