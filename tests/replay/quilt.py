"""Make a history of a Debian source package's patches: `python tests/replay/quilt.py SOURCE TARGET`.

SOURCE is an unpacked upstream source with its `debian/patches` (format `3.0 (quilt)`), TARGET a new repository. Each
patch becomes a commit with its author, date and subject, in the order of the series. Then
`python tests/replay/report.py 200 TARGET` cuts stacks out of changes that people made:

    apt-get source --download-only grub2
    tar xf grub2_*.orig.tar.xz && tar xf grub2_*.debian.tar.xz -C grub-*/
    python tests/replay/quilt.py grub-*/ /tmp/grub2
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_HEADER = re.compile(r"^(From|Author|Date|Subject|Description): *(\S.*)$", re.MULTILINE)
_PERSON = re.compile(r"^(.*?)\s*<([^<>]+)>")
_WHO = ("-c", "user.name=Quilt", "-c", "user.email=quilt@example.invalid")
_NUMBER = re.compile(r"^\[PATCH[^\]]*\]\s*")


def series(patches: Path) -> Iterator[tuple[Path, str]]:
    """Yield each patch of a series with its strip level."""
    for line in (patches / "series").read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield patches / words[0], next((word for word in words[1:] if word.startswith("-p")), "-p1")


def message_of(patch: Path) -> tuple[str, list[str]]:
    """Return a patch's subject, and the arguments that set author and date."""
    text = patch.read_text(encoding="utf-8", errors="replace").partition("\n--- ")[0]
    found = dict(reversed(_HEADER.findall(text)))
    subject = _NUMBER.sub("", found.get("Subject") or found.get("Description") or patch.stem)
    person = _PERSON.match(found.get("From") or found.get("Author") or "")
    author = f"{person[1] or 'Nobody'} <{person[2]}>" if person else "Nobody <nobody@example.invalid>"
    return subject, [f"--author={author}", *([f"--date={found['Date']}"] if "Date" in found else [])]


def git(target: Path, *args: str, check: bool = True) -> int:
    """Run git in the new repository and return its exit code."""
    return subprocess.run(["git", *_WHO, *args], cwd=target, check=check, capture_output=True).returncode


def main() -> None:
    """Write the history; name the patches that do not apply."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    shutil.copytree(given.source, given.target, symlinks=True, ignore=shutil.ignore_patterns("debian", ".git", ".pc"))
    git(given.target, "init", "--quiet")
    git(given.target, "add", "--all", "--force")
    git(given.target, "commit", "--quiet", "--message", "upstream")
    made = 0
    for patch, level in series((given.source / "debian/patches").resolve()):
        applied = git(given.target, "apply", "--index", "--whitespace=nowarn", level, str(patch), check=False) == 0
        subject, who = message_of(patch)
        if not applied or git(given.target, "commit", "--quiet", *who, "--message", subject, check=False):
            git(given.target, "reset", "--quiet", "--hard")
            print("does not apply:", patch.name)
            continue
        made += 1
    print(made, "commits")


if __name__ == "__main__":
    main()
