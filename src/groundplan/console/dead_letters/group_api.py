"""Many dead letters over the API: counted in groups, replayed at a rate, dropped. Every act is audited."""

from typing import Annotated
from uuid import UUID

import msgspec

from groundplan.app import Context
from groundplan.console import feature
from groundplan.console.api import READ, Limit, Search
from groundplan.console.dead_letters.api import DROP, REPLAY, DeadLetterDrop
from groundplan.core.errors import FieldError, Invalid
from groundplan.messaging.dead_letters.filter import DeadLetterFilter, filter_of
from groundplan.messaging.dead_letters.groups import (
    FASTEST,
    NORMAL_RATE,
    SLOWEST,
    DeadLetterGroup,
    DeadLetterGroups,
    Done,
)


class Which(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is given must hold. With nothing given, ``everything`` says that this is meant."""

    ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=500)] | None = None
    handler: Search = ""
    error: Search = ""
    reason: Search = ""
    tenant: Search = ""
    since: Search = ""
    until: Search = ""
    everything: bool = False


class DeadLettersReplay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``rate`` in messages per second."""

    which: Which
    rate: Annotated[float, msgspec.Meta(ge=SLOWEST, le=FASTEST)] = NORMAL_RATE


class DeadLettersDrop(DeadLetterDrop, frozen=True, forbid_unknown_fields=True, kw_only=True):
    which: Which


@feature.get("/console/dead-letters/groups", permission=READ)
async def group_dead_letters(
    ctx: Context,
    by: Search = "handler,error",
    handler: Search = "",
    error: Search = "",
    reason: Search = "",
    tenant: Search = "",
    since: Search = "",
    until: Search = "",
    limit: Limit = 100,
) -> list[DeadLetterGroup]:
    """How many gave up, the largest group first. ``by``: some of handler, error, reason, tenant, hour."""
    which = filter_of(
        now=ctx.now(), handler=handler, error=error, reason=reason, tenant=tenant, since=since, until=until
    )
    return await ctx.service(DeadLetterGroups).groups(which, by=by.split(","), limit=limit)


@feature.post("/console/dead-letters/replay", permission=REPLAY, status=200)
async def replay_dead_letters(ctx: Context, data: DeadLettersReplay) -> Done:
    """Makes up to 10,000 ready again under their own ids, the oldest message first, ``rate`` of them per second."""
    which = await _chosen(ctx, data.which)
    done = await ctx.service(DeadLetterGroups).replay(ctx.tx, which, rate=data.rate)
    ctx.audit("dead-letters.replay", _subject(data.which), count=done.count, rate=data.rate)
    return done


@feature.post("/console/dead-letters/drop", permission=DROP, status=200)
async def drop_dead_letters(ctx: Context, data: DeadLettersDrop) -> Done:
    """Deletes up to 10,000 for good; the reason goes into the audit log."""
    which = await _chosen(ctx, data.which)
    done = await ctx.service(DeadLetterGroups).drop(ctx.tx, which)
    ctx.audit("dead-letters.drop", _subject(data.which), count=done.count, reason=data.reason)
    return done


async def _chosen(ctx: Context, which: Which) -> DeadLetterFilter:
    given = msgspec.structs.asdict(which)
    everything = given.pop("everything")
    given["ids"] = tuple(which.ids) if which.ids is not None else None
    chosen = filter_of(now=ctx.now(), **given)
    if chosen.is_everything and not everything:
        problem = FieldError("/which", "a handler, an error, a tenant, a time, ids, or everything")
        raise Invalid("Say which dead letters are meant.", errors=(problem,))
    return await ctx.service(DeadLetterGroups).pinned(chosen)


def _subject(which: Which) -> str:
    """For the audit log: what was chosen, in words."""
    given = {name: value for name, value in msgspec.structs.asdict(which).items() if value}
    ids = given.pop("ids", [])
    parts = [f"{name}={value}" for name, value in given.items() if name != "everything"]
    return ", ".join([f"{len(ids)} chosen"] * bool(ids) + parts) or "everything"
