"""Notices that may be late or lost, because whoever listens looks by itself too: many of them cost what one does."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from groundplan.core.context import of_nobody
from groundplan.core.errors import GroundplanError

PAUSE_SECONDS = 0.005


class Wakes:
    """Sends a channel's first notice at once, and one more for all that come in the pause behind it."""

    def __init__(self, send: Callable[[str], Awaitable[object]]) -> None:
        self._send = send
        self._due: set[str] = set()
        self._sending: dict[str, asyncio.Task[None]] = {}

    def wake(self, channel: str) -> None:
        """Does not wait."""
        self._due.add(channel)
        if channel not in self._sending:
            name = f"wake {channel}"
            self._sending[channel] = asyncio.create_task(self._run(channel), name=name, context=of_nobody())

    async def close(self) -> None:
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, channel: str) -> None:
        try:
            while channel in self._due:
                self._due.discard(channel)
                with suppress(GroundplanError):
                    await self._send(channel)
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            del self._sending[channel]
