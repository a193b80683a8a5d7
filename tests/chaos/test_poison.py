"""A message that kills its worker is the only one that ends in the dead letters, and what ran beside it is done."""

import time

import pytest

from groundplan.messaging.delivery.deliveries import CRASH_LIMIT
from tests.chaos.scale import SCALE, full_or
from tests.chaos.site import Site


@pytest.mark.parametrize("backend", full_or(["sqlite"], ["sqlite", "postgresql", "nats", "valkey", "rabbitmq"]))
def test_only_the_killer_dies(site: Site) -> None:
    site.producer.send(SCALE.messages // 2)
    (poison,) = site.producer.send(1, jobs_only=True, deadly=True)
    site.producer.send(SCALE.messages // 2)
    kills, killed = 0, time.monotonic()
    while True:
        worker = site.worker()
        site.until(lambda worker=worker: not worker.alive or site.count("dead_letters") > 0)  # type: ignore[misc]
        if worker.alive:
            break
        kills, killed = kills + 1, time.monotonic()
    outcome = site.finish("poison", kills=kills, since=killed, dead={poison})
    (dead,) = site.ask("SELECT reason, crashes FROM dead_letters")
    assert (dead.reason, dead.crashes) == ("crashed", CRASH_LIMIT)
    assert kills == CRASH_LIMIT and outcome.effects == outcome.messages - 1
    assert worker.stop() == 0
