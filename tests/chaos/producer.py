"""Sends numbered messages, and remembers which commits were acknowledged to it."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import NamedTuple, Self

from groundplan.app import Event
from groundplan.core.clock import SystemClock
from groundplan.core.errors import Unavailable
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.messaging.handlers import Handler, Handlers
from groundplan.messaging.message import Envelope
from groundplan.messaging.outbox import Outbox
from tests.chaos.app import Noted, Record, feature

LARGEST_TRANSACTION = 5
_STORE = Sql("INSERT INTO sent (number) VALUES (:number)")
_WHO = Envelope(tenant_id=None, user_id=None, request_id="chaos", traceparent="")


class Producer:
    """In each transaction some business rows and a message for each: a job or an event, by turns."""

    def __init__(self, url: str, seed: int) -> None:
        self.acknowledged: set[int] = set()
        self.refused: dict[int, str] = {}
        """Told that it failed, and how: such a transaction may have committed all the same."""
        self._url = url
        self._random = random.Random(seed)
        self.events: Callable[..., Event] = Noted
        """Which release it is of."""
        self._next = 0

    def send(self, count: int, *, jobs_only: bool = False, **job: float | bool) -> list[int]:
        """``count`` messages, now; their numbers. ``job`` is what their jobs say beside the number."""
        numbers = range(self._next, self._next + count)

        async def inside() -> None:
            async with sending(self._url) as here:
                while self._next < numbers.stop:
                    size = min(self._random.randint(1, LARGEST_TRANSACTION), numbers.stop - self._next)
                    await self._transaction(here, size, jobs_only=jobs_only, **job)

        asyncio.run(inside())
        return list(numbers)

    def load(self, rate: float) -> "Load":
        """``rate`` messages a second, for as long as the block lasts."""
        return Load(self, rate)

    async def run(self, rate: float, stop: threading.Event) -> None:
        async with sending(self._url) as here:
            started, first = time.monotonic(), self._next
            while not stop.is_set():
                await self._transaction(here, self._random.randint(1, LARGEST_TRANSACTION))
                ahead = (self._next - first) / rate - (time.monotonic() - started)
                await asyncio.sleep(max(0.0, ahead))

    async def _transaction(self, here: "Sending", size: int, *, jobs_only: bool = False, **job: float | bool) -> None:
        numbers = range(self._next, self._next + size)
        self._next += size
        try:
            async with here.database.transaction(None) as transaction:
                draft = here.outbox.draft(transaction, _WHO)
                for number in numbers:
                    await transaction.execute(_STORE, number=number)
                    if jobs_only or number % 2:
                        draft.enqueue(Record(number=number, **job))  # type: ignore[arg-type]
                    else:
                        draft.publish(self.events(number=number))
        except Unavailable as error:
            self.refused |= dict.fromkeys(numbers, error.detail)
        else:
            self.acknowledged |= set(numbers)


class Load:
    """A thread that sends until the end of the block."""

    def __init__(self, producer: Producer, rate: float) -> None:
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._producer = producer
        self._thread = threading.Thread(target=self._run, args=(rate,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._failed and error is None:
            raise self._failed[0]

    def until(self, count: int, *, seconds: float = 60.0) -> None:
        """Waits until ``count`` messages more than now are acknowledged."""
        wanted, give_up = len(self._producer.acknowledged) + count, time.monotonic() + seconds
        while len(self._producer.acknowledged) < wanted:
            assert self._thread.is_alive() and time.monotonic() < give_up, f"{count} were not sent in {seconds} s"
            time.sleep(0.01)

    def _run(self, rate: float) -> None:
        try:
            asyncio.run(self._producer.run(rate, self._stop))
        except BaseException as error:
            self._failed.append(error)


class Sending(NamedTuple):
    database: Database
    outbox: Outbox


@asynccontextmanager
async def sending(url: str, handlers: Iterable[Handler] = feature.handlers) -> AsyncIterator[Sending]:
    """A few connections beside the workers'; on SQLite as a short command has them."""
    database = Database(url, pool_size=2, exclusive=False)
    await database.open()
    try:
        yield Sending(database, Outbox(database, Handlers(handlers), SystemClock()))
    finally:
        await database.close()


def subscribe(url: str, handlers: Iterable[Handler]) -> None:
    """What a release does before it rolls out."""

    async def inside() -> None:
        async with sending(url, handlers) as here, here.database.transaction(None) as transaction:
            await here.outbox.subscribe(transaction)

    asyncio.run(inside())
