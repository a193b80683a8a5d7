"""The connections of one engine, lent one unit of work at a time to whoever has waited longest."""

import asyncio
from collections.abc import Awaitable, Callable

from groundplan.core.errors import Unavailable
from groundplan.data.database.link import Link


class Links:
    """At most ``size``, made when they are needed. ``patience``: how many seconds one may wait, None for ever."""

    def __init__(self, make: Callable[[], Awaitable[Link]], *, size: int, patience: float | None) -> None:
        self._make = make
        self._size = size
        self._patience = patience
        self._free: list[Link] = []
        self._lent = 0
        self._waiting: dict[asyncio.Future[None], float] = {}
        """Since when, in the order in which they came."""

    @property
    def waiting(self) -> float:
        """Seconds that the first in the queue has stood there; 0 where there is no queue."""
        first = next(iter(self._waiting.values()), None)
        return 0.0 if first is None else asyncio.get_running_loop().time() - first

    async def take(self) -> Link:
        """Raises Unavailable where none becomes free in time, and what the driver raises where none can be made."""
        if self._lent < self._size and not self._waiting:
            self._lent += 1
        else:
            await self._turn()
        try:
            while self._free:
                link = self._free.pop()
                if link.is_sound:
                    return link
                link.discard()
            return await self._make()
        except BaseException:
            self._gone()
            raise

    def give(self, link: Link) -> None:
        if link.is_sound:
            self._free.append(link)
        else:
            link.discard()
        self._gone()

    def close(self) -> None:
        """What is lent is not given back any more."""
        while self._free:
            self._free.pop().discard()

    async def _turn(self) -> None:
        """Whoever gives one back counts it as lent again, to us, so that nobody takes it before we run."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting[turn] = loop.time()
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn in self._waiting:
                del self._waiting[turn]
            elif turn.done() and not turn.cancelled():
                self._gone()
            if isinstance(error, TimeoutError):
                raise Unavailable("The database has no free connection; all of them stayed in use.") from None
            raise

    def _gone(self) -> None:
        self._lent -= 1
        self._next()

    def _next(self) -> None:
        while self._waiting and self._lent < self._size:
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            if not turn.done():
                self._lent += 1
                turn.set_result(None)
