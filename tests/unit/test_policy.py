"""Keys of stack.toml that need trust: all except a list of harmless ones."""

from __future__ import annotations

from typing import Any

import pytest
import tomli

from trunkline.config import schema
from trunkline.domain import policy

BASE = '[[entry]]\npr = 1\nbranch = "one"\n'


def differences(own: str, trusted: str) -> list[str]:
    """Return the keys in which a file differs from trunk's."""
    ours, theirs = tomli.loads(own), tomli.loads(trusted)
    found = policy.differences(
        policy.policy_of(ours), policy.policy_of(theirs), policy.entries_of(ours), policy.entries_of(theirs)
    )
    return [each.key for each in found]


@pytest.mark.parametrize(
    "change",
    [
        "issue = 3\n",
        'title = "t"\n',
        'next = "n"\n',
        "schema = 1\n",
    ],
)
def test_titles_notes_and_numbers_are_harmless(change: str) -> None:
    """Settings that a branch may change without approval."""
    changed = change + BASE if change.startswith(("issue", "schema")) else BASE + change
    assert differences(changed, BASE) == []


def test_entries_may_come_and_go() -> None:
    """A list of entries is a branch's own; the keys of a removed entry go with it."""
    check = '[[entry.check]]\nkind = "command"\nname = "c"\nrun = ["true"]\n'
    assert differences(BASE, BASE + check.replace("entry.check", "entry.check") + "") == ["entry[#1].check"]
    two = '[[entry]]\npr = 2\nbranch = "two"\n'
    assert differences(BASE, BASE + two + check) == []
    assert differences(BASE + two, BASE) == []
    assert differences(f"[[stack]]\nname = 's'\n{BASE.replace('[[entry', '[[stack.entry')}", BASE) == []


def test_checks_are_commands() -> None:
    """A check that is added, changed or taken away, in one stack or in one of several."""
    check = '[[entry.check]]\nkind = "command"\nname = "c"\nrun = ["true"]\n'
    several = "[[stack]]\nname = 's'\n" + (BASE + check).replace("[[entry", "[[stack.entry")
    assert differences(BASE + check, BASE) == ["entry[#1].check"]
    assert differences(several, BASE) == ["entry[#1].check"]
    assert differences(BASE + check, several.replace("true", "false")) == ["entry[#1].check"]


@pytest.mark.parametrize(
    ("own", "key"),
    [
        ('[[entry]]\nbranch = "one"\n', "entry[one].check"),
        ('[[entry]]\npr = 1\nbranch = "other"\n', "entry[#1].check"),
        ('[[entry]]\npr = 1.0\nbranch = "one"\n', "entry[#1].check"),
        ('[[entry]]\npr = 9\nbranch = "one"\n', "entry[#9].check"),
    ],
)
def test_an_entry_under_another_name_keeps_its_checks(own: str, key: str) -> None:
    """A branch lists the same entry without its number, or under another branch, to lose what is checked."""
    check = '[[entry.check]]\nkind = "command"\nname = "c"\nrun = ["true"]\n'
    assert differences(own, BASE + check) == [key]
    assert differences(own + check, BASE + check) == []


def test_a_key_taken_away_is_a_change() -> None:
    """Trunk's sandbox, dropped."""
    assert differences(BASE, "[gates]\nsandbox = true\n" + BASE) == ["gates.sandbox"]


def _keys(model: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(*path, name) for name in model.__struct_encode_fields__]


@pytest.mark.parametrize(
    "path",
    [
        *_keys(schema.StackFile, ()),
        *_keys(schema.GatesTable, ("gates",)),
        *_keys(schema.GateTable, ("gates", "mine")),
        *_keys(schema.LandTable, ("land",)),
        *_keys(schema.PublishTable, ("publish",)),
        *_keys(schema.NoteTable, ("note",)),
        ("a key", "that nobody has thought of"),
    ],
)
def test_every_key_is_policy_unless_it_is_listed(path: tuple[str, ...]) -> None:
    """Denied by default: whatever the schema has, and whatever it will have."""
    data: dict[str, Any] = {"entry": [{"pr": 1, "branch": "one"}]}
    table = data
    for key in path[:-1]:
        table = table.setdefault(key, {})
    if path[0] in policy.HARMLESS:
        assert path[0] in {"schema", "issue", "entry", "stack"}
        return
    table[path[-1]] = "changed"
    assert list(policy.policy_of(data)) == [".".join(path)]


@pytest.mark.parametrize("model", [schema.EntryTable, schema.StackTable])
def test_every_key_of_an_entry_is_policy_unless_it_is_listed(model: Any) -> None:
    """Of an entry: its number, branch, title and note; of one of several stacks: its name and issue."""
    holder = "entry" if model is schema.EntryTable else "stack"
    harmless = policy.HARMLESS_OF_AN_ENTRY if holder == "entry" else policy.HARMLESS_OF_A_STACK
    for (name,) in [*_keys(model, ()), ("new",)]:
        data = {holder: [{"pr": 1, name: "changed"} if holder == "entry" else {"name": "s", name: "changed"}]}
        assert bool(policy.policy_of(data)) is (name not in harmless), name


@pytest.mark.parametrize(
    "text", ["entry = 1", 'entry = "x"', "entry = [1, 2]", "stack = {a = 1}", "stack = [{entry = [{}]}]", "gates = 1"]
)
def test_a_file_that_is_no_stack_has_a_policy_all_the_same(text: str) -> None:
    """The file is compared before it is validated."""
    data = tomli.loads(text)
    assert len(policy.digest(policy.policy_of(data))) == 64
    assert isinstance(policy.entries_of(data), dict)


def test_a_hash_is_of_exactly_these_keys() -> None:
    """A title does not change it, order does not, a value does."""
    one = policy.policy_of(tomli.loads("rerere = true\n[gates]\nroot = 'a'\nmsrv = '1'\n" + BASE))
    same = policy.policy_of(tomli.loads(BASE.replace("one", "two") + "[gates]\nmsrv = '1'\nroot = 'a'\n"))
    other = policy.policy_of(tomli.loads("rerere = false\n[gates]\nroot = 'a'\nmsrv = '1'\n" + BASE))
    assert policy.digest(one) != policy.digest(other)
    assert policy.digest({**same, "rerere": "true"}) == policy.digest(one)
