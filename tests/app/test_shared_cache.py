"""Two processes' worth of an app on one database and one Valkey: a commit on one, a read on the other, an outage."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from groundplan.app.health import Health
from groundplan.core.quotas import Quota
from groundplan.data.coordination.limits import RateLimits
from groundplan.data.coordination.port import Coordination
from groundplan.testing.app import RunningApp, running, until
from groundplan.testing.postgres import DatabaseUrls
from groundplan.testing.servers import Server, ValkeyServer
from tests.app.test_cached import Name, Names

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[Server]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def names() -> Names:
    """One app, so that its reads in both are counted together."""
    return Names()


@pytest.fixture
async def two(
    names: Names, server: Server, postgres_urls: DatabaseUrls, tmp_path: Path
) -> AsyncIterator[list[RunningApp]]:
    async with AsyncExitStack() as stack:
        apps = list[RunningApp]()
        for place in ("one", "other"):
            folder = tmp_path / place
            folder.mkdir()
            environment = {"DATABASE_URL": postgres_urls.app, "REDIS_URL": server.url}
            started = running(names.app, folder, role="api", owner_url=postgres_urls.owner, **environment)
            apps.append(await stack.enter_async_context(started))
        yield apps


async def health(app: RunningApp) -> tuple[str, str]:
    components = await app.services.registry[Health].check()
    found = next(each for each in components if each.component == "Cache")
    return found.state, found.runs_on


async def test_a_commit_on_one_is_seen_on_the_other(two: list[RunningApp], names: Names) -> None:
    one, other = two
    for app in two:
        assert await app.context().api(names.list) == []
    assert await one.context().api(names.add, data=Name("new")) == ["new"]

    async def seen() -> bool:
        return await other.context().api(names.list) == ["new"]

    await until(seen)
    assert await one.context().api(names.list) == ["new"]


async def test_an_outage_shows_and_answers_go_on(two: list[RunningApp], names: Names, server: Server) -> None:
    one, _ = two
    assert await health(one) == ("ok", f"Redis or Valkey, 127.0.0.1:{server.port}")
    server.freeze()
    for number in range(5):
        assert await one.context().api(names.list, prefix=str(number)) == []
    assert (await health(one))[0] == "bad"
    metrics = (await one.client.get("/metrics")).text
    assert 'groundplan_redis_up{use="cache"} 0.0' in metrics
    assert 'groundplan_cache_requests_total{result="error"}' in metrics
    assert await one.context().api(names.add, data=Name("new")) == ["new"]
    assert await one.context().api(names.list) == ["new"]
    limits: RateLimits = one.services.registry[RateLimits]
    assert (await limits.take("subject", Quota(100, 60))).limit == 25
    server.thaw()

    async def is_back() -> bool:
        return (await health(one))[0] == "ok" and (await limits.take("other", Quota(100, 60))).limit == 100

    await until(is_back)
    assert 'groundplan_redis_up{use="cache"} 1.0' in (await one.client.get("/metrics")).text
    coordination: Coordination = one.services.registry[Coordination]
    assert await coordination.ping()
