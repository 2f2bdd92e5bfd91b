"""`verify`: shared receipts replace CI only under trunk's policy, and every refusal has a reason."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.attesting import ENTRY, GATES, NO_OPS, NOW, POLICY, SIGNERS, Attesting, address, attesting
from support.repo import Repo
from trunkline.commands import verify as verify_command
from trunkline.commands.verify import NOT_SHARED
from trunkline.domain.attestation import NO_RECEIPT, Standing, to_data
from trunkline.domain.errors import CheckFailed, ExternalError, Refused, UsageError
from trunkline.domain.names import PrNumber
from trunkline.domain.proof import UNKNOWN_SIGNER
from trunkline.git import notes
from trunkline.git.signing import EXPIRED_KEY, REVOKED


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Attesting]:
    """Return the repositories, without receipts."""
    made = attesting(monkeypatch)
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


def share(place: Attesting, person: str = "ada", **changes: Any) -> None:
    """Share a signed pass of one gate, changed."""
    place.share([place.line(place.receipt("fmt", **changes), person)])


def test_signed_receipts_attest_a_commit(place: Attesting) -> None:
    """Here, and in a second clone, complete or shallow, once the notes are fetched; then offline."""
    place.share_all()
    found = place.verify()
    assert [each.standing for each in found.gates] == [Standing.ATTESTED] * len(GATES)
    assert {each.signer for each in found.gates} == {address("ada")}
    assert {each.where for each in found.gates} == {"build-7 (nox)"}
    for depth in (0, 1):
        clone = place.second_clone(f"depth-{depth}", depth=depth)
        if depth:
            with pytest.raises(UsageError, match="unknown which branch of origin is trunk"):
                place.verify(clone=clone)
        else:
            assert set(place.reasons(clone=clone).values()) == {NO_RECEIPT}
        assert place.verify(clone=clone, fetch=True).missing == ()
        assert place.verify(clone=clone).missing == ()
    assert json.dumps(to_data(found))


def test_a_note_that_was_replayed_on_another_commit(place: Attesting) -> None:
    """The receipts of the reviewed commit, copied into the note of a later one."""
    line = place.line(place.receipt("fmt"))
    later = place.clone.commit("later", {"src/two.rs": "//! Two.\n"})
    place.share([line], on=later)
    assert "the note of this commit has a receipt of another tree" in place.reasons()["fmt"]


def test_whose_signatures_count(place: Attesting) -> None:
    """Signatures count of people whom trunk names now, whatever the branch names, with a valid key."""
    place.clone.commit("mine", {SIGNERS: f"{address('eve')} {place.public('eve')}\n"})
    share(place, "eve")
    assert place.reasons()["fmt"] == UNKNOWN_SIGNER
    share(place, started=NOW.isoformat())
    assert "fmt" not in place.reasons()
    place.set_policy(more='revoked = "revoked"', files={"revoked": f"{place.public('ada')}\n"})
    assert place.reasons()["fmt"] == REVOKED
    place.set_policy(files={SIGNERS: f'{address("ada")} valid-before="20200101" {place.public("ada")}\n'})
    assert place.reasons()["fmt"] == EXPIRED_KEY
    place.set_policy(files={SIGNERS: f"{address('bob')} {place.public('bob')}\n"})
    assert place.reasons()["fmt"] == UNKNOWN_SIGNER


def test_a_wrong_signature_hides_no_right_one(place: Attesting) -> None:
    """Somebody who can push adds a line of the same receipt with a signature of nothing."""
    good = place.line(place.receipt("fmt"))
    place.share(
        [good, json.dumps({**json.loads(good), "signature": "x"}), "[" * 200_000, '{"name": 1}', "\ud83d"[:0]]
    )
    assert "fmt" not in place.reasons()


@pytest.mark.parametrize("name", [["a", "list"], {"a": "table"}, None, 1])
def test_a_part_of_a_receipt_whose_name_is_no_text(place: Attesting, name: object) -> None:
    """Anybody who can push can write a line; no line stops `verify` from reading the others."""
    good = place.line(place.receipt("fmt"))
    values = json.loads(good)
    statement = json.loads(values["receipt"])
    statement["predicate"]["configuration"].append({"name": name})
    content = json.dumps(statement)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    odd = {**values, "name": f"{values['name'][:-21]}{digest}.json", "receipt": content}
    place.share([json.dumps(odd), good])
    assert "fmt" not in place.reasons()


def test_a_policy_that_changed(place: Attesting) -> None:
    """The tree is the same, and the receipts no longer answer trunk's question; those of others do not either."""
    share(place, repository="github.com/octo/other", started="2026-11-28T10:00:00+00:00")
    assert "it is a receipt of github.com/octo/other" in place.reasons()["fmt"]
    share(place)
    assert "fmt" not in place.reasons()
    place.set_policy('max-age = "30m"')
    assert "1 hour old, and [attest] max-age is 30 minutes" in place.reasons()["fmt"]
    place.set_policy(gates=NO_OPS.replace('fmt]\nrun = ["true"]', 'fmt]\nrun = ["true", "2"]'))
    assert place.reasons()["fmt"] == "the gate's command has changed since"


def test_a_rebase_that_leaves_the_tree_alone(place: Attesting) -> None:
    """The receipt is kept, unless the policy refuses that."""
    share(place)
    place.clone.git("commit", "--quiet", "--amend", "--message=said better")
    assert "fmt" not in place.reasons()
    place.set_policy('rebase = "refuse"')
    assert '[attest] rebase is "refuse"' in place.reasons()["fmt"]


def test_the_result_of_the_merge(place: Attesting) -> None:
    """With --merged it is another tree, with receipts of its own; a conflict has none."""
    share(place)
    place.set_policy(files={"other.txt": "1\n"})
    assert "fmt" not in place.reasons()
    assert "a receipt of another tree" in place.reasons(merged=True)["fmt"]
    tree = place.verify(merged=True).tree
    place.share([place.line(place.receipt("fmt", tree=tree))])
    assert "fmt" not in place.reasons(merged=True)
    place.set_policy(files={"src/one.rs": "//! Uno.\n"})
    with pytest.raises(CheckFailed, match="conflicts with origin/main"):
        place.verify(merged=True)
    with pytest.raises(Refused, match="shallow"):
        place.verify(merged=True, fetch=True, clone=place.second_clone(depth=1))


def test_notes_that_were_replaced(place: Attesting) -> None:
    """After a force-push of the notes, receipts that only this clone has attest nothing; the reason is given."""
    share(place)
    assert "fmt" not in place.reasons(fetch=True)
    place.bare.git("update-ref", "-d", notes.REF)
    assert place.reasons(fetch=True)["fmt"] == NOT_SHARED
    other = place.bare.git("commit-tree", place.bare.git("mktree"), "-m", "gone")
    place.bare.git("update-ref", notes.REF, other)
    assert place.reasons(fetch=True)["fmt"] == NOT_SHARED
    assert place.verify().notices == ("1 receipt of this tree only here, not on origin",)
    place.share([])
    assert "fmt" not in place.reasons(fetch=True)


def test_a_notes_ref_that_is_none(place: Attesting) -> None:
    """A blob: where it is fetched no ref moves, and where it is here the command removes it."""
    share(place)
    blob = place.bare.git("hash-object", "-w", "--stdin", stdin="[" * 300)
    place.bare.git("update-ref", notes.REF, blob)
    before = place.clone.refs()
    with pytest.raises(ExternalError, match="refs/notes/trunkline on origin is blob"):
        place.verify(fetch=True)
    assert place.clone.refs() == before
    place.clone.git("update-ref", notes.REF, place.clone.git("hash-object", "-w", "--stdin", stdin="x"))
    with pytest.raises(ExternalError, match="is a blob, not a commit") as failed:
        place.verify()
    assert failed.value.next_commands == (f"git update-ref -d {notes.REF}",)


@pytest.mark.parametrize("signers", ["missing", "/etc/ssh/allowed", "~/allowed", "../allowed", ""])
def test_a_signers_file_that_is_not_trunks(place: Attesting, signers: str) -> None:
    """Exit code 2, whatever the receipts say."""
    place.set_policy(signers=signers)
    with pytest.raises(UsageError) as refused:
        place.verify()
    assert "signers" in str(refused.value)


def test_a_missing_file_of_revoked_keys(place: Attesting) -> None:
    """A missing file is an error, because keys may be revoked in it."""
    place.set_policy(more='revoked = "missing"')
    with pytest.raises(UsageError, match="revoked: missing cannot be read"):
        place.verify()


def test_the_policy_of_the_branch(place: Attesting) -> None:
    """Neither its stack.toml in the work tree counts, nor a branch that is called like a trunk."""
    easy = POLICY.format(attest='gates = ["fmt"]', more="", gates=NO_OPS, signers=SIGNERS, entry="")
    place.clone.commit("mine", {"stack.toml": easy})
    share(place)
    assert set(place.reasons()) == set(GATES) - {"fmt"}
    place.clone.git("update-ref", "refs/remotes/origin/master", "HEAD")
    place.clone.git("update-ref", "-d", "refs/remotes/origin/main")
    place.clone.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    with pytest.raises(UsageError, match="unknown which branch of origin is trunk"):
        place.verify()


def test_a_policy_without_entries(place: Attesting) -> None:
    """Trunk's file may hold settings only."""
    text = POLICY.format(attest='gates = ["fmt"]', more="", gates=NO_OPS, signers=SIGNERS, entry="")
    place.set_policy(files={"stack.toml": text})
    share(place)
    assert place.verify().missing == ()


def test_co_authors_and_addresses_of_one_person(place: Attesting) -> None:
    """A signer is all names of the line in the signers file; a co-author is an author."""
    names = f"{address('ada')},ada@users.noreply.invalid"
    place.set_policy("independent = true", files={SIGNERS: f"{names} {place.public('ada')}\n"})
    share(place)
    assert "fmt" not in place.reasons()
    place.clone.git("commit", "--quiet", "--amend", "-m", "one\n\nCo-authored-by: A <ADA@users.noreply.invalid>")
    assert "another person must sign" in place.reasons()["fmt"]
    place.set_policy("independent = true", files={SIGNERS: f"ada {place.public('ada')}\n"})
    assert "needs email addresses" in place.reasons()["fmt"]


def test_an_author_has_a_second_line_in_the_signers_file(place: Attesting) -> None:
    """ssh-keygen names the first line of a key only; Grace wrote the commits under the other address."""
    lines = "".join(f"{name} {place.public('ada')}\n" for name in ("work@example.invalid", address("grace")))
    place.set_policy("independent = true", files={SIGNERS: lines})
    share(place)
    assert "another person must sign" in place.reasons()["fmt"]


def test_the_branch_calls_another_branch_the_pull_request(place: Attesting) -> None:
    """The branch of a number is read from trunk, or from the user's own file, never from the work tree."""
    place.share_all()
    place.clone.git("switch", "--quiet", "-c", "evil")
    text = POLICY.format(attest="", more="", gates=NO_OPS, signers=SIGNERS, entry=ENTRY + ENTRY.replace("1", "7"))
    text = text.replace("feat/one", "evil", 1)
    place.clone.commit("mine", {"stack.toml": text})
    one = place.git.resolve("refs/remotes/origin/feat/one")
    place.clone.git("update-ref", "refs/remotes/origin/evil", "HEAD")
    assert verify_command.commit_of(place.git, "origin", "", PrNumber(1), fetched=False) == one
    with pytest.raises(UsageError, match="does not have the head of #7"):
        verify_command.commit_of(place.git, "origin", "", PrNumber(7), fetched=False)


def test_the_base_repository_is_what_is_fetched_from(place: Attesting) -> None:
    """With a fork as `origin`, `--remote upstream` names the base: policy, notes and identity are its own."""
    share(place)
    clone = place.second_clone()
    clone.git("remote", "rename", "origin", "upstream")
    fork = Repo(place.root / "fork")
    place.author.git("clone", "--quiet", "--bare", str(place.bare.path), str(fork.path))
    clone.git("remote", "add", "origin", str(fork.path))
    git = clone.adapter
    verify_command.fetch(git, "upstream", None)
    policy = verify_command.policy_of(git, "upstream")
    assert policy.name == "upstream/main"
    found = verify_command.verify(git, "upstream", policy, clone.head(), merged=False, now=NOW, fetched=True)
    assert {each.gate for each in found.missing} == set(GATES) - {"fmt"}


def test_nothing_is_executed_but_git_and_ssh_keygen(place: Attesting, monkeypatch: pytest.MonkeyPatch) -> None:
    """No gh, no cargo, no program of the tree."""
    share(place)
    programs = place.root / "programs"
    programs.mkdir()
    for name in ("git", "ssh-keygen", "ssh"):
        found = shutil.which(name)
        if found:
            (programs / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))
    assert "fmt" not in place.reasons(fetch=True)
    assert not (Path(place.clone.path) / "target").exists()
