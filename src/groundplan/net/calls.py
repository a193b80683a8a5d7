"""A call: attempts under one deadline, each past the peer's breaker and bulkhead, retries paid from its budget."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from groundplan.core.clock import Clock, Random
from groundplan.core.errors import (
    AddressRefused,
    GroundplanError,
    Misuse,
    OutsideCallFailed,
    OutsideCallRefused,
    PeerBusy,
    PeerUnavailable,
)
from groundplan.core.retry import Retry
from groundplan.net.peers import Peer
from groundplan.net.wire import Request, Response, Wire
from groundplan.telemetry.metrics import Metrics
from groundplan.telemetry.spans import Span

SERVER_ERRORS = range(500, 600)
FAIR_SECONDS = 1.0
"""A peer that did not answer within less, because our own time ran out, is not blamed for it."""
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
MOST_RETRY_AFTER = 3600.0
"""Seconds. A peer may not put our work off for longer."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Terms:
    timeout: float
    """Seconds that the caller would give the whole call, were there no deadline."""
    attempt_timeout: float | None = None
    retry: Retry | None = None
    failures: Container[int] = SERVER_ERRORS
    """Statuses that count against the peer, and after which a retry may help."""

    def check(self, request: Request) -> None:
        """Raises Misuse where a retry might do a thing twice."""
        if self.retry and request.method.upper() not in REPEATABLE and "idempotency-key" not in request.headers:
            raise Misuse(
                f"A {request.method} is not safe to send twice. "
                "Give it an Idempotency-Key header that the peer honours, or no retry."
            )


class Calls:
    """``sleep`` waits between attempts."""

    def __init__(self, wire: Wire, clock: Clock, random: Random, metrics: Metrics, sleep: Sleep) -> None:
        self._wire = wire
        self._clock = clock
        self._random = random
        self._metrics = metrics
        self._sleep = sleep

    async def make(self, request: Request, peer: Peer, terms: Terms, seconds: float, calling: Span) -> Response:
        """The answer, whatever its status.

        Raises:
            AddressRefused, Misuse, OutsideCallFailed, OutsideCallRefused: there is none.
        """
        await self._wire.ready()
        peer.budget.earn()
        until = self._clock.monotonic() + seconds
        attempt = 0
        outcome: Response | OutsideCallFailed | OutsideCallRefused | None = None
        while True:
            attempt += 1
            left = until - self._clock.monotonic()
            try:
                outcome = await self._attempt(request, peer, terms, min(left, terms.attempt_timeout or left))
            except PeerUnavailable as error:
                outcome = outcome or error  # what an earlier attempt met says more
                break
            except (OutsideCallFailed, OutsideCallRefused) as error:
                outcome = error
            wait = self._wait(outcome, request.host, peer, terms, attempt)
            if wait is None or self._clock.monotonic() + wait >= until or not self._afford(peer):
                break
            await self._sleep(wait)
        calling.set(peer=peer.place, attempts=attempt)
        if peer.breaker.state != "closed":
            calling.set(breaker=peer.breaker.state)
        if isinstance(outcome, Response):
            return outcome
        raise outcome

    def _wait(
        self, outcome: Response | GroundplanError, host: str, peer: Peer, terms: Terms, attempt: int
    ) -> float | None:
        """Seconds before the next attempt; None where there is none to make."""
        retry = terms.retry
        if retry is None or attempt >= retry.attempts or peer.breaker.state != "closed":
            return None
        if isinstance(outcome, Response):
            again = outcome.status in terms.failures or outcome.status == HTTPStatus.TOO_MANY_REQUESTS
            error = complaint(outcome, host, self._clock)
        else:
            again, error = outcome.retryable, outcome
        if not again or retry.refuses(error):
            return None
        return (error.retry_after or 0.0) + retry.delay(attempt, self._random)

    def _afford(self, peer: Peer) -> bool:
        paid = peer.budget.spend()
        counter = self._metrics.outside_retries if paid else self._metrics.outside_retries_withheld
        counter.labels(peer.component).inc()
        return paid

    async def _attempt(self, request: Request, peer: Peer, terms: Terms, seconds: float) -> Response:
        outcome = "cancelled"
        until = self._clock.monotonic() + seconds
        try:
            peer.breaker.refuse()
            async with peer.bulkhead.place(seconds):
                answer = await self._sent(request, peer, terms, until - self._clock.monotonic())
            outcome = "ok" if answer.status < 400 else "refused" if answer.status < 500 else "failed"
            return answer
        except Exception as error:
            outcome = _word(error)
            raise
        finally:
            self._metrics.outside_calls.labels(peer.component, outcome).inc()

    async def _sent(self, request: Request, peer: Peer, terms: Terms, seconds: float) -> Response:
        """Sent once, answered whole within ``seconds`` or failed; the breaker hears how it went."""
        started = self._clock.monotonic()
        with peer.breaker.admit() as permit:
            try:
                async with asyncio.timeout(seconds):
                    answer = await self._wire.send(request)
            except TimeoutError as error:
                if seconds >= min(FAIR_SECONDS, terms.timeout, terms.attempt_timeout or math.inf):
                    permit.timed_out()
                raise OutsideCallFailed(f"{request.host} did not answer within {seconds:.3g} s.") from error
            except OutsideCallFailed:
                permit.failed()
                raise
            finally:
                self._metrics.outside_seconds.labels(peer.component).observe(self._clock.monotonic() - started)
            if answer.status in terms.failures:
                permit.failed()
            else:
                permit.succeeded()
            return answer


def complaint(answer: Response, host: str, clock: Clock) -> GroundplanError:
    """An answer of 400 or more as an error; it knows when the peer wants to hear from us again."""
    if answer.status >= 500:
        kind: type[GroundplanError] = OutsideCallFailed
    else:
        kind = PeerBusy if answer.status == HTTPStatus.TOO_MANY_REQUESTS else OutsideCallRefused
    return kind(f"{host} answered {answer.status}.", retry_after=_retry_after(answer, clock))


def _retry_after(answer: Response, clock: Clock) -> float | None:
    """Seconds, of a header that holds seconds or a date."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:10]), MOST_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(said) - clock.now()).total_seconds()
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return None
    return min(max(seconds, 0.0), MOST_RETRY_AFTER)


def _word(error: Exception) -> str:
    """The outcome's name in metrics."""
    if isinstance(error, PeerUnavailable):
        return "not_called"
    if isinstance(error, AddressRefused | Misuse):
        return "not_sent"
    if isinstance(error, OutsideCallFailed):
        return "timeout" if isinstance(error.__cause__, TimeoutError) else "no_answer"
    return "refused"
