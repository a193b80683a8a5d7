"""Two workers, one schedule, and one of them dies: each tick fires once, and none is missed."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.chaos.scale import FULL, SCALE, full_or
from tests.chaos.site import Site

TICKS = 20 if FULL else 3


@pytest.mark.parametrize("backend", full_or(["postgresql"], ["postgresql", "nats", "valkey", "rabbitmq"]))
def test_each_tick_fires_once(site: Site) -> None:
    site.set_release("tests.chaos.ticking:app")
    doomed, other = site.worker("effects", 4).until_ready(), site.worker().until_ready()
    site.producer.send(SCALE.messages)
    killed = doomed.until_dead(seconds=60)
    site.until(lambda: site.count("ticks") >= TICKS)
    assert other.stop() == 0
    site.set_release("tests.chaos.ticking:over")
    last = site.worker()
    site.finish("two workers, one schedule", kills=1, since=killed)
    assert last.stop() == 0
    ticks = sorted(datetime.fromisoformat(row.at) for row in site.ask("SELECT at FROM ticks"))
    assert len(set(ticks)) == len(ticks), "no tick fires twice"
    assert all(later - earlier == timedelta(seconds=1) for earlier, later in pairwise(ticks)), "none is missed"
