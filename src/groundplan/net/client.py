"""The outbound client: a deadline on every call, the trace carried along, failures in our own words."""

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.context import current, refuse_open_transaction
from groundplan.core.errors import DeadlineExceeded, Misuse, OutsideCallFailed, OutsideCallRefused
from groundplan.telemetry.spans import Span, span

DEFAULT_TIMEOUT = 5.0
"""Seconds."""


class Response(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    headers: dict[str, str]
    """Names in lower case."""


class Outbound:
    """Keeps connections, but nothing of what peers say: no cookies, no redirects, no proxy from the environment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._client: Any = None

    async def open(self) -> None:
        """Connects at the first call; the HTTP library is loaded then."""

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        component: str = "Outside",
        raise_for: bool = True,
    ) -> Response:
        """One call, not repeated. ``timeout`` in seconds for all of it, cut to the request's own deadline.

        ``json`` is encoded as the body, in place of ``content``; ``component`` is the peer's name in the trace.

        Raises:
            TransactionOpen: a database transaction is open around it.
            DeadlineExceeded: no time is left.
            OutsideCallFailed: no whole answer in time, or with ``raise_for`` a 5xx.
            OutsideCallRefused: with ``raise_for`` a 4xx.
        """
        address = _address(url)
        place = f"{method} {address.hostname}{address.path or '/'}"
        refuse_open_transaction(place)
        seconds = self._seconds_left(timeout, component)
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if json is not None:
            content = msgspec.json.encode(json)
            sent.setdefault("content-type", "application/json")
        with span(component, place, "out") as calling:
            _carry_context(sent, calling)
            answer = await self._attempt(method, url, content, sent, seconds)
            calling.set(status=answer.status)
            if answer.status >= 500:
                calling.fail(f"status {answer.status}")
            if raise_for and answer.status >= 400:
                kind = OutsideCallFailed if answer.status >= 500 else OutsideCallRefused
                raise kind(f"{address.hostname} answered {answer.status}.")
            return answer

    def _seconds_left(self, timeout: float, component: str) -> float:
        context = current()
        if context is None or context.deadline is None:
            return timeout
        left = context.deadline - self._clock.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"No time was left to call {component}.")
        return min(timeout, left)

    async def _connected(self) -> Any:
        """The HTTP library is loaded in a thread, because that takes as long as a hundred requests."""
        if self._client is None:
            await asyncio.to_thread(importlib.import_module, "httpx2")
        if self._client is None:
            self._client = _new_client()
        return self._client

    async def _attempt(
        self, method: str, url: str, content: bytes | None, headers: dict[str, str], seconds: float
    ) -> Response:
        """The call itself: sent once, answered whole within ``seconds`` or failed."""
        client = await self._connected()
        import httpx2

        host = urlsplit(url).hostname
        try:
            async with asyncio.timeout(seconds):
                answer = await client.request(method, url, content=content, headers=headers)
        except TimeoutError as error:
            raise OutsideCallFailed(f"{host} did not answer within {seconds:.3g} s.") from error
        except httpx2.LocalProtocolError as error:
            raise Misuse(f"The call to {host} is not valid HTTP: {error}.") from error
        except httpx2.HTTPError as error:
            raise OutsideCallFailed(f"{host} did not answer: {type(error).__name__}.") from error
        return Response(answer.status_code, answer.content, dict(answer.headers))


def _new_client() -> Any:
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx2

    no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
    return httpx2.AsyncClient(cookies=no_cookies, follow_redirects=False, trust_env=False, timeout=None)


def _address(url: str) -> SplitResult:
    """Raises Misuse for what is not an HTTP address; trying again would not make it one."""
    try:
        address = urlsplit(url)
        valid = address.scheme in ("http", "https") and address.hostname and address.port != 0
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
