"""Names that git allows and few programs expect: quotes, tabs, line ends, bytes that are no UTF-8."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.domain.check import Expect, PatternCheck
from trunkline.domain.errors import ExternalError
from trunkline.domain.names import oid
from trunkline.domain.receipt import Verdict
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import GateSettings
from trunkline.gates import checks
from trunkline.gates.check_receipts import Subject
from trunkline.git import history, refs
from trunkline.system import children, process

ODD = (
    b"plain.rs", b"a space.rs", b"a\ttab.rs", b"a\nline.rs", b'a"quote.rs', b"a'single.rs", b"back\\slash.rs",
    b"latin-\xfc.rs", "snow-\u2603.rs".encode(), "paragraph-\u2029.rs".encode(), b"-dash.rs", b":colon.rs",
    b"[glob]*.rs", b"trailing .rs", b"\x01.rs", b"a\r.rs", b"diff --git a/x b/x.rs",
)  # fmt: skip


def write(repo: Repo, name: bytes, content: str) -> None:
    """Write a file whose name is bytes."""
    path = os.path.join(os.fsencode(repo.path), name)  # noqa: PTH118 -- bytes
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 -- as above
    with open(path, "w", encoding="utf-8") as stream:  # noqa: PTH123 -- as above
        stream.write(content)


def entry(repo: Repo, *names: bytes) -> Subject:
    """Commit the names twice: as a base, and with one line more in each, which the entry adds."""
    for name in names:
        write(repo, name, "fn before() { old(); }\n")
    base = repo.commit("base")
    for name in names:
        write(repo, name, "fn before() { old(); }\nfn added() { sought(); }\n")
    return Subject(repo.adapter, repo.commit("entry"), base, GateSettings())


def search(subject: Subject, pattern: str, expect: Expect = Expect.ABSENT, *paths: str) -> str:
    """Run one pattern check and return what it shows."""
    check = PatternCheck("odd", "", pattern, expect, paths=paths)
    (outcome,) = checks.run(subject, [check], reuse=Reuse.DEPENDENCIES)
    assert (outcome.verdict is Verdict.PASSED) == (outcome.diagnosis == "")
    return outcome.diagnosis or outcome.summary


@pytest.mark.parametrize("folder", [b"", b"src \xff\n/"])
@pytest.mark.parametrize("paths", [(), ("**/*.rs",)])
def test_a_check_searches_files_of_any_name(repo: Repo, folder: bytes, paths: tuple[str, ...]) -> None:
    """Searched whether the check names its paths or not; each match is shown on one line that can be printed."""
    subject = entry(repo, *(folder + name for name in ODD))
    check = PatternCheck("odd", "", "sought()", Expect.ABSENT, paths=paths)
    (outcome,) = checks.run(subject, [check], reuse=Reuse.DEPENDENCIES)
    assert outcome.verdict is Verdict.FAILED
    shown = [line for line in Path(outcome.log).read_text().split("\n") if "sought()" in line][1:]
    assert len(shown) == len(ODD)
    assert all(line.endswith(":2: sought()") and line.isprintable() for line in shown)
    searched = search(subject, "old()", Expect.ABSENT, *paths)
    assert searched.startswith("found, but" if paths else f"not found in {len(ODD)} files")


def test_lines_of_two_files_of_the_same_content(repo: Repo) -> None:
    """Both are searched in their added lines, although a patch by blobs has only one of them."""
    message = search(entry(repo, b"one.rs", b"a\nline.rs"), "sought()")
    assert sorted(line.partition(":")[0] for line in message.splitlines()[1:]) == ["a\\nline.rs", "one.rs"]


def test_a_source_cannot_forge_a_patchs_headers(repo: Repo) -> None:
    """A form feed and Unicode's line separators end no line of a patch."""
    write(repo, b"a.rs", "fn old() { sought(); }\n" * 9)
    base = repo.commit("base")
    forged = "".join(f"// {end}@@ -1 +1,99 @@\n" for end in ("\f", "\u2028", "\x85", "\r", "\x1c"))
    write(repo, b"a.rs", "fn old() { sought(); }\n" * 9 + forged)
    subject = Subject(repo.adapter, repo.commit("entry"), base, GateSettings())
    assert search(subject, "sought()").startswith("not found")


def test_links_and_submodules_are_no_sources(repo: Repo) -> None:
    """Links and submodules count as no source under any name; a link that became a file adds all its lines."""
    (repo.path / "link.rs").symlink_to("sought()")
    (repo.path / "was.rs").symlink_to("elsewhere")
    base = repo.commit("base")
    (repo.path / "other.rs").symlink_to("sought()")
    (repo.path / "was.rs").unlink()
    write(repo, b"was.rs", "fn added() { sought(); }\n")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{base},module.rs")
    subject = Subject(repo.adapter, repo.commit("entry"), base, GateSettings())
    assert search(subject, "sought()").splitlines()[1:] == ["was.rs:1: sought()"]
    assert search(subject, "sought()", Expect.ABSENT, "**").splitlines()[1:] == ["was.rs:1: sought()"]


def test_attributes_of_the_tree_hide_no_source(repo: Repo) -> None:
    """`-diff` and `binary` mean what people are shown, not what is searched."""
    write(repo, b".gitattributes", "*.rs binary\n")
    subject = entry(repo, b"a.rs")
    assert search(subject, "sought()").splitlines()[1:] == ["a.rs:2: sought()"]


def test_refs_whose_names_hold_unicode_line_ends(repo: Repo) -> None:
    """Git ends a line of its lists with a line feed alone."""
    tip = repo.commit("start")
    names = ["refs/heads/a\u2028b", "refs/heads/a\x85b", "refs/heads/latin-\udcfc"]
    for name in names:
        subprocess.run(["git", "update-ref", os.fsencode(name), tip], cwd=repo.path, check=True)
    held = refs.read_refs(repo.adapter, "refs/heads/")
    assert held == {**dict.fromkeys(names, tip), "refs/heads/main": tip}


def test_a_commit_whose_encoding_is_no_text(repo: Repo) -> None:
    """A header that names bytes is read and can be written again."""
    tip = repo.commit("start")
    raw = b"tree " + repo.git("rev-parse", f"{tip}^{{tree}}").encode()
    raw += b"\nauthor \xff <a@b> 0 +0000\ncommitter \xff <a@b> 0 +0000\nencoding \xff\xfe\n\nx\n"
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"], cwd=repo.path, input=raw, check=True,
        capture_output=True,
    ).stdout.decode().strip()  # fmt: skip
    (commit,) = history.read_commits(repo.adapter, [oid(made)])
    assert (commit.encoding, commit.author_name) == ("\udcff\udcfe", "\ufffd")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["/dev/null"], "Permission denied"),
        (["true", "a\0b"], "embedded null byte"),
        (["true", "x" * 2**22], "Argument list too long"),
        (["/dev/null/true"], "Not a directory"),
    ],
)
def test_what_the_system_does_not_start_is_an_error_of_ours(tmp_path: Path, argv: list[str], why: str) -> None:
    """The error quotes the system's message."""
    with pytest.raises(ExternalError, match="could not be started") as caught:
        process.run(argv, cwd=tmp_path, env={}, timeout=60)
    assert why in caught.value.why


def test_arguments_are_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    """As git's names and stack.toml's are; a byte that is no UTF-8 comes back as it came."""
    done = process.run(["printf", "%s", "\u2603 \udcff"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, timeout=60)
    assert (done.stdout, done.text) == ("\u2603 ".encode() + b"\xff", "\u2603 \udcff")
    assert children._encoded("\u2603") == "\u2603".encode()
