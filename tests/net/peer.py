"""Another house: a small HTTP server on loopback that notes what it is sent and answers as a test says."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self


class Received(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


Answer = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


async def fine(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def status(code: int, body: bytes = b"", *headers: bytes) -> Answer:
    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        lines = [b"HTTP/1.1 %d Said" % code, b"content-length: %d" % len(body), *headers]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    return answer


async def hang(received: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(received: Received, writer: asyncio.StreamWriter) -> None:
    """Never silent for long, and never done."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def hang_up(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


class Peer:
    """``answer`` may be changed between calls."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.answer: Answer = fine
        self.received: list[Received] = []
        self.called = asyncio.Event()
        self.url = ""
        self.port = 0
        self._talks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                received = await _read(reader)
                self.received.append(received)
                self.called.set()
                await self.answer(received, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head.split(" ")
    pairs = [line.split(": ", 1) for line in lines if line]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs), f"a header was sent twice: {pairs}"
    return Received(method, target, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
