"""Opaque cursors: where a page of a list ended, so that the next one starts there whatever was added meanwhile."""

import base64
import binascii
from typing import Annotated, TypeVar

import msgspec

from groundplan.core.errors import FieldError, Invalid

T = TypeVar("T", bound=msgspec.Struct)

Cursor = Annotated[
    str, msgspec.Meta(max_length=500, description="`next_cursor` of the page before; empty for the first")
]
Limit = Annotated[int, msgspec.Meta(ge=1, le=100)]


def to_cursor(position: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def from_cursor(cursor: str, kind: type[T]) -> T:
    """Raises Invalid where the text is not a cursor that this list gave out."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=kind)
    except (UnicodeError, binascii.Error, msgspec.DecodeError) as error:
        problem = FieldError("/cursor", "not a cursor of this list")
        raise Invalid("That cursor is not one of this list. Start again without it.", errors=(problem,)) from error
