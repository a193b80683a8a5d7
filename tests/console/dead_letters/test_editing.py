"""A payload as a form: what was entered becomes the payload, and nothing else changes."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.console.dead_letters.editing import Entered, as_text, command_line, rows_of
from groundplan.console.views import DeadLetterView
from groundplan.core.errors import FieldError, InvalidPayload
from groundplan.messaging.dead_letters.letters import DeadLetter
from groundplan.messaging.schema import SchemaField

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ID = UUID(int=7)


def field(path: str, words: str, value: Any, problem: str = "", *, required: bool = True) -> SchemaField:
    return SchemaField(path=path, type_words=words, required=required, value=value, problem=problem)


def letter(payload: dict[str, Any], fields: list[SchemaField]) -> DeadLetterView:
    dead = DeadLetter(
        id=ID, handler="orders.send_receipt", name="order.paid", version=1, queue="default", kind="event",
        tenant_id=None, tenant="", user_id=None, request_id="", trace_id="", attempt=1, crashes=0, reason="invalid",
        error="InvalidPayload", detail="", stack="", died_at=NOW, occurred_at=NOW, payload=payload,
    )  # fmt: skip
    return DeadLetterView(dead_letter=dead, attempts=[], fields=fields, others=0)


FIELDS = [
    field("number", "text", "NM-1"),
    field("customer.email", "text", "a@@b.example", "does not match"),
    field("customer.name", "text", None, required=False),
    field("total_cents", "whole number", 27),
]
PAYLOAD: dict[str, Any] = {"number": "NM-1", "customer": {"email": "a@@b.example"}, "total_cents": 27, "extra": [1]}


def test_only_what_was_changed_changes() -> None:
    form = {"field.number": "NM-1", "field.customer.email": "a@b.example", "field.total_cents": "28", "do": "x"}
    entered = Entered(letter(PAYLOAD, FIELDS), form).payload()
    assert entered == PAYLOAD | {"customer": {"email": "a@b.example"}, "total_cents": 28}
    assert PAYLOAD["customer"] == {"email": "a@@b.example"}


def test_text_that_looks_like_a_number_stays_text() -> None:
    assert Entered(letter(PAYLOAD, FIELDS), {"field.number": "12"}).payload()["number"] == "12"


def test_what_is_no_number_is_left_for_the_schema_to_refuse() -> None:
    assert Entered(letter(PAYLOAD, FIELDS), {"field.total_cents": "ten"}).payload()["total_cents"] == "ten"


@pytest.mark.parametrize("text", ["", '{"a":', "[1]", "7"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidPayload):
        Entered(letter(PAYLOAD, FIELDS), {"json": text}).payload()


def test_rows_open_and_close_the_objects_they_are_in() -> None:
    rows = rows_of(FIELDS, None, ())
    assert [(row.label, row.depth, row.opens, row.closes) for row in rows] == [
        ("number", 0, [], 0),
        ("email", 1, ["customer"], 0),
        ("name", 1, [], 1),
        ("total_cents", 0, [], 0),
    ]


def test_a_refused_edit_shows_what_was_entered_and_its_own_problem() -> None:
    entered = Entered(letter(PAYLOAD, FIELDS), {"field.customer.email": "a@b.example", "field.total_cents": "ten"})
    rows = {
        row.path: row for row in rows_of(FIELDS, entered, [FieldError("/total_cents", "Expected `int`, got `str`")])
    }
    assert rows["total_cents"].problem == "Expected int, got str"
    assert (rows["total_cents"].value, rows["total_cents"].was) == ("ten", "27")
    assert rows["customer.email"].problem == ""


def test_a_pattern_is_told_by_its_name() -> None:
    unmatched = "Expected `str` matching regex '^a$'"
    named, nameless = rows_of(
        [field("a", "an email address", "", unmatched), field("b", "text", "", unmatched)], None, ()
    )
    assert named.problem == "this is not an email address"
    assert nameless.problem == "it does not match the pattern of this field"


def test_the_command_line_names_the_wrong_fields_and_is_safe_to_paste() -> None:
    fields = [field("email", "text", "a@@b", "wrong"), field("name", "text", "Una"), field("number", "text", "NM-1")]
    entered = Entered(
        letter({"email": "a@@b", "name": "Una", "number": "NM-1"}, fields), {"field.name": "a; rm '$HOME'"}
    )
    assert command_line(ID, rows_of(fields, entered, ())) == (
        f"groundplan dead-letters replay {ID} \\\n  --set email=... \\\n  --set 'name=a; rm '\"'\"'$HOME'\"'\"''"
    )


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_a_form_sent_back_unchanged_changes_nothing(value: Any) -> None:
    payload = {"value": value}
    found = letter(payload, [field("value", "value", value)])
    assert Entered(found, {"field.value": as_text(value)}).payload() == payload
