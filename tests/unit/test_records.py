"""Journal records: what is encoded is decoded, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.domain import records
from trunkline.domain.changes import LocalMoved, joined
from trunkline.domain.names import BranchName, Id, Oid, PrNumber
from trunkline.domain.step import StepName

ROOT = Path(__file__).parents[2]
KINDS: tuple[type[records.Record], ...] = typing.get_args(records.AnyRecord)
OLD, NEW, LATER = Oid("1" * 40), Oid("2" * 40), Oid("3" * 40)
ABOUT = (StepName.REPLAY, PrNumber(7), BranchName("seven"))

texts = st.text(st.characters(exclude_categories=()), max_size=8)  # half characters too: bytes of file names
ids = st.sampled_from([OLD, NEW, Oid("f" * 64)])
json_values = st.none() | st.booleans() | st.integers(0, 9) | texts | st.lists(texts, max_size=2)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    Id: ids, Oid: ids, str: texts, BranchName: texts, PrNumber: st.integers(1, 9), Any: json_values,
    float: st.floats(0, 9),
}  # fmt: skip


def fields(kind: type) -> st.SearchStrategy[Any]:
    """Return a strategy for a struct of fields that each have a value of their type."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in msgspec.structs.fields(kind)]
    return st.builds(kind, **{name: values(hints[name]) for name in names})


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a type that a record has."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return fields(hint)
    if origin is tuple:
        several = Ellipsis in arguments
        return (
            st.lists(values(arguments[0]), max_size=2).map(tuple) if several else st.tuples(*map(values, arguments))
        )
    if origin is Mapping:
        return st.dictionaries(texts, values(arguments[1]), max_size=2)
    if type(None) in arguments:
        return st.none() | values(arguments[0])
    return st.from_type(hint)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(st.data())
@settings(max_examples=8, deadline=None)
def test_a_record_is_read_as_it_was_written(kind: type[records.Record], data: st.DataObject) -> None:
    """Encoded, written as JSON, read and decoded: the same record."""
    record = data.draw(fields(kind))
    assert records.decode(json.loads(json.dumps(records.encode(record), sort_keys=True))) == record


@pytest.mark.parametrize(
    ("altered", "error"),
    [
        ({"kind": "unheard-of"}, "Invalid value 'unheard-of'"),
        ({"new": "1234"}, r"\$.new"),
        ({"old": 1}, r"\$.old"),
        ({"pr": 5.19}, r"\$.pr"),
        ({"step": "ontology"}, r"\$.step"),
        ({"further": 1}, "unknown field `further`"),
    ],
)
def test_anything_else_is_refused(altered: dict[str, object], error: str) -> None:
    """A kind, a field or a type that the record does not have; the error names the field."""
    encoded = records.encode(records.BranchMoved(*ABOUT, old=OLD, new=NEW))
    with pytest.raises(ValueError, match=error):
        records.decode({**encoded, **altered})
    del encoded["new"]
    with pytest.raises(ValueError, match="missing required field `new`"):
        records.decode(encoded)


def test_a_step_of_an_earlier_name_is_read() -> None:
    """The step `cleanup` was called `tidy`."""
    encoded = records.encode(records.BranchDeleted(StepName.CLEANUP, *ABOUT[1:], old=OLD))
    assert encoded["step"] == "cleanup"
    assert records.decode({**encoded, "step": "tidy"}) == records.decode(encoded)


def test_kinds_have_names_of_their_own() -> None:
    """No two records share a kind; each is in the union."""
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(tags)) == len(tags)
    named = {each for each in vars(records).values() if isinstance(each, type) and issubclass(each, records.Record)}
    bases = {records.Record, records.StepRecord, records.EntryRecord, records.Intent, records.Verdicts}
    assert named - bases == set(KINDS)


def test_moves_of_one_branch_are_one_change() -> None:
    """From the tip before the first to the tip after the last; the tips between are the run's own."""
    first, last = records.BranchMoved(*ABOUT, old=OLD, new=NEW), records.BranchMoved(*ABOUT, old=NEW, new=LATER)
    change = joined(first.change(), last.change())
    assert change == LocalMoved(pr=PrNumber(7), before=OLD, left=LATER, between=(NEW,))
    assert [change.is_ours(tip) for tip in (OLD, NEW, LATER, "4" * 40)] == [True, True, True, False]


def test_a_created_branch_goes_back_to_where_it_was_created() -> None:
    """A branch that the run created has no tip before the run."""
    change = records.BranchMoved(*ABOUT, old=None, new=NEW).change()
    assert (change.before, change.left, change.created) == (NEW, NEW, True)


def test_what_stays_has_no_change() -> None:
    """A merge, a deletion and a work tree are not taken back as a change."""
    merge = records.MergeRequested(*ABOUT, head=NEW, method="squash")
    deleted = records.BranchDeleted(*ABOUT, old=OLD)
    assert (merge.change(), deleted.change()) == (None, None)


def test_the_page_is_up_to_date() -> None:
    """Else: .venv/bin/python scripts/describe-records."""
    done = subprocess.run([sys.executable, ROOT / "scripts/describe-records", "--check"], check=False)
    assert done.returncode == 0, "run .venv/bin/python scripts/describe-records"
