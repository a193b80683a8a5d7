"""Few connections for many: everyone gets their turn, and nothing of whoever had the connection before."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from groundplan.core.errors import LeaseLost, Unavailable
from groundplan.data.database.database import Database
from groundplan.data.database.links import Links
from groundplan.data.database.sql import Sql
from groundplan.testing.postgres import DatabaseUrls
from tests.databases import opened

pytestmark = pytest.mark.anyio

ADD = Sql("INSERT INTO queues (name, paused) VALUES (:name, 0)")
EFFECTS = Sql("SELECT name FROM queues WHERE name LIKE 'effect%'")
FENCE = Sql("DELETE FROM queues WHERE name = :name RETURNING name")
CLOCK = Sql(postgresql="SELECT CAST(clock_timestamp() AS TEXT) AS now", sqlite="SELECT '' AS now")
MINE = Sql(
    postgresql="""SELECT COALESCE(current_setting('groundplan.tenant', true), '') = :tenant
        AND now() >= CAST(CAST(:asked AS TEXT) AS timestamptz) AS so""",
    sqlite="SELECT :tenant = :tenant AND :asked = '' AS so",
)
LEFT_OPEN = Sql(
    postgresql="""SELECT COUNT(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in%'""",
    sqlite="SELECT 0 AS n",
)
UNITS = 120


@pytest.fixture
async def crowded(migrated_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Two connections for all who write, on PostgreSQL."""
    async with opened(migrated_urls.app, pool_size=3) as database:
        yield database


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_became_of_the_one_before(crowded: Database, seed: int) -> None:
    chance = random.Random(seed)
    tenants = [uuid4(), uuid4(), None]
    ends = [chance.choice(("well", "well", "unfenced", "lost", "failed", "cancelled")) for _ in range(UNITS)]

    async def work(number: int, tenant: UUID | None) -> None:
        asked = (await crowded.execute(CLOCK))[0].now
        async with crowded.transaction(tenant) as transaction:
            await transaction.execute(ADD, name=f"effect {number}")
            assert (await transaction.execute(MINE, tenant=str(tenant or ""), asked=asked))[0].so
            if ends[number] == "failed":
                raise LookupError
            if ends[number] != "unfenced":
                await transaction.execute(ADD, name=f"fence {number}")
                fence = "nobody's" if ends[number] == "lost" else f"fence {number}"
                transaction.end_with(FENCE, LeaseLost("The fence is gone."), name=fence)

    tasks = [asyncio.create_task(work(number, chance.choice(tenants))) for number in range(UNITS)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.001)
        doomed = [task for task, end in zip(tasks, ends, strict=True) if end == "cancelled" and not task.done()]
        if doomed:
            chance.choice(doomed).cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    stored = {row.name for row in await crowded.execute(EFFECTS)}
    for number, (end, outcome) in enumerate(zip(ends, outcomes, strict=True)):
        if end in ("well", "unfenced"):
            assert outcome is None
        elif end != "cancelled":
            assert isinstance(outcome, {"lost": LeaseLost, "failed": LookupError}[end])
        if outcome is None:
            assert f"effect {number}" in stored
        elif not isinstance(outcome, asyncio.CancelledError):
            assert f"effect {number}" not in stored
    while (await crowded.execute(LEFT_OPEN))[0].n:  # a connection that was given up goes in its own time
        pass


async def test_a_failed_statement_that_was_swallowed_takes_the_fence_along(crowded: Database) -> None:
    async def work(number: int) -> None:
        async with crowded.transaction(None) as transaction:
            await transaction.execute(ADD, name=f"fence {number}")
            with pytest.raises(Exception, match=r"unique|UNIQUE"):
                await transaction.execute(ADD, name=f"fence {number}")
            transaction.end_with(FENCE, LeaseLost("The fence is gone."), name=f"fence {number}")
            await transaction.execute(ADD, name=f"effect {number}")

    outcomes = await asyncio.gather(*(work(number) for number in range(20)), return_exceptions=True)
    if crowded.dialect == "postgresql":
        assert all(isinstance(outcome, Exception) for outcome in outcomes)
        assert await crowded.execute(EFFECTS) == []


class _Fake:
    """As whoever lends it sees it."""

    is_sound, is_ahead, is_gone = True, False, False

    async def rollback(self) -> None:
        self.is_sound, self.is_ahead = not self.is_gone, False

    def discard(self) -> None:
        self.is_gone = True


async def _lent(size: int, patience: float) -> tuple[Links, list[Any]]:
    async def make() -> Any:
        return _Fake()

    links = Links(make, size=size, patience=patience)
    return links, [await links.take() for _ in range(size)]


async def test_whoever_waits_too_long_gives_up_and_the_others_get_their_turn() -> None:
    links, (link,) = await _lent(1, 0.05)
    with pytest.raises(Unavailable):
        await links.take()
    waiting = [asyncio.create_task(links.take()) for _ in range(3)]
    await asyncio.sleep(0)
    assert links.waiting > 0
    links.give(link)
    assert await waiting[0] is link
    waiting[1].cancel()
    links.give(link)
    assert await waiting[2] is link
    links.give(link)
    assert links.waiting == 0
    assert await links.take() is link


async def test_it_foresees_who_follows() -> None:
    links, lent = await _lent(2, 5.0)
    assert links.foresee() is None
    tenants = [uuid4(), None, uuid4()]
    waiting = [asyncio.create_task(links.take(tenant)) for tenant in tenants]
    await asyncio.sleep(0)
    seen = [links.foresee(), links.foresee()]
    assert [each and each.tenant_id for each in seen] == tenants[:2]
    for link in lent:
        links.give(link)
    last = links.foresee()
    assert last is not None
    assert last.tenant_id == tenants[2]
    links.give(await waiting[0])
    assert await waiting[2] is lent[0]


async def test_one_that_has_begun_for_somebody_who_is_gone_is_rolled_back_first() -> None:
    links, (link,) = await _lent(1, 5.0)
    waiting = asyncio.create_task(links.take(uuid4()))
    await asyncio.sleep(0)
    assert links.foresee()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    link.is_sound, link.is_ahead = False, True
    links.give(link)
    assert await links.take() is link
    assert link.is_sound
    assert not link.is_ahead


async def test_one_that_cannot_be_rolled_back_is_given_up() -> None:
    links, (link,) = await _lent(1, 5.0)
    link.is_sound, link.is_ahead, link.is_gone = False, True, True
    links.give(link)
    assert await links.take() is not link
