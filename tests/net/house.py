"""A house that makes calls: its waits are noted and pass at once, its metrics can be read."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from groundplan.net.client import Outbound
from groundplan.net.peers import Limits
from groundplan.telemetry import Metrics
from groundplan.testing.clock import ManualClock


class Longest:
    """Waits are as long as they may be."""

    def uniform(self, a: float, b: float, /) -> float:
        return b


class House:
    """An outbound client whose waits are noted, and pass at once on the clock."""

    def __init__(self, limits: Limits, by_component: Mapping[str, Limits] | None) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.waits: list[float] = []
        self.outbound = Outbound(
            self.clock,
            self.metrics,
            limits=limits,
            by_component=by_component,
            random=Longest(),
            sleep=self._sleep,
        )
        self.request = self.outbound.request

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.seconds += seconds

    def count(self, name: str, **labels: str) -> float:
        labels = {"component": "Outside"} | labels
        return self.metrics.registry.get_sample_value(f"groundplan_outside_{name}", labels) or 0.0


@asynccontextmanager
async def a_house(
    limits: Limits | None = None, by_component: Mapping[str, Limits] | None = None
) -> AsyncIterator[House]:
    house = House(limits or Limits(), by_component)
    yield house
    await house.outbound.close()
