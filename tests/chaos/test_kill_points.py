"""kill -9 at each step on a message's way: nothing is lost, and nothing is done twice in the database."""

import random

import pytest

from tests.chaos.scale import SCALE
from tests.chaos.site import Site
from tests.chaos.steps import BY_BROKER, BY_DATABASE

BACKENDS = ["sqlite", "postgresql", "nats", "valkey", "rabbitmq"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_killed_at_each_step(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    steps = BY_BROKER if site.by_broker else BY_DATABASE
    for _ in range(SCALE.rounds):
        killed = 0.0
        for step in steps:
            site.producer.send(SCALE.messages // 4)
            killed = site.worker(step, chance.randint(1, 4)).until_dead()
        last = site.worker()
        site.finish("killed at each step", kills=len(steps), since=killed)
        assert last.stop() == 0
