"""A request's time: it reaches the database and nested calls, and what was begun when it ends leaves no trace."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from groundplan.app import App, Context, Feature
from groundplan.backend.deadlines import CHECK_SECONDS, Deadlines
from groundplan.core.context import RequestContext, entered, seconds_left
from groundplan.core.errors import LeaseLost
from groundplan.data.database.database import Database
from groundplan.data.database.postgresql import PostgresqlLink
from groundplan.data.database.sql import Sql
from groundplan.testing.app import RunningApp, running, until
from groundplan.testing.postgres import DatabaseUrls
from tests.databases import opened

pytestmark = pytest.mark.anyio

HEADER = "groundplan-timeout-ms"
SLOW = {
    "postgresql": "SELECT pg_sleep(600)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n",
}

SLOW_COMMIT = (
    "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'",
    "CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON audit_log DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION slowly()",
)


class Left(msgspec.Struct, frozen=True):
    seconds: float


def slow_app() -> App:
    feature = Feature("slow", owner="tests")

    @feature.get("/left", public=True)
    async def get_left(ctx: Context) -> Left:
        return Left(seconds_left() or 0.0)

    @feature.get("/nested", public=True)
    async def get_nested(ctx: Context) -> Left:
        return await ctx.api(get_left)

    @feature.get("/query", public=True)
    async def run_query(ctx: Context) -> Left:
        dialect = ctx._services.database.dialect
        await ctx.db.execute(text(SLOW[dialect]), execution_options={"unscoped": True})
        return Left(0)

    @feature.post("/internal", public=True)
    async def run_internal(ctx: Context) -> Left:
        await ctx.tx.execute(Sql(postgresql=SLOW["postgresql"], sqlite=SLOW["sqlite"]))
        return Left(0)

    @feature.post("/writes", public=True)
    async def write_and_wait(ctx: Context) -> Left:
        ctx.audit("slow.begun", "a thing")
        await ctx.db.flush()
        await asyncio.sleep(600)
        return Left(0)

    @feature.post("/late", public=True, transaction=False)
    async def begin_late(ctx: Context) -> Left:
        _keep_the_loop()
        async with ctx.transaction():
            ctx.audit("slow.begun", "a thing")
        return Left(0)

    @feature.post("/commits", public=True)
    async def commit_slowly(ctx: Context) -> Left:
        ctx.audit("slow.begun", "a thing")
        return Left(0)

    return App("slow", features=[feature], roles={}, package="groundplan.testing")


def _keep_the_loop() -> None:
    """Past the deadline, so that nobody can cancel it in time."""
    time.sleep((seconds_left() or 0.0) + 0.01)


@pytest.fixture
async def app(engine_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[RunningApp]:
    async with running(slow_app(), tmp_path, owner_url=engine_urls.owner, DATABASE_URL=engine_urls.app) as app:
        yield app


async def _is_well(app: RunningApp) -> None:
    answer = await app.client.get("/api/v1/left")
    assert answer.status_code == 200 and (await app.rows("audit_log")) == 0


async def test_a_caller_may_shorten_it_and_never_lengthen_it(app: RunningApp) -> None:
    async def left(path: str, **headers: str) -> float:
        return float((await app.client.get(path, headers=headers)).json()["seconds"])

    assert 10 < await left("/api/v1/left") <= 30
    for path in ("/api/v1/left", "/api/v1/nested"):
        assert 0 < await left(path, **{HEADER: "9000"}) <= 9
        assert 10 < await left(path, **{HEADER: "900000"}) <= 30
        assert 10 < await left(path, **{HEADER: "-5"}) <= 30


async def test_no_time_left_is_a_504_at_once(app: RunningApp) -> None:
    answer = await app.client.get("/api/v1/left", headers={HEADER: "0"})
    assert (answer.status_code, answer.json()["code"]) == (504, "DeadlineExceeded")
    page = await app.client.get("/", headers={HEADER: "0", "accept": "text/html"})
    assert page.status_code == 504 and "text/html" in page.headers["content-type"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/query"), ("POST", "/api/v1/internal")])
async def test_it_ends_what_the_database_is_doing(app: RunningApp, method: str, path: str) -> None:
    answer = await app.client.request(method, path, headers={HEADER: "300"})
    assert (answer.status_code, answer.json()["code"]) == (504, "DeadlineExceeded"), answer.text
    if app.services.database.dialect == "postgresql":
        at_work = Sql(
            "SELECT COUNT(*) AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active'"
        )

        async def nothing() -> bool:
            others = (await app.services.database.execute(at_work))[0].n - 1  # that which asks names it too
            return bool(others == 0)

        await until(nothing)
    await _is_well(app)


@pytest.mark.parametrize("path", ["/api/v1/writes", "/api/v1/late"])
async def test_what_was_begun_is_rolled_back(app: RunningApp, path: str) -> None:
    answer = await app.client.post(path, headers={HEADER: "300"})
    assert (answer.status_code, answer.json()["code"]) == (504, "DeadlineExceeded"), answer.text
    await _is_well(app)


async def test_a_commit_is_not_torn_apart(postgres_urls: DatabaseUrls, tmp_path: Path) -> None:
    """A deferred trigger makes it take longer than there is time."""
    async with running(slow_app(), tmp_path, owner_url=postgres_urls.owner, DATABASE_URL=postgres_urls.app) as app:
        owner = Database(postgres_urls.owner)
        for statement in SLOW_COMMIT:
            await owner.execute(Sql(statement))
        await owner.close()
        answer = await app.client.post("/api/v1/commits", headers={HEADER: "300"})
        assert (answer.status_code, await app.rows("audit_log")) == (201, 1)


async def test_why_a_commit_failed_is_heard_however_long_its_rollback_takes(
    postgres_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network that takes its time for a rollback, longer than the work has."""
    rollback, seconds = PostgresqlLink.rollback, 1.0
    waits = [seconds + 3 * CHECK_SECONDS]

    async def slowly(link: PostgresqlLink) -> None:
        await asyncio.sleep(waits.pop() if waits else 0)
        await rollback(link)

    async def work() -> None:
        async with database.transaction(None) as transaction:
            transaction.end_with(Sql("SELECT 1 AS one WHERE :whose = 'mine'"), LeaseLost("Not mine."), whose="theirs")

    monkeypatch.setattr(PostgresqlLink, "rollback", slowly)
    async with opened(postgres_urls.app) as database:
        await database.ping()
        with entered(RequestContext()), pytest.raises(LeaseLost), Deadlines().within(seconds):
            await work()
