"""Replays under a real worker, on both engines: however often, whoever dies meanwhile, one effect."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from groundplan.app import App, Context, Event, Feature, Retry
from groundplan.backend.worker import part
from groundplan.core.errors import Conflict
from groundplan.data.database.sql import Sql
from groundplan.messaging.dead_letters.filter import DeadLetterFilter
from groundplan.messaging.dead_letters.groups import DeadLetterGroups
from groundplan.testing.app import RunningApp, running, until
from groundplan.testing.postgres import DatabaseUrls

pytestmark = pytest.mark.anyio

COUNT = 20
EVERY = DeadLetterFilter()
EFFECTS = Sql("SELECT subject, COUNT(*) AS n FROM audit_log WHERE action = 'effect' GROUP BY subject")
# A person's terminal that replays everything, and says when it is inside its transaction or has just committed.
TERMINAL = """
import asyncio, sys
from groundplan.data.database.database import Database
from groundplan.messaging.dead_letters.filter import DeadLetterFilter
from groundplan.messaging.dead_letters.groups import DeadLetterGroups

async def stop_here():
    print("here", flush=True)
    await asyncio.Event().wait()

async def replay(url, where):
    database = Database(url, exclusive=False)
    async with database.transaction(None) as transaction:
        await DeadLetterGroups(database).replay(transaction, DeadLetterFilter(), rate=1000)
        if where == "before the commit":
            await stop_here()
    await stop_here()

asyncio.run(replay(*sys.argv[1:]))
"""


class Ping(Event, frozen=True, kw_only=True):
    what: int


class Shelf:
    """A handler that fails until it is mended, after the row that it writes."""

    def __init__(self) -> None:
        self.mended = False
        self.feature = Feature("tiny", owner="tests")
        self.feature.on(Ping, name="tiny.ping", retry=Retry(attempts=1))(self._write)

    async def _write(self, ctx: Context, event: Ping) -> None:
        async with ctx.transaction():
            ctx.audit("effect", str(ctx.message_id))
            if not self.mended:
                raise LookupError("not mended yet")

    @property
    def app(self) -> App:
        return App("tiny", features=[self.feature], roles={}, package="groundplan.testing")


@asynccontextmanager
async def buried(shelf: Shelf, folder: Path, urls: DatabaseUrls) -> AsyncIterator[tuple[RunningApp, set[UUID]]]:
    async with running(shelf.app, folder, owner_url=urls.owner, DATABASE_URL=urls.app) as app:
        context = app.context(system=True)
        async with context.transaction():
            for number in range(COUNT):
                context.publish(Ping(what=number))

        async def all_dead() -> bool:
            return await app.dead_letters.count() == COUNT

        await until(all_dead)
        shelf.mended = True
        yield app, {dead.id for dead in await app.dead_letters.newest(limit=COUNT)}


async def killed_terminal(url: str, where: str) -> None:
    terminal = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TERMINAL, url, where, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(30):
            assert terminal.stdout and await terminal.stdout.readline() == b"here\n"
    finally:
        terminal.kill()
        await terminal.wait()


async def replay_all(app: RunningApp) -> int:
    groups: DeadLetterGroups = app.services.registry[DeadLetterGroups]
    async with app.services.database.transaction(None) as transaction:
        return (await groups.replay(transaction, EVERY, rate=1000)).count


async def replay_one(app: RunningApp, dead_letter_id: UUID) -> int:
    try:
        async with app.services.database.transaction(None) as transaction:
            await app.dead_letters.replay(transaction, dead_letter_id)
    except Conflict:
        return 0
    return 1


async def effects(app: RunningApp) -> dict[str, int]:
    return {row.subject: int(row.n) for row in await app.services.database.execute(EFFECTS)}


async def all_done(app: RunningApp) -> None:
    await app.until_idle()

    async def nothing_scheduled() -> bool:
        return await app.rows("deliveries") == 0

    await until(nothing_scheduled)


async def test_replayed_twice_and_in_parallel_each_effect_is_there_once(
    tmp_path: Path, migrated_urls: DatabaseUrls
) -> None:
    async with buried(Shelf(), tmp_path, migrated_urls) as (app, ids):
        replays: list[Any] = [replay_all(app) for _ in range(4)] + [replay_one(app, each) for each in ids]
        assert sum(await asyncio.gather(*replays)) == COUNT, "each was taken by one of them"
        while await app.rows("deliveries"):
            assert await replay_all(app) == 0, "while the worker is at it, there is nothing to replay"
        await all_done(app)
        assert await effects(app) == {str(each): 1 for each in ids}
        assert (await app.dead_letters.count(), await app.rows("deliveries")) == (0, 0)


async def test_whoever_replays_may_die_before_or_after_the_commit(tmp_path: Path, migrated_urls: DatabaseUrls) -> None:
    async with buried(Shelf(), tmp_path, migrated_urls) as (app, ids):
        await killed_terminal(migrated_urls.app, "before the commit")
        assert (await app.dead_letters.count(), await app.rows("deliveries")) == (COUNT, 0)
        await killed_terminal(migrated_urls.app, "after the commit")
        assert sum(await asyncio.gather(replay_all(app), replay_all(app))) == 0
        await all_done(app)
        assert await effects(app) == {str(each): 1 for each in ids}


async def test_what_fails_again_comes_back_and_ends_well_once(tmp_path: Path, migrated_urls: DatabaseUrls) -> None:
    shelf = Shelf()
    async with buried(shelf, tmp_path, migrated_urls) as (app, ids):
        shelf.mended = False
        assert await replay_all(app) == COUNT

        async def dead_again() -> bool:
            return await app.dead_letters.count() == COUNT

        await until(dead_again)
        assert {dead.id for dead in await app.dead_letters.newest(limit=COUNT)} == ids
        assert [a.number for a in await app.dead_letters.attempts(next(iter(ids)))] == [1, 2], "the story goes on"
        shelf.mended = True
        assert await replay_all(app) == COUNT
        await all_done(app)
        assert await effects(app) == {str(each): 1 for each in ids}


async def test_growth_raises_a_counter_and_the_oldest_has_an_age(
    tmp_path: Path, sqlite_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "GAUGE_SECONDS", 0.05)
    async with buried(Shelf(), tmp_path, sqlite_urls) as (app, _):

        async def told() -> bool:
            lines = (await app.client.get("/metrics")).text.splitlines()
            values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
            return (
                values.get('groundplan_dead_letters_total{handler="tiny.ping",reason="exhausted"}') == f"{COUNT}.0"
                and values.get("groundplan_dead_letters_waiting") == f"{COUNT}.0"
                and float(values["groundplan_dead_letters_oldest_seconds"]) > 0
            )

        await until(told)
