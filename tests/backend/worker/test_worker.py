"""Handlers under the real worker: what is acknowledged, tried again, given up and given back."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from groundplan.app import App, Context, Event, Feature, Retry
from groundplan.core.context import current
from groundplan.core.errors import Misuse, OutsideCallRefused
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.testing.app import RunningApp, running, until

pytestmark = pytest.mark.anyio

MARK = Sql("INSERT INTO unique_claims (handler, key, until) VALUES (:handler, :id, NOW)")
QUICK = Retry(attempts=3, base=0.0)


class Ping(Event, frozen=True, kw_only=True):
    what: str = ""


class Script:
    """Handlers that do as they are told, and remember."""

    def __init__(self) -> None:
        self.name = f"tiny_{uuid4().hex}"
        self.feature = Feature("tiny", owner="tests")
        self.runs: list[str] = []
        self.began = asyncio.Event()
        self.contexts: list[Context] = []

    def handles(self, function: Any, *, retry: Retry = QUICK, timeout: float = 30.0) -> "Script":
        self.feature.on(Ping, name="tiny.ping", retry=retry, timeout=timeout)(function)
        return self

    @property
    def app(self) -> App:
        return App(self.name, features=[self.feature], roles={}, package="groundplan.testing")


async def publish(app: RunningApp, what: str = "") -> None:
    context = app.context(system=True)
    async with context.transaction():
        context.publish(Ping(what=what))


async def test_effects_and_acknowledgement_are_one(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def write(ctx: Context, event: Ping) -> None:
        script.contexts.append(ctx)
        async with ctx.transaction():
            await ctx.tx.execute(MARK, id=str(ctx.message_id), handler="tiny")

    async with running(script.handles(write).app, tmp_path, QUEUE_URL=queue_url) as app:
        await publish(app)
        await app.until_idle()
        assert (await app.rows("unique_claims"), await app.rows("deliveries")) == (1, 0)
        (ctx,) = script.contexts
        assert ctx.system and ctx.tenant == app.tenant
        await until(lambda: ctx.acknowledged)


async def test_a_handler_that_writes_nothing_is_acknowledged_too(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def read(ctx: Context, event: Ping) -> None:
        script.runs.append(event.what)

    async with running(script.handles(read).app, tmp_path, QUEUE_URL=queue_url) as app:
        for what in "abc":
            await publish(app, what)
        await app.until_idle()
        assert sorted(script.runs) == ["a", "b", "c"]


async def test_a_failing_handler_is_tried_again_then_given_up(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def fail(ctx: Context, event: Ping) -> None:
        script.runs.append("run")
        async with ctx.transaction():
            await ctx.tx.execute(MARK, id=str(ctx.message_id), handler="tiny")
            raise LookupError("not there")

    async with running(script.handles(fail).app, tmp_path, QUEUE_URL=queue_url) as app:
        await publish(app)
        await until(app.dead_letters.count)
        (dead,) = await app.dead_letters.newest()
        assert (dead.reason, dead.error, len(script.runs)) == ("exhausted", "LookupError", 3)
        assert [a.outcome for a in await app.dead_letters.attempts(dead.id)] == ["retry", "retry", "dead"]
        assert "LookupError" in dead.stack
        assert await app.rows("unique_claims") == 0, "what failed left nothing"


async def test_failing_then_passing_ends_well(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def recover(ctx: Context, event: Ping) -> None:
        script.runs.append("run")
        if len(script.runs) < 3:
            raise ConnectionError

    async with running(script.handles(recover).app, tmp_path, QUEUE_URL=queue_url) as app:
        await publish(app)
        await app.until_idle()
        assert len(script.runs) == 3
        assert await app.dead_letters.count() == 0


async def test_what_will_never_work_is_given_up_at_once(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def refuse(ctx: Context, event: Ping) -> None:
        raise OutsideCallRefused("the peer says no")

    async with running(script.handles(refuse).app, tmp_path, QUEUE_URL=queue_url) as app:
        await publish(app)
        await until(app.dead_letters.count)
        (dead,) = await app.dead_letters.newest()
        assert (dead.reason, dead.attempt) == ("not retryable", 1)


async def test_a_malformed_payload_never_reaches_its_handler(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def remember(ctx: Context, event: Ping) -> None:
        script.runs.append(event.what)

    async with running(script.handles(remember).app, tmp_path, role="web", QUEUE_URL=queue_url) as app:
        await publish(app)
        await app.services.database.execute(Sql("UPDATE deliveries SET payload = '{\"what\": 5}'"))
    async with running(script.app, tmp_path, QUEUE_URL=queue_url) as app:
        await until(app.dead_letters.count)
        (dead,) = await app.dead_letters.newest()
        assert (dead.reason, dead.payload, script.runs) == ("invalid", {"what": 5}, [])
        (field,) = app.dead_letters.fields(dead)
        assert field.path == "what" and field.problem


async def test_a_handler_that_takes_too_long_is_stopped(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def sleep(ctx: Context, event: Ping) -> None:
        await asyncio.Event().wait()

    async with running(
        script.handles(sleep, timeout=0.05, retry=Retry(attempts=1)).app, tmp_path, QUEUE_URL=queue_url
    ) as app:
        await publish(app)
        await until(app.dead_letters.count)
        (dead,) = await app.dead_letters.newest()
        assert (dead.reason, dead.error) == ("exhausted", "TimeoutError")


async def test_draining_gives_unfinished_work_back(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def hang(ctx: Context, event: Ping) -> None:
        script.began.set()
        await asyncio.Event().wait()

    async with running(script.handles(hang).app, tmp_path, DRAIN_SECONDS="0") as app:
        await publish(app)
        await script.began.wait()
    fresh = Database(f"sqlite+aiosqlite:///{tmp_path}/var/app.db", exclusive=False)
    (row,) = await fresh.execute(Sql("SELECT state, attempt, crashes FROM deliveries"))
    await fresh.close()
    assert (row.state, row.attempt, row.crashes) == ("ready", 0, 0)


async def test_what_could_not_even_begin_is_given_back(
    tmp_path: Path, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script()

    async def note(ctx: Context, event: Ping) -> None:
        script.runs.append(event.what)

    async with running(script.handles(note).app, tmp_path, QUEUE_URL=queue_url) as app:
        found = app.services.tenants.by_id
        failed: list[UUID] = []

        async def fail_once(tenant_id: UUID) -> Any:
            if not failed:
                failed.append(tenant_id)
                raise LookupError("once")
            return await found(tenant_id)

        monkeypatch.setattr(app.services.tenants, "by_id", fail_once)
        await publish(app, "in the end")
        await until(lambda: script.runs)  # on its way back a broker may count it nowhere
        await app.until_idle()
    assert failed and script.runs == ["in the end"]


async def test_one_write_transaction_for_each_message(tmp_path: Path, queue_url: str) -> None:
    script = Script()

    async def twice(ctx: Context, event: Ping) -> None:
        async with ctx.transaction():
            await ctx.tx.execute(MARK, id=ctx.message_id, handler="first")
        try:
            async with ctx.transaction():
                await ctx.tx.execute(MARK, id=ctx.message_id, handler="second")
        except Misuse as error:
            script.runs.append(error.detail)
            raise

    async with running(script.handles(twice).app, tmp_path, QUEUE_URL=queue_url) as app:
        await publish(app)
        await app.until_idle()
        await until(lambda: script.runs)
        assert await app.rows("unique_claims") == 1, "the first stands: it was acknowledged with its effects"
        assert len(script.runs) == 1
        assert await app.dead_letters.count() == 0


async def test_the_trace_goes_on_in_the_handler(tmp_path: Path, queue_url: str) -> None:
    script = Script()
    seen: list[tuple[str, UUID | None]] = []

    async def trace(ctx: Context, event: Ping) -> None:
        now = current()
        seen.append((now.trace_id if now else "", ctx.message_id))

    async with running(script.handles(trace).app, tmp_path, QUEUE_URL=queue_url) as app:
        here = current()
        await publish(app)
        await app.until_idle()
        assert here is not None and seen[0][0] == here.trace_id
