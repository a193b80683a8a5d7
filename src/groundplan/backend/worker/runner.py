"""Runs one delivery: decode, call the handler in its context, then finish, postpone or give up."""

import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from groundplan.app.calls import Calls
from groundplan.app.context import Context
from groundplan.app.services import Services
from groundplan.backend.deadlines import Deadlines
from groundplan.core.clock import Random
from groundplan.core.context import RequestContext, changed, entered, parse_traceparent
from groundplan.core.errors import Cancel, DeadlineExceeded, GroundplanError, InvalidPayload, LeaseLost, Snooze
from groundplan.core.ids import span_id, trace_id
from groundplan.data.database.failures import translated
from groundplan.messaging.delivery.deliveries import Deliveries, Failure
from groundplan.messaging.delivery.sources import Source
from groundplan.messaging.handlers import Handler
from groundplan.messaging.message import Delivery, decode
from groundplan.messaging.progress import ProgressBoard, State
from groundplan.security.principal import Tenant
from groundplan.telemetry import RequestRecord, Telemetry
from groundplan.telemetry.spans import record

Finished = Callable[[Delivery, Source], None]


class Runner:
    def __init__(
        self,
        services: Services,
        calls: Calls,
        deliveries: Deliveries,
        telemetry: Telemetry,
        random: Random,
        *,
        worker: str,
        finished: Finished,
    ) -> None:
        """``finished`` takes deliveries that are through, to be acknowledged in batches."""
        self._services = services
        self._calls = calls
        self._deliveries = deliveries
        self._telemetry = telemetry
        self._random = random
        self._worker = worker
        self._finished = finished
        self._deadlines = Deadlines()

    async def run(self, delivery: Delivery, handler: Handler, source: Source) -> float | None:
        """Never raises for a failing handler.

        The delivery ends acknowledged, postponed, dead or lost to another worker.

        Returns after how many seconds another look at the queue is worthwhile, if this end is a reason for one.
        """
        parent = parse_traceparent(delivery.traceparent)
        tenant = await self._services.tenants.by_id(delivery.tenant_id) if delivery.tenant_id else None
        context = RequestContext(
            request_id=delivery.request_id,
            role="worker",
            trace_id=parent[0] if parent else trace_id(),
            span_id=span_id(),
            tenant=tenant.slug if tenant else "",
            user_id=delivery.user_id,
        )
        started_us, started = time.time_ns() // 1000, time.perf_counter_ns()
        with entered(context):
            again, error = await self._attempt(delivery, handler, tenant, source)
        self._report(context, delivery, handler, parent[1] if parent else "", started_us, started, error)
        return 0.0 if again is None and (delivery.partition_key or handler.limited) else again

    async def _attempt(
        self, delivery: Delivery, handler: Handler, tenant: Tenant | None, source: Source
    ) -> tuple[float | None, GroundplanError | None]:
        began = self._services.clock.monotonic()
        try:
            await self._handle(delivery, handler, tenant, source)
        except LeaseLost as lost:
            self._services.log.warning("lease lost", handler=handler.name, message_id=str(delivery.id))
            self._finished(delivery, source)
            return None, lost
        except Exception as raised:
            error = _as_groundplan_error(raised, handler)
            now = self._services.clock.now()
            failure = Failure(
                started_at=now - timedelta(seconds=self._services.clock.monotonic() - began),
                ended_at=now,
                error=type(raised).__name__,
                detail=str(raised)[:2000],
                stack="" if isinstance(raised, InvalidPayload) else "".join(traceback.format_exception(raised))[-8000:],
                trace_id=delivery.trace_id,
                worker=self._worker,
            )
            again = await self._end_badly(delivery, handler, source, raised, error, failure)
            return again, None if isinstance(error, (Snooze, Cancel)) else error
        return None, None

    async def _handle(self, delivery: Delivery, handler: Handler, tenant: Tenant | None, source: Source) -> None:
        message = decode(handler.message, delivery.payload, delivery.version)
        context = await self._context(delivery, tenant, source)
        state: State = "failed"
        try:
            # For the handler alone: what is written about it afterwards is not under its deadline.
            due = self._services.clock.monotonic() + handler.timeout
            with changed(deadline=due), self._deadlines.within(handler.timeout):
                await handler.function(context, message)
            state = "done"
        except Exception as error:
            if not context.acknowledged:
                raise
            state = "done"
            self._services.log.error("handler failed after its commit", handler=handler.name, detail=str(error))
        finally:
            await context.release()
            if context.reported:
                await self._services.registry[ProgressBoard].end(delivery.id, state)
        if not context.acknowledged or source.confirms_apart:
            self._finished(delivery, source)

    async def _context(self, delivery: Delivery, tenant: Tenant | None, source: Source) -> Context:
        """As the message's user, who may be gone, or as the system of its tenant."""
        services = self._services
        await services.overrides.refresh()
        user = await services.users.get(delivery.user_id) if delivery.user_id else None
        return Context(
            services,
            self._calls,
            tenant=tenant,
            user=user,
            system=delivery.user_id is None,
            message_id=delivery.id,
            handler=delivery.handler,
            acknowledge=lambda transaction: source.acknowledge(transaction, delivery),
        )

    async def _end_badly(
        self,
        delivery: Delivery,
        handler: Handler,
        source: Source,
        raised: Exception,
        error: GroundplanError,
        failure: Failure,
    ) -> float | None:
        deliveries = self._deliveries
        facts: dict[str, Any] = {"handler": handler.name, "attempt": delivery.attempt, "error": failure.error}
        if isinstance(error, Snooze):
            seconds = error.retry_after or 0.0
            await source.settle(delivery, lambda t: deliveries.snooze(t, delivery, delay=seconds))
            return seconds
        if isinstance(error, Cancel):
            await source.settle(delivery, lambda t: deliveries.cancel(t, delivery, failure))
            self._services.log.info("message cancelled by its handler", detail=failure.detail, **facts)
            return None
        if reason := _reason_to_give_up(delivery, handler, raised, error):
            await source.settle(delivery, lambda t: deliveries.bury(t, delivery, failure, reason=reason))
            self._telemetry.gave_up(handler.name, reason)
            self._services.log.error("message gave up", reason=reason, detail=failure.detail, **facts)
            return None
        delay = max(handler.retry.delay(delivery.attempt, self._random), error.retry_after or 0.0)
        await source.settle(delivery, lambda t: deliveries.retry(t, delivery, failure, delay=delay))
        self._services.log.warning(
            "handler failed, will retry", delay_s=round(delay, 2), detail=failure.detail, **facts
        )
        return delay

    def _report(
        self,
        context: RequestContext,
        delivery: Delivery,
        handler: Handler,
        parent_id: str,
        started_us: int,
        started: int,
        error: GroundplanError | None,
    ) -> None:
        """One span for the waiting, one for the work, and the line and metrics of every request."""
        duration_us = (time.perf_counter_ns() - started) // 1000
        text = f"{type(error).__name__}: {error}"[:500] if error else ""
        done = RequestRecord(
            request_id=delivery.request_id,
            trace_id=context.trace_id,
            span_id=context.span_id,
            role="worker",
            kind="handler",
            method="",
            name=handler.name,
            path=str(delivery.id),
            status=200 if error is None else error.status,
            tenant=context.tenant,
            user=str(delivery.user_id or ""),
            start_us=started_us,
            duration_us=duration_us,
            wrote=context.tally.commits > 0 or delivery.attempt > 1,
            error=text,
        )
        if keep := self._telemetry.keeps(context, done):
            with entered(context):
                _record_spans(delivery, done, parent_id)
        self._telemetry.finish(context, done, keep=keep)


def _record_spans(delivery: Delivery, done: RequestRecord, parent_id: str) -> None:
    ready_us = int(delivery.run_at.timestamp() * 1_000_000)
    record(
        "Queue",
        f"{delivery.name} waits for {delivery.handler}",
        "wait",
        min(ready_us, done.start_us),
        max(0, done.start_us - ready_us),
        parent_id=parent_id,
    )
    record(
        "Worker",
        done.name,
        "work",
        done.start_us,
        done.duration_us,
        span_id=done.span_id,
        parent_id=parent_id,
        error=done.error,
        attempt=delivery.attempt,
        message_id=done.path,
    )


def _reason_to_give_up(delivery: Delivery, handler: Handler, raised: Exception, error: GroundplanError) -> str:
    """Empty where the message is to be tried again."""
    if isinstance(error, InvalidPayload):
        return "invalid"
    if not error.retryable or handler.retry.refuses(raised):
        return "not retryable"
    return "exhausted" if delivery.attempt >= handler.retry.attempts else ""


def _as_groundplan_error(raised: Exception, handler: Handler) -> GroundplanError:
    error = translated(raised)
    if isinstance(error, GroundplanError):
        return error
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(f"{handler.name} took longer than its {handler.timeout:g} s.")
    return GroundplanError(f"{type(error).__name__}: {error}")
