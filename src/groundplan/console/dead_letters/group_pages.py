"""The pages of all dead letters: the list and the groups, and what may be done to many at once."""

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from groundplan.app import Context, Page, Redirect
from groundplan.console import feature
from groundplan.console.api import READ, Search
from groundplan.console.dead_letters.api import DROP, REPLAY, list_dead_letters
from groundplan.console.dead_letters.group_api import (
    DeadLettersDrop,
    DeadLettersReplay,
    Which,
    drop_dead_letters,
    group_dead_letters,
    replay_dead_letters,
)
from groundplan.console.pages import PAGE_SIZE, address, show
from groundplan.core.errors import Invalid
from groundplan.messaging.dead_letters.filter import NO_TENANT
from groundplan.messaging.dead_letters.groups import NORMAL_RATE, DeadLetterGroup, Done

LIST, GROUPS = "/console/dead-letters", "/console/dead-letters/groups"
SINCE = {"": "Any time", "1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days"}
BY = {
    "handler,error": "Handler and error",
    "handler": "Handler",
    "error": "Error",
    "tenant": "Tenant",
    "reason": "Reason",
    "hour": "Hour",
    "handler,error,tenant": "Handler, error and tenant",
}
RATES = (1, 10, 100)
REASONS = {
    "invalid": "Does not fit its schema",
    "not retryable": "Refused for good",
    "exhausted": "Attempts used up",
    "crashed": "Crashed its worker",
    "retired": "Its handler is gone",
}
CHOICE = "id."
"""A box of the list is named ``id.`` and the id, and says ``on``."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Choice = tuple[str, str, list[tuple[str, str]], str]
"""A filter: its name, its label, what it offers as (value, words), and what was chosen."""


@feature.page("/console/dead-letters", permission=READ)
async def dead_letters_page(
    ctx: Context,
    handler: Search = "",
    error: Search = "",
    reason: Search = "",
    tenant: Search = "",
    since: Search = "",
    cursor: Search = "",
    done: Search = "",
    count: Count = 0,
    left: Count = 0,
) -> Page:
    filters = {"handler": handler, "error": error, "reason": reason, "tenant": tenant, "since": since}
    found = await ctx.api(
        list_dead_letters,
        handler=handler,
        error=error,
        reason=reason,
        tenant=tenant,
        since=since,
        cursor=cursor,
        limit=PAGE_SIZE,
    )
    seen = {"handler": {dead.handler for dead in found.items}, "error": {dead.error for dead in found.items}}
    return await show(
        ctx,
        "console/dead_letters.html",
        found=found,
        filters=filters,
        choices=_choices(filters, seen | {"tenant": set(found.tenants)}),
        reason_words=REASONS,
        rates=RATES,
        older=address(LIST, filters | {"cursor": found.cursor}) if found.cursor else "",
        first=address(LIST, filters) if cursor else "",
        here=address(LIST, filters),
        groups=address(GROUPS, filters),
        done=done,
        count=count,
        left=left,
        dead_letters=found.total,
    )


@feature.page("/console/dead-letters/groups", permission=READ)
async def dead_letter_groups_page(
    ctx: Context,
    by: Search = "handler,error",
    handler: Search = "",
    error: Search = "",
    reason: Search = "",
    tenant: Search = "",
    since: Search = "",
) -> Page:
    filters = {"handler": handler, "error": error, "reason": reason, "tenant": tenant, "since": since}
    groups = await ctx.api(
        group_dead_letters, by=by, handler=handler, error=error, reason=reason, tenant=tenant, since=since
    )
    known = await ctx.api(list_dead_letters, limit=1)
    seen = {"handler": {group.handler for group in groups}, "error": {group.error for group in groups}}
    grouping = ("by", "By", list(BY.items()), by)
    chosen = [_of_group(filters, group) for group in groups]
    return await show(
        ctx,
        "console/dead_letter_groups.html",
        rows=[(group, which, address(LIST, which)) for group, which in zip(groups, chosen, strict=True)],
        filters=filters,
        choices=[grouping, *_choices(filters, seen | {"tenant": set(known.tenants)})],
        reason_words=REASONS,
        rates=RATES,
        keys=by.split(","),
        by=by,
        list=address(LIST, filters),
        here=address(GROUPS, filters | {"by": by}),
        dead_letters=known.total,
    )


@feature.page("/console/dead-letters/replay", method="POST", permission=REPLAY)
async def replay_many(ctx: Context, data: dict[str, str]) -> Redirect:
    """Takes the boxes that were ticked, or the filter of a group, and a rate."""
    rate = _number(data.get("rate", str(NORMAL_RATE)))
    done = await ctx.api(replay_dead_letters, data=DeadLettersReplay(which=_which(data), rate=rate))
    return _told("replayed", done)


@feature.page("/console/dead-letters/drop", method="POST", permission=DROP)
async def drop_many(ctx: Context, data: dict[str, str]) -> Redirect:
    reason = data.get("because", "").strip()
    done = await ctx.api(drop_dead_letters, data=DeadLettersDrop(which=_which(data), reason=reason))
    return _told("dropped", done)


def _choices(filters: dict[str, str], seen: dict[str, set[str]]) -> list[Choice]:
    """What the filters of both pages offer: all that is seen, and what was chosen."""

    def among(name: str) -> list[tuple[str, str]]:
        return [("", "All"), *((each, each) for each in sorted((seen[name] | {filters[name]}) - {"", NO_TENANT}))]

    tenants = [*among("tenant"), (NO_TENANT, "none")]
    return [
        ("handler", "Handler", among("handler"), filters["handler"]),
        ("error", "Error", among("error"), filters["error"]),
        ("reason", "Reason", [("", "All"), *REASONS.items()], filters["reason"]),
        ("tenant", "Tenant", tenants, filters["tenant"]),
        ("since", "When", list(SINCE.items()), filters["since"]),
    ]


def _of_group(filters: dict[str, str], group: DeadLetterGroup) -> dict[str, str]:
    """The filter that chooses this group's messages."""
    own = {name: getattr(group, name) for name in ("handler", "error", "reason", "tenant") if getattr(group, name)}
    if group.hour is not None:
        # ``until`` is not included, and the last one is to be.
        until = group.last_at + timedelta(microseconds=1)
        own |= {"since": group.first_at.isoformat(), "until": until.isoformat()}
    return {name: value for name, value in (filters | own).items() if value}


def _which(data: dict[str, str]) -> Which:
    ids = [name.removeprefix(CHOICE) for name in data if name.startswith(CHOICE)]
    names = ("handler", "error", "reason", "tenant", "since", "until")
    given: dict[str, Any] = {name: data[name] for name in names if data.get(name)}
    try:
        if ids:
            given["ids"] = [UUID(each) for each in ids]
        return msgspec.convert(given, Which)
    except (ValueError, msgspec.ValidationError) as error:
        raise Invalid(f"The form cannot be read: {error}") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Invalid(f"{text[:20]!r} is not a rate.") from error


def _told(what: str, done: Done) -> Redirect:
    return Redirect(f"{LIST}?{urlencode({'done': what, 'count': done.count, 'left': done.left})}")
