"""Malformed stack.toml: each is an error with file, line and key, within a time limit."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.repo import Repo
from trunkline.config import explaining, location, reading, toml_lines, validation
from trunkline.domain import title
from trunkline.domain.check import PatternCheck
from trunkline.domain.errors import UsageError
from trunkline.domain.stack import Stack
from trunkline.gates.catalogue import catalogue

HEAD = "schema = 1\n"
ENTRY = '[[entry]]\npr = {n}\nbranch = "feat/{n}"\n'
ONE = ENTRY.format(n=1)
CHECK = '[[entry.check]]\nname = "a"\nkind = "pattern"\npattern = {}\n'
EVERYTHING = """\
"schema" = 1 # one
trunk = "main"
gates.features = [
  "cpu", # a [comment] with "quotes
  "simd",
]
gates.build = { run = ["true"], env = { A = "b" } }

[land]
title = \"""{title} \\
  (#{number})\"""

[gates.msrv]
timeout = 5

[[ stack ]]
name = 'a\\'
[[stack.entry]]
pr = 1
branch = "one"
[[stack.entry.check]]
kind = "pattern"
name = "p"
pattern.kind = "function_item"
pattern.has = { kind = "block", stopBy = "end" }
[[stack.entry]]
pr = 2
branch = "two"
next = '''
[[entry]] = "no header"
'''
[[stack]]
name = "b"
[[stack.entry]]
branch = "three"
pr = 3
"""


def load(folder: Path, text: str) -> object:
    """Write and load a stack.toml."""
    path = folder / "stack.toml"
    path.write_text(text, encoding="utf-8")
    return validation.load(path)


CASES = {
    "lists in lists, a thousand deep": (f"{HEAD}a = {'[' * 1000}{']' * 1000}\n", 1, "nested too deep"),
    "lists in lists, a hundred deep": (f"{HEAD}a = {'[' * 100}{']' * 100}\n", 2, "nested too deep"),
    "tables in tables": (f"{HEAD}a = {'{a=' * 1000}1{'}' * 1000}\n", 1, "nested too deep"),
    "a key of a thousand parts": (f"{HEAD}{'.'.join('a' * 1000)} = 1\n", None, "nested too deep"),
    "a header of ten thousand parts": (f"{HEAD}[{'.'.join('a' * 10000)}]\n", 1, "nested too deep"),
    "a number of 6,000 digits": (f"{HEAD}\nissue = {'1' * 6000}\n", 3, "a number has too many digits"),
    "a hexadecimal number of 6,000": (f"{HEAD}issue = 0x{'f' * 6000}\n", 2, "issue: the number is too large"),
    "a date for a number": (f"{HEAD}issue = 2026-11-28\n{ONE}", 2, "issue: expected an integer"),
    "a date that is none": (f"{HEAD}issue = 2026-99-28\n{ONE}", 2, "not TOML"),
    "a pull request beyond GraphQL's Int": (HEAD + ENTRY.format(n=2**31), 3, "expected an integer <= 2147483647"),
    "an endless timeout": (f"{HEAD}[gates]\ntimeout = inf\n{ONE}", 3, "gates.timeout: expected a number <= "),
    "a timeout of 400 digits": (f"{HEAD}[gates]\ntimeout = 1{'0' * 400}\n{ONE}", 3, "gates.timeout: the number is"),
    "a timeout of a hundred years": (f"{HEAD}[land]\nwait = 3e9\n{ONE}", 3, "land.wait: expected a number <= "),
    "an attribute in a title": (f'{HEAD}[land]\ntitle = "{{title.x}}"\n{ONE}', 3, "'{title.x}' is none of {title},"),
    "a width in a title": (f'{HEAD}[land]\ntitle = "{{count:>99999999999}}"\n{ONE}', 3, "is none of {title}"),
    "a conversion in a title": (f'{HEAD}[land]\ntitle = "{{title!r}}"\n{ONE}', 3, "is none of {title}"),
    "a lonely brace in a title": (f'{HEAD}[land]\ntitle = "}}"\n{ONE}', 3, "'}' is none of {title}"),
    "a NUL in a command": (f'{HEAD}[gates.x]\nrun = ["a\\u0000"]\n{ONE}', 3, "gates.x.run[0]: it holds a NUL"),
    "a NUL in a key": (f'{HEAD}[gates]\n"a\\u0000" = 1\n{ONE}', 2, "gates: a key holds a NUL"),
    "a NUL in a variable's name": (f'{HEAD}[gates.x]\nenv = {{"a\\u0000" = "b"}}\n', 3, "gates.x.env: a key holds a"),
    "a date in a pattern": (HEAD + ONE + CHECK.format("{ kind = 2026-11-28 }"), 8, "entry[0].check[0].pattern"),
    "a check of no kind": (HEAD + ONE + CHECK.replace('"pattern"', "[1]").format(1), 7, "].kind: expected a string"),
    "a key of 400,000 characters": (f"{HEAD}{'k' * 400000} = 1\n{ONE}", 2, "...: unknown key"),
    "a branch of 400,000 characters": (f'{HEAD}trunk = "{"k" * 400000}"\n{ONE}', 2, "it is longer than 244 bytes"),
    "an unknown key that holds everything": (f"{HEAD}a = [{'1, ' * 9000}]\n{ONE}", 2, "a: unknown key"),
    "a gate's name that is a path": (f'{HEAD}[gates."../x"]\nrun = ["true"]\n{ONE}', 2, ": expected a short name"),
    "a gate's name of two lines": (f'{HEAD}[gates."a\\nb"]\nrun = ["true"]\n{ONE}', 2, ": expected a short name"),
    "a default gate misspelt": (f"{HEAD}[gates.clipy]\ntimeout = 5\n{ONE}", 2, "did you mean 'clippy'? A"),
    "a gate without a command": (f"{HEAD}[gates.deny]\ntimeout = 5\n{ONE}", 2, "A gate of your own needs"),
    "the MSRV gate beside its toolchain": (
        f'{HEAD}[gates]\nmsrv = "1.89.0"\n[gates.msrv]\nenabled = false\n', 4, "gates.msrv: given twice; expected",
    ),
    "a table twice": (f"{HEAD}[land]\n\n[land]\n", 4, "land: given twice; expected once, and line 2 has it"),
    "a key twice": (f'{HEAD}trunk = "main"\ntrunk = "main"\n', 3, "trunk: given twice; expected once, and line 2"),
    "a table below a value": (f"{HEAD}land = 1\n[land.x.y]\n", 3, "land.x.y: given twice; expected once, and line 2"),
    "a key twice in one line": (f"{HEAD}land = {{wait = 1, wait = 2}}\n", 2, "not TOML: Duplicate inline table key"),
    "a string without an end": (f'{HEAD}a = """{"x" * 9000}\n', 3, "not TOML"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), CASES.values(), ids=CASES)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, line: int | None, said: str) -> None:
    """With file, line, key and what was expected; on lines that a screen holds."""
    with pytest.raises(UsageError) as found:
        load(tmp_path, text)
    message = f"{found.value.what}\n{found.value.why}"
    assert said in message
    assert max(map(len, message.splitlines())) < 300
    assert line is None or found.value.what.startswith(f"stack.toml:{line}: ")
    assert found.value.next_commands


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Some editors write one."""
    assert load(tmp_path, f"\ufeff{HEAD}{ONE}") == load(tmp_path, HEAD + ONE)


def test_a_fault_in_the_last_of_a_thousand_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line is found by reading the file a few times, not once for each line above."""
    text = HEAD + "".join(ENTRY.format(n=n) for n in range(1, 1001)) + '[[entry]]\npr = "x"\nbranch = "b"\n'
    loads, read = tomli.loads, list[int]()

    def counted(part: str) -> dict[str, Any]:
        read.append(len(part))
        return loads(part)

    monkeypatch.setattr(tomli, "loads", counted)
    with pytest.raises(UsageError, match=r"stack\.toml:3003: entry\[1000\]\.pr: expected an integer"):
        load(tmp_path, text)
    assert sum(read) < 4 * len(text)


def fifo(path: Path) -> None:
    """Make a FIFO without a writer."""
    os.mkfifo(path)


def listening(path: Path) -> None:
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # a socket's path has 108 bytes at most


KINDS = {
    "a FIFO": fifo,
    "a directory": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "No such device or address": listening,
    "more than 524288 bytes": lambda path: path.write_bytes(b"#" * (reading.LONGEST + 1)),
    "Too many levels of symbolic links": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize(("why", "make"), KINDS.items(), ids=KINDS)
def test_what_is_no_file_is_not_waited_for(repo: Repo, monkeypatch: pytest.MonkeyPatch, why: str, make: Any) -> None:
    """Such a path is found and named, not passed over for one in a directory above."""
    monkeypatch.chdir(repo.path)
    (repo.path / "stack.toml").write_text(HEAD + ONE)
    inner = repo.path / "inner"
    inner.mkdir()
    make(inner / "stack.toml")
    with pytest.raises(UsageError, match=r"stack\.toml cannot be read") as found:
        location.locate(repo.adapter, inner)
    assert why in found.value.why


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """A stack.toml may be a link to a file elsewhere."""
    (tmp_path / "kept.toml").write_text(HEAD + ONE)
    (tmp_path / "stack.toml").symlink_to("kept.toml")
    assert validation.load(tmp_path / "stack.toml")


def asked_of_tomli(text: str, where: Sequence[str | int]) -> int:
    """Return the line that ends the shortest run of whole lines that tomli reads and that has the value."""
    lines = text.splitlines(keepends=True)
    for depth in range(len(where), 0, -1):
        for count in range(1, len(lines) + 1):
            try:
                data = tomli.loads("".join(lines[:count]))
            except tomli.TOMLDecodeError:
                continue
            if explaining.value_at(data, where[:depth]) is not None:
                return count
    return 1


def paths(value: object, where: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value, and of one that is missing in each table."""
    found = [where, (*where, "missing")]
    if isinstance(value, dict):
        found += [each for key, inner in value.items() for each in paths(inner, (*where, key))]
    if isinstance(value, list):
        found += [each for key, inner in enumerate(value) for each in paths(inner, (*where, key))]
    return found


@pytest.mark.parametrize("text", [EVERYTHING, EVERYTHING.replace("\n", "\r\n"), HEAD + ONE])
def test_lines_are_those_that_tomli_would_tell(text: str) -> None:
    """Of every value, and of the table of every value that is missing."""
    for where in paths(tomli.loads(text)):
        assert toml_lines.line_of(text, where) == asked_of_tomli(text, where), where


PIECES = st.sampled_from([
    "[", "]", "{", "}", '"', "'", '"""', "'''", "#", "\n", "=", ".", ",", "\\", "\0", "\ufeff", "[[entry]]",
    "[gates.x]", "pr = 1", "1e999", "nan", "2026-11-28", "-1", "0x10", "true", '"\\u0000"', "\u2028", "{title.x}",
    "schema = 1",
])  # fmt: skip


@given(
    st.sampled_from([EVERYTHING, HEAD + ONE + CHECK.format('"x"')]),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 12), PIECES), min_size=1, max_size=3),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@example(HEAD, [(0, 0, "")])
def test_a_damaged_file_is_read_or_refused(text: str, cuts: list[tuple[int, int, str]]) -> None:
    """For any damage: a file that can be read can be gated, and its lines are found."""
    for at, length, piece in cuts:
        text = text[:at] + piece + text[at + length :]
    path = Path("stack.toml")
    refused, stacks = "stack.toml:", tuple[Stack, ...]()
    try:
        found = reading.parsed(path, text.encode("utf-8", "surrogatepass"))
        stacks = validation.stacks_of(found)
    except UsageError as error:
        refused = error.what
    assert refused.startswith("stack.toml:")
    for stack in stacks:
        assert catalogue(stack.gates)
        assert all(isinstance(each, PatternCheck) is hasattr(each, "one_line") for each in stack.entries[0].checks)


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{title} (#{number}) {position}/{count}", "T {number} (#7) 1/3"),
        ("{{title}} {{{number}}}", "{title} {7}"),
        ("plain", "plain"),
    ],
)
def test_a_title_is_filled_once(template: str, filled: str) -> None:
    """Values are not templates; doubled braces are braces, as in Python's format strings."""
    values = {"title": "T {number}", "number": 7, "position": 1, "count": 3}
    assert title.fill(template, values) == filled
