"""Is each component of the picture well, what does it run on, and how long does it take to answer?"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from groundplan.core.clock import Clock


class ComponentHealth(msgspec.Struct, frozen=True, kw_only=True):
    component: str
    state: Literal["ok", "warn", "bad"]
    runs_on: str
    detail: str
    ping_ms: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """``ping`` returns a sentence about the component, and raises when it is not well."""

    component: str
    runs_on: str
    ping: Callable[[], Awaitable[str]]
    critical: bool = False
    """Whether ``/readyz`` fails with it."""


class Health:
    def __init__(self, checks: Sequence[Check], clock: Clock, *, timeout: float = 2.0) -> None:
        """``timeout`` in seconds, for each ping."""
        self._checks = tuple(checks)
        self._clock = clock
        self._timeout = timeout
        self.draining = False

    async def check(self) -> list[ComponentHealth]:
        return list(await asyncio.gather(*(self._run(check) for check in self._checks)))

    async def ready(self) -> list[ComponentHealth]:
        """The critical components that are not well; empty means ready."""
        critical = [check for check in self._checks if check.critical]
        results = await asyncio.gather(*(self._run(check) for check in critical))
        return [result for result in results if result.state == "bad"]

    async def _run(self, check: Check) -> ComponentHealth:
        started = self._clock.monotonic()
        state: Literal["ok", "bad"] = "ok"
        try:
            detail = await asyncio.wait_for(check.ping(), self._timeout)
        except TimeoutError:
            state, detail = "bad", f"No answer in {self._timeout:g} s."
        except Exception as error:  # whatever a component raises means it is not well
            state, detail = "bad", f"{type(error).__name__}: {error}"
        elapsed = (self._clock.monotonic() - started) * 1000
        return ComponentHealth(
            component=check.component, state=state, runs_on=check.runs_on, detail=detail, ping_ms=round(elapsed, 2)
        )
