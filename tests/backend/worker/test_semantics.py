"""What a handler may ask for, with the database and with a broker in front of it: the same each time."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.app import App, Cancel, Context, Event, Feature, Job, Rate, Retry, Snooze, Tick, Unique
from groundplan.core.errors import NotFound, OutsideCallFailed
from groundplan.data.database.sql import Sql
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.schedules import Scheduler
from groundplan.testing.app import RunningApp, a_user, running, until

pytestmark = pytest.mark.anyio


class Ring(Event, frozen=True, kw_only=True):
    number: int
    bell: str = ""


class Chore(Job, frozen=True, kw_only=True):
    number: int


class House:
    """A feature whose handlers note what they do."""

    def __init__(self) -> None:
        self.feature = Feature("house", owner="tests")
        self.app = App(f"house_{uuid4().hex}", features=[self.feature], roles={}, package="groundplan.testing")
        self.done: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go = asyncio.Event()

    async def note(self, ctx: Context, message: Any) -> None:
        self.done.append(message.number)

    async def hold(self, ctx: Context, message: Any) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go.wait()
            await asyncio.sleep(0.01)
        finally:
            self.at_once -= 1
        self.done.append(message.number)


@pytest.fixture
def house() -> House:
    return House()


async def enqueue(app: RunningApp, *numbers: int, **options: Any) -> list[UUID]:
    context = app.context(system=True)
    async with context.transaction():
        return [context.enqueue(Chore(number=number), **options) for number in numbers]


async def publish(app: RunningApp, *numbers: int, key: Callable[[int], str | None] = lambda _: None) -> None:
    context = app.context(system=True)
    for number in numbers:
        async with context.transaction():
            context.publish(Ring(number=number, bell=key(number) or ""), partition_key=key(number))


async def test_each_key_keeps_its_order_though_a_message_fails(house: House, tmp_path: Path, queue_url: str) -> None:
    seen: dict[str, list[int]] = {"a": [], "b": []}
    failed: set[int] = set()

    @house.feature.on(Ring, name="house.ring", retry=Retry(attempts=5, base=0.01))
    async def ring(ctx: Context, event: Ring) -> None:
        if event.number % 3 == 0 and event.number not in failed:
            failed.add(event.number)
            raise ConnectionError
        await asyncio.sleep(0.001 * (event.number % 2))
        seen[event.bell].append(event.number)

    async with running(house.app, tmp_path, QUEUE_URL=queue_url, WORKER_SLOTS="8") as app:
        await publish(app, *range(12), key=lambda number: "ab"[number % 2])
        await app.until_idle()
    assert seen == {"a": [0, 2, 4, 6, 8, 10], "b": [1, 3, 5, 7, 9, 11]}


async def test_lower_priorities_come_first(house: House, tmp_path: Path, queue_url: str) -> None:
    house.feature.job(Chore, name="house.chore", priority=200)(house.note)
    house.feature.on(Ring, name="house.ring", priority=5)(house.note)
    async with running(house.app, tmp_path, QUEUE_URL=queue_url, WORKER_SLOTS="1") as app:
        await _pause(app)
        await enqueue(app, 1, 2)
        await publish(app, 3, 4)
        await _pause(app, paused=False)
        await app.until_idle()
    assert sorted(house.done[:2]) == [3, 4] and sorted(house.done[2:]) == [1, 2]


async def test_an_equal_job_is_not_queued_twice(house: House, tmp_path: Path, queue_url: str) -> None:
    house.feature.job(Chore, name="house.chore", unique=Unique(key=lambda job: str(job.number % 2)))(house.hold)
    async with running(house.app, tmp_path, QUEUE_URL=queue_url, WORKER_SLOTS="4") as app:
        await asyncio.gather(*(enqueue(app, number) for number in (0, 1, 2, 3, 4)))
        await until(lambda: house.at_once == 2)
        house.go.set()
        await app.until_idle()
        assert {number % 2 for number in house.done} == {0, 1} and len(house.done) == 2
        await enqueue(app, 6)
        await app.until_idle()
    assert house.done[2:] == [6], "once it is through, an equal one may come again"


async def test_an_equal_job_is_left_out_for_a_period(house: House, tmp_path: Path, queue_url: str) -> None:
    house.feature.job(Chore, name="house.chore", unique=Unique(period=3600))(house.note)
    async with running(house.app, tmp_path, QUEUE_URL=queue_url) as app:
        for number in (1, 1, 2):
            await enqueue(app, number)
            await app.until_idle()
        assert sorted(house.done) == [1, 2]
        await app.services.database.execute(Sql("UPDATE unique_claims SET until = NOW"))
        await enqueue(app, 1)
        await app.until_idle()
    assert sorted(house.done) == [1, 1, 2]


async def test_so_many_run_at_once(house: House, tmp_path: Path, queue_url: str) -> None:
    house.feature.job(Chore, name="house.chore", concurrency=2)(house.hold)
    async with running(house.app, tmp_path, QUEUE_URL=queue_url, WORKER_SLOTS="8") as app:
        await enqueue(app, *range(6))
        await until(lambda: house.at_once == 2)
        house.go.set()
        await app.until_idle()
    assert (len(house.done), house.most_at_once) == (6, 2)


async def test_so_many_start_in_a_while(house: House, tmp_path: Path, queue_url: str) -> None:
    house.feature.job(Chore, name="house.chore", rate=Rate(3, seconds=3600))(house.note)
    async with running(house.app, tmp_path, QUEUE_URL=queue_url, WORKER_SLOTS="8") as app:
        await enqueue(app, *range(5))
        await app.until_rows("deliveries", 2)
        assert len(house.done) == 3
        await app.services.database.execute(Sql("UPDATE handler_limits SET at = at - SECONDS(:past)"), past=1800.0)
        await app.services.database.notify("groundplan_deliveries")
        await app.until_rows("deliveries", 1)
        assert len(house.done) == 4


async def test_a_delayed_job_waits(house: House, tmp_path: Path, queue_url: str) -> None:
    house.feature.job(Chore, name="house.chore")(house.note)
    async with running(house.app, tmp_path, QUEUE_URL=queue_url) as app:
        await enqueue(app, 1, delay=3600)
        await enqueue(app, 2)
        await until(lambda: house.done == [2])
        await app.services.database.execute(Sql("UPDATE deliveries SET run_at = NOW"))
        await until(lambda: house.done == [2, 1])


async def test_a_snoozed_message_comes_again_uncounted(house: House, tmp_path: Path, queue_url: str) -> None:
    @house.feature.job(Chore, name="house.chore", retry=Retry(attempts=1))
    async def chore(ctx: Context, job: Chore) -> None:
        house.done.append(job.number)
        if len(house.done) < 4:
            raise Snooze(0.01)

    async with running(house.app, tmp_path, QUEUE_URL=queue_url) as app:
        await enqueue(app, 7)
        await until(lambda: house.done == [7] * 4)
        await app.until_idle()
        assert (await app.dead_letters.count(), await app.rows("attempts")) == (0, 0)


async def test_a_handler_may_cancel_its_message(house: House, tmp_path: Path, queue_url: str) -> None:
    @house.feature.job(Chore, name="house.chore")
    async def chore(ctx: Context, job: Chore) -> None:
        raise Cancel("the parcel has arrived already")

    async with running(house.app, tmp_path, QUEUE_URL=queue_url) as app:
        (message_id,) = await enqueue(app, 7)
        await app.until_idle()
        (attempt,) = await app.dead_letters.attempts(message_id)
        assert (attempt.outcome, attempt.detail) == ("cancelled", "the parcel has arrived already")
        assert await app.dead_letters.count() == 0


async def test_a_cancelled_message_stops_and_leaves_nothing(house: House, tmp_path: Path) -> None:
    """Of a message at a broker nothing is left to cancel, so this is the database's."""
    began = asyncio.Event()

    @house.feature.job(Chore, name="house.chore", timeout=4)
    async def chore(ctx: Context, job: Chore) -> None:
        began.set()
        await asyncio.Event().wait()

    async with running(house.app, tmp_path, WORKER_LEASE_SECONDS="5") as app:
        (message_id,) = await enqueue(app, 7)
        await began.wait()
        context = app.context(system=True)
        async with context.transaction():
            await app.services.registry[Queues].cancel(context.tx, message_id)
        assert await app.rows("deliveries") == 0
        with pytest.raises(NotFound):
            async with context.transaction():
                await app.services.registry[Queues].cancel(context.tx, message_id)
        assert (await app.rows("attempts"), await app.dead_letters.count()) == (0, 0)


async def test_a_paused_queue_waits_and_goes_on(house: House, tmp_path: Path, queue_url: str) -> None:
    house.feature.job(Chore, name="house.chore", queue="slow")(house.note)
    house.feature.on(Ring, name="house.ring")(house.note)
    async with running(house.app, tmp_path, QUEUE_URL=queue_url) as app:
        await _pause(app, "slow")
        await enqueue(app, 1)
        await publish(app, 2)
        await until(lambda: house.done == [2])
        await app.until_rows("deliveries", 1)
        await _pause(app, "slow", paused=False)
        await until(lambda: house.done == [2, 1])


async def test_what_a_peer_asks_for_is_waited_for(house: House, tmp_path: Path) -> None:
    @house.feature.job(Chore, name="house.chore", retry=Retry(base=0.0))
    async def chore(ctx: Context, job: Chore) -> None:
        house.done.append(job.number)
        raise OutsideCallFailed("busy", retry_after=3600)

    async with running(house.app, tmp_path) as app:
        await enqueue(app, 1)
        await until(lambda: app.rows("attempts"))
        (row,) = await app.services.database.execute(
            Sql("SELECT run_at > NOW + SECONDS(:s) AS far FROM deliveries"), s=3000.0
        )
        assert row.far and house.done == [1]


async def test_an_error_that_the_policy_leaves_out_is_final(house: House, tmp_path: Path) -> None:
    @house.feature.job(Chore, name="house.chore", retry=Retry(base=0.0, on=(ConnectionError,)))
    async def chore(ctx: Context, job: Chore) -> None:
        house.done.append(job.number)
        raise ConnectionResetError if len(house.done) == 1 else LookupError

    async with running(house.app, tmp_path) as app:
        await enqueue(app, 1)
        await until(app.dead_letters.count)
        (dead,) = await app.dead_letters.newest()
        assert (dead.reason, dead.error, len(house.done)) == ("not retryable", "LookupError", 2)


async def test_whoever_started_a_long_job_sees_how_far_it_is(house: House, tmp_path: Path, queue_url: str) -> None:
    halfway = asyncio.Event()

    @house.feature.job(Chore, name="house.chore")
    async def chore(ctx: Context, job: Chore) -> None:
        await ctx.progress(5, 10, "half")
        halfway.set()
        await house.go.wait()
        await ctx.progress(10, 10)

    async with running(house.app, tmp_path, QUEUE_URL=queue_url) as app:
        (message_id,) = await enqueue(app, 1)
        await halfway.wait()
        ctx = app.context(user=a_user(app.tenant))
        found = (await ctx.progress_of(message_id))[message_id]
        assert (found.done, found.total, found.note, found.state) == (5, 10, "half", "running")
        house.go.set()
        await app.until_idle()

        async def over() -> bool:
            now = (await ctx.progress_of(message_id))[message_id]
            return (now.done, now.state) == (10, "done")

        await until(over)
        stranger = app.context(tenant=msgspec.structs.replace(app.tenant, id=uuid4()))
        assert await stranger.progress_of(message_id) == {}, "what another tenant's job does is nobody's business"


async def test_a_tick_fires_once_whatever_the_number_of_workers(house: House, tmp_path: Path) -> None:
    ticks: list[datetime] = []

    @house.feature.schedule("* * * * * *", name="house.tick")
    async def tick(ctx: Context, tick: Tick) -> None:
        ticks.append(tick.at)

    async with running(house.app, tmp_path) as app:
        other = Scheduler(app.services.database, app.services.outbox, app.services.assembly.handlers)
        await other.prepare()
        while len(ticks) < 3:
            await other.fire_due()
            await asyncio.sleep(0.01)
        await app.until_idle()
    assert len(ticks) == len(set(ticks))
    assert all(at.tzinfo == UTC and at.microsecond == 0 for at in ticks)
    assert all(b - a >= timedelta(seconds=1) for a, b in pairwise(ticks))


async def test_a_tick_for_every_tenant_has_its_tenant(house: House, tmp_path: Path) -> None:
    tenants: list[str] = []

    @house.feature.schedule("* * * * * *", name="house.tick", every_tenant=True)
    async def tick(ctx: Context, tick: Tick) -> None:
        assert ctx.system
        tenants.append(ctx.tenant.slug)

    async with running(house.app, tmp_path):
        await until(lambda: tenants)
    assert set(tenants) == {"tiny"}


async def _pause(app: RunningApp, queue: str = "default", *, paused: bool = True) -> None:
    context, queues = app.context(system=True), app.services.registry[Queues]
    async with context.transaction():
        await (queues.pause if paused else queues.resume)(context.tx, queue)
