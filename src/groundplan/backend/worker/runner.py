"""Runs one delivery: decode, call the handler in its context, then finish, postpone or give up."""

import asyncio
import time
import traceback
from collections.abc import Callable
from typing import Any

from groundplan.app.calls import Calls
from groundplan.app.context import Context
from groundplan.app.services import Services
from groundplan.core.clock import Random
from groundplan.core.context import RequestContext, entered, parse_traceparent
from groundplan.core.errors import DeadlineExceeded, GroundplanError, InvalidPayload, LeaseLost
from groundplan.core.ids import span_id, trace_id
from groundplan.data.database.database import translated
from groundplan.data.database.uow import Transaction
from groundplan.messaging.deliveries import Deliveries, Failure
from groundplan.messaging.handlers import Handler
from groundplan.messaging.message import Delivery, decode
from groundplan.security.principal import Tenant
from groundplan.telemetry import RequestRecord, Telemetry
from groundplan.telemetry.spans import record

Finished = Callable[[Delivery], None]


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
        """``finished`` takes deliveries whose handler wrote nothing: they are acknowledged in batches."""
        self._services = services
        self._calls = calls
        self._deliveries = deliveries
        self._telemetry = telemetry
        self._random = random
        self._worker = worker
        self._finished = finished

    async def run(self, delivery: Delivery, handler: Handler) -> None:
        """Never raises for a failing handler; the delivery ends acknowledged, postponed, dead or lost to another."""
        parent = parse_traceparent(delivery.traceparent)
        tenant = await self._services.tenants.by_id(delivery.tenant_id) if delivery.tenant_id else None
        context = RequestContext(
            request_id=delivery.request_id,
            role="worker",
            trace_id=parent[0] if parent else trace_id(),
            span_id=span_id(),
            tenant=tenant.slug if tenant else "",
            user_id=delivery.user_id,
            deadline=self._services.clock.monotonic() + handler.timeout,
        )
        started_us, started = time.time_ns() // 1000, time.perf_counter_ns()
        with entered(context):
            self._record_waiting(delivery, started_us, parent[1] if parent else "")
            error = await self._attempt(delivery, handler, tenant)
            duration_us = (time.perf_counter_ns() - started) // 1000
            status = 200 if error is None else error.status
            text = f"{type(error).__name__}: {error}"[:500] if error else ""
            record(
                "Worker",
                handler.name,
                "work",
                started_us,
                duration_us,
                span_id=context.span_id,
                parent_id=parent[1] if parent else "",
                error=text,
                attempt=delivery.attempt,
                message_id=str(delivery.id),
            )
            self._telemetry.finish(
                context,
                RequestRecord(
                    request_id=delivery.request_id,
                    trace_id=context.trace_id,
                    span_id=context.span_id,
                    role="worker",
                    kind="handler",
                    method="",
                    name=handler.name,
                    path=str(delivery.id),
                    status=status,
                    tenant=tenant.slug if tenant else "",
                    user=str(delivery.user_id or ""),
                    start_us=started_us,
                    duration_us=duration_us,
                    wrote=True,
                    error=text,
                ),
            )

    async def _attempt(self, delivery: Delivery, handler: Handler, tenant: Tenant | None) -> GroundplanError | None:
        started_at = self._services.clock.now()
        try:
            await self._handle(delivery, handler, tenant)
        except LeaseLost as lost:
            self._services.log.warning("lease lost", handler=handler.name, message_id=str(delivery.id))
            return lost
        except Exception as raised:
            error = _as_groundplan_error(raised, handler)
            failure = Failure(
                started_at=started_at,
                ended_at=self._services.clock.now(),
                error=type(raised).__name__,
                detail=str(raised)[:2000],
                stack="" if isinstance(raised, InvalidPayload) else "".join(traceback.format_exception(raised))[-8000:],
                trace_id=delivery.trace_id,
                worker=self._worker,
            )
            await self._give_up_or_retry(delivery, handler, error, failure)
            return error
        return None

    async def _handle(self, delivery: Delivery, handler: Handler, tenant: Tenant | None) -> None:
        message = decode(handler.message, delivery.payload)
        context = await self._context(delivery, tenant)
        try:
            async with asyncio.timeout(handler.timeout):
                await handler.function(context, message)
        except Exception as error:
            if not context.acknowledged:
                raise
            self._services.log.error("handler failed after its commit", handler=handler.name, detail=str(error))
        finally:
            await context.release()
        if not context.acknowledged:
            self._finished(delivery)

    async def _context(self, delivery: Delivery, tenant: Tenant | None) -> Context:
        """As the message's user, or as the system of its tenant."""
        services = self._services
        await services.overrides.refresh()
        user = await services.users.get(delivery.user_id) if delivery.user_id else None

        async def acknowledge(transaction: Transaction) -> None:
            await self._deliveries.acknowledge(transaction, delivery)

        return Context(
            services,
            self._calls,
            tenant=tenant,
            user=user,
            system=user is None,
            message_id=delivery.id,
            acknowledge=acknowledge,
        )

    async def _give_up_or_retry(
        self, delivery: Delivery, handler: Handler, error: GroundplanError, failure: Failure
    ) -> None:
        reason = (
            "invalid"
            if isinstance(error, InvalidPayload)
            else "not retryable"
            if not error.retryable
            else "exhausted"
            if delivery.attempt >= handler.retry.attempts
            else ""
        )
        facts: dict[str, Any] = {"handler": handler.name, "attempt": delivery.attempt, "error": failure.error}
        if reason:
            await self._deliveries.bury(delivery, failure, reason=reason)
            self._services.log.error("message gave up", reason=reason, detail=failure.detail, **facts)
        else:
            delay = handler.retry.delay(delivery.attempt, self._random)
            await self._deliveries.retry(delivery, failure, delay=delay)
            self._services.log.warning(
                "handler failed, will retry", delay_s=round(delay, 2), detail=failure.detail, **facts
            )

    def _record_waiting(self, delivery: Delivery, started_us: int, parent_id: str) -> None:
        ready_us = int(delivery.run_at.timestamp() * 1_000_000)
        name = f"{delivery.name} waits for {delivery.handler}"
        record("Queue", name, "wait", min(ready_us, started_us), max(0, started_us - ready_us), parent_id=parent_id)


def _as_groundplan_error(raised: Exception, handler: Handler) -> GroundplanError:
    error = translated(raised)
    if isinstance(error, GroundplanError):
        return error
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(f"{handler.name} took longer than its {handler.timeout:g} s.")
    return GroundplanError(f"{type(error).__name__}: {error}")
