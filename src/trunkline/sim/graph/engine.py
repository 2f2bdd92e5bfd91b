"""Execute GraphQL requests: parse, validate, execute, and format errors as GitHub does."""

from __future__ import annotations

import inspect
import re
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import graphql
from graphql.validation import (
    FieldsOnCorrectTypeRule,
    OverlappingFieldsCanBeMergedRule,
    ValidationRule,
    specified_rules,
)

from trunkline.sim.graph.tree import GraphError, Node, QueryContext, snake
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError, RefusalKind


class UndefinedField(ValidationRule):
    """Report GitHub's message for a field that a type lacks."""

    def enter_field(
        self, node: graphql.FieldNode, _key: object, _parent: object, _path: object, ancestors: Any
    ) -> None:
        """Report the field if its type is known and lacks it."""
        owner = self.context.get_parent_type()
        if owner is None or self.context.get_field_def() is not None:
            return
        path = [step for step in map(_step, ancestors) if step] + [_step(node)]
        name = node.name.value
        if name in left_out().get(owner.name, frozenset()):
            self.report_error(graphql.GraphQLError(f"not simulated: {owner.name}.{name}", node))
            return
        extensions = {"code": "undefinedField", "typeName": owner.name, "fieldName": name, "path": path}
        self.report_error(
            graphql.GraphQLError(f"Field '{name}' doesn't exist on type '{owner.name}'", node, extensions=extensions)
        )


def _step(node: object) -> str:
    if isinstance(node, graphql.OperationDefinitionNode):
        return node.operation.value + (f" {node.name.value}" if node.name else "")
    if isinstance(node, graphql.FragmentDefinitionNode):
        return f"fragment {node.name.value}"
    if isinstance(node, graphql.FieldNode):
        return node.alias.value if node.alias else node.name.value
    return ""


# GitHub allows two fields of different type with one response name (gh's fragments on unions).
_RULES = [
    UndefinedField if rule is FieldsOnCorrectTypeRule else rule
    for rule in specified_rules
    if rule is not OverlappingFieldsCanBeMergedRule
]


@cache
def schema() -> graphql.GraphQLSchema:
    """Return GitHub's schema, pruned by scripts/prune-schema."""
    return graphql.build_schema(_schema_text(), assume_valid=True, assume_valid_sdl=True)


@cache
def _schema_text() -> str:
    return resources.files("trunkline.sim").joinpath("schema.graphql").read_text(encoding="utf-8")


@cache
def left_out() -> dict[str, frozenset[str]]:
    """Return the fields of GitHub's schema that the pruned one lacks, by type.

    They are listed in comments at its end.
    """
    found = re.findall(r"^# left out of (\w+): (.*)$", _schema_text(), re.MULTILINE)
    return {name: frozenset(fields.split()) for name, fields in found}


@lru_cache(maxsize=256)
def _parsed(query: str) -> graphql.DocumentNode:
    return graphql.parse(query)


def execute(
    root: dict[str, Node], query_context: QueryContext, query: str, variables: dict[str, Any]
) -> dict[str, Any]:
    """Execute a request; return GitHub's JSON: `data`, `errors` or both.

    Args:
        root: the nodes of `Query` and `Mutation`.
        query_context: the world and the user.
        query: the document.
        variables: its variables.
    """
    try:
        document = _parsed(query)
    except graphql.GraphQLError as error:
        return {"errors": [_worded(error)]}
    if errors := graphql.validate(schema(), document, _RULES):
        return {"errors": [_worded(error) for error in errors]}
    kind = next(n for n in document.definitions if isinstance(n, graphql.OperationDefinitionNode)).operation.value
    result = graphql.execute_sync(
        schema(),
        document,
        root_value=root["Mutation" if kind == "mutation" else "Query"],
        context_value=query_context,
        variable_values=variables,
        field_resolver=_resolve,
        type_resolver=lambda node, *_: node.typename,
    )
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_worded(error) for error in result.errors]
    return answer


def operation_of(query: str) -> str:
    """Return the name of a document's first operation, or empty."""
    try:
        definitions = _parsed(query).definitions
    except graphql.GraphQLError:
        return ""
    for node in definitions:
        if isinstance(node, graphql.OperationDefinitionNode):
            return node.name.value if node.name else ""
    return ""


def _resolve(source: Any, info: graphql.GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    name = f"{info.parent_type.name}.{info.field_name}"
    if not isinstance(source, Node):
        raise TypeError(f"{name} is a field of {source!r}, which is no node")
    if info.field_name not in source.fields:
        raise NotSimulatedError(name)
    value = source.fields[info.field_name]
    given = {snake(key): argument for key, argument in arguments.items() if argument is not None}
    if not callable(value):
        if given:
            raise NotSimulatedError(f"arguments of {name}: {', '.join(sorted(arguments))}")
        return value
    try:
        inspect.signature(value).bind(**given)
    except TypeError as error:
        raise NotSimulatedError(f"arguments of {name}: {error}") from error
    return value(**given)


def _worded(error: graphql.GraphQLError) -> dict[str, Any]:
    """Return an error in GitHub's format: `type` and `path` beside the message."""
    worded: dict[str, Any] = {}
    cause = error.original_error
    extensions = dict(error.extensions or {})
    path = extensions.pop("path", None) or error.path
    if isinstance(cause, GraphError) and cause.kind:
        worded["type"] = cause.kind
    elif isinstance(cause, GitHubRefusal):
        worded["type"] = "NOT_FOUND" if cause.no is RefusalKind.NOT_FOUND else "UNPROCESSABLE"
    if path:
        worded["path"] = path
    if extensions:
        worded["extensions"] = extensions
    if error.locations:
        worded["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    return {**worded, "message": error.message}
