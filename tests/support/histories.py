"""Generated histories with every kind of commit that a replay may encounter, and merges as people make them."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

FILES = tuple(f"src/part{number}.rs" for number in range(4))
ODD_NAMES = ("odd name.txt", 'quo"te.txt', "tab\tname.txt", "-dash.txt", "naïve.txt", "a/b/deep.txt")
ODD_MESSAGES = (
    b"",
    b"\n\nblank lines first\n",
    b"# begins as a comment\n\n# so does this\n",
    b"no line end",
    b"trailing spaces   \n\n\n\nand blank lines\n\n\n",
    b"windows\r\n\r\nline ends\r\n",
    "schräg 🦀\n".encode(),
    b"fixup! edit\n",
    b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n",
    b"x" * 3000 + b"\n",
)


@dataclass
class _Writer:
    """A `git fast-import` stream with the files of its newest commit.

    Attributes:
        random: the source of all choices.
        files: (mode, content) by path.
        stream: the stream so far.
        count: the number of commits.
        past: the files of every commit so far.
        branch: the branch of the next commit.
        start: the `from` line of the next commit, if it begins a branch.
    """

    random: random.Random
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    stream: bytearray = field(default_factory=bytearray)
    count: int = 0
    past: list[dict[str, tuple[str, bytes]]] = field(default_factory=list)
    branch: str = "main"
    start: bytes = b""

    def commit(self, message: bytes, *, encoding: str = "", same_second: bool = False, merges: int = 0) -> None:
        """Write a commit of the current files.

        Args:
            message: its message.
            encoding: the encoding header.
            same_second: its author date is that of many others.
            merges: the number of an earlier commit that is its second parent; 0: none.
        """
        self.past.append(dict(self.files))
        self.count += 1
        when = 1_700_000_000 if same_second else 1_700_000_000 + 60 * self.count
        name = self.random.choice(("Ada", "Grace", "Zoë"))
        self.stream += b"commit refs/heads/%s\nmark :%d\n" % (self.branch.encode(), self.count)
        self.stream += f"author {name} <{name.lower()}@example.invalid> {when} +0130\n".encode()
        self.stream += f"committer C <c@example.invalid> {1_700_000_000 + 60 * self.count} +0000\n".encode()
        if encoding:
            self.stream += f"encoding {encoding}\n".encode()
        self.stream += b"data %d\n%s\n" % (len(message), message)
        self.stream += self.start + (b"merge :%d\n" % merges if merges else b"") + b"deleteall\n"
        self.start = b""
        for path, (mode, content) in self.files.items():
            quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
            self.stream += f'M {mode} inline "{quoted}"\n'.encode() + b"data %d\n%s\n" % (len(content), content)

    def put(self, path: str, content: bytes, mode: str = "100644") -> None:
        """Set a file; a directory or file in the way is removed."""
        clash = [name for name in self.files if name.startswith(f"{path}/") or path.startswith(f"{name}/")]
        for name in clash:
            del self.files[name]
        self.files[path] = (mode, content)


def _edit(made: _Writer) -> None:
    path = made.random.choice(FILES)
    mode, content = made.files.get(path, ("100644", b""))
    lines = content.decode().splitlines(keepends=True) or [f"line {n}\n" for n in range(40)]
    at = made.random.randrange(len(lines))
    lines[at] = f"line {at} edit {made.count}\n"
    if made.random.random() < 0.5:
        lines.insert(at, f"new {made.count}\n")
    made.put(path, "".join(lines).encode(), mode)
    made.commit(f"edit {path}\n\nBody {made.count}.\n".encode())


def _message(made: _Writer) -> None:
    made.put(f"doc/{made.count}.md", b"words\n")
    made.commit(made.random.choice(ODD_MESSAGES))


def _name(made: _Writer) -> None:
    made.put(made.random.choice(ODD_NAMES), f"{made.count}\n".encode())
    made.commit(b"an odd name\n")


def _rename(made: _Writer) -> None:
    path = made.random.choice([name for name in made.files if name.startswith("src/")] or ["src/part0.rs"])
    if path in made.files:
        made.put(f"src/moved{made.count}.rs", made.files.pop(path)[1] + b"moved\n")
    made.commit(b"rename and edit\n")


def _mode(made: _Writer) -> None:
    path = made.random.choice(FILES)
    mode, content = made.files.get(path, ("100644", b"a\n"))
    made.put(path, content, "100755" if mode == "100644" else "100644")
    made.commit(b"chmod\n")


def _link(made: _Writer) -> None:
    mode = made.files.get("link", ("", b""))[0]
    made.put(
        "link", b"src/part0.rs" if mode != "120000" else b"a file again\n", "120000" if mode != "120000" else "100644"
    )
    made.commit(b"link or file\n")


def _binary(made: _Writer) -> None:
    made.put("image.bin", bytes(made.random.randrange(256) for _ in range(200)) + b"\0")
    made.commit(b"another picture\n")


def _crlf(made: _Writer) -> None:
    made.put("windows.txt", b"".join(b"line %d of %d\r\n" % (n, made.count) for n in range(5)))
    made.commit(b"windows line ends\n")


def _latin1(made: _Writer) -> None:
    made.put("latin.txt", f"{made.count}\n".encode())
    made.commit("größer\n".encode("latin-1"), encoding="ISO-8859-1")


def _empty(made: _Writer) -> None:
    made.commit(b"changes nothing\n")


def _lock(made: _Writer) -> None:
    made.put(
        "Cargo.lock", f'version = 4\n\n[[package]]\nname = "a"\nversion = "0.{made.random.randrange(3)}.0"\n'.encode()
    )
    made.commit(b"bump\n", same_second=True)


def _revert(made: _Writer) -> None:
    if len(made.past) > 1:
        made.files = dict(made.past[-2])
    made.commit(b"Revert the commit before\n", same_second=True)


def _again(made: _Writer) -> None:
    """Revert a commit, and revert the revert."""
    now = dict(made.files)
    _revert(made)
    made.files = now
    made.commit(b"Reapply it\n", same_second=True)


def _whitespace(made: _Writer) -> None:
    path = made.random.choice(FILES)
    mode, content = made.files.get(path, ("100644", b"a\n"))
    made.put(path, content.replace(b"line", b"line " if made.count % 2 else b"line"), mode)
    made.commit(b"whitespace\n", same_second=True)


def _directory(made: _Writer) -> None:
    made.put("either/file.txt" if "either" in made.files else "either", f"{made.count}\n".encode())
    made.commit(b"a file becomes a directory, or the other way round\n")


def _release(made: _Writer) -> None:
    """Set one version in every manifest and in Cargo.lock, as a release tool does."""
    version = f"0.{made.count}.0".encode()
    for crate in ("core", "cli", "macros"):
        made.put(
            f"crates/{crate}/Cargo.toml", b'[package]\nname = "%s"\nversion = "%s"\n' % (crate.encode(), version)
        )
    made.put("Cargo.lock", b'version = 4\n\n[[package]]\nname = "core"\nversion = "%s"\n' % version)
    made.commit(b"chore: release " + version + b"\n")


def _dependencies(made: _Writer) -> None:
    """Update dependencies: many hunks in Cargo.lock."""
    packages = b"".join(
        b'\n[[package]]\nname = "p%d"\nversion = "1.%d.0"\nchecksum = "%064d"\n'
        % (number, made.random.randrange(4), made.random.randrange(10**9))
        for number in range(30)
    )
    made.put("Cargo.lock", b"version = 4\n" + packages)
    made.commit(b"Update dependencies\n\nSigned-off-by: bot <bot@example.invalid>\n")


def _format(made: _Writer) -> None:
    """Format every source file."""
    for path in FILES:
        mode, content = made.files.get(path, ("100644", b"a\n"))
        indented = content.startswith(b"    ")
        lines = content.split(b"\n")
        changed = [line.removeprefix(b"    ") if indented else b"    " + line if line else line for line in lines]
        made.put(path, b"\n".join(changed), mode)
    made.commit(b"cargo fmt\n")


def _move_module(made: _Writer) -> None:
    """Rename a directory with all of its files."""
    for path in [name for name in made.files if name.startswith("crates/")]:
        crate = path.split("/")[1]
        renamed = crate[:-1] if crate.endswith("2") else f"{crate}2"
        made.put(path.replace(f"/{crate}/", f"/{renamed}/"), made.files.pop(path)[1])
    made.commit(b"Rename the crates\n")


def _merge(made: _Writer) -> None:
    """Commit on a side branch, which trunk then merges while it moves on itself."""
    fork, made.branch = made.count, f"side{made.count}"
    made.start = b"from :%d\n" % fork
    before = dict(made.files)
    names = [f"side/{fork}-{part}.rs" for part in range(made.random.randint(1, 3))]
    for name in names:
        made.put(name, b"side\n")
        made.commit(f"add {name}\n".encode())
    side, files = made.count, {name: made.files[name] for name in names}
    made.branch, made.files = "main", before
    _edit(made)
    made.files.update(files)
    made.commit(b"Merge pull request from side\n", merges=side)


KINDS = (
    _edit, _edit, _release, _dependencies, _format, _move_module, _merge,
    _edit, _edit, _edit, _edit, _edit, _message, _name, _rename, _mode, _link, _binary, _crlf, _latin1, _empty, _lock,
    _revert, _again, _whitespace, _directory,
)  # fmt: skip


def generate(path: Path, *, commits: int, seed: int, merges: bool = True) -> None:
    """Create a bare repository whose `main` has about this many commits of all kinds."""
    made = _Writer(random.Random(seed))  # noqa: S311 -- reproducible, not secret
    for name in FILES:
        made.put(name, b"".join(b"line %d\n" % n for n in range(40)))
    made.commit(b"start\n")
    while made.count < commits:
        kind = made.random.choice(KINDS)
        if merges or kind is not _merge:
            kind(made)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=path, input=bytes(made.stream), check=True)
