"""The broker is away while messages are sent: they wait in the database, and go on when it is back."""

import time

import pytest

from tests.chaos.scale import FULL, SCALE, full_or
from tests.chaos.site import Site

RATE = 60
AT_LEAST = 30


@pytest.mark.parametrize("backend", ["nats", "valkey", "rabbitmq"])
def test_the_broker_is_stopped_and_killed_under_load(site: Site, seed: int) -> None:
    server = site.server
    worker = site.worker()
    outage = SCALE.outage if seed == SCALE.seeds[0] else SCALE.outage / 10
    with site.producer.load(RATE) as load:
        load.until(AT_LEAST)
        site.until_effects(AT_LEAST)  # a queue that RabbitMQ only just makes does not survive it
        server.stop()
        load.until(int(RATE * outage), seconds=outage * 3)
        server.start()
        load.until(AT_LEAST)
        server.kill()
        load.until(AT_LEAST)
        server.start()
        back = time.monotonic()
        load.until(AT_LEAST)
    assert not site.producer.refused, "sending needs the database alone"
    site.finish("broker stopped and killed", kills=2, since=back)
    assert worker.stop() == 0


@pytest.mark.parametrize("backend", full_or(["valkey"], ["nats", "valkey", "rabbitmq"]))
def test_the_broker_hands_out_what_is_still_at_work(site: Site) -> None:
    """Nothing is renewed, and the broker's lease is shorter than the handler's work."""
    many = 30 if FULL else 6
    busy = site.worker(broker_lease=0.5, slots=many)
    idle = site.worker(broker_lease=0.5, slots=many)
    started = time.monotonic()
    for _ in range(20):  # each of them may hear of its own ones again, which it leaves alone
        site.producer.send(many, jobs_only=True, seconds=1.0)
        outcome = site.finish("broker hands out twice", kills=0, since=started)
        if outcome.attempts > outcome.messages:
            break
    assert outcome.attempts > outcome.messages, "it did hand them out while they were at work"
    assert (busy.stop(), idle.stop()) == (0, 0)
