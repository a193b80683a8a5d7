"""The wire: one HTTP request sent once, its answer read whole, failures in our own words."""

import asyncio
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from groundplan.core.errors import Misuse, OutsideCallFailed, OutsideCallRefused

CONNECT_SECONDS = 2.0
"""An address that swallows what is sent to it is found out long before the deadline of the call."""


class Response(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    headers: dict[str, str]
    """Names in lower case."""


class Request(NamedTuple):
    method: str
    url: str
    host: str
    content: bytes | None
    headers: dict[str, str]
    """Names in lower case."""
    most_bytes: int | None = None
    """Of the answer's body, which is then taken as it comes: nothing is unpacked."""
    cut: bool = False
    """Whether a longer answer is cut there, or refused."""


class Wire:
    """Keeps connections, but nothing of what peers say: no cookies, no redirects, no proxy from the environment."""

    def __init__(self, module: str = "httpx2", transport: Callable[[], Any] = lambda: None) -> None:
        """``module`` is what ``transport`` needs loaded; None is the HTTP library's own transport."""
        self._module = module
        self._transport = transport
        self._client: Any = None

    async def ready(self) -> None:
        """The HTTP library is loaded in a thread, because that takes as long as a hundred requests."""
        if self._client is None:
            await asyncio.to_thread(importlib.import_module, self._module)
        if self._client is None:
            self._client = _new_client(self._transport())

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send(self, request: Request) -> Response:
        """Raises Misuse, OutsideCallFailed or OutsideCallRefused; for as long as the peer likes it does not return."""
        await self.ready()
        import httpcore2
        import httpx2

        method, url, host, content, headers, *_ = request
        try:
            async with self._client.stream(method, url, content=content, headers=headers) as answer:
                return Response(answer.status_code, await _body(answer, request), dict(answer.headers))
        except (httpx2.LocalProtocolError, httpcore2.LocalProtocolError, httpx2.InvalidURL) as error:
            raise Misuse(f"The call to {host} is not valid HTTP: {error}.") from error
        except (
            httpx2.HTTPError,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
        ) as error:
            raise OutsideCallFailed(f"{host} did not answer: {type(error).__name__}.") from error


def _new_client(transport: Any) -> Any:
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx2

    return httpx2.AsyncClient(
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        transport=transport,
        # how many run at once is for each peer's bulkhead to say
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=5.0),
    )


async def _body(answer: Any, request: Request) -> bytes:
    if request.most_bytes is None:
        body: bytes = await answer.aread()
        return body
    read = bytearray()
    async for part in answer.aiter_raw():
        read += part
        if len(read) > request.most_bytes:
            if request.cut:
                return bytes(read[: request.most_bytes])
            raise OutsideCallRefused(
                f"{request.host} answered with more than the {request.most_bytes:,} bytes that are read of it."
            )
    return bytes(read)
