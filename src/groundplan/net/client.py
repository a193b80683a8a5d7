"""The outbound client: a deadline on every call, the trace carried along, peers that fail left alone."""

import asyncio
from collections.abc import Container, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from groundplan.core.clock import Clock, Random, system_random
from groundplan.core.context import current, refuse_open_transaction
from groundplan.core.errors import DeadlineExceeded, Misuse
from groundplan.core.retry import Retry
from groundplan.net.calls import SERVER_ERRORS, Calls, Sleep, Terms, complaint
from groundplan.net.peers import Limits, Peers
from groundplan.net.wire import Request, Response, Wire
from groundplan.telemetry.metrics import Metrics
from groundplan.telemetry.spans import Span, span

DEFAULT_TIMEOUT = 5.0
"""Seconds."""
DEFAULT_LIMITS = Limits()
PORTS = {"http": 80, "https": 443}


class Outbound:
    """Calls to services that we chose ourselves; for a URL that a customer gave there is CustomerHttp."""

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        by_component: Mapping[str, Limits] | None = None,
        random: Random | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``by_component`` are the limits of peers of one name, where they are others."""
        metrics = metrics or Metrics()
        self._clock = clock
        self._wire = Wire()
        self._peers = Peers(clock, metrics, limits, by_component)
        self._calls = Calls(self._wire, clock, random or system_random(), metrics, sleep)

    async def open(self) -> None:
        """Connects at the first call; the HTTP library is loaded then."""

    async def close(self) -> None:
        await self._wire.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        attempt_timeout: float | None = None,
        component: str = "Outside",
        raise_for: bool = True,
        retry: Retry | None = None,
        failures: Container[int] = SERVER_ERRORS,
    ) -> Response:
        """One call. ``timeout`` in seconds for all of it, retries and waits too, cut to the request's own deadline.

        ``json`` is encoded as the body, in place of ``content``; ``component`` is the peer's name in trace and metrics.
        With ``retry`` it is sent again after no answer, a 429 or a status in ``failures``, if the method allows that or
        an Idempotency-Key header is given, and while the peer's budget lasts; ``attempt_timeout`` leaves time for it.
        Statuses in ``failures`` also count against the peer, as no answer does.

        Raises:
            TransactionOpen: a database transaction is open around it.
            DeadlineExceeded: no time is left.
            PeerUnavailable: the peer keeps failing or is called enough; it was not called.
            OutsideCallFailed: no whole answer in time, or with ``raise_for`` a 5xx.
            PeerBusy: with ``raise_for`` a 429.
            OutsideCallRefused: with ``raise_for`` another 4xx.
        """
        address = _address(url)
        host = address.hostname or ""
        place = f"{method} {host}{address.path or '/'}"
        refuse_open_transaction(place)
        terms = Terms(timeout, attempt_timeout, retry, failures)
        seconds = seconds_left(self._clock, timeout, component)
        request = Request(method, url, host, *encoded(json, content, headers))
        terms.check(request)
        with span(component, place, "out") as calling:
            _carry_context(request.headers, calling)
            peer = self._peers.of(component, host, address.port or PORTS[address.scheme])
            answer = await self._calls.make(request, peer, terms, seconds, calling)
            return judged(answer, host, calling, self._clock, raise_for=raise_for)


def seconds_left(clock: Clock, timeout: float, component: str) -> float:
    """Raises DeadlineExceeded where the current request has no time left."""
    context = current()
    if context is None or context.deadline is None:
        return timeout
    left = context.deadline - clock.monotonic()
    if left <= 0:
        raise DeadlineExceeded(f"No time was left to call {component}.")
    return min(timeout, left)


def encoded(json: Any, content: bytes | None, headers: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    """The body and the headers, their names in lower case."""
    sent = {name.lower(): value for name, value in (headers or {}).items()}
    if json is not None:
        content = msgspec.json.encode(json)
        sent.setdefault("content-type", "application/json")
    return content, sent


def judged(answer: Response, host: str, calling: Span, clock: Clock, *, raise_for: bool) -> Response:
    calling.set(status=answer.status)
    if answer.status >= 500:
        calling.fail(f"status {answer.status}")
    if raise_for and answer.status >= 400:
        raise complaint(answer, host, clock)
    return answer


def _address(url: str) -> SplitResult:
    """Raises Misuse for what is not an HTTP address; trying again would not make it one."""
    try:
        address = urlsplit(url)
        valid = address.scheme in PORTS and address.hostname and address.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise Misuse("The address to call is not an http:// or https:// address.")
    return address


def _carry_context(headers: dict[str, str], calling: Span) -> None:
    """Lets the peer continue our trace; a header that the caller set already stays."""
    context = current()
    if context is None:
        return
    headers.setdefault("traceparent", calling.traceparent)
    if context.request_id:
        headers.setdefault("x-request-id", context.request_id)
