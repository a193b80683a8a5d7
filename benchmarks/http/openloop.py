"""Requests at a rate that does not wait for replies, as customers' do not; each on a connection of its own."""

import asyncio
import contextlib
import resource
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

LOST = 0
"""The status of a request without a reply: no connection, a broken one, or none in time."""
PATIENCE_SECONDS = 10.0
MOST_OPEN = 4_000
_TICK_SECONDS = 0.002


class Reply(NamedTuple):
    due: float
    """Seconds after the start at which it was to be sent."""
    taken: float
    """Seconds from then until its reply."""
    status: int
    body: bytes


def good(reply: Reply) -> bool:
    return 200 <= reply.status < 300


class OpenLoop:
    """``make`` gives the bytes of a request by its number."""

    def __init__(self, port: int, make: Callable[[int], bytes]) -> None:
        self._port = port
        self._make = make
        self._free: list[_Connection] = []
        self._open = 0
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def run(self, phases: Sequence[tuple[float, float]]) -> list[Reply]:
        """``phases`` are requests a second and for how many seconds, one after the other, without a pause."""
        due = _times(phases)
        started, sent = time.perf_counter(), 0
        running: list[asyncio.Task[Reply]] = []
        while sent < len(due):
            now = time.perf_counter() - started
            while sent < len(due) and due[sent] <= now:
                running.append(asyncio.create_task(self._send(self._make(sent), started, due[sent])))
                sent += 1
            await asyncio.sleep(_TICK_SECONDS)
        replies = await asyncio.gather(*running)
        self.close()
        return list(replies)

    async def at_once(self, number: int) -> list[Reply]:
        """So many together, over connections that are open before the first is sent."""
        self._free = [await self._connect() for _ in range(number)]
        started = time.perf_counter()
        replies = await asyncio.gather(*(self._send(self._make(each), started, 0.0) for each in range(number)))
        self.close()
        return list(replies)

    def close(self) -> None:
        for connection in self._free:
            connection.close()
        self._free.clear()

    async def _send(self, request: bytes, started: float, due: float) -> Reply:
        status, body = LOST, b""
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                connection = self._free.pop() if self._free else await self._connect()
                try:
                    status, body = await connection.ask(request)
                finally:
                    if status == LOST:
                        connection.close()
                        self._open -= 1
                    else:
                        self._free.append(connection)
        return Reply(due, time.perf_counter() - started - due, status, body)

    async def _connect(self) -> "_Connection":
        if self._open >= MOST_OPEN:
            raise OSError("Too many requests wait for their replies.")
        self._open += 1
        try:
            return _Connection(*await asyncio.open_connection("127.0.0.1", self._port))
        except BaseException:
            self._open -= 1
            raise


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def _times(phases: Sequence[tuple[float, float]]) -> list[float]:
    due, begin = [], 0.0
    for rate, seconds in phases:
        due += [begin + number / rate for number in range(round(rate * seconds))]
        begin += seconds
    return due
