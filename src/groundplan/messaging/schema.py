"""A message's schema in words, field by field, for people who mend a payload."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from groundplan.core.errors import FieldError
from groundplan.messaging.message import Message

_WORDS: dict[str, str] = {
    "StrType": "text",
    "IntType": "whole number",
    "FloatType": "number",
    "BoolType": "true or false",
    "UUIDType": "id",
    "DateTimeType": "date and time",
    "DateType": "date",
    "DecimalType": "decimal",
    "NoneType": "nothing",
    "ListType": "list, as JSON",
    "DictType": "object, as JSON",
}


class SchemaField(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is dotted (``customer.email``); ``value`` is what the payload holds there now."""

    path: str
    type_words: str
    required: bool
    value: Any
    problem: str


def schema_fields(message: type[Message], payload: Any, problems: tuple[FieldError, ...]) -> list[SchemaField]:
    """One row per leaf of the schema, then one per field the payload has and the schema does not."""
    at = {problem.pointer.strip("/").replace("/", "."): problem.detail for problem in problems}
    rows = list(_rows(msgspec.inspect.type_info(message), payload, "", at))
    known = {row.path.split(".")[0] for row in rows}
    extra = payload if isinstance(payload, Mapping) else {}
    rows += [
        SchemaField(
            path=name,
            type_words="not in the schema",
            required=False,
            value=value,
            problem="The schema has no such field",
        )
        for name, value in extra.items()
        if name not in known
    ]
    return rows


def _rows(kind: Any, value: Any, path: str, problems: Mapping[str, str]) -> Iterator[SchemaField]:
    for field in kind.fields:
        here = f"{path}.{field.encode_name}" if path else field.encode_name
        inner = value.get(field.encode_name) if isinstance(value, Mapping) else None
        if isinstance(field.type, msgspec.inspect.StructType):
            yield from _rows(field.type, inner, here, problems)
        else:
            yield SchemaField(
                path=here,
                type_words=_in_words(field.type),
                required=field.required,
                value=inner,
                problem=problems.get(here, ""),
            )


def _in_words(kind: Any) -> str:
    if isinstance(kind, msgspec.inspect.Metadata):
        described = (kind.extra_json_schema or {}).get("description")
        return str(described) if described else _in_words(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return " or ".join(_in_words(part) for part in kind.types)
    words = _WORDS.get(type(kind).__name__, "value")
    limits = {
        "at least {} characters": getattr(kind, "min_length", None),
        "at most {} characters": getattr(kind, "max_length", None),
        "{} or more": getattr(kind, "ge", None),
        "{} or less": getattr(kind, "le", None),
        "matching {}": getattr(kind, "pattern", None),
    }
    return ", ".join([words, *(text.format(limit) for text, limit in limits.items() if limit is not None)])
