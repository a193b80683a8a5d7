"""One dead letter over the API: read, correct, replay, drop. Every act is audited in its transaction."""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from groundplan.app import Context
from groundplan.console import feature
from groundplan.console.api import READ, Limit, Search
from groundplan.console.views import DeadLetters as DeadLetterList
from groundplan.console.views import DeadLetterView
from groundplan.messaging.dead_letters.filter import filter_of
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.security.tenants import Tenants

EDIT = "console:dead-letters:edit"
REPLAY = "console:dead-letters:replay"
DROP = "console:dead-letters:drop"
_LIKE_IT = 200


class PayloadEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: dict[str, Any]


class DeadLetterReplay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With a ``payload``, that is stored first; if it does not fit the schema, nothing happens."""

    payload: dict[str, Any] | None = None


class DeadLetterDrop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


@feature.get("/console/dead-letters", permission=READ)
async def list_dead_letters(
    ctx: Context,
    handler: Search = "",
    error: Search = "",
    reason: Search = "",
    tenant: Search = "",
    since: Search = "",
    until: Search = "",
    cursor: Search = "",
    limit: Limit = 50,
) -> DeadLetterList:
    """Messages that gave up, newest first. ``since`` and ``until`` are times, or how long ago: ``90m``, ``24h``."""
    service = ctx.service(DeadLetters)
    which = filter_of(
        now=ctx.now(), handler=handler, error=error, reason=reason, tenant=tenant, since=since, until=until
    )
    page = await service.page(which, cursor=cursor, limit=limit)
    return DeadLetterList(
        items=page.items,
        total=await service.count(),
        tenants=sorted(each.slug for each in await ctx.service(Tenants).all()),
        cursor=page.cursor,
    )


@feature.get("/console/dead-letters/{dead_letter_id}", permission=READ)
async def get_dead_letter(ctx: Context, dead_letter_id: UUID) -> DeadLetterView:
    """One message that gave up: its payload field by field, and every attempt."""
    service = ctx.service(DeadLetters)
    dead = await service.get(dead_letter_id)
    like_it = await service.newest(handler=dead.handler, limit=_LIKE_IT)
    return DeadLetterView(
        dead_letter=dead,
        attempts=await service.attempts(dead_letter_id),
        fields=service.fields(dead),
        others=sum(other.id != dead.id and other.error == dead.error for other in like_it),
    )


@feature.put("/console/dead-letters/{dead_letter_id}/payload", permission=EDIT)
async def edit_dead_letter(ctx: Context, dead_letter_id: UUID, data: PayloadEdit) -> None:
    """Stores a corrected payload; the first one is kept beside it."""
    await _edit(ctx, dead_letter_id, data.payload)


@feature.post("/console/dead-letters/{dead_letter_id}/replay", permission=REPLAY, status=200)
async def replay_dead_letter(ctx: Context, dead_letter_id: UUID, data: DeadLetterReplay) -> None:
    """Makes the message ready again under its own id, corrected first where a payload is given."""
    if data.payload is not None:
        ctx.require(EDIT)
        await _edit(ctx, dead_letter_id, data.payload)
    await ctx.service(DeadLetters).replay(ctx.tx, dead_letter_id)
    ctx.audit("dead-letter.replay", str(dead_letter_id))


@feature.post("/console/dead-letters/{dead_letter_id}/drop", permission=DROP, status=200)
async def drop_dead_letter(ctx: Context, dead_letter_id: UUID, data: DeadLetterDrop) -> None:
    """Deletes the message for good; the reason goes into the audit log."""
    await ctx.service(DeadLetters).drop(ctx.tx, dead_letter_id)
    ctx.audit("dead-letter.drop", str(dead_letter_id), reason=data.reason)


async def _edit(ctx: Context, dead_letter_id: UUID, payload: dict[str, Any]) -> None:
    service = ctx.service(DeadLetters)
    before = await service.get(dead_letter_id)
    await service.edit(ctx.tx, dead_letter_id, payload, by=ctx.user.email if ctx.user else "system")
    ctx.audit("dead-letter.edit", str(dead_letter_id), fields=_changed(before.payload, payload))


def _changed(before: Any, after: dict[str, Any]) -> list[str]:
    """The names of what differs; the values stay in the dead letter."""
    old = before if isinstance(before, dict) else {}
    return sorted(name for name in {*old, *after} if old.get(name) != after.get(name))
