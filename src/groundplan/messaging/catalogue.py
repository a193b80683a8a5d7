"""What is published and enqueued here: each message with its schema, its version, its owner and who handles it.

The same as an AsyncAPI 3 document, for whoever reads it elsewhere.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from groundplan.messaging.handlers import Handler
from groundplan.messaging.message import Event, Job, Message, message_name
from groundplan.messaging.schema import schema_fields

ASYNCAPI = "3.0.0"
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9._-]")


class Declares(Protocol):
    """What the catalogue has to know of a feature."""

    name: str
    owner: str
    handlers: list[Handler]

    @property
    def packages(self) -> frozenset[str]: ...


class Field(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    type: str
    required: bool


class HandledBy(msgspec.Struct, frozen=True, kw_only=True):
    """``timeout`` in seconds; ``attempts`` before it goes to the dead letters."""

    name: str
    feature: str
    queue: str
    timeout: float
    attempts: int
    summary: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """``oldest`` is the oldest version that is still understood; ``owner`` the team behind ``feature``."""

    name: str
    kind: Literal["event", "job"]
    version: int
    oldest: int
    feature: str
    owner: str
    summary: str
    handlers: list[HandledBy]
    fields: list[Field]


class Catalogue:
    """``features`` are those of one release, in order."""

    def __init__(self, features: Sequence[Declares]) -> None:
        self._features = features

    def entries(self) -> list[Entry]:
        """By name. What no feature's package holds belongs to the first feature that handles it."""
        return [self._entry(kind) for kind in self._kinds()]

    def asyncapi(self, *, title: str, version: str) -> dict[str, Any]:
        """The AsyncAPI document. The features send what is theirs, and receive what they handle."""
        kinds = self._kinds()
        entries = [(kind, self._entry(kind)) for kind in kinds]
        references, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
        channels: dict[str, Any] = {}
        operations: dict[str, Any] = {}
        messages: dict[str, Any] = {}
        for (_, entry), reference in zip(entries, references, strict=True):
            channel, key = _key(entry.name), _key(f"{entry.name}.v{entry.version}")
            messages[key] = _message(entry, reference)
            at = channels.setdefault(channel, {"address": entry.name, "messages": {}})
            at["messages"][key] = {"$ref": f"#/components/messages/{key}"}
            there = {
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [{"$ref": f"#/channels/{channel}/messages/{key}"}],
            }
            if entry.feature:
                operations[f"send.{key}"] = {"action": "send", "tags": [{"name": entry.feature}], **there}
            for handler in entry.handlers:
                operations[f"receive.{_key(handler.name)}"] = _receiving(handler) | there
        return {
            "asyncapi": ASYNCAPI,
            "info": {
                "title": title,
                "version": version,
                "description": "Every event and job of this release. Events reach each handler that asks for them, "
                "jobs their one handler; both at least once, in no order unless published with a partition key.",
                "tags": [{"name": each.name, "description": f"Owned by {each.owner}."} for each in self._features],
            },
            "defaultContentType": "application/json",
            "channels": channels,
            "operations": operations,
            "components": {"messages": messages, "schemas": schemas},
        }

    def _kinds(self) -> list[type[Message]]:
        handled = {
            handler.message for feature in self._features for handler in feature.handlers if handler.schedule is None
        }
        defined = {kind for kind in _subclasses(Event, Job) if self._home(kind) is not None}
        return sorted(handled | defined, key=lambda kind: (message_name(kind), kind.version))

    def _home(self, kind: type[Message]) -> Declares | None:
        """The feature in whose package the class lies; of nested packages the innermost."""
        homes = [
            (len(package), feature)
            for feature in self._features
            for package in feature.packages
            if kind.__module__ == package or kind.__module__.startswith(f"{package}.")
        ]
        return max(homes, key=lambda home: home[0])[1] if homes else None

    def _entry(self, kind: type[Message]) -> Entry:
        handlers = [
            (feature, handler) for feature in self._features for handler in feature.handlers if handler.message is kind
        ]
        home = self._home(kind) or (handlers[0][0] if handlers else None)
        return Entry(
            name=message_name(kind),
            kind="job" if issubclass(kind, Job) else "event",
            version=kind.version,
            oldest=kind.oldest,
            feature=home.name if home else "",
            owner=home.owner if home else "",
            summary=_summary(kind.__dict__.get("__doc__")),
            handlers=[
                HandledBy(
                    name=handler.name,
                    feature=feature.name,
                    queue=handler.queue,
                    timeout=handler.timeout,
                    attempts=handler.retry.attempts,
                    summary=_summary(handler.function.__doc__),
                )
                for feature, handler in handlers
            ],
            fields=[
                Field(path=row.path, type=row.type_words, required=row.required)
                for row in schema_fields(kind, None, ())
            ],
        )


def _subclasses(*kinds: type[Message]) -> Iterator[type[Message]]:
    for kind in kinds:
        for below in kind.__subclasses__():
            yield below
            yield from _subclasses(below)


def _message(entry: Entry, payload: dict[str, Any]) -> dict[str, Any]:
    """Older versions that are still understood have no schema of their own any more: they are lifted to this one."""
    return _filled(
        name=entry.name,
        title=f"{entry.name}, version {entry.version}",
        summary=entry.summary,
        contentType="application/json",
        payload=payload,
        tags=[{"name": entry.feature}] if entry.feature else [],
    ) | {"x-kind": entry.kind, "x-version": entry.version, "x-oldest-version": entry.oldest}


def _receiving(handler: HandledBy) -> dict[str, Any]:
    facts = {"queue": handler.queue, "timeoutSeconds": handler.timeout, "attempts": handler.attempts}
    return _filled(action="receive", summary=handler.summary, tags=[{"name": handler.feature}]) | {
        "x-handler": {"name": handler.name, **facts}
    }


def _filled(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", [])}


def _summary(doc: str | None) -> str:
    """A docstring's first line."""
    return (doc or "").strip().partition("\n")[0].replace("``", "")


def _key(name: str) -> str:
    return _NOT_IN_A_KEY.sub("_", name)
