"""The bulkhead: how many calls to one peer run at once, so that a slow one does not take all of us with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from groundplan.core.errors import PeerUnavailable


class Bulkhead:
    def __init__(self, peer: str, calls: int, wait: float) -> None:
        """At most ``calls`` at once; one more waits ``wait`` seconds for a place."""
        self._peer = peer
        self._calls = calls
        self._wait = wait
        self._places = asyncio.Semaphore(calls)
        self.inside = 0
        """Calls that run or wait."""

    @asynccontextmanager
    async def place(self, seconds: float) -> AsyncIterator[None]:
        """Waits no longer than ``seconds`` either.

        Raises:
            PeerUnavailable: no place came free.
        """
        self.inside += 1
        try:
            await self._enter(min(self._wait, seconds))
            try:
                yield
            finally:
                self._places.release()
        finally:
            self.inside -= 1

    async def _enter(self, seconds: float) -> None:
        if not self._places.locked():
            await self._places.acquire()  # at once
            return
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            raise PeerUnavailable(
                f"{self._calls} calls to {self._peer} are running, which is the most, "
                f"and none ended within {seconds:.3g} s. Try again in 1 s.",
                retry_after=1.0,
            ) from None
