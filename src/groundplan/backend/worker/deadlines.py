"""The time that handlers have. One look at all of them, ten times a second, costs less than a timer for each."""

import asyncio
from collections.abc import Awaitable

CHECK_SECONDS = 0.1


class Deadlines:
    def __init__(self) -> None:
        self._due: dict[asyncio.Task[None], float] = {}
        self._overdue: set[asyncio.Task[None]] = set()

    async def limit(self, task: asyncio.Task[None], seconds: float, work: Awaitable[None]) -> None:
        """Awaits ``work`` in ``task``, the current one. Raises TimeoutError up to a tenth of a second late."""
        self._due[task] = asyncio.get_running_loop().time() + seconds
        try:
            await work
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            raise TimeoutError from None
        finally:
            del self._due[task]
            if task in self._overdue:
                self._overdue.discard(task)
                task.uncancel()

    async def check(self) -> None:
        now = asyncio.get_running_loop().time()
        for task, due in list(self._due.items()):
            if due <= now and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
