"""The event log is read in commit order: who follows it misses no row and sees none twice, whoever commits late."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundplan.core.errors import Invalid
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.messaging.event_log.log import START, Cursor, EventLog, Only
from groundplan.testing.postgres import PostgresServer
from tests.databases import Templates, copy_of, opened

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ADD = Sql("""INSERT INTO events (id, name, version, tenant_id, request_id, traceparent, occurred_at, payload)
    VALUES (:id, :name, 1, :tenant_id, 'r', '', :at, :payload)""")
ADD_RAW = """INSERT INTO events (id, name, version, request_id, traceparent, occurred_at, payload)
    VALUES ($1, 'parcel.sent', 1, 'r', '', now(), '{}')"""


class Fact(NamedTuple):
    name: str
    properties: dict[str, Any]
    at: datetime = NOON
    tenant_id: UUID | None = None
    user_id: UUID | None = None
    request_id: str = "r"
    traceparent: str = ""


async def add(database: Database, name: str, *, minute: int = 0, tenant_id: UUID | None = None) -> UUID:
    event_id = uuid7()
    at = NOON + timedelta(minutes=minute)
    await database.execute(ADD, id=event_id, name=name, tenant_id=tenant_id, at=at, payload='{"number": 1}')
    return event_id


async def follow(log: EventLog, after: Cursor = START, *, limit: int = 500) -> tuple[list[UUID], Cursor]:
    """Everything there is to read now, and where it ended."""
    found: list[UUID] = []
    while page := await log.read(after, limit):
        found += [row.id for row in page]
        after = page[-1].cursor
    return found, after


async def test_pages_go_on_where_the_last_one_ended(database: Database) -> None:
    log = EventLog(database)
    assert await follow(log) == ([], START)
    ids = [await add(database, "parcel.sent") for _ in range(7)]
    found, last = await follow(log, limit=3)
    assert found == ids
    assert Cursor.parse(str(last)) == last
    more = await add(database, "parcel.sent")
    assert (await follow(log, last))[0] == [more]


async def test_a_reader_asks_for_what_it_wants(database: Database) -> None:
    log, tenant = EventLog(database), uuid4()
    early = await add(database, "parcel.sent", minute=0)
    theirs = await add(database, "parcel.sent", minute=1, tenant_id=tenant)
    other = await add(database, "parcel.lost", minute=2)
    await log.append([Fact("parcel.sent", {"sku": "1"})])

    async def ids(**only: Any) -> list[UUID]:
        rows = await log.read(only=Only(**only))
        assert await log.count(only=Only(**only)) == len(rows)
        assert [row.id for row in await log.newest(only=Only(**only))] == [row.id for row in reversed(rows)]
        return [row.id for row in rows]

    assert await ids(names=["parcel.sent"]) == [early, theirs]
    assert await ids(names=["parcel.sent", "parcel.lost"]) == [early, theirs, other]
    assert await ids(tenant_id=tenant) == [theirs]
    assert await ids(since=NOON + timedelta(minutes=1), facts=False) == [theirs, other]
    assert await ids(until=NOON + timedelta(minutes=1), facts=False) == [early]
    assert len(await ids()) == 4
    assert await ids(facts=False) == [early, theirs, other]
    (newest,) = await log.newest(1, only=Only(facts=False))
    assert (newest.id, newest.name, newest.erased, newest.payload.replace(" ", "")) == (
        other,
        "parcel.lost",
        False,
        '{"number":1}',
    )


async def test_a_follower_moves_past_what_it_does_not_want(database: Database) -> None:
    log, only = EventLog(database), Only(names=["parcel.lost"])
    for _ in range(5):
        await add(database, "parcel.sent")
    rows, place = await log.follow(START, only=only)
    assert rows == [] and place == await log.end()
    lost = [await add(database, "parcel.lost") for _ in range(3)]
    seen = []
    for expected in (2, 1, 0):
        rows, place = await log.follow(place, 2, only=only)
        seen += [row.id for row in rows]
        assert len(rows) == expected
    assert seen == lost


@pytest.mark.parametrize("text", ["", "7", "a-b", "-1-2", "1-", "1.5-2"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not a place"):
        Cursor.parse(text)


@pytest.fixture
def dsn(templates: Templates, tmp_path: Path, postgres: PostgresServer) -> str:
    return copy_of("postgresql", templates, tmp_path, postgres).app


@pytest.fixture
async def log(dsn: str) -> AsyncIterator[EventLog]:
    async with opened(dsn) as database:
        yield EventLog(database)


async def connect(dsn: str) -> Any:
    return await asyncpg.connect(dsn.replace("+asyncpg", ""))


@pytest.fixture
async def two(dsn: str) -> AsyncIterator[tuple[Any, Any]]:
    """Connections of two other processes."""
    both = await connect(dsn), await connect(dsn)
    yield both
    for connection in both:
        await connection.close()


async def test_what_commits_late_is_waited_for(log: EventLog, two: tuple[Any, Any]) -> None:
    early, late = two
    first, second, third = uuid7(), uuid7(), uuid7()
    slow = early.transaction()
    await slow.start()
    await early.execute(ADD_RAW, first)
    await late.execute(ADD_RAW, second)
    assert await log.read() == [], "the first is not committed, so nobody may go past it"
    assert await log.newest() == []
    await slow.commit()
    await late.execute(ADD_RAW, third)
    assert (await follow(log, limit=1))[0] == [first, second, third]


async def test_positions_may_run_against_the_order(log: EventLog, two: tuple[Any, Any]) -> None:
    """The older transaction takes the higher position; by position alone its row would have been passed."""
    older, newer = two
    first, second = uuid7(), uuid7()
    slow = older.transaction()
    await slow.start()
    await older.execute("SELECT pg_current_xact_id()")
    await newer.execute(ADD_RAW, second)
    seen, cursor = await follow(log)
    await older.execute(ADD_RAW, first)
    await slow.commit()
    assert seen + (await follow(log, cursor))[0] == [first, second]


async def test_up_to_the_end_nothing_is_added_any_more(log: EventLog, two: tuple[Any, Any]) -> None:
    older, newer = two
    slow = older.transaction()
    await slow.start()
    await older.execute(ADD_RAW, uuid7())
    await newer.execute(ADD_RAW, uuid7())
    end = await log.end()
    await slow.commit()
    rows, later = await log.read(), await log.end()
    assert len(rows) == 2
    assert all(end < row.cursor <= later for row in rows)


class Writers:
    """Four connections whose transactions overlap as a schedule says, and a reader beside them."""

    def __init__(self, dsn: str) -> None:
        self.runner = asyncio.Runner()
        self.database = Database(dsn)
        self.log = EventLog(self.database)
        self.connections = [self.runner.run(connect(dsn)) for _ in range(4)]

    def close(self) -> None:
        for connection in self.connections:
            self.runner.run(connection.close())
        self.runner.run(self.database.close())
        self.runner.close()

    async def play(self, schedule: list[tuple[int, str]]) -> tuple[list[UUID], list[UUID]]:
        """What was committed, and what the reader saw."""
        cursor: Cursor = await self.log.end()
        open_: dict[int, Any] = {}
        written: dict[int, list[UUID]] = {}
        committed: list[UUID] = []
        seen: list[UUID] = []

        async def end(writer: int, how: str) -> None:
            if transaction := open_.pop(writer, None):
                await getattr(transaction, how)()
                committed.extend(written.pop(writer, []) if how == "commit" else [])
                written.pop(writer, None)

        for writer, act in schedule:
            connection = self.connections[writer]
            if act == "read":
                rows, cursor = await follow(self.log, cursor, limit=2)
                seen += rows
            elif act == "follow":
                page, cursor = await self.log.follow(cursor, 2)
                seen += [row.id for row in page]
            elif act == "insert":
                if writer not in open_:
                    open_[writer] = connection.transaction()
                    await open_[writer].start()
                written.setdefault(writer, []).append(uuid7())
                await connection.execute(ADD_RAW, written[writer][-1])
            else:
                await end(writer, act)
        for writer in list(open_):
            await end(writer, "commit")
        rows, _ = await follow(self.log, cursor, limit=2)
        return committed, seen + rows


@pytest.fixture
def writers(dsn: str) -> Iterator[Writers]:
    writers = Writers(dsn)
    yield writers
    writers.close()


ACTS = st.sampled_from(["insert", "insert", "commit", "rollback", "read", "follow"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schedule=st.lists(st.tuples(st.integers(0, 3), ACTS), min_size=4, max_size=24))
def test_whatever_the_schedule_nothing_is_missed_or_doubled(writers: Writers, schedule: list[tuple[int, str]]) -> None:
    committed, seen = writers.runner.run(writers.play(schedule))
    assert len(seen) == len(set(seen))
    assert set(seen) == set(committed)


async def test_a_follower_beside_many_writers(log: EventLog, dsn: str) -> None:
    count, writers = 25, 6
    committed: set[UUID] = set()

    async def write(seed: int) -> None:
        chance = random.Random(seed)
        connection = await connect(dsn)
        for _ in range(count):
            ids = [uuid7() for _ in range(chance.randint(1, 4))]
            async with connection.transaction():
                for event_id in ids:
                    await connection.execute(ADD_RAW, event_id)
                    await asyncio.sleep(chance.random() / 500)
            committed.update(ids)
        await connection.close()

    async def read(done: asyncio.Event) -> list[UUID]:
        seen: list[UUID] = []
        cursor = START
        while True:
            last = done.is_set()
            rows, cursor = await follow(log, cursor, limit=7)
            seen += rows
            if last:
                return seen
            await asyncio.sleep(0)

    done = asyncio.Event()
    reading = asyncio.create_task(read(done))
    await asyncio.gather(*(write(seed) for seed in range(writers)))
    done.set()
    seen = await reading
    assert len(seen) == len(set(seen))
    assert set(seen) == committed
