"""The old release and the new one side by side: neither takes what it does not know, and all of it is done."""

import asyncio
import time

import pytest

from groundplan.data.database.database import Database
from groundplan.messaging.delivery.stats import QueueStats
from groundplan.messaging.handlers import Handlers
from tests.chaos import app as old
from tests.chaos import next_release as new
from tests.chaos.producer import subscribe
from tests.chaos.scale import SCALE, full_or
from tests.chaos.site import Site


@pytest.mark.parametrize("backend", full_or(["postgresql", "nats"], ["postgresql", "nats", "valkey", "rabbitmq"]))
def test_old_and_new_side_by_side(site: Site) -> None:
    subscribe(site.database_url, new.feature.handlers)
    elder = site.worker()
    by_old = site.producer.send(SCALE.messages)
    site.producer.events = new.Noted
    by_new = site.producer.send(SCALE.messages)
    jobs, events = _jobs(by_old + by_new), _events(by_old)
    site.until_effects(len(jobs) + len(events))
    assert site.count("deliveries", "state = 'ready' AND attempt = 0") == len(by_old + by_new) - len(jobs) + len(
        _events(by_new)
    ), "what is new waits for the new release"
    waiting = _unclaimed(site)
    assert waiting == {"chaos.greet": len(_events(by_old + by_new)), "chaos.hear": len(_events(by_new))}

    site.set_release("tests.chaos.next_release:app")
    younger, started = site.worker(), time.monotonic()
    for events_of in (old.Noted, new.Noted, old.Noted):
        site.producer.events = events_of
        (by_new if events_of is new.Noted else by_old).extend(site.producer.send(SCALE.messages))
    site.finish("old and new side by side", kills=0, since=started, handlers=lambda number: 1 if number % 2 else 2)
    done_by_old = {
        (row.number, row.handler) for row in site.ask("SELECT number, handler FROM effects WHERE release = 'old'")
    }
    assert not {number for number, handler in done_by_old if handler == "chaos.greet"}
    assert not {number for number, handler in done_by_old if handler == "chaos.hear"} & set(by_new)
    assert (elder.stop(), younger.stop()) == (0, 0)
    assert _unclaimed(site) == {}


def _jobs(numbers: list[int]) -> list[int]:
    return [number for number in numbers if number % 2]


def _events(numbers: list[int]) -> list[int]:
    return [number for number in numbers if number % 2 == 0]


def _unclaimed(site: Site) -> dict[str, int]:
    """As the old release sees it."""

    async def inside() -> dict[str, int]:
        database = Database(site.database_url, pool_size=1)
        try:
            rows = await QueueStats(database, Handlers(old.feature.handlers)).read()
        finally:
            await database.close()
        return {row.handler: row.unclaimed for row in rows if row.unclaimed}

    return asyncio.run(inside())
