"""Limits over HTTP where processes share a Valkey: what one gives the other lacks, and an outage makes both strict."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from groundplan.testing.app import RunningApp, running, until
from groundplan.testing.postgres import DatabaseUrls
from groundplan.testing.servers import ValkeyServer
from tests.backend.test_rate_limits import ONE, OTHER, items, statuses, tiny

pytestmark = pytest.mark.anyio

KEPT = "/api/v1/kept"


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def two(server: ValkeyServer, postgres_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[list[RunningApp]]:
    environment = {"DATABASE_URL": postgres_urls.app, "REDIS_URL": server.url, "TRUSTED_PROXIES": "127.0.0.1"}
    async with AsyncExitStack() as stack:
        apps = list[RunningApp]()
        for place in ("one", "other"):
            folder = tmp_path / place
            folder.mkdir()
            started = running(
                tiny(), folder, role="api", owner_url=postgres_urls.owner, RATE_LIMIT_IP="40/h", **environment
            )
            apps.append(await stack.enter_async_context(started))
        yield apps


async def test_what_a_route_declares_is_kept_exactly(two: list[RunningApp]) -> None:
    one, other = two
    assert await statuses(one, "/api/v1/by-ip", 1, headers=ONE) == [200]
    assert await statuses(other, "/api/v1/by-ip", 2, headers=ONE) == [200, 429]
    assert await statuses(one, "/api/v1/by-ip", 1, headers=ONE) == [429]
    assert await statuses(one, "/api/v1/by-ip", 1, headers=OTHER) == [200]


async def test_the_door_counts_what_came_in_elsewhere(two: list[RunningApp]) -> None:
    answers = [status for app in two for status in await statuses(app, KEPT, 40, headers=ONE)]
    assert 40 <= answers.count(200) <= 48 and set(answers) == {200, 429}

    async def refused_by_both() -> bool:
        return [status for app in two for status in await statuses(app, KEPT, 1, headers=ONE)] == [429, 429]

    await until(refused_by_both)
    assert await statuses(two[1], KEPT, 1, headers=OTHER) == [200]


async def test_while_the_engine_is_away_a_process_gives_a_quarter(two: list[RunningApp], server: ValkeyServer) -> None:
    one, _ = two
    server.freeze()

    async def is_strict() -> bool:
        answer = await one.client.get("/api/v1/by-route", headers=OTHER)
        return answer.status_code == 429 and items(answer, "ratelimit-policy")["ip"]["q"] == 10

    await until(is_strict)
    assert await statuses(one, KEPT, 12, headers=ONE) == [200] * 10 + [429] * 2
    refused = await one.client.get(KEPT, headers=ONE)
    assert refused.headers["retry-after"] and "At most 10 requests" in refused.json()["detail"]
    assert await statuses(one, "/api/v1/by-tenant", 2, headers={"x-forwarded-for": "203.0.113.9"}) == [200, 429]
    server.thaw()
    visitors = iter(range(1, 250))

    async def is_shared() -> bool:
        visitor = {"x-forwarded-for": f"198.51.100.{next(visitors)}"}
        answer = await one.client.get("/api/v1/nested", headers=visitor)
        return items(answer, "ratelimit-policy")["ip"]["q"] == 40

    await until(is_shared)
    assert 'groundplan_rate_limit_decisions_total{result="local"}' in (await one.client.get("/metrics")).text
