"""What travels: events (something happened) and jobs (something to do): msgspec Structs with a name and a version."""

import re
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from groundplan.core.context import parse_traceparent
from groundplan.core.errors import FieldError, InvalidPayload

_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_AT_PATH = re.compile(r" - at `\$?(?P<path>[^`]*)`")


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The common part of events and jobs. ``version`` rises when the schema changes."""

    version: ClassVar[int] = 1
    topic: ClassVar[str] = ""
    """The name on the wire; by default the class name in words: OrderPlaced -> ``order.placed``."""


class Event(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened. Every subscription gets its own delivery."""


class Job(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to do, once, by the one handler that is declared for it."""


def message_name(kind: type[Message]) -> str:
    return kind.__dict__.get("topic") or _WORD.sub(".", kind.__name__).lower()


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Who, when and on behalf of which request; the same for all messages of one transaction."""

    tenant_id: UUID | None
    user_id: UUID | None
    request_id: str
    traceparent: str


class Delivery(msgspec.Struct, frozen=True):
    """One message on its way to one handler, as a worker holds it while its lease lasts."""

    id: UUID
    event_id: UUID | None
    kind: Literal["event", "job"]
    name: str
    handler: str
    version: int
    queue: str
    priority: int
    partition_key: str | None
    tenant_id: UUID | None
    user_id: UUID | None
    request_id: str
    traceparent: str
    occurred_at: datetime
    run_at: datetime
    """When it became ready: the start of its waiting time."""
    attempt: int
    """Counts from 1; this one included."""
    crashes: int
    """How often a worker was lost while it had it."""
    lease_token: UUID
    payload: str

    @property
    def lease(self) -> tuple[UUID, UUID]:
        """The id and the token: what tells this holding of it from another's."""
        return self.id, self.lease_token

    @property
    def trace_id(self) -> str:
        return trace_id_of(self.traceparent)


def trace_id_of(traceparent: str) -> str:
    parsed = parse_traceparent(traceparent)
    return parsed[0] if parsed else ""


def encode(message: Message) -> str:
    return msgspec.json.encode(message).decode()


def decode(kind: type[Message], payload: str | bytes) -> Any:
    """The message in a stored payload.

    Raises:
        InvalidPayload: the payload is not JSON or does not fit the schema, naming the field.
    """
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = field_error(str(error))
        raise InvalidPayload("The payload does not fit its schema.", errors=(problem,)) from error


def field_error(text: str) -> FieldError:
    """msgspec's sentence with its path turned into a JSON pointer."""
    found = _AT_PATH.search(text)
    if found is None:
        return FieldError("", text)
    steps = [step for step in re.split(r"[.\[\]]+", found["path"]) if step and step != "..."]
    return FieldError(
        "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps), text[: found.start()]
    )
