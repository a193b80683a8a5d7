"""The worker: takes as many deliveries as it has free slots, renews what runs, and reaps what others left."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from groundplan.backend.worker.runner import Runner
from groundplan.backend.worker.slots import Slots
from groundplan.data.database.database import Database
from groundplan.messaging.delivery.deliveries import Deliveries
from groundplan.messaging.delivery.handoff import Relay
from groundplan.messaging.delivery.sources import DatabaseSource, Source
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
    """``slots`` handlers run at once; ``lease`` in seconds. ``broker`` hands out what the database does not."""

    def __init__(
        self,
        database: Database,
        home: DatabaseSource,
        broker: Source | None,
        relay: Relay | None,
        deliveries: Deliveries,
        handlers: Handlers,
        log: Any,
        *,
        slots: int,
        lease: float,
    ) -> None:
        handlers.check_timeouts(lease)
        self._database = database
        self._home = home
        self._sources: list[Source] = [home] if broker is None else [home, broker]
        self._relay = relay
        self._deliveries = deliveries
        self._log = log
        self._lease = lease
        self._slots = Slots(slots, handlers, self._look_again, log)
        self._wakes: dict[object, asyncio.Event] = {each: asyncio.Event() for each in (*self._sources, relay)}
        self._stopping = False
        self._alone = asyncio.Event()
        self._alone.set()
        self._done: dict[Source, list[Delivery]] = {source: [] for source in self._sources}
        self._done_event = asyncio.Event()
        self._takers: list[asyncio.Task[None]] = []
        self._keepers: list[asyncio.Task[None]] = []

    def finished(self, delivery: Delivery, source: Source) -> None:
        """Takes a delivery whose handler is through, to be acknowledged with others."""
        self._done[source].append(delivery)
        self._done_event.set()

    async def start(self, runner: Runner) -> None:
        """Listens for new deliveries and begins to work."""
        await self._database.listen(WAKE_CHANNEL, self._wake_up)
        if self._database.dialect == "sqlite":
            await self._reap(all_leases=True)
        self._slots.start(runner)
        self._keepers = [
            asyncio.create_task(self._every(self._lease / 3, self._renew), name="worker renew"),
            asyncio.create_task(self._every(REAP_SECONDS, self._reap), name="worker reap"),
            asyncio.create_task(self._flush_loop(), name="worker flush"),
        ]
        self._takers = [asyncio.create_task(self._suspect_loop(), name="worker suspects")]
        self._takers += [asyncio.create_task(self._take_loop(source), name="worker take") for source in self._sources]
        if self._relay is not None:
            self._takers.append(asyncio.create_task(self._relay_loop(self._relay), name="worker relay"))

    async def stop(self, grace: float) -> None:
        """Takes nothing more, waits up to ``grace`` seconds for what runs, gives the rest back."""
        self._stopping = True
        self._wake_up()
        self._alone.set()
        await self._slots.nothing_reserved()  # what is being taken would be lost until its lease runs out
        await _cancel(self._takers)
        unfinished = await self._slots.stop(grace)
        for source in self._sources:
            if theirs := [held.delivery for held in unfinished if held.source is source]:
                await source.release(theirs)
        await _cancel(self._keepers)
        await self._flush()

    async def _take_loop(self, source: Source) -> None:
        while not self._stopping:
            await self._alone.wait()
            wanted = await self._slots.room()
            self._wakes[source].clear()
            taken = await self._guard(lambda: self._take(source, wanted), [])  # noqa: B023
            if len(taken) == wanted:
                continue
            if not source.waits:
                await _woken(self._wakes[source])
            elif not taken:
                for delivery in await self._guard(source.first, []):  # it may have to wait for a slot, and is renewed
                    self._slots.put(delivery, source)

    async def _take(self, source: Source, wanted: int) -> list[Delivery]:
        with self._slots.reserved(wanted):
            taken = await source.take(wanted)
        for delivery in taken:
            self._slots.put(delivery, source)
        return taken

    async def _relay_loop(self, relay: Relay) -> None:
        while not self._stopping:
            self._wakes[relay].clear()
            if not await self._guard(relay.hand_over, False):
                await _woken(self._wakes[relay])

    def _wake_up(self) -> None:
        for wake in self._wakes.values():
            wake.set()

    def _look_again(self, seconds: float) -> None:
        """Something may be ready then that no notification tells of."""
        if seconds <= 0:
            self._wake_up()
        elif seconds < POLL_SECONDS:
            asyncio.get_running_loop().call_later(seconds, self._wake_up)

    async def _suspect_loop(self) -> None:
        """Whatever may have killed a worker runs with nothing beside it, so that only the killer dies again."""
        while not self._stopping:
            suspect = await self._guard(self._home.take_suspect, None)
            if suspect is None:
                self._alone.set()
                await asyncio.sleep(REAP_SECONDS)
                continue
            self._alone.clear()
            await self._slots.idle()
            self._log.warning("suspect runs alone", handler=suspect.handler, message_id=str(suspect.id))
            self._slots.put(suspect, self._home)
            await self._slots.idle()

    async def _renew(self) -> None:
        for source in self._sources:
            if held := self._slots.held_from(source):
                ours = await source.renew([each.delivery for each in held])
                self._slots.abandon(each for each in held if each.delivery.lease not in ours)

    async def _reap(self, *, all_leases: bool = False) -> None:
        for delivery_id, handler in await self._deliveries.reap(all_leases=all_leases):
            self._log.warning("lease ran out, message is ready again", handler=handler, message_id=str(delivery_id))
            self._wake_up()

    async def _flush_loop(self) -> None:
        while True:
            await self._done_event.wait()
            if sum(map(len, self._done.values())) < FLUSH_ROWS:
                await asyncio.sleep(FLUSH_SECONDS)
            await self._guard(self._flush, None)

    async def _flush(self) -> None:
        self._done_event.clear()
        for source in self._sources:
            batch, self._done[source] = self._done[source], []
            if not batch:
                continue
            try:
                await source.finish(batch)
            except BaseException:
                self._done[source] = batch + self._done[source]
                self._done_event.set()
                raise

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._guard(act, None)

    async def _guard(self, act: Callable[[], Awaitable[T]], otherwise: Any) -> T:
        """The loops outlive a database that is away for a while."""
        try:
            return await act()
        except Exception as error:
            self._log.error("worker loop failed, will go on", error=type(error).__name__, detail=str(error)[:500])
            await asyncio.sleep(PAUSE_AFTER_ERROR_SECONDS)
            fallback: T = otherwise
            return fallback


async def _woken(wake: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(wake.wait(), POLL_SECONDS)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
