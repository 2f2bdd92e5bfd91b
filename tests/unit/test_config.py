"""stack.toml: what is accepted, and complaints that name file, line, key and what was expected."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import jsonschema
import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.config import reading, schema, validation
from trunkline.domain import check
from trunkline.domain.errors import UsageError
from trunkline.domain.names import branch_name, pr_number
from trunkline.domain.stack import (
    DEFAULT_GATES,
    AttestSettings,
    Entry,
    GateOverride,
    GateSettings,
    LandSettings,
    NoteSettings,
    PublishSettings,
    RebaseSettings,
    Stack,
)
from trunkline.gates.catalogue import gate_names

GOOD = """\
schema = 1
trunk = "main"
remote = "origin"
issue = 319

[gates]
features = ["cpu"]            # a comment
msrv = "1.89.0"

[[entry]]
pr = 518
branch = "feat/319-kv-pool-v2"
title = "Arena foundation"

[[entry]]
pr = 519
branch = "feat/319-kv-pool-v2-pr2-entry"
next = "PR-3 will switch"
"""


def load(tmp_path: Path, text: str) -> tuple[Stack, ...]:
    """Load a text as stack.toml."""
    path = tmp_path / "stack.toml"
    path.write_text(text)
    return validation.load(path)


def test_an_entry_without_a_number(tmp_path: Path) -> None:
    """An entry without `pr` is identified by its branch; its number is an error that names `submit`."""
    stack = load(tmp_path, GOOD.replace("pr = 519\n", ""))[0]
    entry = stack.entries[1]
    assert (entry.number, entry.key, entry.label) == (None, entry.branch, entry.branch)
    assert (stack.entries[0].key, stack.entries[0].full_label) == (518, "#518 feat/319-kv-pool-v2")
    assert stack.entry(entry.branch) is entry
    assert stack.numbers == (518,)
    assert stack.unsubmitted_below(stack.entries[1]) is None
    with pytest.raises(UsageError, match="has no pull request yet") as found:
        _ = entry.pr
    assert found.value.next_commands == ("invoke submit",)


def test_two_entries_are_one_stack(tmp_path: Path) -> None:
    """A file with two entries becomes one stack, bottom first."""
    (tmp_path / "stack.toml").write_text(GOOD)
    (stack,) = validation.load(tmp_path / "stack.toml")
    assert [(entry.pr, entry.branch) for entry in stack.entries] == [
        (518, "feat/319-kv-pool-v2"),
        (519, "feat/319-kv-pool-v2-pr2-entry"),
    ]
    assert (stack.trunk, stack.remote, stack.issue, stack.gates.features) == ("main", "origin", 319, ("cpu",))


def test_several_stacks(tmp_path: Path) -> None:
    """[[stack]] tables make several stacks, each with its entries."""
    text = (
        "schema = 1\n"
        '[[stack]]\nname = "a"\n[[stack.entry]]\npr = 1\nbranch = "x"\n'
        '[[stack]]\nname = "b"\n[[stack.entry]]\npr = 2\nbranch = "y"\n'
    )
    (tmp_path / "stack.toml").write_text(text)
    assert [stack.name for stack in validation.load(tmp_path / "stack.toml")] == ["a", "b"]


def test_gates_are_changed_and_added(tmp_path: Path) -> None:
    """[gates.NAME] overrides a default, the msrv gate too, or adds a gate."""
    text = GOOD.replace('msrv = "1.89.0"\n', "") + (
        '\n[gates.test]\nrun = ["cargo", "nextest", "run"]\n[gates.msrv]\ntimeout = 5.0\n[gates.deny]\nrun = ["x"]\n'
    )
    (tmp_path / "stack.toml").write_text(text)
    (stack,) = validation.load(tmp_path / "stack.toml")
    assert stack.gates.overrides["test"] == GateOverride(run=("cargo", "nextest", "run"))
    assert stack.gates.overrides["msrv"] == GateOverride(timeout=5.0)
    assert stack.gates.msrv == "1.89.0"


@pytest.mark.parametrize(
    ("tables", "gates"),
    [
        ("[gates.doc]\nenabled = false\n", ["build", "test", "clippy", "fmt", "msrv"]),
        ("[gates.doc]\nenabled = true\n", list(DEFAULT_GATES)),
        ('[gates.deny]\nrun = ["x"]\nenabled = false\n', list(DEFAULT_GATES)),
        (
            "".join(f"[gates.{name}]\nenabled = false\n" for name in DEFAULT_GATES) + '[gates.deny]\nrun = ["x"]\n',
            ["deny"],
        ),
    ],
)
def test_a_gate_is_switched_off(tmp_path: Path, tables: str, gates: list[str]) -> None:
    """A gate that is off is none of the stack's, and nothing can require it."""
    (tmp_path / "stack.toml").write_text(f"{OFF}{tables}")
    (stack,) = validation.load(tmp_path / "stack.toml")
    assert list(gate_names(stack.gates)) == gates
    (tmp_path / "stack.toml").write_text(f'{OFF}{tables}[attest]\ngates = ["doc"]\n')
    with (
        pytest.raises(UsageError, match="there is no gate 'doc'") if "doc" not in gates else contextlib.nullcontext()
    ):
        validation.load(tmp_path / "stack.toml")


def test_not_every_gate_is_switched_off(tmp_path: Path) -> None:
    """Nothing would be verified, and all of it would pass."""
    tables = "".join(f"[gates.{name}]\nenabled = false\n" for name in DEFAULT_GATES)
    (tmp_path / "stack.toml").write_text(f"{OFF}{tables}")
    with pytest.raises(UsageError, match="every gate has enabled = false"):
        validation.load(tmp_path / "stack.toml")


OFF = 'schema = 1\n[[entry]]\npr = 1\nbranch = "x"\n'
CASES = [
    ('trunk = "main"', "trunk = main", 2, "not TOML"),
    ("schema = 1\n", "", 1, "schema: missing; expected 1, the version of this file's schema"),
    ("schema = 1", 'schema = "1"', 1, 'schema: expected an integer; found "1"'),
    ("issue = 319", "issue = -1", 4, "issue: expected an integer >= 1; found -1"),
    ('["cpu"]', '"cpu"', 7, 'gates.features: expected an array; found "cpu"'),
    ("[gates]", "[gates]\nenv = { A = '1', B = 2 }", 7, "gates.env.B: expected a string; found 2"),
    ("[gates]", "[gates.test]\nruns = ['x']\n[gates]", 7, "gates.test.runs: unknown key; did you mean 'run'?"),
    ("[gates]", '[land]\nmethod = "sqash"\n[gates]', 7, 'land.method: expected one of "", "merge", "rebase", '),
    ("features =", "feature =", 7, "gates.feature: unknown key; did you mean 'features'?"),
    ('["cpu"]', '["-Zx"]', 7, "gates.features[0]: expected a cargo feature"),
    ("1.89.0", "--config=x", 8, "gates.msrv: expected a toolchain name"),
    ("pr = 519", 'pr = "519"', 16, 'entry[1].pr: expected an integer; found "519"'),
    ('branch = "feat/319-kv-pool-v2-pr2-entry"\n', "", 15, "entry[1].branch: missing; expected the pull request's"),
    ("next =", "nxet =", 18, "entry[1].nxet: unknown key; did you mean 'next'?"),
    ("pr = 519", "pr = 518", 16, "entry[1].pr: 518 is already used in line 11"),
    ("-pr2-entry", "", 17, "entry[1].branch: 'feat/319-kv-pool-v2' is already used in line 12"),
    ("feat/319-kv-pool-v2-pr2-entry", "main", 17, "'main' is the trunk itself"),
    ("feat/319-kv-pool-v2-pr2-entry", "a:b", 17, "it contains ':'"),
    ('remote = "origin"', 'remote = "--upload-pack=x"', 3, "remote: expected the name of a git remote"),
    ("[gates]", '[gates]\nroot = "../up"', 7, "gates.root: expected a path inside the repository"),
    ("schema = 1", "schema = 7", 1, "schema 7 is newer than this trunkline"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "said"), CASES)
def test_complaints(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    """Each error names its line, its key and the expected value; the next command opens the file there."""
    assert old in GOOD
    with pytest.raises(UsageError) as found:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert found.value.what.startswith(f"stack.toml:{line}: ")
    assert said in found.value.what
    assert found.value.next_commands


def test_neither_and_both_kinds_of_stack(tmp_path: Path) -> None:
    """A file without entries, or with both forms at once, is an error."""
    with pytest.raises(UsageError, match=r"either \[\[entry\]\]"):
        load(tmp_path, "schema = 1\n")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is an error that names the byte."""
    (tmp_path / "stack.toml").write_bytes(b"schema = 1 # \xff\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        validation.load(tmp_path / "stack.toml")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_whatever_the_file_says_it_loads_or_complains(tmp_path: Path, text: str) -> None:
    """No text makes anything but a stack or a UsageError."""
    try:
        load(tmp_path, text)
    except UsageError as found:
        message = found.what
    else:
        return
    assert message.startswith("stack.toml:")


EVERYTHING = """\
schema = 1
trunk = "trunk"
remote = "up"
issue = 7
rerere = true
lockfile = "conflict"

[gates]
features = ["a", "b"]
msrv = "1.80.0"
root = "rust/"
timeout = 5
env = { E = "f" }
locked = false
sandbox = true
strict = true
insecure = true
sign = "~/key"
signers = "who"
revoked = "gone"
inherited = "allow"
presets = ["typos", "nextest"]
executor = "dask"
scheduler = "tcp://h:1"
workers = 2

[gates.deny]
run = ["x", "y"]
env = { A = "b" }
needs = ["x"]
timeout = 9

[land]
method = "merge"
title = "{title}"
require = "gates"
wait = 7
rewrite = "never"

[rebase]
sign = true
signatures = "require"

[publish]
statuses = true

[note]
template = "docs//note.md/"

[attest]
gates = ["build", "deny"]
max-age = "2h"
rebase = "refuse"
waive = { msrv = ["ada@example.org"] }
independent = true
toolchain = "1.95"
auto = true
install = "tools/trunkline"

[[entry]]
pr = 1
branch = "one"
title = "One"
next = "Two"

[[entry.check]]
kind = "pattern"
name = "p"
title = "P"
pattern = "x()"
expect = "inside"
inside = ["fn f"]
paths = ["a/*.rs"]

[[entry.check]]
kind = "command"
name = "c"
run = ["x"]
exit = 3
env = { A = "b" }

[[entry.check]]
kind = "test"
name = "t"
tests = ["a::b"]
args = ["--lib"]

[[entry.check]]
kind = "manual"
name = "m"
"""


def test_every_key_arrives(tmp_path: Path) -> None:
    """Every key of the schema reaches the domain's value of the same name."""
    (loaded,) = validation.load(_written(tmp_path, EVERYTHING))
    gates = GateSettings(
        features=("a", "b"), msrv="1.80.0", root="rust", timeout=5.0, env={"E": "f"}, locked=False, sandbox=True,
        sign="~/key", signers="who", revoked="gone", executor="dask", scheduler="tcp://h:1", workers=2, insecure=True,
        remote="up", trunk="trunk", strict=True, inherited="allow", presets=("typos", "nextest"),
        overrides={"deny": GateOverride(("x", "y"), {"A": "b"}, ("x",), 9.0)},
    )  # fmt: skip
    checks = (
        check.PatternCheck("p", "P", "x()", check.Expect.INSIDE, ("fn f",), ("a/*.rs",)),
        check.CommandCheck("c", "", ("x",), 3, {"A": "b"}),
        check.TestCheck("t", "", ("a::b",), ("--lib",)),
        check.ManualCheck("m", ""),
    )
    assert loaded == Stack(
        branch_name("trunk"), "up", (Entry(pr_number(1), branch_name("one"), "One", "Two", checks),), "", 7, gates,
        LandSettings("merge", "{title}", "gates", 7.0, "never"), PublishSettings(statuses=True),
        RebaseSettings(sign=True, signatures="require"), NoteSettings("docs/note.md"), rerere=True,
        lockfile="conflict",
        attest=AttestSettings(
            ("build", "deny"), 7200.0, "refuse", {"msrv": ("ada@example.org",)}, independent=True, toolchain="1.95",
            auto=True, install="tools/trunkline",
        ),
    )  # fmt: skip
    keys = {key for table in [tomli.loads(EVERYTHING)["gates"]] for key in table}
    assert {*schema.GatesTable.__struct_fields__} - keys == {"cache"}  # excludes the sandbox


def test_the_defaults_of_schema_and_domain_are_the_same(tmp_path: Path) -> None:
    """A file of one entry is a stack that leaves everything to the domain's defaults."""
    (loaded,) = validation.load(_written(tmp_path, 'schema = 1\n[[entry]]\npr = 1\nbranch = "one"\n'))
    assert loaded == Stack(branch_name("main"), "origin", (Entry(pr_number(1), branch_name("one")),))


def test_an_array_of_stacks_that_is_empty(tmp_path: Path) -> None:
    """`stack = []` beside entries says nothing: they are the only stack."""
    text = GOOD.replace("schema = 1\n", "schema = 1\nstack = []\n")
    (stack,) = validation.load(_written(tmp_path, text))
    assert [entry.pr for entry in stack.entries] == [518, 519]


def _written(directory: Path, text: str) -> Path:
    (directory / "stack.toml").write_text(text)
    return directory / "stack.toml"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["pr", "branch", "run", "x"]), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["schema", "trunk", "gates", "entry", "stack", "remote", "bogus"]), VALUES))
@settings(max_examples=200)
def test_whatever_the_tables_hold_only_usage_errors(data: dict[str, object]) -> None:
    """Any shape of table is validated without another exception."""
    with contextlib.suppress(UsageError):
        validation.stacks_of(reading.StackText(Path("stack.toml"), "", data))


def test_the_shipped_schema_is_the_models() -> None:
    """stack.schema.json is what the model exports, and accepts a valid file."""
    shipped = json.loads((Path(validation.__file__).parent.parent / "stack.schema.json").read_text())
    assert shipped == schema.json_schema()
    jsonschema.validate(tomli.loads(GOOD), shipped)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomli.loads(GOOD.replace("pr = 519", 'pr = "x"')), shipped)


@pytest.mark.parametrize(
    ("checks", "below", "expected"),
    [
        (
            'kind = "patern"\nname = "a"\n',
            1,
            'kind: expected one of "pattern", "command", "test", "manual"; found "patern"',
        ),
        ('name = "a"\n', 0, "kind: missing; expected one of pattern, command, test, manual"),
        ('kind = "pattern"\nname = "a"\n', 0, "pattern: missing; expected an ast-grep pattern, or"),
        ('kind = "pattern"\nname = "a"\npattern = 3\n', 3, ".pattern: expected a string or a table; found 3"),
        ('kind = "command"\nname = "a"\nrum = ["x"]\n', 3, "rum: unknown key; did you mean 'run'?"),
        ('kind = "pattern"\nname = "a"\npattern = "x"\nexpect = "inside"\n', 0, "needs `inside`"),
        ('kind = "manual"\nname = "clippy"\n', 2, "'clippy' is the name of a gate"),
        ('kind = "manual"\nname = "a"\n[[entry.check]]\nkind = "manual"\nname = "a"\n', 5, "already used"),
        (
            'kind = "test"\nname = "a"\ntests = ["--nocapture"]\n',
            3,
            ".tests[0]: expected a test filter: no spaces, no dash in front; found",
        ),
    ],
)
def test_a_check_that_is_none(tmp_path: Path, checks: str, below: int, expected: str) -> None:
    """The same inside checks; the line is so many below the check's header."""
    text = f"{GOOD}\n[[entry.check]]\n{checks}"
    with pytest.raises(UsageError) as found:
        load(tmp_path, text)
    header = text.splitlines().index("[[entry.check]]") + 1
    message = f"{found.value.what}\n{found.value.why}"
    assert expected in message
    assert f"stack.toml:{header + below}:" in message


def test_checks_of_each_kind(tmp_path: Path) -> None:
    """Each table becomes its kind, in file order."""
    (tmp_path / "stack.toml").write_text(
        GOOD + '\n[[entry.check]]\nkind = "pattern"\nname = "a"\npattern = {kind = "x"}\ninside = ["fn f"]\n'
        '[[entry.check]]\nkind = "command"\nname = "b"\nrun = ["true"]\nexit = 2\n'
        '[[entry.check]]\nkind = "test"\nname = "c"\ntests = ["t"]\n'
        '[[entry.check]]\nkind = "manual"\nname = "d"\ntitle = "D"\n'
    )
    (stack,) = validation.load(tmp_path / "stack.toml")
    assert stack.entries[1].checks == (
        check.PatternCheck("a", "", {"kind": "x"}, check.Expect.PRESENT, ("fn f",)),
        check.CommandCheck("b", "", ("true",), 2, {}),
        check.TestCheck("c", "", ("t",)),
        check.ManualCheck("d", "D"),
    )
