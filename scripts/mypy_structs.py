"""A plugin of mypy: report `dataclasses.replace` of a msgspec struct, and `msgspec.structs.replace` of a dataclass.

typeshed accepts both, because a struct has the fields of a dataclass for type checkers; at run time both raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mypy.nodes import TypeInfo
from mypy.plugin import FunctionContext, Plugin
from mypy.types import Instance, Type, TypeVarType, UnionType, get_proper_type

_OF_DATACLASSES = frozenset(f"dataclasses.{name}" for name in ("asdict", "astuple", "fields", "replace"))
_OF_STRUCTS = frozenset(f"msgspec.structs.{name}" for name in ("asdict", "astuple", "replace"))


class StructPlugin(Plugin):
    """Checks the first argument of functions that copy or take apart a value."""

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        """Return the check of a call of this function."""
        if fullname not in _OF_DATACLASSES | _OF_STRUCTS:
            return None

        def check(context: FunctionContext) -> Type:
            for given in (each for of in context.arg_types[0][:1] for each in _classes(of)):
                if _is_struct(given) != (fullname in _OF_STRUCTS):
                    kind = "a msgspec struct" if _is_struct(given) else "no msgspec struct"
                    context.api.fail(f"{fullname} of {given.fullname}, which is {kind}", context.context)
            return context.default_return_type

        return check


def _classes(of: Type) -> Iterator[TypeInfo]:
    """Yield the classes of a type; none of Any."""
    of = get_proper_type(of)
    if isinstance(of, Instance):
        yield of.type
    elif isinstance(of, UnionType):
        for item in of.items:
            yield from _classes(item)
    elif isinstance(of, TypeVarType):
        yield from _classes(of.upper_bound)


def _is_struct(given: TypeInfo) -> bool:
    return any(base.fullname == "msgspec.Struct" for base in given.mro)


def plugin(_version: str) -> type[StructPlugin]:
    """Return the plugin, as mypy demands."""
    return StructPlugin
