"""Erasing what a person did and removing what is old, as the owner of the tables."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from groundplan.core.clock import SystemClock
from groundplan.core.errors import ConfigurationError
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql
from groundplan.messaging.delivery.deliveries import Failure
from groundplan.messaging.event_log.log import EventLog, Only
from groundplan.messaging.event_log.replay import Replays
from groundplan.messaging.event_log.retention import Retention, Subject
from groundplan.messaging.message import Envelope
from groundplan.testing.postgres import DatabaseUrls
from tests.databases import opened
from tests.messaging.delivery.test_deliveries import AGO, HANDLERS, Parcel, Queue

pytestmark = pytest.mark.anyio

MARA, INES, NORTH, SOUTH = (UUID(int=n) for n in (1, 2, 3, 4))
SECRET = "mara@example.com"


@pytest.fixture
async def owner(migrated_urls: DatabaseUrls) -> AsyncIterator[Database]:
    async with opened(migrated_urls.owner) as database:
        yield database


async def publish(queue: Queue, user: UUID, tenant: UUID) -> None:
    """In a trace of its own."""
    envelope = Envelope(tenant_id=tenant, user_id=user, request_id="r", traceparent="")
    async with queue.database.transaction(None) as transaction:
        await queue.outbox.subscribe(transaction)
        queue.outbox.draft(transaction, envelope).publish(Parcel(number=1, to=SECRET))


async def fail(queue: Queue, *, dead: bool) -> None:
    """One attempt at a label goes wrong, and says more than it should."""
    delivery = await queue.claim_one()
    failure = Failure(
        started_at=AGO, ended_at=AGO, error="Odd", detail=SECRET, stack=SECRET, trace_id=delivery.trace_id, worker="w"
    )
    if dead:
        await queue.bury(delivery, failure, reason="exhausted")
    else:
        await queue.retry(delivery, failure, delay=0)
        await queue.deliveries.acknowledge_batch(await queue.claim(1))


async def rows(database: Database, table: str) -> list[Row]:
    return await database.execute(Sql(f"SELECT * FROM {table}"))


async def erase(owner: Database, subject: Subject) -> tuple[int, int]:
    retention = Retention(owner)
    await retention.check_rights()
    last = await retention.last_position()
    async with owner.transaction(None) as transaction:
        events = await retention.erase_events(transaction, subject, after=0, up_to=last)
        return events, await retention.erase_dead_letters(transaction, subject, limit=10)


async def test_what_a_user_did_is_forgotten_and_that_it_happened_is_not(owner: Database) -> None:
    queue = Queue(owner)
    await publish(queue, MARA, NORTH)
    await fail(queue, dead=True)
    await publish(queue, INES, NORTH)
    mara = Subject("user", MARA)
    assert await Retention(owner).waiting(mara) == 1, "the parcel still has to be weighed"
    assert await erase(owner, mara) == (1, 1)

    emptied, kept = await EventLog(owner).read()
    assert (emptied.payload, emptied.user_id, emptied.erased, emptied.tenant_id) == ("{}", None, True, NORTH)
    assert (SECRET in kept.payload, kept.user_id, kept.erased) == (True, INES, False)
    (dead,) = await queue.dead_letters.newest()
    assert (dead.payload, dead.original_payload, dead.user_id, dead.detail, dead.stack) == ({}, None, None, "", "")
    (attempt,) = await queue.dead_letters.attempts(dead.id)
    assert (attempt.error, attempt.detail, attempt.stack) == ("Odd", "", "")
    assert await erase(owner, mara) == (0, 0), "a second time there is nothing to do"


async def test_attempts_of_what_was_handled_in_the_end_are_forgotten_too(owner: Database) -> None:
    queue = Queue(owner)
    await publish(queue, INES, NORTH)
    await fail(queue, dead=False)
    await publish(queue, MARA, NORTH)
    await fail(queue, dead=False)
    ines, mara = [row.trace_id for row in await EventLog(owner).read()]
    await erase(owner, Subject("user", MARA))
    assert {row.trace_id: row.detail for row in await rows(owner, "attempts")} == {ines: SECRET, mara: ""}


async def test_a_tenants_events_are_forgotten_whoever_did_them(owner: Database) -> None:
    queue = Queue(owner)
    await publish(queue, MARA, NORTH)
    await publish(queue, INES, NORTH)
    await publish(queue, MARA, SOUTH)
    assert await erase(owner, Subject("tenant", NORTH)) == (2, 0)
    assert [row.erased for row in await EventLog(owner).read()] == [True, True, False]


async def test_only_between_the_places_that_were_given(owner: Database) -> None:
    queue = Queue(owner)
    for _ in range(4):
        await publish(queue, MARA, NORTH)
    second, third = [row.cursor.position for row in await EventLog(owner).read()][1:3]
    async with owner.transaction(None) as transaction:
        erased = await Retention(owner).erase_events(transaction, Subject("user", MARA), after=second, up_to=third)
    assert erased == 1
    assert [row.erased for row in await EventLog(owner).read()] == [False, False, True, False]


async def test_what_was_erased_is_not_replayed(owner: Database) -> None:
    queue = Queue(owner)
    await publish(queue, MARA, NORTH)
    await publish(queue, INES, NORTH)
    await erase(owner, Subject("user", MARA))
    replays, wide = Replays(owner, HANDLERS), {"since": AGO, "until": datetime(2100, 1, 1, tzinfo=UTC)}
    assert await replays.count("parcels.label", tenant_id=None, **wide) == 1
    assert await EventLog(owner).count(only=Only(erased=False)) == 1
    async with owner.transaction(None) as transaction:
        replay = await replays.begin(transaction, "parcels.label", tenant_id=None, by="me", again=True, **wide)
    assert (await replays.go_on(replay.id, 10)).made == 1


async def test_what_is_old_goes_and_the_newest_stays(owner: Database) -> None:
    queue, retention, now = Queue(owner), Retention(owner), SystemClock().now()

    async def prune(before: datetime, limit: int = 100) -> int:
        async with owner.transaction(None) as transaction:
            return await retention.prune(transaction, before=before, limit=limit)

    for _ in range(5):
        await publish(queue, MARA, NORTH)
    newest = (await EventLog(owner).newest(1))[0].cursor
    assert await prune(now - timedelta(days=1)) == 0
    assert [await prune(now + timedelta(days=1), limit=3) for _ in range(3)] == [3, 1, 0]
    assert [row.cursor for row in await EventLog(owner).read()] == [newest]
    await publish(queue, MARA, NORTH)
    assert [row.cursor > newest for row in await EventLog(owner).read(newest)] == [True], "places are not given twice"


@pytest.mark.parametrize("migrated_urls", ["postgresql"], indirect=True)
async def test_the_application_itself_may_not(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_MIGRATE_URL"):
        await Retention(database).check_rights()
    acts: list[Any] = [
        lambda retention, transaction: retention.prune(transaction, before=AGO, limit=1),
        lambda retention, transaction: retention.erase_events(transaction, Subject("user", uuid4()), after=0, up_to=9),
    ]
    for act in acts:
        with pytest.raises(Exception, match="permission denied"):
            async with database.transaction(None) as transaction:
                await act(Retention(database), transaction)
