"""What travels: events (something happened) and jobs (something to do): msgspec Structs with a name and a version."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from groundplan.core.context import parse_traceparent
from groundplan.core.errors import FieldError, InvalidPayload

_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_AT_PATH = re.compile(r" - at `\$?(?P<path>[^`]*)`")


Upcast = Callable[[dict[str, Any]], dict[str, Any]]
"""From a payload of one version to the same of the next, both as plain JSON objects."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The common part of events and jobs. ``version`` rises when the schema changes."""

    version: ClassVar[int] = 1
    topic: ClassVar[str] = ""
    """The name on the wire; by default the class name in words: OrderPlaced -> ``order.placed``."""
    upcasts: ClassVar[Mapping[int, Upcast]] = MappingProxyType({})
    """``{1: add_currency}`` says how a payload of version 1 becomes one of version 2."""
    oldest: ClassVar[int] = 1
    """The oldest version that may still wait somewhere; every one from it on needs its step in ``upcasts``."""


class Event(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened. Every subscription gets its own delivery."""


class Job(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to do, once, by the one handler that is declared for it."""


@lru_cache(maxsize=1_000)
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


def decode(kind: type[Message], payload: str | bytes, version: int) -> Any:
    """The message in a stored payload, lifted to this release's version where it is older.

    Raises:
        InvalidPayload: the payload is not JSON, cannot be lifted, or does not fit the schema, naming the field.
    """
    try:
        return msgspec.json.decode(payload if version == kind.version else lift(kind, payload, version), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = field_error(str(error))
        raise InvalidPayload("The payload does not fit its schema.", errors=(problem,)) from error


def lift(kind: type[Message], payload: str | bytes, version: int) -> bytes:
    """The payload of an older version as one of this release's, through every step between them.

    Raises:
        InvalidPayload: the version is unknown here, or a step is missing or failed.
    """
    name = message_name(kind)
    if not kind.oldest <= version <= kind.version:
        known = f"{kind.oldest} to {kind.version}" if kind.oldest < kind.version else str(kind.version)
        raise InvalidPayload(f"This is version {version} of {name}, and this release understands {known}.")
    value: Any = msgspec.json.decode(payload)
    for older in range(version, kind.version):
        if older not in kind.upcasts:
            raise InvalidPayload(f"{name} has no step from version {older} to {older + 1}.")
        try:
            value = msgspec.json.decode(msgspec.json.encode(kind.upcasts[older](value)), type=dict[str, Any])
        except Exception as error:
            raise InvalidPayload(
                f"The step of {name} from version {older} to {older + 1} failed: {type(error).__name__}: {error}"
            ) from error
    return msgspec.json.encode(value)


def missing_steps(kind: type[Message]) -> list[int]:
    """The older versions that this release could not lift although they may still come."""
    return [version for version in range(kind.oldest, kind.version) if version not in kind.upcasts]


def field_error(text: str) -> FieldError:
    """msgspec's sentence with its path turned into a JSON pointer."""
    found = _AT_PATH.search(text)
    if found is None:
        return FieldError("", text)
    steps = [step for step in re.split(r"[.\[\]]+", found["path"]) if step and step != "..."]
    return FieldError(
        "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps), text[: found.start()]
    )
