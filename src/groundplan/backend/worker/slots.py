"""The slots of a worker: each runs one delivery after another."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from groundplan.backend.worker.runner import Runner
from groundplan.messaging.delivery.sources import Source
from groundplan.messaging.handlers import Handlers
from groundplan.messaging.message import Delivery

PATIENCE_SECONDS = 0.005
"""How long a worker that is nearly full waits for more room: many rows in one round trip is the whole speed."""
_TURN = 50
"""After so many deliveries that never waited, a slot lets others have the loop."""
_PAUSE_AFTER_ERROR_SECONDS = 1.0


class Held:
    """One delivery in this worker, waiting for a slot or running in ``task``."""

    __slots__ = ("delivery", "source", "task")

    def __init__(self, delivery: Delivery, source: Source) -> None:
        self.delivery = delivery
        self.source = source
        self.task: asyncio.Task[None] | None = None


class Slots:
    """``ended`` hears after how many seconds another look at the queue may be worthwhile."""

    def __init__(self, count: int, handlers: Handlers, ended: Callable[[float], None], log: Any) -> None:
        self._count = count
        self._handlers = handlers
        self._ended = ended
        self._log = log
        self._waiting: deque[Held] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._roused = 0
        self._held: set[Held] = set()
        self._stopping = False
        self._reserved = 0
        self._change = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, runner: Runner) -> None:
        self._tasks = [asyncio.create_task(self._slot(runner), name=f"slot {n}") for n in range(self._count)]

    async def stop(self, grace: float) -> list[Held]:
        """Waits up to ``grace`` seconds, then stops handlers where they are; returns what is unfinished."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.idle(), grace)
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return list(self._held)

    def put(self, delivery: Delivery, source: Source) -> None:
        held = Held(delivery, source)
        self._held.add(held)
        self._waiting.append(held)
        self._rouse()

    def held_from(self, source: Source) -> list[Held]:
        return [held for held in self._held if held.source is source]

    def abandon(self, lost: Iterable[Held]) -> None:
        """Stops handlers whose lease has passed to another worker, or whose message was cancelled."""
        for held in lost:
            if held.task is not None and held in self._held:
                held.task.cancel()

    async def room(self) -> int:
        """Waits for free slots, and a moment longer for a good many of them."""
        while self._free < 1:
            await self._changed()
        if self._free < self._count // 4:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while self._free < self._count // 4:
                        await self._changed()
        return self._free

    @contextmanager
    def reserved(self, count: int) -> Iterator[None]:
        self._reserved += count
        try:
            yield
        finally:
            self._reserved -= count
            self._change.set()

    async def nothing_reserved(self) -> None:
        while self._reserved:
            await self._changed()

    async def idle(self) -> None:
        """Waits until nothing is held, nor about to be."""
        while self._held or self._reserved:
            await self._changed()

    @property
    def _free(self) -> int:
        return self._count - len(self._held) - self._reserved

    async def _changed(self) -> None:
        self._change.clear()
        await self._change.wait()

    async def _next(self) -> Held:
        while not self._waiting:
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            try:
                await idle
            finally:
                if not idle.cancelled():
                    self._roused -= 1
        held = self._waiting.popleft()
        self._rouse()
        return held

    def _rouse(self) -> None:
        """Two slots at a time, each of which rouses two more: a handler that never waits leaves its slot the rest."""
        while self._idle and self._roused < min(2, len(self._waiting)):
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)
                self._roused += 1

    async def _slot(self, runner: Runner) -> None:
        here = asyncio.current_task()
        if here is None:  # it was made by create_task
            raise AssertionError
        turn = 0
        while not self._stopping:  # a handler's deadline may have taken the place of the word to stop
            held = await self._next()
            held.task = here
            delivery = held.delivery
            again: float | None = None
            try:
                again = await runner.run(delivery, self._handlers[delivery.handler], held.source)
            except asyncio.CancelledError:
                if self._stopping:
                    raise
                here.uncancel()
                self._log.warning("handler stopped: lease lost", handler=delivery.handler, message_id=str(delivery.id))
            except Exception as error:
                self._log.error("worker could not finish a delivery", error=type(error).__name__, detail=str(error))
                await _give_back(held)
            self._held.discard(held)
            self._change.set()
            if again is not None:
                self._ended(again)
            turn += 1
            if turn % _TURN == 0:
                await asyncio.sleep(0)


async def _give_back(held: Held) -> None:
    """Later, in case that what went wrong goes wrong at once again; where this fails too, its lease runs out."""
    await asyncio.sleep(_PAUSE_AFTER_ERROR_SECONDS)
    with suppress(Exception):
        await held.source.release([held.delivery])
