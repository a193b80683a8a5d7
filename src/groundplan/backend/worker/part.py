"""The worker as a part of a process: it starts after what it uses, and drains before it."""

import asyncio
from typing import Any

from groundplan.app.calls import Calls
from groundplan.app.idempotency_keys import IdempotencyKeys
from groundplan.app.services import Services
from groundplan.backend.worker.runner import Runner
from groundplan.backend.worker.worker import Worker
from groundplan.core.clock import Random
from groundplan.core.errors import Unavailable
from groundplan.data.queue.port import Broker
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.messaging.delivery.claims import Claims
from groundplan.messaging.delivery.deliveries import Deliveries
from groundplan.messaging.delivery.handoff import BrokerSource, Relay
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.delivery.sources import DatabaseSource
from groundplan.messaging.delivery.stats import QueueStats
from groundplan.messaging.delivery.sweep import sweep
from groundplan.messaging.schedules import LONGEST_WAIT_SECONDS, Scheduler
from groundplan.settings import Settings
from groundplan.telemetry import Metrics, Telemetry

GAUGE_SECONDS = 5.0
SWEEP_SECONDS = 600.0
SHORTEST_WAIT_SECONDS = 0.05


class WorkerPart:
    def __init__(
        self,
        services: Services,
        calls: Calls,
        broker: Broker | None,
        telemetry: Telemetry,
        metrics: Metrics,
        random: Random,
        *,
        settings: Settings,
        name: str,
    ) -> None:
        """``broker`` hands out what needs no look at other rows; without one the database hands out all."""
        self._services = services
        self._metrics = metrics
        self._broker = broker
        self._grace = settings.drain_seconds
        database, handlers = services.database, services.assembly.handlers
        slots, lease = settings.worker_slots, float(settings.worker_lease_seconds)
        queues: Queues = services.registry[Queues]
        deliveries = Deliveries(database)
        claims = Claims(database, lease=lease, worker=name)
        home = DatabaseSource(
            database, deliveries, claims, handlers, queues, lease=lease, beside_broker=broker is not None
        )
        brokered, relay = None, None
        if broker is not None:
            brokered = BrokerSource(database, broker, handlers, queues, lease=lease, worker=name)
            relay = Relay(deliveries, claims, broker, handlers, queues)
        self._worker = Worker(
            database,
            home,
            brokered,
            relay,
            deliveries,
            handlers,
            services.log,
            slots=slots,
            lease=lease,
        )
        self._runner = Runner(
            services, calls, deliveries, telemetry, random, worker=name, finished=self._worker.finished
        )
        self._scheduler = Scheduler(database, services.outbox, handlers)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        if self._broker is not None:
            try:
                await self._broker.open()
            except Unavailable as error:  # it comes back by itself, and until then the rows wait
                self._services.log.error("broker is away", detail=error.detail)
        await self._worker.start(self._runner)
        await self._scheduler.prepare()
        self._tasks = [
            asyncio.create_task(self._measure(), name="queue gauges"),
            asyncio.create_task(self._tick(), name="schedules"),
            asyncio.create_task(self._sweep(), name="sweep"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._worker.stop(self._grace)
        if self._broker is not None:
            await self._broker.close()

    async def _tick(self) -> None:
        while True:
            wait = LONGEST_WAIT_SECONDS
            try:
                wait = await self._scheduler.fire_due()
            except Exception as error:
                self._services.log.error("schedules not looked at", error=type(error).__name__, detail=str(error)[:500])
            await asyncio.sleep(max(wait, SHORTEST_WAIT_SECONDS))

    async def _sweep(self) -> None:
        while True:
            try:
                await sweep(self._services.database)
                await self._services.registry[IdempotencyKeys].sweep()
            except Exception as error:
                self._services.log.warning("nothing swept", error=type(error).__name__, detail=str(error)[:500])
            await asyncio.sleep(SWEEP_SECONDS)

    async def _measure(self) -> None:
        stats: QueueStats = self._services.registry[QueueStats]
        dead: DeadLetters = self._services.registry[DeadLetters]
        while True:
            try:
                counts: dict[tuple[str, str], int] = {}
                unclaimed: dict[str, int] = {}
                for row in await stats.read():
                    states: dict[str, Any] = {"ready": row.ready, "leased": row.leased, "scheduled": row.scheduled}
                    for state, count in (states | {"retrying": row.retrying}).items():
                        counts[row.queue, state] = counts.get((row.queue, state), 0) + count
                    if row.unclaimed:
                        unclaimed[row.handler] = unclaimed.get(row.handler, 0) + row.unclaimed
                self._metrics.deliveries.clear()
                self._metrics.unclaimed.clear()
                for handler, count in unclaimed.items():
                    self._metrics.unclaimed.labels(handler).set(count)
                for (queue, state), count in counts.items():
                    self._metrics.deliveries.labels(queue, state).set(count)
                self._metrics.dead_letters.set(await dead.count())
                self._metrics.dead_letters_oldest.set(await dead.oldest_seconds())
            except Exception as error:
                self._services.log.warning("queue gauges not read", error=type(error).__name__)
            await asyncio.sleep(GAUGE_SECONDS)
