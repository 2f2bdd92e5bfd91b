"""Find the changed files of an entry that no gate verified; `domain.coverage` holds the rules."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import reduce
from operator import or_

from trunkline.domain.coverage import ChangedFile, Coverage, Sources, unverified
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome
from trunkline.git import objects
from trunkline.git.git import Git
from trunkline.state.receipt_store import Store

_TEST = re.compile(rb"#\s*\[\s*(?:\w+\s*::\s*)*(?:test|rstest|test_case|wasm_bindgen_test|quickcheck)\b")


def coverage_of(git: Git, base: Oid, tip: Oid, outcomes: Iterable[GateOutcome | None]) -> Coverage:
    """Return the changed files of an entry that no gate verified.

    Args:
        git: the repository.
        base: the parent of the entry's own commits.
        tip: its head.
        outcomes: the outcomes of its gates on exactly that head; only proven passes count.
    """
    sources = _sources(Store(git.state_dir()), outcomes)
    if sources is None:
        return Coverage(known=False)
    paths = _changed(git, base, tip)
    tests = _holding_tests(git, tip, [path for path in paths if path.endswith(".rs")])
    return Coverage(known=True, unverified=unverified((ChangedFile(each, each in tests) for each in paths), sources))


def _sources(store: Store, outcomes: Iterable[GateOutcome | None]) -> Sources | None:
    """Return the files that the proven gates read; None if a gate recorded no list of files."""
    named = {outcome.sources for outcome in outcomes if outcome is not None and outcome.proven and outcome.sources}
    found = [store.read_sources(name) for name in sorted(named)]
    known = [sources for sources in found if sources is not None]
    return reduce(or_, known) if known and len(known) == len(found) else None


def _changed(git: Git, base: Oid, tip: Oid) -> tuple[str, ...]:
    """Return the files that were added or modified since the base, without rename detection."""
    arguments = ("-r", "-z", "--no-renames", "--diff-filter=AMT", "--name-only", base, tip)
    output = git.query("diff-tree", *arguments).stdout.decode("utf-8", "surrogateescape")
    return tuple(path for path in output.split("\0") if path)


def _holding_tests(git: Git, tip: Oid, paths: Collection[str]) -> frozenset[str]:
    """Return the Rust files that contain test functions."""
    named = [path for path in paths if "\n" not in path]
    found = objects.read(git, [f"{tip}:{path}" for path in named], b"blob", lambda _, content: content)
    return frozenset(path for path, (_, text) in zip(named, found, strict=True) if _TEST.search(text))
