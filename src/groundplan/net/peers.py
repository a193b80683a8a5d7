"""Peers: what is remembered of each service that is called."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from groundplan.core.clock import Clock
from groundplan.net.breaker import Breaker, BreakerPolicy
from groundplan.net.budget import BudgetPolicy, RetryBudget
from groundplan.net.bulkhead import Bulkhead
from groundplan.telemetry.metrics import Metrics

MOST_PEERS = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one peer, in one process."""

    calls: int = 100
    """At once."""
    wait: float = 1.0
    """Seconds for a place among them."""
    budget: BudgetPolicy = field(default_factory=BudgetPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)


class Peer:
    """One host and port, as one component calls it."""

    def __init__(self, component: str, place: str, breaker: Breaker, budget: RetryBudget, bulkhead: Bulkhead) -> None:
        self.component = component
        self.place = place
        self.breaker = breaker
        self.budget = budget
        self.bulkhead = bulkhead


class Peers:
    """Those called last: customers have any number of hosts, so what was idle longest is forgotten first."""

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics,
        limits: Limits,
        by_component: Mapping[str, Limits] | None = None,
        most: int = MOST_PEERS,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._by_component = by_component or {}
        self._most = most
        self._peers: OrderedDict[tuple[str, str], Peer] = OrderedDict()

    def of(self, component: str, host: str, port: int) -> Peer:
        key = (component, f"{host}:{port}")
        peer = self._peers.get(key)
        if peer is None:
            peer = self._peers[key] = self._new(*key)
            self._forget()
        self._peers.move_to_end(key)
        return peer

    def _new(self, component: str, place: str) -> Peer:
        limits = self._by_component.get(component, self._limits)
        return Peer(
            component,
            place,
            Breaker(place, self._clock, limits.breaker, lambda state: self._count(component)),
            RetryBudget(self._clock, limits.budget),
            Bulkhead(place, limits.calls, limits.wait),
        )

    def _forget(self) -> None:
        surplus = len(self._peers) - self._most
        for key, peer in list(self._peers.items())[:-1] if surplus > 0 else ():
            if surplus > 0 and not peer.bulkhead.inside:
                del self._peers[key]
                surplus -= 1
                if peer.breaker.state != "closed":
                    self._count(peer.component)

    def _count(self, component: str) -> None:
        states = [peer.breaker.state for peer in self._peers.values() if peer.component == component]
        for state in ("open", "half-open"):
            self._metrics.outside_breakers.labels(component, state).set(states.count(state))
