"""The connections of one engine, lent one unit of work at a time to whoever has waited longest."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from groundplan.core.errors import Unavailable
from groundplan.data.database.link import Link, Next


class _Turn(NamedTuple):
    since: float
    tenant_id: UUID | None


class Links:
    """At most ``size``, made when they are needed. ``patience``: how many seconds one may wait."""

    def __init__(self, make: Callable[[], Awaitable[Link]], *, size: int, patience: float) -> None:
        self._make = make
        self._size = size
        self._patience = patience
        self._free: list[Link] = []
        self._lent = 0
        self._waiting: dict[asyncio.Future[Link | None], _Turn] = {}
        """In the order in which they came; where one waits, all links are lent."""
        self._foreseen = 0
        self._watch: asyncio.TimerHandle | None = None
        self._undoing: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> float:
        """Seconds that the first in the queue has stood there; 0 where there is no queue."""
        first = next(iter(self._waiting.values()), None)
        return 0.0 if first is None else asyncio.get_running_loop().time() - first.since

    async def take(self, tenant_id: UUID | None = None) -> Link:
        """Raises Unavailable where none becomes free in time, and what the driver raises where none can be made."""
        if self._lent < self._size:
            self._lent += 1
            link = self._unused()
        else:
            link = await self._turn(tenant_id)
        if link is not None:
            return link
        try:
            return await self._make()
        except BaseException:
            self._pass_on(None)
            raise

    def give(self, link: Link) -> None:
        self._foreseen = 0 if not self._waiting else max(0, self._foreseen - 1)
        if link.is_sound or link.is_ahead:
            self._pass_on(link)
        else:
            link.discard()
            self._pass_on(None)

    def foresee(self) -> Next | None:
        """Whose turn it will be for a link that is about to be given back, as far as one can tell."""
        turn = next(islice(self._waiting.values(), self._foreseen, None), None)
        if turn is None:
            return None
        self._foreseen += 1
        return Next(turn.tenant_id)

    def close(self) -> None:
        """What is lent is not given back any more."""
        while self._free:
            self._free.pop().discard()
        if self._watch is not None:
            self._watch.cancel()

    def _unused(self) -> Link | None:
        while self._free:
            link = self._free.pop()
            if link.is_sound:
                return link
            link.discard()
        return None

    def _pass_on(self, link: Link | None) -> None:
        """To the first in the queue, counted as lent to them, so that nobody takes it before they run."""
        while self._waiting:
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            if not turn.done():
                turn.set_result(link)
                return
        if link is not None and link.is_ahead:  # it has begun for somebody who is gone, or has another by now
            task = asyncio.ensure_future(self._undo(link))
            self._undoing.add(task)
            task.add_done_callback(self._undoing.discard)
            return
        self._lent -= 1
        if link is not None:
            self._free.append(link)

    async def _undo(self, link: Link) -> None:
        """Still counted as lent: a new connection in its place would cost a hundred times as much."""
        try:
            await link.rollback()
        finally:
            self.give(link)

    async def _turn(self, tenant_id: UUID | None) -> Link | None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Link | None] = loop.create_future()
        self._waiting[turn] = _Turn(loop.time(), tenant_id)
        if self._watch is None:
            self._watch = loop.call_later(self._patience, self._look)
        try:
            return await turn
        except asyncio.CancelledError:
            if self._waiting.pop(turn, None) is None and not turn.cancelled():
                self._pass_on(turn.result())
            raise

    def _look(self) -> None:
        """One timer for all who wait: they have the same patience, so the first to come is the first to give up."""
        loop = asyncio.get_running_loop()
        self._watch = None
        for turn, (since, _) in list(self._waiting.items()):
            if (left := since + self._patience - loop.time()) > 0:
                self._watch = loop.call_later(left, self._look)
                return
            del self._waiting[turn]
            if not turn.done():
                turn.set_exception(Unavailable("The database has no free connection; all of them stayed in use."))
