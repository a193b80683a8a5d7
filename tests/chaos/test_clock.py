"""A process's clock is set ten minutes ahead and back: leases go by the database's, so nothing changes hands."""

import signal
import time

import pytest

from tests.chaos.scale import full_or
from tests.chaos.site import Site

MESSAGES = 20


@pytest.mark.parametrize("backend", full_or(["postgresql"], ["postgresql", "nats", "valkey", "rabbitmq"]))
def test_a_clock_is_set_under_load(site: Site) -> None:
    wrong, right = site.worker().until_ready(), site.worker().until_ready()
    started = time.monotonic()
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR2):  # 10 minutes ahead, right, 10 minutes behind
        site.producer.send(MESSAGES, jobs_only=True, seconds=0.2)
        site.until_effects(len(site.producer.acknowledged) - MESSAGES // 2)
        wrong.send(number)
        site.producer.send(MESSAGES, jobs_only=True, seconds=0.2)
        site.until_idle()
    outcome = site.finish("clock set by 10 minutes", kills=0, since=started)
    assert outcome.attempts == outcome.messages, "no lease ended early"
    assert site.count("effects", f"worker = {wrong.pid}") and site.count("effects", f"worker = {right.pid}")
    assert (wrong.stop(), right.stop()) == (0, 0)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_on_sqlite_a_clock_set_ahead_ends_leases_and_doubles_nothing(site: Site) -> None:
    """There the process's clock is the database's."""
    worker = site.worker().until_ready()
    site.producer.send(2 * MESSAGES, jobs_only=True, seconds=0.5)
    site.until_effects(1)
    worker.send(signal.SIGUSR1)
    moved = time.monotonic()
    site.finish("clock set by 10 minutes", kills=0, since=moved)
    assert worker.stop() == 0


@pytest.mark.parametrize("backend", ["sqlite"])
def test_on_sqlite_a_clock_set_back_delays_what_waits_and_loses_nothing(site: Site) -> None:
    """What is leased is done at once and once; what waits is due when the clock is where it was."""
    worker = site.worker(slots=MESSAGES).until_ready()
    at_work = len(site.producer.send(MESSAGES, jobs_only=True, seconds=0.5))
    site.until(lambda: site.count("deliveries", "state = 'ready'") == 0)
    worker.send(signal.SIGUSR2)
    site.producer.send(MESSAGES, jobs_only=True)
    site.until_effects(at_work)
    site.until(lambda: site.count("deliveries") == MESSAGES)
    worker.send(signal.SIGUSR1)
    moved = time.monotonic()
    outcome = site.finish("clock set back by 10 minutes", kills=0, since=moved)
    assert outcome.attempts == outcome.messages
    assert worker.stop() == 0
