"""Replaying the log to one handler: new messages, each once, however the replay is cut off."""

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from groundplan.app import App, Context, Event, Feature
from groundplan.core.clock import SystemClock
from groundplan.core.errors import Conflict, Invalid, NotFound
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_uuid
from groundplan.messaging.event_log.log import EventLog
from groundplan.messaging.event_log.replay import Replay, Replays
from groundplan.messaging.handlers import Handler, Handlers
from groundplan.messaging.message import Envelope, Job
from groundplan.messaging.outbox import Outbox
from groundplan.testing.app import running
from tests.messaging.event_log.test_event_log import Fact

pytestmark = pytest.mark.anyio

LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Parcel(Event, frozen=True, kw_only=True):
    number: int


class Other(Event, frozen=True, kw_only=True):
    """Nobody asks for it here."""


class Tidy(Job, frozen=True, kw_only=True):
    """A job is not in the log."""


class Viewed(Event, frozen=True, kw_only=True):
    topic: ClassVar[str] = "analytics.viewed"


async def _handle(ctx: object, message: object) -> None:
    """Never called here: what is tested is which messages are made."""


HANDLERS = Handlers(
    [
        Handler("parcels.label", Parcel, _handle, queue="labels", priority=7),
        Handler("parcels.weigh", Parcel, _handle),
        Handler("house.tidy", Tidy, _handle, kind="job"),
        Handler("views.count", Viewed, _handle),
    ]
)


class House:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.outbox = Outbox(database, HANDLERS, SystemClock())
        self.replays = Replays(database, HANDLERS)

    async def publish(self, *events: Event, tenant_id: UUID | None = None) -> list[UUID]:
        """Without subscriptions, so that what is delivered later was replayed."""
        envelope = Envelope(tenant_id=tenant_id, user_id=None, request_id="r", traceparent="")
        async with self.database.transaction(None) as transaction:
            draft = self.outbox.draft(transaction, envelope)
            return [draft.publish(event) for event in events]

    async def begin(self, **changes: Any) -> Replay:
        wanted: dict[str, Any] = {"since": LONG_AGO, "until": FAR_AHEAD, "tenant_id": None, "again": True} | changes
        async with self.database.transaction(None) as transaction:
            return await self.replays.begin(transaction, wanted.pop("handler", "parcels.label"), by="me", **wanted)

    async def finish(self, replay: Replay, limit: int = 500) -> Replay:
        while not replay.done:
            replay = await self.replays.go_on(replay.id, limit)
        return replay

    async def delivered(self) -> list[UUID]:
        """The events that were sent again, one for each message."""
        return sorted(
            as_uuid(row.event_id) for row in await self.database.execute(Sql("SELECT event_id FROM deliveries"))
        )


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def test_it_makes_new_messages_for_one_handler(house: House) -> None:
    ids = await house.publish(*(Parcel(number=n) for n in range(5)))
    await house.publish(Other())
    replay = await house.finish(await house.begin(), limit=2)
    assert (replay.made, replay.done, replay.started_by) == (5, True, "me")
    assert await house.delivered() == sorted(ids)
    (row, *_) = await house.database.execute(Sql("SELECT * FROM deliveries"))
    assert (row.handler, row.queue, row.priority, row.state) == ("parcels.label", "labels", 7, "ready")
    assert (row.name, row.kind, row.version, row.attempt, row.crashes) == ("parcel", "event", 1, 0, 0)
    assert as_uuid(row.id) not in ids
    with pytest.raises(Conflict):
        await house.replays.go_on(replay.id, 10)
    assert (await house.replays.get(replay.id)).made == 5


async def test_only_of_the_time_and_tenant_that_were_asked_for(house: House) -> None:
    tenant = uuid4()
    await house.publish(Parcel(number=1))
    (theirs,) = await house.publish(Parcel(number=2), tenant_id=tenant)
    hour = timedelta(hours=1)
    now = datetime.now(UTC)

    async def made(**wanted: Any) -> int:
        replay = await house.finish(await house.begin(**wanted))
        counted = await house.replays.count(
            "parcels.label", since=replay.since, until=replay.until, tenant_id=replay.tenant_id
        )
        assert counted == replay.made
        return replay.made

    assert await made(until=now - hour) == 0
    assert await made(since=now + hour) == 0
    assert await made(tenant_id=tenant, since=now - hour, until=now + hour) == 1
    assert await house.delivered() == [theirs]


async def test_what_comes_after_the_beginning_is_not_part_of_it(house: House) -> None:
    first = await house.publish(Parcel(number=1))
    replay = await house.begin()
    await house.publish(Parcel(number=2))
    await house.finish(replay)
    assert await house.delivered() == first


async def test_facts_and_what_was_erased_stay_where_they_are(house: House) -> None:
    await EventLog(house.database).append([Fact("viewed", {}), Fact("parcel", {})])
    replay = await house.begin()
    assert (await house.finish(replay)).made == 0
    for name in ("views.count", "house.tidy", "nobody.knows"):
        with pytest.raises(NotFound) as caught:
            await house.begin(handler=name)
        assert "This release has: parcels.label, parcels.weigh." in caught.value.detail


async def test_it_wants_to_hear_that_the_handler_is_to_run_again(house: House) -> None:
    with pytest.raises(Invalid, match="--again"):
        await house.begin(again=False)
    with pytest.raises(Invalid, match="earlier"):
        await house.begin(since=FAR_AHEAD, until=LONG_AGO)
    with pytest.raises(NotFound):
        await house.replays.go_on(uuid4(), 10)
    assert (await house.database.execute(Sql("SELECT COUNT(*) AS n FROM replays")))[0].n == 0


async def test_many_who_continue_it_make_each_message_once(house: House) -> None:
    ids = await house.publish(*(Parcel(number=n) for n in range(60)))
    replay = await house.begin()

    async def continue_it() -> None:
        with suppress(Conflict):
            while not (await house.replays.go_on(replay.id, 7)).done:
                pass

    await asyncio.gather(*(continue_it() for _ in range(4)))
    assert await house.delivered() == sorted(ids)
    assert (await house.replays.get(replay.id)).made == 60


@pytest.mark.parametrize("migrated_urls", ["sqlite"], indirect=True)
async def test_cut_off_at_any_moment_it_goes_on_where_it_was(house: House) -> None:
    ids = await house.publish(*(Parcel(number=n) for n in range(40)))
    replay, chance = await house.begin(), random.Random(7)
    cut, patience = 0, 0.005
    while not (await house.replays.get(replay.id)).done:
        step = asyncio.create_task(house.replays.go_on(replay.id, 3))
        await asyncio.sleep(chance.random() * patience)
        patience *= 1.1  # a slow machine gets there too
        cut += step.cancel()
        await asyncio.gather(step, return_exceptions=True)
    assert await house.delivered() == sorted(ids)
    assert cut, "no step was cut off, so this showed nothing"


async def test_the_handler_runs_again_under_a_new_id(tmp_path: Path) -> None:
    ran: list[tuple[int, UUID | None]] = []
    feature = Feature("parcels", owner="tests")

    @feature.on(Parcel, name="parcels.label")
    async def label(ctx: Context, event: Parcel) -> None:
        ran.append((event.number, ctx.message_id))

    async with running(App("tiny", features=[feature], roles={}, package="groundplan.testing"), tmp_path) as app:
        context = app.context(system=True)
        async with context.transaction():
            context.publish(Parcel(number=1))
        await app.until_idle()
        replays = Replays(app.services.database, app.services.assembly.handlers)
        async with app.services.database.transaction(None) as transaction:
            replay = await replays.begin(
                transaction, "parcels.label", since=LONG_AGO, until=FAR_AHEAD, tenant_id=None, by="me", again=True
            )
        await replays.go_on(replay.id, 10)
        await app.until_idle()
    assert [number for number, _ in ran] == [1, 1]
    assert len({message_id for _, message_id in ran}) == 2
