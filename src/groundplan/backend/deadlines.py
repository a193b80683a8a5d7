"""The time that requests and handlers have: one look at all, ten times a second, costs less than a timer each."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from groundplan.core.context import Tally, current

CHECK_SECONDS = 0.1
TIMEOUT_HEADER = "groundplan-timeout-ms"
"""Milliseconds that a caller will wait: it shortens our own time, and never lengthens it."""


class Deadlines:
    """Looks only while there is something to look at. What is committing is left to its end."""

    def __init__(self, late: Callable[[float], Exception] = lambda seconds: TimeoutError()) -> None:
        """``late`` makes what is raised in a block that took longer than these seconds."""
        self._late = late
        self._due: dict[asyncio.Task[object], tuple[float, Tally | None]] = {}
        self._overdue: set[asyncio.Task[object]] = set()
        self._looking = False

    def within(self, seconds: float) -> "_Within":
        """A block that the current task has so long for. It is ended up to a tenth of a second late."""
        return _Within(self, seconds)

    def _begin(self, seconds: float) -> asyncio.Task[object]:
        loop, task, context = asyncio.get_running_loop(), asyncio.current_task(), current()
        if task is None:
            raise RuntimeError("Only what runs in a task can be ended.")
        self._due[task] = loop.time() + seconds, context.tally if context else None
        if not self._looking:
            self._looking = True
            loop.call_later(CHECK_SECONDS, self._look, loop)
        return task

    def _end(self, task: asyncio.Task[object]) -> bool:
        """Whether it was ended."""
        del self._due[task]
        if task not in self._overdue:
            return False
        self._overdue.discard(task)
        task.uncancel()
        return True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, (due, tally) in self._due.items():
            if due <= now and task not in self._overdue and not (tally and tally.committing):
                self._overdue.add(task)
                task.cancel()
        self._looking = bool(self._due)
        if self._looking:
            loop.call_later(CHECK_SECONDS, self._look, loop)


class _Within:
    __slots__ = ("_deadlines", "_seconds", "_task")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self._deadlines, self._seconds = deadlines, seconds

    def __enter__(self) -> None:
        self._task = self._deadlines._begin(self._seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._deadlines._end(self._task) and isinstance(error, asyncio.CancelledError):
            raise self._deadlines._late(self._seconds) from None
