"""A hundred handlers at work, and their process is gone."""

import pytest

from tests.chaos.scale import SCALE, full_or
from tests.chaos.site import Site

IN_FLIGHT = 100


@pytest.mark.parametrize(
    "backend", full_or(["sqlite", "postgresql"], ["sqlite", "postgresql", "nats", "valkey", "rabbitmq"])
)
def test_a_hundred_in_flight(site: Site) -> None:
    for _ in range(SCALE.rounds):
        site.producer.send(IN_FLIGHT + SCALE.messages)
        killed = site.worker("together", IN_FLIGHT, slots=IN_FLIGHT).until_dead()
        assert site.count("effects", f"worker = {site.last.pid}") == 0
        last = site.worker(slots=IN_FLIGHT)
        site.finish("100 in flight", kills=1, since=killed)
        assert last.stop() == 0
