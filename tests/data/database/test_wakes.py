"""Many notices cost what one does, and the last is never forgotten."""

import asyncio

import pytest

from groundplan.core.errors import Unavailable
from groundplan.data.database.wakes import Wakes
from groundplan.testing.app import until
from groundplan.testing.postgres import DatabaseUrls
from tests.databases import opened

pytestmark = pytest.mark.anyio


async def test_one_at_once_and_one_for_all_that_come_meanwhile() -> None:
    sent: list[str] = []
    sending, go = asyncio.Event(), asyncio.Event()

    async def send(channel: str) -> None:
        sent.append(channel)
        sending.set()
        await go.wait()

    wakes = Wakes(send)
    wakes.wake("a")
    await sending.wait()
    for _ in range(100):
        wakes.wake("a")
    wakes.wake("b")
    go.set()
    await until(lambda: len(sent) == 3)
    assert sorted(sent) == ["a", "a", "b"]
    await wakes.close()


async def test_one_that_fails_does_not_end_them() -> None:
    sent: list[str] = []

    async def send(channel: str) -> None:
        sent.append(channel)
        raise Unavailable("away")

    wakes = Wakes(send)
    for _ in range(3):
        sent.clear()
        wakes.wake("a")
        await until(lambda: sent)
    await wakes.close()


async def test_a_wake_crosses_processes_on_postgresql(postgres_urls: DatabaseUrls) -> None:
    heard = asyncio.Event()
    async with opened(postgres_urls.app) as one, opened(postgres_urls.app) as other:
        await one.listen("groundplan_test", heard.set)
        heard.clear()
        while not heard.is_set():
            other.wake("groundplan_test")
            await asyncio.sleep(0.02)
