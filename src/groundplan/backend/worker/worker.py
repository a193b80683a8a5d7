"""The worker's loop: claim as many deliveries as there are free slots, renew what runs, reap what others left."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from groundplan.backend.worker.runner import Runner
from groundplan.data.database.database import Database
from groundplan.messaging.deliveries import Deliveries
from groundplan.messaging.handlers import Handlers
from groundplan.messaging.message import Delivery
from groundplan.messaging.outbox import WAKE_CHANNEL

T = TypeVar("T")

POLL_SECONDS = 1.0
REAP_SECONDS = 5.0
FLUSH_SECONDS = 0.005
FLUSH_ROWS = 500
PAUSE_AFTER_ERROR_SECONDS = 1.0


class Worker:
    """``slots`` handlers run at once; ``lease`` in seconds."""

    def __init__(
        self,
        database: Database,
        deliveries: Deliveries,
        handlers: Handlers,
        log: Any,
        *,
        slots: int,
        lease: float,
        name: str,
    ) -> None:
        handlers.check_timeouts(lease)
        self._database = database
        self._deliveries = deliveries
        self._handlers = handlers
        self._log = log
        self._slots = slots
        self._lease = lease
        self._name = name
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._done: list[Delivery] = []
        self._done_event = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def finished(self, delivery: Delivery) -> None:
        """Takes a delivery whose handler wrote nothing, to be acknowledged with others."""
        self._done.append(delivery)
        self._done_event.set()

    async def start(self, runner: Runner) -> None:
        """Listens for new deliveries and begins to work."""
        await self._database.listen(WAKE_CHANNEL, self._wake.set)
        if self._database.dialect == "sqlite":
            await self._reap(all_leases=True)
        self._loops = [
            asyncio.create_task(self._claim_loop(runner), name="worker claim"),
            asyncio.create_task(self._every(self._lease / 3, self._renew), name="worker renew"),
            asyncio.create_task(self._every(REAP_SECONDS, self._reap), name="worker reap"),
            asyncio.create_task(self._flush_loop(), name="worker flush"),
        ]

    async def stop(self, grace: float) -> None:
        """Claims nothing more, waits up to ``grace`` seconds for what runs, gives the rest back."""
        self._stopping = True
        self._wake.set()
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        unfinished = dict(self._running)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        if unfinished:
            await self._deliveries.release(list(unfinished.values()))
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._flush()

    async def _claim_loop(self, runner: Runner) -> None:
        known = self._handlers.known_versions()
        while not self._stopping:
            free = self._slots - len(self._running)
            self._wake.clear()
            claimed = await self._claim(known, free) if free else []
            for delivery in claimed:
                self._begin(delivery, runner)
            if len(claimed) < free or not free:
                await self._wait()

    async def _claim(self, known: dict[str, int], free: int) -> list[Delivery]:
        nothing: list[Delivery] = []
        return await self._guard(
            lambda: self._deliveries.claim(known, slots=free, lease=self._lease, worker=self._name), nothing
        )

    def _begin(self, delivery: Delivery, runner: Runner) -> None:
        handler = self._handlers.get(delivery.handler)
        if handler is None:  # the claim names only known handlers
            raise AssertionError(delivery.handler)
        task = asyncio.create_task(runner.run(delivery, handler), name=f"handler {handler.name}")
        self._running[task] = delivery
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("worker could not finish a delivery", error=type(error).__name__, detail=str(error)[:500])

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)

    async def _renew(self) -> None:
        held = list(self._running.values())
        if held:
            await self._deliveries.renew(held, lease=self._lease)

    async def _reap(self, *, all_leases: bool = False) -> None:
        for delivery_id, handler in await self._deliveries.reap(all_leases=all_leases):
            self._log.warning("lease ran out, message is ready again", handler=handler, message_id=str(delivery_id))
            self._wake.set()

    async def _flush_loop(self) -> None:
        while True:
            await self._done_event.wait()
            if len(self._done) < FLUSH_ROWS:
                await asyncio.sleep(FLUSH_SECONDS)
            await self._guard(self._flush, None)

    async def _flush(self) -> None:
        batch, self._done = self._done, []
        self._done_event.clear()
        if not batch:
            return
        try:
            await self._deliveries.acknowledge_batch(batch)
        except Exception:
            self._done = batch + self._done
            self._done_event.set()
            raise

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._guard(act, None)

    async def _guard(self, act: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """The loops outlive a database that is away for a while."""
        try:
            return await act()
        except Exception as error:
            self._log.error("worker loop failed, will go on", error=type(error).__name__, detail=str(error)[:500])
            await asyncio.sleep(PAUSE_AFTER_ERROR_SECONDS)
            return otherwise
