"""Every connection to the database stays in use: who comes is told so early, nobody hangs, and it passes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from groundplan.app import App, Context, Feature
from groundplan.testing.app import RunningApp, running, until
from groundplan.testing.postgres import DatabaseUrls

pytestmark = pytest.mark.anyio

CLIENTS = 60
ASK = text("SELECT 1")


class Done(msgspec.Struct, frozen=True):
    held: bool


class Holder:
    def __init__(self) -> None:
        self.holding = 0
        self.let_go = asyncio.Event()

    async def hold(self) -> Done:
        self.holding += 1
        await self.let_go.wait()
        self.holding -= 1
        return Done(True)


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
async def app(engine_urls: DatabaseUrls, tmp_path: Path, holder: Holder) -> AsyncIterator[RunningApp]:
    feature = Feature("held", owner="tests")

    @feature.get("/held", public=True)
    async def hold_reader(ctx: Context) -> Done:
        await ctx.db.execute(ASK, execution_options={"unscoped": True})
        return await holder.hold()

    @feature.post("/held", public=True)
    async def hold_writer(ctx: Context) -> Done:
        return await holder.hold()

    @feature.get("/quick", public=True)
    async def read(ctx: Context) -> Done:
        await ctx.db.execute(ASK, execution_options={"unscoped": True})
        return Done(False)

    @feature.post("/quick", public=True)
    async def write(ctx: Context) -> Done:
        ctx.audit("quick.done", "a thing")
        return Done(False)

    held = App("held", features=[feature], roles={}, package="groundplan.testing")
    url, owner = engine_urls.app, engine_urls.owner
    async with running(held, tmp_path, owner_url=owner, DATABASE_URL=url, DATABASE_POOL_SIZE="2") as app:
        yield app


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_it_is_told_early_and_passes(app: RunningApp, holder: Holder, method: str) -> None:
    size = 2 if method == "GET" else 1
    holders = [asyncio.create_task(app.client.request(method, "/api/v1/held")) for _ in range(size)]
    await until(lambda: holder.holding == size)
    refusals: Counter[str] = Counter()

    async def ask_again_and_again() -> None:
        while not holder.let_go.is_set():
            answer = await app.client.request(method, "/api/v1/quick")
            if answer.status_code == 503:
                assert answer.headers["retry-after"], answer.headers
                refusals[answer.json()["detail"]] += 1
            await asyncio.sleep(0.05)

    clients = [asyncio.create_task(ask_again_and_again()) for _ in range(CLIENTS)]
    await until(lambda: len(refusals) >= 2)
    assert any("Too many requests" in words for words in refusals), "those who came later, without a wait"
    assert any("connection" in words for words in refusals), "those who waited"
    holder.let_go.set()
    await asyncio.gather(*clients)
    assert [(await task).status_code for task in holders] == [200 if method == "GET" else 201] * size

    async def well_again() -> bool:
        return (await app.client.request(method, "/api/v1/quick")).is_success

    await until(well_again)
