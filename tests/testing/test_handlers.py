"""The door for tests of handlers: they run when the test says so, time passes at once, and faults are asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from groundplan.app import App, Cancel, Context, Event, Feature, Job, Rate, Retry, Snooze, Tick
from groundplan.core.errors import OutsideCallFailed, OutsideCallRefused
from groundplan.data.database.sql import Sql
from groundplan.messaging.delivery.queues import Queues
from groundplan.testing.handlers import AppInTest, app_in_test
from groundplan.testing.postgres import DatabaseUrls

pytestmark = pytest.mark.anyio

MARK = Sql("INSERT INTO unique_claims (handler, key, until) VALUES ('house', :id, NOW)")


class Rang(Event, frozen=True, kw_only=True):
    number: int


class Clean(Job, frozen=True, kw_only=True):
    number: int


class House:
    """A feature and, by handler, the numbers it was called with."""

    def __init__(self) -> None:
        self.feature = Feature("house", owner="tests")
        self.app = App(f"house_{uuid4().hex}", features=[self.feature], roles={}, package="groundplan.testing")
        self.seen: list[tuple[str, int]] = []

    def on(self, name: str, **options: Any) -> None:
        self.feature.on(Rang, name=name, **options)(self.noting(name))

    def job(self, name: str, **options: Any) -> None:
        self.feature.job(Clean, name=name, **options)(self.noting(name))

    def noting(self, name: str) -> Any:
        async def handler(ctx: Context, message: Any) -> None:
            self.seen.append((name, message.number))

        return handler


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def urls(migrated_urls: DatabaseUrls) -> DatabaseUrls:
    return migrated_urls


@asynccontextmanager
async def at_home(house: House, folder: Path, urls: DatabaseUrls) -> AsyncIterator[AppInTest]:
    async with app_in_test(house.app, folder, owner_url=urls.owner, DATABASE_URL=urls.app) as app:
        yield app


async def ring(app: AppInTest, *numbers: int) -> None:
    for number in numbers:
        ctx = app.context(system=True)
        async with ctx.transaction():
            ctx.publish(Rang(number=number))


async def enqueue(app: AppInTest, *numbers: int, **options: Any) -> list[UUID]:
    ctx = app.context(system=True)
    async with ctx.transaction():
        return [ctx.enqueue(Clean(number=number), **options) for number in numbers]


async def test_nothing_runs_before_it_is_told_to(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    house.on("house.answer")
    house.on("house.write_down")
    house.job("house.clean")
    async with at_home(house, tmp_path, urls) as app:
        await ring(app, 2, 1)
        await enqueue(app, 7)
        assert [event.number for event in await app.published(Rang)] == [2, 1]
        assert await app.enqueued(Clean) == [Clean(number=7)]
        assert house.seen == []
        ended = await app.run_until_idle()
        assert ended.of("house.answer") == ended.of("house.write_down") == ["done", "done"]
        assert [each.message for each in ended if each.handler == "house.clean"] == [Clean(number=7)]
        assert [number for name, number in house.seen if name == "house.answer"] == [2, 1]
        assert (await app.enqueued(Clean), len(await app.published(Rang))) == ([], 2)
        assert await app.run_until_idle() == []
        assert await app.rows("deliveries") == 0


async def test_what_a_handler_sends_runs_too(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    @house.feature.on(Rang, name="house.answer")
    async def answer(ctx: Context, event: Rang) -> None:
        async with ctx.transaction():
            ctx.enqueue(Clean(number=event.number), delay=3600)

    house.job("house.clean")
    async with at_home(house, tmp_path, urls) as app:
        await ring(app, 5)
        assert [each.handler for each in await app.run_until_idle()] == ["house.answer", "house.clean"]
        assert house.seen == [("house.clean", 5)]


async def test_a_fault_is_asked_for_and_retries_do_not_wait(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    house.on("house.answer", retry=Retry(attempts=4, base=60.0))
    house.on("house.write_down")
    async with at_home(house, tmp_path, urls) as app:
        await ring(app, 1)
        with app.failing("house.answer", times=2, error=OutsideCallFailed("busy", retry_after=900)):
            ended = await app.run_until_idle()
        assert ended.of("house.answer") == ["retried", "retried", "done"]
        assert ended.of("house.write_down") == ["done"]
        first = next(each for each in ended if each.outcome == "retried")
        assert (first.error, first.detail, first.delay, first.attempt) == ("OutsideCallFailed", "busy", 900, 1)
        assert house.seen.count(("house.answer", 1)) == 1
        await ring(app, 2)
        assert (await app.run_until_idle()).of("house.answer") == ["done"]


async def test_a_fault_at_the_commit_leaves_no_effect(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    keys: list[UUID | None] = []

    @house.feature.on(Rang, name="house.answer")
    async def answer(ctx: Context, event: Rang) -> None:
        keys.append(ctx.message_id)
        async with ctx.transaction():
            await ctx.tx.execute(MARK, id=str(len(keys)))

    async with at_home(house, tmp_path, urls) as app:
        await ring(app, 1)
        with app.failing("house.answer", at="commit"):
            assert (await app.run_until_idle()).of("house.answer") == ["retried", "done"]
        assert len(keys) == 2 and len(set(keys)) == 1, "outside, both runs go by the same key"
        assert await app.rows("unique_claims") == 1


async def test_a_fault_at_the_end_of_a_handler_that_writes_nothing(
    house: House, tmp_path: Path, urls: DatabaseUrls
) -> None:
    house.on("house.answer")
    async with at_home(house, tmp_path, urls) as app:
        await ring(app, 1)
        with app.failing("house.answer", at="commit"):
            assert (await app.run_until_idle()).of("house.answer") == ["retried", "done"]
        assert len(house.seen) == 2


async def test_every_end_has_its_name(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    ends = {1: Cancel("over"), 2: OutsideCallRefused("no"), 3: LookupError("gone")}
    naps = iter([Snooze(600)])

    @house.feature.job(Clean, name="house.clean", retry=Retry(attempts=2))
    async def clean(ctx: Context, job: Clean) -> None:
        if job.number in ends:
            raise ends[job.number]
        if nap := next(naps, None):
            raise nap

    async with at_home(house, tmp_path, urls) as app:
        await enqueue(app, 1, 2, 3, 4)
        ended = await app.run_until_idle()
        outcomes = {number: [e.outcome for e in ended if e.message.number == number] for number in range(1, 5)}
        assert outcomes == {1: ["cancelled"], 2: ["dead"], 3: ["retried", "dead"], 4: ["snoozed", "done"]}
        assert {each.reason for each in ended if each.outcome == "dead"} == {"not retryable", "exhausted"}
        assert next(each.delay for each in ended if each.outcome == "snoozed") == 600
        assert await app.dead_letters.count() == 2


async def test_a_payload_that_does_not_fit_is_dead(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    house.job("house.clean")
    async with at_home(house, tmp_path, urls) as app:
        await enqueue(app, 1)
        await app.services.database.execute(Sql('UPDATE deliveries SET payload = \'{"number": "one"}\''))
        (ended,) = await app.run_until_idle()
        assert (ended.outcome, ended.reason, ended.message, house.seen) == ("dead", "invalid", None, [])


async def test_a_message_that_is_taken_away_while_it_runs_is_lost(
    house: House, tmp_path: Path, urls: DatabaseUrls
) -> None:
    @house.feature.job(Clean, name="house.clean")
    async def clean(ctx: Context, job: Clean) -> None:
        if ctx.message_id is None:
            raise AssertionError
        other = app.context(system=True)
        async with other.transaction():
            await app.services.registry[Queues].cancel(other.tx, ctx.message_id)
        if job.number == 2:
            async with ctx.transaction():
                await ctx.tx.execute(MARK, id="2")

    async with at_home(house, tmp_path, urls) as app:
        await enqueue(app, 1, 2)
        assert (await app.run_until_idle()).of("house.clean") == ["lost", "lost"]
        assert await app.rows("unique_claims") == 0


async def test_limits_and_order_hold_and_make_nobody_wait(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    house.job("house.clean", rate=Rate(1, seconds=86_400), retry=Retry(base=60.0))
    async with at_home(house, tmp_path, urls) as app:
        await enqueue(app, 1, 2, 3, partition_key="stairs")
        with app.failing("house.clean"):
            ended = await app.run_until_idle()
        assert [(each.message.number, each.outcome) for each in ended] == [
            (1, "retried"),
            (1, "done"),
            (2, "done"),
            (3, "done"),
        ]


async def test_a_handler_that_takes_too_long_is_stopped(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    @house.feature.job(Clean, name="house.clean", timeout=0.05, retry=Retry(attempts=1))
    async def clean(ctx: Context, job: Clean) -> None:
        await asyncio.Event().wait()

    async with at_home(house, tmp_path, urls) as app:
        await enqueue(app, 1)
        (ended,) = await app.run_until_idle()
        assert (ended.outcome, ended.error) == ("dead", "TimeoutError")


async def test_a_paused_queue_stays_as_it_is(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    house.job("house.clean", queue="slow")
    async with at_home(house, tmp_path, urls) as app:
        ctx, queues = app.context(system=True), app.services.registry[Queues]
        async with ctx.transaction():
            ctx.enqueue(Clean(number=1))
            await queues.pause(ctx.tx, "slow")
        assert await app.run_until_idle() == []
        async with ctx.transaction():
            await queues.resume(ctx.tx, "slow")
        assert (await app.run_until_idle()).of("house.clean") == ["done"]


async def test_schedules_fire_when_the_test_says_so(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    ticks: list[tuple[str, datetime]] = []
    midnight = datetime(2026, 1, 1, tzinfo=UTC)

    @house.feature.schedule("* * * * * *", name="house.every_second", every_tenant=True)
    async def every_second(ctx: Context, tick: Tick) -> None:
        ticks.append((ctx.tenant.slug, tick.at))

    async with at_home(house, tmp_path, urls) as app:
        assert await app.run_until_idle() == []
        await app.tick("house.every_second", at=midnight)
        assert (await app.run_until_idle()).of("house.every_second") == ["done"]
        assert ticks == [("tiny", midnight)]
        with pytest.raises(LookupError, match=r"No scheduled handler is named 'house\.never'"):
            await app.tick("house.never")


async def test_what_never_ends_is_told(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    @house.feature.job(Clean, name="house.clean")
    async def clean(ctx: Context, job: Clean) -> None:
        raise Snooze(60)

    async with at_home(house, tmp_path, urls) as app:
        await enqueue(app, 1)
        with pytest.raises(AssertionError, match=r"After 10 runs there is still something to do, for house\.clean"):
            await app.run_until_idle(most=10)


async def test_a_fault_that_did_not_happen_is_told(house: House, tmp_path: Path, urls: DatabaseUrls) -> None:
    house.job("house.clean")
    async with at_home(house, tmp_path, urls) as app:
        await enqueue(app, 1)
        too_often = pytest.raises(AssertionError, match=r"house\.clean was to fail 9 times, and ran 5 times")
        with too_often, app.failing("house.clean", times=9):
            await app.run_until_idle()
        with pytest.raises(LookupError, match=r"This app has: house\.clean"), app.failing("house.clan"):
            pass
        with pytest.raises(ZeroDivisionError), app.failing("house.clean"):
            raise ZeroDivisionError
