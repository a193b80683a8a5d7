"""The embedded adapter: facts go to the platform's own event log, in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
    def __init__(self, append: Append, clock: Clock, log: Any) -> None:
        self._append = append
        self._clock = clock
        self._log = log
        self._waiting: list[Fact] = []
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def open(self) -> None:
        self._task = asyncio.create_task(self._loop(), name="analytics")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
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

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_FLUSH_FACTS], self._waiting[_FLUSH_FACTS:]
            try:
                await self._append(batch)
            except Exception as error:
                self.dropped += len(batch)
                self._log.warning("analytics facts given up", count=len(batch), error=type(error).__name__)
