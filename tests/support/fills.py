"""Own commits of every kind for `support.stage`: modes, links, binaries, line ends, renames, signatures."""

from __future__ import annotations

from support.keys import ssh_key
from support.repo import Repo


def _edit_line(repo: Repo, at: int, text: str) -> None:
    path = repo.path / "shared.txt"
    lines = path.read_text().splitlines(keepends=True)
    lines[at] = text
    path.write_text("".join(lines))


def versions(repo: Repo, number: int, index: int) -> None:
    """Bump the version up and down, with one subject."""
    _edit_line(repo, 0, f"version = {(number + index) % 2}\n")
    (repo.path / f"n{number}-{index}").write_text("x")
    repo.commit("Bump version", author="Bot")


def same_second(repo: Repo, number: int, index: int) -> None:
    """Commit with the author, second and subject of all others."""
    clock, repo.clock = repo.clock, 1_763_400_000
    repo.commit("codemod", {f"m{number}-{index}.txt": "x\n"}, author="Bot")
    repo.clock = clock


def _modes(repo: Repo, number: int, index: int) -> None:
    (repo.path / "run.sh").write_text("x\n")
    (repo.path / "run.sh").chmod(0o755 if (number + index) % 2 else 0o644)
    repo.commit(f"chmod {number} {index}")


def _links(repo: Repo, number: int, index: int) -> None:
    path = repo.path / "link"
    path.unlink(missing_ok=True)
    path.symlink_to("a.txt") if (number + index) % 2 else path.write_text("file\n")
    repo.commit(f"link {number} {index}")


def _binaries(repo: Repo, number: int, index: int) -> None:
    (repo.path / f"b{number}.bin").write_bytes(bytes(range(256)) * index + b"\0")
    repo.commit(f"binary {number} {index}")


def _crlf(repo: Repo, number: int, index: int) -> None:
    (repo.path / f"w{number}.txt").write_bytes(b"one\r\ntwo\r\n" if index % 2 else b"one\ntwo\n")
    repo.commit(f"line ends {number} {index}")


def _empties(repo: Repo, number: int, index: int) -> None:
    repo.commit(f"empty {number} {index}", {f"f{number}": "x"} if index == 1 else {})


def _whitespace(repo: Repo, number: int, index: int) -> None:
    _edit_line(repo, 5 * number, "line" + " " * (number + index) + "\n")
    repo.commit("whitespace")


def _directories(repo: Repo, number: int, index: int) -> None:
    path = repo.path / f"either{number}"
    if path.is_file():
        path.unlink()
    path = path / "inner.txt" if index % 2 == 0 else path
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{number}\n")
    repo.commit(f"file or directory {number} {index}")


def _renames(repo: Repo, number: int, index: int) -> None:
    old = sorted(repo.path.glob("moved*.txt")) or [repo.path / "shared.txt"]
    old[0].rename(repo.path / f"moved{number}{index}.txt")
    repo.commit(f"rename {number} {index}")


def _latin1(repo: Repo, number: int, index: int) -> None:
    (repo.path / f"l{number}{index}").write_text("x")
    repo.git("add", "--all")
    repo.clock += 60
    date = f"@{repo.clock} +0100"
    message = repo.path.parent / "message"
    message.write_bytes("größer\n".encode("latin-1"))
    env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    repo.git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", f"--file={message}", env=env)


def _submodules(repo: Repo, number: int, index: int) -> None:
    (repo.path / ".gitmodules").write_text('[submodule "s"]\n\tpath = s\n\turl = ./s\n')
    repo.git("add", ".gitmodules")
    name = f"{number}{index}".rjust(40, "a")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{name},s")
    repo.clock += 60
    date = f"@{repo.clock} +0100"
    env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    repo.git("commit", "--quiet", "-m", f"submodule {number} {index}", env=env)


def _signing_key(repo: Repo) -> str:
    key = repo.path.parent / "key"
    if not key.exists():
        ssh_key(key)
    return str(key)


def _signed(repo: Repo, number: int, index: int) -> None:
    (repo.path / f"s{number}{index}").write_text("x")
    repo.git("add", "--all")
    repo.clock += 60
    date = f"@{repo.clock} +0100"
    env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    key = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={_signing_key(repo)}")
    repo.git(*key, "commit", "--quiet", "-S", "-m", f"signed {number} {index}", env=env)


FILLS = {
    "modes": _modes, "links": _links, "binaries": _binaries, "line ends": _crlf, "empty commits": _empties,
    "whitespace": _whitespace, "directories": _directories, "renames": _renames, "latin-1": _latin1,
    "submodules": _submodules, "ssh signatures": _signed,
}  # fmt: skip
"""Makers of an own commit, by name: (repository, number of the entry, index of the commit)."""
