"""Handlers run one by one, each when it is asked for: the worker's own steps without its loops, slots and waiting."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

import msgspec

from groundplan.app import Context
from groundplan.app.calls import Calls
from groundplan.app.services import Services
from groundplan.backend.worker.runner import Runner
from groundplan.core.errors import InvalidPayload
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction
from groundplan.messaging.delivery.claims import Claims
from groundplan.messaging.delivery.deliveries import Deliveries, Failure
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.delivery.sources import DatabaseSource, Source
from groundplan.messaging.handlers import Handler
from groundplan.messaging.message import Delivery, decode
from groundplan.telemetry import Metrics, Telemetry

Outcome = Literal["done", "retried", "snoozed", "cancelled", "dead", "lost"]
At = Literal["start", "commit"]
NAME = "the test"
LONG_SECONDS = 365 * 86_400.0
"""By then every rate has room again."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How one run of a handler ended."""

    handler: str
    outcome: Outcome
    attempt: int
    """Counts from 1."""
    message: Any
    """As the handler got it; None where the payload does not fit its schema."""
    message_id: UUID
    error: str = ""
    """The name of the error's class."""
    detail: str = ""
    reason: str = ""
    """Of a dead one: ``invalid``, ``not retryable`` or ``exhausted``."""
    delay: float = 0.0
    """Seconds until it would have run again, at the most: the jitter's longest. Nobody waited for them."""


class Endings(list[Ended]):
    """In the order in which they happened."""

    def of(self, handler: str) -> list[Outcome]:
        return [ended.outcome for ended in self if ended.handler == handler]


@dataclass(slots=True)
class _Fault:
    left: int
    error: Exception
    at: At


class Runs:
    """Of one app whose worker does not run. What is leased is run at once, so nothing is ever claimed and waiting."""

    def __init__(self, services: Services, calls: Calls) -> None:
        database, lease = services.database, float(services.settings.worker_lease_seconds)
        self._database = database
        self._handlers = services.assembly.handlers
        self._handlers.check_timeouts(lease)
        self._deliveries = _Noting(database)
        claims = Claims(database, lease=lease, worker=NAME)
        queues: Queues = services.registry[Queues]
        self._source = _Breakable(database, self._deliveries, claims, self._handlers, queues, lease=lease)
        unseen = Telemetry([], Metrics(), slow_ms=0.0, sample=0.0)
        self._runner = Runner(
            services, calls, self._deliveries, unseen, _LongestWait(), worker=NAME, finished=self._finished
        )
        self._through: list[Delivery] = []
        self._faults: dict[str, list[_Fault]] = {}

    async def until_idle(self, most: int) -> Endings:
        """Raises AssertionError where more than ``most`` runs would be needed."""
        endings = Endings()
        while (delivery := await self._next()) is not None:
            if len(endings) >= most:
                await self._source.release([delivery])
                raise AssertionError(
                    f"After {most:,} runs there is still something to do, for {delivery.handler}. Does a handler "
                    "enqueue its own job, or snooze for ever? Raise `most` if it is meant to be so many."
                )
            endings.append(await asyncio.create_task(self._run(delivery), name=delivery.handler))
        return endings

    @contextmanager
    def failing(self, handler: str, times: int, error: Exception, at: At) -> Iterator[None]:
        """Raises AssertionError at the end of the block unless the handler has failed so often."""
        if self._handlers.get(handler) is None:
            names = ", ".join(sorted(known.name for known in self._handlers)) or "none"
            raise LookupError(f"No handler is named {handler!r}. This app has: {names}.")
        fault = _Fault(times, error, at)
        queue = self._faults.setdefault(handler, [])
        queue.append(fault)
        try:
            yield
        finally:
            queue.remove(fault)
        if fault.left:
            raise AssertionError(f"{handler} was to fail {times} times, and ran {times - fault.left} times.")

    async def _next(self) -> Delivery | None:
        """What is ready; else time passes until something is."""
        while True:
            if taken := await self._take():
                return taken
            await self._database.execute(_FILL_RATES, seconds=LONG_SECONDS)
            if taken := await self._take():
                return taken
            if not await self._database.execute(_PASS_TIME):
                return None

    async def _take(self) -> Delivery | None:
        taken = await self._source.take(1)
        return taken[0] if taken else await self._source.take_suspect()

    async def _run(self, delivery: Delivery) -> Ended:
        handler = self._handlers[delivery.handler]
        self._deliveries.noted, self._source.breaks, self._through = None, None, []
        run = handler
        if fault := next((fault for fault in self._faults.get(handler.name, ()) if fault.left), None):
            fault.left -= 1
            run = replace(handler, function=_broken(handler, fault))
            self._source.breaks = fault.error if fault.at == "commit" else None
        await self._runner.run(delivery, run, self._source)
        return await self._ended(delivery, handler)

    async def _ended(self, delivery: Delivery, handler: Handler) -> Ended:
        ended = Ended(
            handler=handler.name,
            outcome="done",
            attempt=delivery.attempt,
            message=_message(handler, delivery),
            message_id=delivery.id,
        )
        if self._deliveries.noted is not None:
            return msgspec.structs.replace(ended, **self._deliveries.noted)
        if self._through and not await self._deliveries.acknowledge_batch(self._through):
            return msgspec.structs.replace(ended, outcome="lost")
        return ended

    def _finished(self, delivery: Delivery, source: Source) -> None:
        self._through.append(delivery)


class _Noting(Deliveries):
    """Keeps how the last one ended, where it did not end well."""

    noted: dict[str, Any] | None = None

    async def retry(self, transaction: Transaction, delivery: Delivery, failure: Failure, *, delay: float) -> None:
        self.noted = {"outcome": "retried", "error": failure.error, "detail": failure.detail, "delay": delay}
        await super().retry(transaction, delivery, failure, delay=delay)

    async def snooze(self, transaction: Transaction, delivery: Delivery, *, delay: float) -> None:
        self.noted = {"outcome": "snoozed", "error": "Snooze", "delay": delay}
        await super().snooze(transaction, delivery, delay=delay)

    async def cancel(self, transaction: Transaction, delivery: Delivery, failure: Failure) -> None:
        self.noted = {"outcome": "cancelled", "error": failure.error, "detail": failure.detail}
        await super().cancel(transaction, delivery, failure)

    async def bury(self, transaction: Transaction, delivery: Delivery, failure: Failure, *, reason: str) -> None:
        self.noted = {"outcome": "dead", "error": failure.error, "detail": failure.detail, "reason": reason}
        await super().bury(transaction, delivery, failure, reason=reason)


class _Breakable(DatabaseSource):
    """``breaks``, where it is set, is what the handler's commit comes to."""

    breaks: Exception | None = None

    def acknowledge(self, transaction: Transaction, delivery: Delivery) -> None:
        super().acknowledge(transaction, delivery)
        if self.breaks is not None:
            transaction.before_commit(self._break)

    async def _break(self, transaction: Transaction) -> None:
        if self.breaks is not None:
            raise self.breaks


class _LongestWait:
    def uniform(self, a: float, b: float, /) -> float:
        return b


def _broken(handler: Handler, fault: _Fault) -> Any:
    async def run(ctx: Context, message: Any) -> None:
        if fault.at == "commit":
            await handler.function(ctx, message)
        raise fault.error

    return run


def _message(handler: Handler, delivery: Delivery) -> Any:
    try:
        return decode(handler.message, delivery.payload, delivery.version)
    except InvalidPayload:
        return None


_PASS_TIME = Sql("""UPDATE deliveries SET run_at = NOW WHERE state = 'ready' AND run_at =
    (SELECT MIN(run_at) FROM deliveries WHERE state = 'ready' AND run_at > NOW) RETURNING id""")
_FILL_RATES = Sql("UPDATE handler_limits SET at = NOW - SECONDS(:seconds)")
