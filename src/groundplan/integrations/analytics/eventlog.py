"""The embedded adapter: facts go to the platform's own event log, in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from groundplan.core.clock import Clock
from groundplan.core.context import current
from groundplan.integrations.analytics.port import Fact

_FLUSH_SECONDS = 0.5
_FLUSH_FACTS = 200
_MOST_WAITING = 10_000

Append = Callable[[Sequence[Fact]], Awaitable[None]]


class EventLogAnalytics:
    """Hands over what waits every half second, or as soon as 200 facts do; forgets and counts what cannot be kept."""

    def __init__(self, append: Append, clock: Clock, log: Any) -> None:
        self._append = append
        self._clock = clock
        self._log = log
        self._waiting: list[Fact] = []
        self._due = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def open(self) -> None:
        self._closing = False
        self._task = asyncio.create_task(self._loop(), name="analytics")

    async def close(self) -> None:
        """Returns once everything noted so far is handed over, or given up."""
        self._closing = True
        self._due.set()
        if self._task is not None:
            await self._task
            self._task = None
        await self._flush()

    async def ping(self) -> str:
        return f"{len(self._waiting)} facts waiting, {self.dropped} given up."

    def track(self, name: str, *, tenant_id: UUID | None, user_id: UUID | None, properties: dict[str, Any]) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        context = current()
        self._waiting.append(
            Fact(
                name=name,
                properties=properties,
                at=self._clock.now(),
                tenant_id=tenant_id,
                user_id=user_id,
                request_id=context.request_id if context else "",
                traceparent=context.traceparent if context else "",
            )
        )
        if len(self._waiting) >= _FLUSH_FACTS:
            self._due.set()

    async def _loop(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), _FLUSH_SECONDS)
            self._due.clear()
            await self._flush()

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_FLUSH_FACTS], self._waiting[_FLUSH_FACTS:]
            try:
                await self._append(batch)
            except Exception as error:
                self.dropped += len(batch)
                self._log.warning("analytics facts given up", count=len(batch), error=type(error).__name__)
