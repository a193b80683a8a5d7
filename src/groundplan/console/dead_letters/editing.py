"""A payload as a form and back: one input per schema field, drawn as the JSON that it becomes."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from groundplan.console.views import DeadLetterView
from groundplan.core.errors import FieldError, InvalidPayload
from groundplan.messaging.schema import SchemaField

_FIELD = "field."
"""Before a path in the form, so that a payload's field cannot be taken for one of the form's own."""


class InputRow(NamedTuple):
    """``opens`` and ``closes`` name the objects that begin before this row and end after it."""

    name: str
    path: str
    label: str
    depth: int
    value: str
    hint: str
    problem: str
    was: str
    opens: list[str]
    closes: int


class Entered:
    """What a person sent: ``field.<path>`` inputs, or one ``json`` text."""

    def __init__(self, found: DeadLetterView, form: Mapping[str, str]) -> None:
        self._found = found
        self._form = form

    @property
    def text(self) -> str:
        return self._form.get("json", "")

    def value(self, path: str) -> str | None:
        return self._form.get(_FIELD + path)

    def payload(self) -> dict[str, Any]:
        """The payload with what was entered. Raises InvalidPayload where a text is not JSON."""
        if "json" in self._form:
            return self._from_json()
        payload = self._found.dead_letter.payload
        result: dict[str, Any] = _copy(payload) if isinstance(payload, dict) else {}
        for field in self._found.fields:
            entered = self.value(field.path)
            if entered is not None and entered != as_text(field.value):
                _put(result, field.path.split("."), _parsed(field, entered))
        return result

    def _from_json(self) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(self.text)
        except msgspec.DecodeError as error:
            raise InvalidPayload("This is not JSON.", errors=(FieldError("", str(error)),)) from error
        if not isinstance(value, dict):
            raise InvalidPayload("A payload is an object.", errors=(FieldError("", "begin with { and end with }"),))
        return value


def rows_of(fields: Sequence[SchemaField], entered: Entered | None, problems: Sequence[FieldError]) -> list[InputRow]:
    """One row per field. After a refused edit its problems stand instead of those of the stored payload."""
    refused = {problem.pointer.strip("/").replace("/", "."): problem.detail for problem in problems}
    rows: list[InputRow] = []
    for position, field in enumerate(fields):
        parts = field.path.split(".")
        before = fields[position - 1].path.split(".")[:-1] if position else []
        after = fields[position + 1].path.split(".")[:-1] if position + 1 < len(fields) else []
        typed = entered.value(field.path) if entered else None
        stored = as_text(field.value)
        rows.append(
            InputRow(
                name=_FIELD + field.path,
                path=field.path,
                label=parts[-1],
                depth=len(parts) - 1,
                value=stored if typed is None else typed,
                hint=field.type_words + ("" if field.required else ", optional"),
                problem=_plain(_problem(refused, field.path) if problems else field.problem, field.type_words),
                was=stored if typed is not None and typed != stored else "",
                opens=parts[_shared(before, parts[:-1]) : -1],
                closes=len(parts) - 1 - _shared(parts[:-1], after),
            )
        )
    return rows


def command_line(dead_letter_id: UUID, rows: Sequence[InputRow]) -> str:
    """What a terminal does the same with; a wrong field is there to be filled in."""
    changes = [row for row in rows if row.problem or row.was]
    parts = [f"groundplan dead-letters replay {dead_letter_id}"]
    parts += [f"--set {shlex.quote(f'{row.path}=' + ('...' if row.problem else row.value))}" for row in changes]
    return " \\\n  ".join(parts)


def as_text(value: Any) -> str:
    """Text as it is, anything else as JSON; nothing is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _parsed(field: SchemaField, entered: str) -> Any:
    """By the schema's own word for the field: text stays text, the rest is JSON where it can be read as such."""
    if field.type_words.startswith(("text", "id", "date")):
        return entered if entered or field.required else None
    try:
        return msgspec.json.decode(entered) if entered else None
    except msgspec.DecodeError:
        return entered


def _put(into: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for name in parents:
        inner = into.get(name)
        into[name] = into = dict(inner) if isinstance(inner, dict) else {}
    if value is None:
        into.pop(last, None)
    else:
        into[last] = value


def _copy(value: dict[str, Any]) -> dict[str, Any]:
    return {name: _copy(inner) if isinstance(inner, dict) else inner for name, inner in value.items()}


def _problem(problems: Mapping[str, str], path: str) -> str:
    """Of the field itself or of anything inside it."""
    found = (detail for at, detail in problems.items() if at == path or at.startswith(path + "."))
    return next(found, "")


def _plain(problem: str, type_words: str) -> str:
    """Of a pattern not its letters but its name, where the schema gives it one: "this is not an email address"."""
    if "matching regex" not in problem:
        return problem.replace("`", "")
    named = type_words.startswith(("a ", "an "))
    return f"this is not {type_words}" if named else "it does not match the pattern of this field"


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many names both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((position for position, (a, b) in pairs if a != b), min(len(one), len(other)))
