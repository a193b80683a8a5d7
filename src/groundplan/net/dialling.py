"""The transport of calls to customers: a connection goes to an address that the guard vetted for it, and no other.

The URL keeps its host throughout, so that the Host header, the TLS server name and the certificate's check are its own.
"""

import ssl
from collections.abc import AsyncIterator, Iterable

import httpcore2
import httpx2

from groundplan.net.guard import Guard

MOST_ADDRESSES = 4
"""Of one name, tried in order."""
DIAL_SECONDS = 2.0
"""For each; the call's own time bounds them all."""


class CustomerTransport(httpx2.AsyncBaseTransport):
    def __init__(self, guard: Guard, tls: ssl.SSLContext | None) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or httpx2.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=100,
            keepalive_expiry=5.0,
            network_backend=_Dialler(guard),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Dialler(httpcore2.AsyncNetworkBackend):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for address in (await self._guard.vetted(host, port))[:MOST_ADDRESSES]:
            try:
                return await self._sockets.connect_tcp(
                    address, port, timeout=DIAL_SECONDS, local_address=local_address, socket_options=socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)
