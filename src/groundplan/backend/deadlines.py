"""The time that requests and handlers have: one look at all, ten times a second, costs less than a timer each."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from groundplan.core.context import Tally, current

CHECK_SECONDS = 0.1
TIMEOUT_HEADER = "groundplan-timeout-ms"
"""Milliseconds that a caller will wait: it shortens our own time, and never lengthens it."""
T = TypeVar("T")


class Deadlines:
    """Looks only while there is something to look at. What is committing is left to its end."""

    def __init__(self) -> None:
        self._due: dict[asyncio.Task[None], tuple[float, Tally | None]] = {}
        self._overdue: set[asyncio.Task[None]] = set()
        self._looking = False

    async def limit(self, task: asyncio.Task[None], seconds: float, work: Awaitable[T]) -> T:
        """Awaits ``work`` in ``task``, the current one. Raises TimeoutError up to a tenth of a second late."""
        loop, context = asyncio.get_running_loop(), current()
        self._due[task] = loop.time() + seconds, context.tally if context else None
        if not self._looking:
            self._looking = True
            loop.call_later(CHECK_SECONDS, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            raise TimeoutError from None
        finally:
            del self._due[task]
            if task in self._overdue:
                self._overdue.discard(task)
                task.uncancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, (due, tally) in self._due.items():
            if due <= now and task not in self._overdue and not (tally and tally.committing):
                self._overdue.add(task)
                task.cancel()
        self._looking = bool(self._due)
        if self._looking:
            loop.call_later(CHECK_SECONDS, self._look, loop)
