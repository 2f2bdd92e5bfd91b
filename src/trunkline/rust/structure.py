"""Search Rust sources by syntax with the optional ast-grep library (https://ast-grep.github.io)."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from trunkline.domain.check import AnyPattern, Match
from trunkline.domain.errors import UsageError

if TYPE_CHECKING:
    from ast_grep_py import SgNode

# `fn NAME` and the like in `inside`: as an ast-grep pattern it would need the whole signature.
_ITEM = re.compile(r"(fn|mod|impl|trait) ([^\s{(]+)")
_ITEM_KINDS = {"fn": "function_item", "mod": "mod_item", "impl": "impl_item", "trait": "trait_item"}
_NAME_FIELDS = {"impl": "type"}
_ROOTS = frozenset({"lib", "main", "build"})
_BETWEEN = frozenset({"line_comment", "block_comment"})  # nodes allowed between an attribute and its item


def version() -> str:
    """Return ast-grep's version as `ast-grep 0.51.0`; "": it is not installed."""
    try:
        return f"ast-grep {importlib.metadata.version('ast-grep-py')}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def search(
    sources: Mapping[str, str], pattern: AnyPattern, inside: Sequence[str], read: Callable[[str], str | None]
) -> tuple[Match, ...]:
    """Return every match of a pattern, in the order of the sources.

    An attribute applies to everything that it governs: the item, its content, and the file of a
    `mod name;`. Modules with a `#[path]` attribute are not followed.

    Args:
        sources: path -> Rust source.
        pattern: an ast-grep pattern, or a rule.
        inside: places that a match should be in (see `PatternCheck`); empty: everywhere.
        read: returns another source of the same commit, to find the attributes of parent modules.

    Raises:
        UsageError: a pattern is invalid; the error quotes ast-grep.
    """
    for each in (pattern, *(part for part in inside if not (part.startswith("#") or _ITEM.fullmatch(part)))):
        _refuse_invalid_pattern(each)
    found = []
    for path, source in sources.items():
        root = _root(source)
        nodes = _find(root, pattern)
        if not nodes:
            continue  # most files have no match, and their parent modules need not be read
        governing = frozenset(_governing(path, read)) if any(part.startswith("#") for part in inside) else frozenset()
        places = [_Place(root, part, governing) for part in inside]
        for node in nodes:
            where = node.range()
            code = next(iter(node.text().splitlines()), "").strip()
            is_inside = not places or any(place.holds(node) for place in places)
            found.append(Match(path, where.start.line + 1, where.end.line + 1, code, is_inside))
    return tuple(found)


class _Place:
    """One entry of `inside` in one file: an attribute, a named item, or a pattern."""

    def __init__(self, root: SgNode, what: str, governing: frozenset[str]) -> None:
        self._attribute = _without_whitespace(what) if what.startswith("#[") else ""
        self._whole_file = self._attribute in governing
        self._item = _ITEM.fullmatch(what)
        pattern = not (self._attribute or self._item)
        self._spans = [_span(node) for node in _find(root, what)] if pattern else []

    def holds(self, node: SgNode) -> bool:
        """Return whether a node lies in the place, or is it."""
        if self._attribute:
            return self._whole_file or any(self._attribute in _attributes(each) for each in (node, *node.ancestors()))
        if self._item:
            kind, name = self._item.groups()
            return any(
                each.kind() == _ITEM_KINDS[kind] and _text(each.field(_NAME_FIELDS.get(kind, "name"))) == name
                for each in (node, *node.ancestors())
            )
        start, end = _span(node)
        return any(first <= start and end <= last for first, last in self._spans)


def _attributes(node: SgNode) -> Iterator[str]:
    """Yield the attributes of an item: those before it, and the inner ones (`#![...]`)."""
    before = node.prev()
    while before is not None and (before.kind() == "attribute_item" or before.kind() in _BETWEEN):
        yield _without_whitespace(before.text())
        before = before.prev()
    for child in node.children():
        if child.kind() == "inner_attribute_item":
            yield _without_whitespace(child.text().replace("#!", "#", 1))
        elif child.kind() in {"declaration_list", "block"}:
            for own in child.children():
                if own.kind() == "inner_attribute_item":
                    yield _without_whitespace(own.text().replace("#!", "#", 1))


def _governing(path: str, read: Callable[[str], str | None]) -> Iterator[str]:
    """Yield the attributes of the `mod name;` items that include a file, up to the crate's root.

    https://doc.rust-lang.org/reference/items/modules.html#module-source-filenames
    """
    file = PurePosixPath(path)
    if file.stem in _ROOTS:
        return
    name, home = (file.parent.name, file.parent.parent) if file.stem == "mod" else (file.stem, file.parent)
    for parent in (home / "mod.rs", home / "lib.rs", home / "main.rs", home.parent / f"{home.name}.rs"):
        source = read(str(parent))
        if source is None:
            continue
        found = False
        for node in _root(source).find_all(kind="mod_item"):
            if _text(node.field("name")) == name and node.field("body") is None:
                found = True
                for each in (node, *node.ancestors()):
                    yield from _attributes(each)
        if found:
            yield from _governing(str(parent), read)
            return


def _root(source: str) -> SgNode:
    from ast_grep_py import SgRoot  # noqa: PLC0415 -- of the extra `checks`

    return SgRoot(source, "rust").root()


def _find(root: SgNode, pattern: AnyPattern) -> list[SgNode]:
    if isinstance(pattern, str):
        return root.find_all(pattern=pattern)
    rule: Any = {"rule": dict(pattern)}
    return root.find_all(rule)


def _refuse_invalid_pattern(pattern: AnyPattern) -> None:
    """Refuse an invalid pattern.

    ast-grep silently accepts text that is not Rust. A check that forbids such a pattern would
    always pass.
    """
    empty = _root("")
    try:
        _find(empty, pattern)
    except Exception as error:  # noqa: BLE001 -- ast-grep raises Exception itself
        message = str(error).partition("\n\nStack backtrace")[0]
        raise _invalid_pattern(pattern, re.sub(r"\s+", " ", message)) from None
    if isinstance(pattern, str):
        # ast-grep reads `$NAME` as an identifier, and so does this test. Text that is not Rust
        # parses to an error node.
        itself = _root(pattern.replace("$", "µ")).find(pattern=pattern)
        if itself is None or itself.kind() == "ERROR":
            raise _invalid_pattern(pattern, "it is no Rust expression, statement or item on its own")


def _invalid_pattern(pattern: AnyPattern, why: str) -> UsageError:
    return UsageError(
        f"stack.toml: {pattern!r} is no ast-grep pattern",
        why=why,
        next_command="${EDITOR:-vi} stack.toml   # https://ast-grep.github.io/guide/pattern-syntax.html",
    )


def _span(node: SgNode) -> tuple[int, int]:
    where = node.range()
    return where.start.index, where.end.index


def _text(node: SgNode | None) -> str:
    return "" if node is None else node.text()


def _without_whitespace(text: str) -> str:
    return re.sub(r"\s+", "", text)
