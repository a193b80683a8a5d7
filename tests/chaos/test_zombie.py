"""A worker that slept through its lease wakes up when another has done its work: it is refused."""

import signal
import time

import pytest

from tests.chaos.scale import full_or
from tests.chaos.site import Site


@pytest.mark.parametrize("step", ["handling", "committing"])
@pytest.mark.parametrize("backend", full_or(["postgresql", "nats"], ["postgresql", "nats", "valkey", "rabbitmq"]))
def test_a_zombie_is_refused(site: Site, step: str) -> None:
    site.producer.send(10)
    zombie = site.worker(step, 3, how=signal.SIGSTOP)
    zombie.until_frozen()
    frozen = time.monotonic()
    heir = site.worker()
    site.until_idle()
    before = site.count("effects", f"worker = {zombie.pid}")
    zombie.send(signal.SIGCONT)
    if step == "committing":
        zombie.until_it_says("lease lost")
    else:  # it may see first that its time is over
        zombie.until_it_says("lease lost", "handler failed, will retry")
    site.finish(f"zombie, frozen while {step}", kills=1, since=frozen)
    assert site.count("effects", f"worker = {zombie.pid}") == before, "what it did in its sleep was refused"
    assert (zombie.stop(), heir.stop()) == (0, 0)
