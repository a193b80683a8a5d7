"""What is remembered of peers, and of how many."""

import pytest

from groundplan.net.breaker import BreakerPolicy
from groundplan.net.peers import Limits, Peers
from groundplan.telemetry import Metrics
from groundplan.testing.clock import ManualClock


def test_each_host_and_port_of_a_component_is_its_own_peer() -> None:
    peers = Peers(ManualClock(), Metrics(), Limits())
    one = peers.of("Payments", "pay.example", 443)
    assert peers.of("Payments", "pay.example", 443) is one
    others = [("Payments", "pay.example", 8443), ("Payments", "x.example", 443), ("Mail", "pay.example", 443)]
    assert one not in [peers.of(*other) for other in others]


def test_the_longest_idle_are_forgotten() -> None:
    peers = Peers(ManualClock(), Metrics(), Limits(), most=3)
    first = peers.of("Customer", "first.example", 443)
    second = peers.of("Customer", "second.example", 443)
    peers.of("Customer", "third.example", 443)
    assert peers.of("Customer", "first.example", 443) is first
    peers.of("Customer", "fourth.example", 443)
    assert peers.of("Customer", "first.example", 443) is first
    assert peers.of("Customer", "second.example", 443) is not second


@pytest.mark.anyio
async def test_a_peer_with_calls_under_way_is_not_forgotten() -> None:
    peers = Peers(ManualClock(), Metrics(), Limits(), most=3)
    busy = peers.of("Customer", "busy.example", 443)
    async with busy.bulkhead.place(1):
        for number in range(5):
            peers.of("Customer", f"{number}.example", 443)
        assert peers.of("Customer", "busy.example", 443) is busy


def test_breakers_that_are_not_closed_are_counted() -> None:
    metrics, clock = Metrics(), ManualClock()
    peers = Peers(clock, metrics, Limits(breaker=BreakerPolicy(timeouts=1, pause=5)), most=3)

    def counted() -> tuple[float | None, ...]:
        sample = metrics.registry.get_sample_value
        return tuple(
            sample("groundplan_outside_breakers", {"component": "Customer", "state": state})
            for state in ("open", "half-open")
        )

    sick = [peers.of("Customer", f"{number}.example", 443) for number in range(3)]
    for peer in sick:
        peer.breaker.admit().timed_out()
    assert counted() == (3, 0)
    clock.seconds += 5
    probe = sick[2].breaker.admit()
    assert counted() == (2, 1)
    probe.succeeded()
    assert counted() == (2, 0)
    peers.of("Customer", "new.example", 443)
    assert counted() == (1, 0)
    sick[0].breaker.admit()
    assert counted() == (1, 0), "what was forgotten no longer counts"
