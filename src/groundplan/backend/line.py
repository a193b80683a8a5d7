"""Those who wait to be let in: whoever matters most comes first, then whoever came first."""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple


class Priority(IntEnum):
    """Who is turned away last comes first."""

    CRITICAL = 0
    """What others send once and we must not miss, and the operator's console: webhooks, /console, /metrics."""
    WRITE = 1
    READ = 2


class _Turn(NamedTuple):
    since: float
    answer: asyncio.Future[bool]


class Line:
    """Times are seconds on any one clock. It holds ``most`` at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._turns: list[deque[_Turn]] = [deque() for _ in Priority]
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def join(self, priority: Priority, now: float) -> asyncio.Future[bool] | None:
        """Whether one is let in, in the end; None where the line is full."""
        if self._length >= self._most:
            return None
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._turns[priority].append(_Turn(now, answer))
        self._length += 1
        return answer

    def call(self, may: Callable[[Priority], bool]) -> None:
        """Lets in whoever ``may`` begin, which counts them."""
        for priority in Priority:
            turns = self._turns[priority]
            while turns:
                if turns[0].answer.done():  # it has gone
                    self._length -= 1
                    turns.popleft()
                elif may(priority):
                    self._length -= 1
                    turns.popleft().answer.set_result(True)
                else:
                    return

    def send_away(self, before: float) -> None:
        """Whoever came before then."""
        for turns in self._turns:
            while turns and (turns[0].since < before or turns[0].answer.done()):
                self._refuse(turns.popleft())

    def shorten(self, most: int) -> None:
        """Whoever matters least and came last goes first, until ``most`` are left; those who matter most stay."""
        for turns in reversed(self._turns[Priority.WRITE :]):
            while turns and self._length > most:
                self._refuse(turns.pop())

    def _refuse(self, turn: _Turn) -> None:
        self._length -= 1
        if not turn.answer.done():
            turn.answer.set_result(False)
