"""``groundplan events replay``: a handler runs again for what the log holds."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from groundplan.cli.output import print_json
from groundplan.cli.rates import per_second
from groundplan.cli.toolbox import Toolbox, whoever_is_here, with_tools
from groundplan.core.errors import Conflict, Invalid
from groundplan.core.moments import moment
from groundplan.messaging.event_log.replay import Replay, Replays

BATCH = 500


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of the command, as they were written."""

    handler: str
    since: str
    until: str
    tenant: str
    rate: str
    going_on: UUID | None
    again: bool
    dry_run: bool
    as_json: bool


def replay(wanted: Wanted) -> int:
    rate = per_second(wanted.rate)

    async def act(tools: Toolbox) -> None:
        replays = Replays(tools.database, tools.assembly.handlers)
        if wanted.dry_run:
            await _count(tools, replays, wanted)
            return
        begun = await _begin(tools, replays, wanted)
        if not wanted.as_json:
            print(f"Replay {begun.id} to {begun.handler}.", flush=True)
        done = False
        try:
            ended = await _run(replays, begun, rate, quiet=wanted.as_json)
            done = True
        finally:
            if not done:
                print(f"Not done. To go on: groundplan events replay --continue {begun.id}", file=sys.stderr)
        if wanted.as_json:
            print_json(_told(ended))
        else:
            print(f"Done: {ended.made:,} messages are on their way to {ended.handler}.")

    with_tools(act)
    return 0


async def _count(tools: Toolbox, replays: Replays, wanted: Wanted) -> None:
    since, until = _times(wanted)
    tenant_id = await tools.tenant_id(wanted.tenant)
    count = await replays.count(wanted.handler, since=since, until=until, tenant_id=tenant_id)
    if wanted.as_json:
        print_json({"handler": wanted.handler, "events": count})
    else:
        print(f"{wanted.handler} would run again for {count:,} events. Nothing was replayed.")


async def _begin(tools: Toolbox, replays: Replays, wanted: Wanted) -> Replay:
    if wanted.going_on is not None:
        found = await replays.get(wanted.going_on)
        if found.done:
            raise Conflict(f"The replay {found.id} is done: it made {found.made:,} messages.")
        facts = {"replay": str(found.id)}
        async with tools.audited("events.replay.continue", found.handler, actor=whoever_is_here(), **facts):
            return found
    since, until = _times(wanted)
    tenant_id = await tools.tenant_id(wanted.tenant)
    facts = {"since": since.isoformat(), "until": until.isoformat(), "tenant": wanted.tenant, "rate": wanted.rate}
    async with tools.audited("events.replay", wanted.handler, actor=whoever_is_here(), **facts) as transaction:
        return await replays.begin(
            transaction,
            wanted.handler,
            since=since,
            until=until,
            tenant_id=tenant_id,
            by=whoever_is_here(),
            again=wanted.again,
        )


async def _run(replays: Replays, replay: Replay, rate: float, *, quiet: bool) -> Replay:
    """Batch after batch, no faster than ``rate`` messages a second."""
    limit = max(1, int(min(BATCH, rate / 5)))
    started, before = time.monotonic(), replay.made
    while not replay.done:
        made = replay.made
        replay = await replays.go_on(replay.id, limit)
        if replay.made > made and not quiet:
            print(f"{replay.made:,} messages, up to {replay.cursor} in the log.", flush=True)
        ahead = (replay.made - before) / rate - (time.monotonic() - started)
        if ahead > 0 and not replay.done:
            await asyncio.sleep(ahead)
    return replay


def _told(replay: Replay) -> dict[str, object]:
    places = {"cursor": str(replay.cursor), "end": str(replay.end)}
    return msgspec.structs.asdict(replay) | places


def _times(wanted: Wanted) -> tuple[datetime, datetime]:
    if not wanted.handler or not wanted.since:
        raise Invalid("Say which handler runs again, and from when: --handler NAME --from 2026-01-31T12:00.")
    now = datetime.now(UTC)
    return moment(wanted.since, now, "from") or now, moment(wanted.until, now, "until") or now
