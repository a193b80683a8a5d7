"""The outbound client: a deadline on every call, the trace carried along, failures in our own words."""

import asyncio
import importlib
from typing import Any

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.context import current, refuse_open_transaction
from groundplan.core.errors import DeadlineExceeded, OutsideCallFailed, OutsideCallRefused
from groundplan.telemetry.spans import span

DEFAULT_TIMEOUT = 5.0
"""Seconds."""


class Response(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    headers: dict[str, str]


class Outbound:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._client: Any = None

    async def open(self) -> None:
        """Connects at the first call; the HTTP library is loaded then."""

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _library(self) -> Any:
        """Loaded at the first call, in a thread, because that takes as long as a hundred requests."""
        library = await asyncio.to_thread(importlib.import_module, "httpx2")
        if self._client is None:
            self._client = library.AsyncClient(follow_redirects=False, trust_env=False)
        return library

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        component: str = "Outside",
        raise_for: bool = True,
    ) -> Response:
        """One call, not repeated. ``timeout`` in seconds, cut to the request's own deadline.

        Raises:
            TransactionOpen: a database transaction is open around it.
            DeadlineExceeded: no time is left.
            OutsideCallFailed: no answer, or with ``raise_for`` a 5xx.
            OutsideCallRefused: with ``raise_for`` a 4xx.
        """
        httpx2 = await self._library()
        refuse_open_transaction(f"{method} {url}")
        context = current()
        if context is not None and context.deadline is not None:
            timeout = min(timeout, context.deadline - self._clock.monotonic())
            if timeout <= 0:
                raise DeadlineExceeded(f"No time was left to call {component}.")
        address = httpx2.URL(url)
        with span(component, f"{method} {address.host}{address.path}", "out") as calling:
            sent = dict(headers or {})
            if context is not None:
                sent.setdefault("traceparent", calling.traceparent)
                sent.setdefault("x-request-id", context.request_id)
            try:
                answer = await self._client.request(method, url, content=content, headers=sent, timeout=timeout)
            except httpx2.HTTPError as error:
                raise OutsideCallFailed(f"{address.host} did not answer: {type(error).__name__}.") from error
            calling.set(status=answer.status_code)
            if answer.status_code >= 500:
                calling.fail(f"status {answer.status_code}")
            if raise_for and answer.status_code >= 400:
                kind = OutsideCallFailed if answer.status_code >= 500 else OutsideCallRefused
                raise kind(f"{address.host} answered {answer.status_code}.")
            return Response(answer.status_code, answer.content, dict(answer.headers))
