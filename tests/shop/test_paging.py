"""Cursors: they come back as they went out, and nothing else is taken for one."""

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.core.errors import Invalid
from shop.paging import from_cursor, to_cursor


class Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    value: int | str
    id: UUID


@given(st.one_of(st.integers(-(2**53), 2**53), st.text()), st.uuids())
def test_a_cursor_comes_back_as_it_went_out(value: int | str, identity: UUID) -> None:
    position = Position(value, identity)
    cursor = to_cursor(position)
    assert from_cursor(cursor, Position) == position
    assert cursor.isascii()
    assert not set(cursor) & set("+/= &?#")


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        from_cursor(text, Position)
    assert refusal.value.status == 400
    assert refusal.value.errors[0].pointer == "/cursor"


@pytest.mark.parametrize("cursor", ["é", "a", "////", "bnVsbA", "W10", "WzEsMiwzXQ", "eyJhIjoxfQ"])
def test_near_misses_are_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        from_cursor(cursor, Position)
