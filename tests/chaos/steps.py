"""Where a worker can be made to die or freeze: named points on a message's way, reached through public seams.

claimed      the lease is taken (on a broker: the message is received), the handler has not begun
handling     the handler is about to open its transaction
effects      its effects are written, the commit is not sent
committing   the commit is about to be sent (to PostgreSQL), and no deadline stops it any more
committed    the commit is through, the broker has no acknowledgement yet
handed off   the relay holds rows that the broker does not have yet
confirmed    the broker has confirmed, the rows are not deleted yet
together     so many handlers have begun, and none is through
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from groundplan.app import Context
from groundplan.data.database.link import Step
from groundplan.data.database.postgresql import PostgresqlLink
from groundplan.data.database.uow import Transaction
from groundplan.messaging.delivery.handoff import BrokerSource
from groundplan.messaging.delivery.sources import DatabaseSource
from groundplan.messaging.message import Delivery
from groundplan.wiring import BROKERS, load

BY_DATABASE = ("claimed", "handling", "effects", "committed")
BY_BROKER = ("handed off", "confirmed", *BY_DATABASE)


class Point:
    """The ``at``-th time that ``step`` is reached, this process gets the signal ``how``; else nothing happens."""

    def __init__(self, step: str, at: int, how: signal.Signals) -> None:
        self.step = step
        self._left = at
        self._how = how

    def reached(self, count: int = 1) -> None:
        due = 0 < self._left <= count
        self._left -= count
        if due:
            os.kill(os.getpid(), self._how)

    def lay(self) -> None:
        """Wraps the seam that ``step`` names, in this process."""
        _SEAMS[self.step](self)


def _before(kind: Any, name: str, act: Callable[..., Awaitable[None]]) -> None:
    inner = getattr(kind, name)

    async def outer(*args: Any, **named: Any) -> Any:
        await act(*args, **named)
        return await inner(*args, **named)

    setattr(kind, name, outer)


def _after(kind: Any, name: str, act: Callable[[Any], None]) -> None:
    inner = getattr(kind, name)

    async def outer(*args: Any, **named: Any) -> Any:
        result = await inner(*args, **named)
        act(result)
        return result

    setattr(kind, name, outer)


def _claimed(point: Point) -> None:
    sources = [DatabaseSource] if os.environ["QUEUE_URL"] == "database" else [BrokerSource]
    for source in sources:
        for name in ("take", "first"):
            _after(source, name, lambda taken: point.reached(len(taken)))


def _handling(point: Point) -> None:
    inner = Context.transaction

    def outer(self: Context, *first: Any) -> Any:
        point.reached()
        return inner(self, *first)

    Context.transaction = outer  # type: ignore[method-assign, assignment]


def _together(point: Point) -> None:
    class Waiting:
        async def __aenter__(self) -> None:
            point.reached()
            await asyncio.Event().wait()

        async def __aexit__(self, *_: object) -> None: ...

    Context.transaction = lambda self, *_: Waiting()  # type: ignore[method-assign, assignment]


def _hooked(hook: Callable[[Transaction], None]) -> None:
    """``hook`` sees each handler's transaction at its start."""
    for source in (DatabaseSource, BrokerSource):
        inner = source.acknowledge

        def outer(self: Any, transaction: Transaction, delivery: Delivery, inner: Callable[..., None] = inner) -> None:
            inner(self, transaction, delivery)
            hook(transaction)

        source.acknowledge = outer  # type: ignore[method-assign]


def _effects(point: Point) -> None:
    async def act(_: Transaction) -> None:
        point.reached()

    _hooked(lambda transaction: transaction.before_commit(act))


def _committing(point: Point) -> None:
    async def act(_: PostgresqlLink, last: Sequence[Step] = (), *following: object) -> None:
        if any(step.otherwise for step in last):  # a handler's, which ends with its acknowledgement
            point.reached()

    _before(PostgresqlLink, "commit", act)


def _committed(point: Point) -> None:
    _hooked(lambda transaction: transaction.after_commit(point.reached))


def _handed_off(point: Point) -> None:
    async def act(_: Any, messages: list[Any]) -> None:
        point.reached(len(messages))

    for adapter in BROKERS.values():
        _before(load(adapter), "publish", act)


def _confirmed(point: Point) -> None:
    for adapter in BROKERS.values():
        _after(load(adapter), "publish", lambda confirmed: point.reached(len(confirmed)))


_SEAMS: dict[str, Callable[[Point], None]] = {
    "claimed": _claimed,
    "handling": _handling,
    "effects": _effects,
    "committing": _committing,
    "committed": _committed,
    "handed off": _handed_off,
    "confirmed": _confirmed,
    "together": _together,
}
