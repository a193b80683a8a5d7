"""Which dead letters: what lists, groups, replays and drops choose by, and where a page of a list ended."""

import json
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

import msgspec

from groundplan.core.errors import FieldError, Invalid
from groundplan.core.moments import moment
from groundplan.data.database.sql import Dialect, as_instant, microseconds

Reason = Literal["invalid", "not retryable", "exhausted", "crashed", "retired"]
REASONS: tuple[str, ...] = get_args(Reason)
NO_TENANT = "-"
"""Stands for the tenant of messages that have none."""


class DeadLetterFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is given must hold; with nothing given every dead letter is meant.

    ``tenant`` is a slug, or ``-`` for messages of none. ``since`` is included, ``until`` is not.
    """

    ids: tuple[UUID, ...] | None = None
    handler: str = ""
    error: str = ""
    reason: str = ""
    tenant: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_everything(self) -> bool:
        return self == DeadLetterFilter()


def filter_of(
    *,
    now: datetime,
    ids: tuple[UUID, ...] | None = None,
    handler: str = "",
    error: str = "",
    reason: str = "",
    tenant: str = "",
    since: str = "",
    until: str = "",
) -> DeadLetterFilter:
    """From what people and scripts write. Raises Invalid for a reason or a time that is none."""
    if reason and reason not in REASONS:
        words = ", ".join(REASONS)
        raise Invalid(f"No message gives up for {reason!r}.", errors=(FieldError("/reason", f"one of {words}"),))
    after, before = moment(since, now, "since"), moment(until, now, "until")
    if after and before and after >= before:
        raise Invalid("That time has no length.", errors=(FieldError("/until", "must be later than since"),))
    return DeadLetterFilter(
        ids=ids, handler=handler, error=error, reason=reason, tenant=tenant, since=after, until=before
    )


def condition(which: DeadLetterFilter, dialect: Dialect) -> tuple[str, dict[str, Any]]:
    """What stands behind WHERE, and its values. Only what is given is asked for, so that an index can serve it."""
    given = {name: getattr(which, name) for name in _CONDITIONS if getattr(which, name)}
    parts = [_CONDITIONS[name] for name in given]
    if given.get("tenant") == NO_TENANT:
        parts[parts.index(_CONDITIONS["tenant"])] = "tenant_id IS NULL"
    if which.ids is not None:
        given["ids"] = json.dumps([str(each) for each in which.ids])
        parts.append(_AMONG[dialect])
    return " AND ".join(parts) or "1 = 1", given


def to_cursor(died_at: datetime, dead_letter_id: UUID) -> str:
    return f"{microseconds(died_at)}.{dead_letter_id}"


def from_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Raises Invalid where the text is not a cursor that the list gave out."""
    at, _, dead_letter_id = cursor.partition(".")
    try:
        return as_instant(int(at)), UUID(dead_letter_id)
    except (ValueError, OverflowError) as error:
        problem = FieldError("/cursor", "not a cursor of this list")
        raise Invalid("That cursor is not one of this list. Start again without it.", errors=(problem,)) from error


_CONDITIONS = {
    "handler": "handler = :handler",
    "error": "error = :error",
    "reason": "reason = :reason",
    "tenant": "tenant_id = (SELECT id FROM tenants WHERE slug = :tenant)",
    "since": "died_at >= :since",
    "until": "died_at < :until",
}
# Ids arrive as JSON: one parameter for any number of them, on both engines.
_AMONG: dict[Dialect, str] = {
    "postgresql": "id IN (SELECT CAST(e AS uuid) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) e)",
    "sqlite": "id IN (SELECT value FROM json_each(:ids))",
}
