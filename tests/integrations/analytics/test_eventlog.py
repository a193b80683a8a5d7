"""The batched writer: when it hands over, what it counts, and that its caller never notices."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from groundplan.core.context import RequestContext, entered
from groundplan.integrations.analytics import eventlog
from groundplan.integrations.analytics.eventlog import EventLogAnalytics
from groundplan.integrations.analytics.port import Fact
from groundplan.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


class Store:
    """Where batches go: as slow, and as broken, as a test wants it."""

    def __init__(self) -> None:
        self.batches: list[list[Fact]] = []
        self.slow = 0.0
        self.broken = False
        self.warnings: list[dict[str, Any]] = []
        self.warned = asyncio.Event()

    async def append(self, facts: Sequence[Fact]) -> None:
        await asyncio.sleep(self.slow)
        if self.broken:
            raise ConnectionError("gone")
        self.batches.append(list(facts))

    def warning(self, event: str, **fields: Any) -> None:
        self.warnings.append(fields)
        self.warned.set()

    @property
    def names(self) -> list[str]:
        return [fact.name for batch in self.batches for fact in batch]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is handed over once an hour."""
    monkeypatch.setattr(eventlog, "_FLUSH_SECONDS", 3600)


@pytest.fixture
async def analytics(store: Store) -> AsyncIterator[EventLogAnalytics]:
    analytics = EventLogAnalytics(store.append, ManualClock(), store)
    await analytics.open()
    yield analytics
    await analytics.close()


def track(analytics: EventLogAnalytics, *names: str) -> None:
    for name in names:
        analytics.track(name, tenant_id=None, user_id=None, properties={"a": 1})


async def wait_until(store: Store, count: int) -> None:
    started = time.monotonic()
    while len(store.names) < count:
        assert time.monotonic() - started < 10
        await asyncio.sleep(0.005)


async def test_a_fact_knows_the_request_it_was_seen_in(analytics: EventLogAnalytics, store: Store) -> None:
    context = RequestContext(request_id="req_12345678")
    with entered(context):
        track(analytics, "product.viewed")
    track(analytics, "of nobody")
    await wait_until(store, 2)

    seen, other = store.batches[0]
    assert (seen.name, seen.properties, seen.at) == ("product.viewed", {"a": 1}, ManualClock().now())
    assert (seen.request_id, seen.traceparent) == ("req_12345678", context.traceparent)
    assert (other.request_id, other.traceparent) == ("", "")


async def test_a_few_facts_go_within_a_second(analytics: EventLogAnalytics, store: Store) -> None:
    track(analytics, "one", "two")
    assert store.names == []
    await wait_until(store, 2)
    assert len(store.batches) == 1
    assert eventlog._FLUSH_SECONDS < 1


async def test_two_hundred_facts_do_not_wait(rare: None, analytics: EventLogAnalytics, store: Store) -> None:
    await asyncio.sleep(0)
    track(analytics, *map(str, range(450)))

    await wait_until(store, 450)
    assert store.names == [str(number) for number in range(450)]
    assert max(map(len, store.batches)) == 200


async def test_closing_hands_over_what_waits(analytics: EventLogAnalytics, store: Store) -> None:
    track(analytics, *map(str, range(250)))
    await analytics.close()

    assert len(store.names) == 250


async def test_closing_waits_for_what_is_under_way(analytics: EventLogAnalytics, store: Store) -> None:
    store.slow = 0.2
    track(analytics, *map(str, range(200)))
    await asyncio.sleep(0.05)
    track(analytics, "late")
    await analytics.close()

    assert len(store.names) == 201
    assert analytics.dropped == 0


async def test_what_cannot_be_kept_is_counted(analytics: EventLogAnalytics, store: Store) -> None:
    store.broken = True
    track(analytics, *map(str, range(200)))
    await store.warned.wait()
    store.broken = False
    track(analytics, "after")
    await analytics.close()

    assert store.names == ["after"]
    assert analytics.dropped == 200
    assert store.warnings == [{"count": 200, "error": "ConnectionError"}]
    assert "200 given up" in await analytics.ping()


async def test_closing_does_not_fail_either(analytics: EventLogAnalytics, store: Store) -> None:
    store.broken = True
    track(analytics, "lost")
    await analytics.close()

    assert analytics.dropped == 1


async def test_what_waits_is_bounded(analytics: EventLogAnalytics, store: Store) -> None:
    store.slow = 60.0
    track(analytics, *map(str, range(10_050)))
    assert analytics.dropped == 50
    assert "10000 facts waiting" in await analytics.ping()
    store.slow = 0.0


async def test_it_can_be_opened_again(analytics: EventLogAnalytics, store: Store) -> None:
    await analytics.close()
    await analytics.open()
    track(analytics, "again")
    await wait_until(store, 1)


async def test_closing_what_was_never_opened(store: Store) -> None:
    analytics = EventLogAnalytics(store.append, ManualClock(), store)
    track(analytics, "one")
    await analytics.close()

    assert store.names == ["one"]
