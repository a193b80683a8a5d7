"""Admission control: how many requests may be at work at once, and who is turned away first when there are more.

The limit adapts. It follows AIMD, as TCP does (RFC 5681): up while all is well and it is needed, down by a tenth to a
half at each sign of congestion. The sign is CoDel's (RFC 8289), the delay in the queue against a target of 5 ms over
intervals of 100 ms; of the looks in an interval the median counts, so that neither a burst nor one pause of the
process is taken for a queue. There are two queues: how late the event loop runs a timer is what a request waits before
anybody looks at it, and the first in the queue for a database connection has stood there for a while. The duration of
requests would not do, because a slow peer is no overload; nor would their number alone, because routes differ.

Whoever finds no room waits. A burst is through in a moment: while there is no sign of congestion the limit doubles at
each look, as in TCP's slow start. Behind two intervals with such a sign, or in which somebody was turned away, it is no
burst, and nobody waits for long: the line is as short as a handful of busy clients makes it, and whoever comes when it
is full is turned away at once, but for those who matter most. How long one takes is then given by how many are before
it, at work and in line.

Whoever is let in yields once before it begins. So all that have arrived are counted before any of them works, also
where the work never yields by itself, as a read from SQLite.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from statistics import median_low
from typing import Any

from groundplan.backend.busy import busy_reply
from groundplan.backend.line import Line, Priority
from groundplan.core.clock import Clock
from groundplan.telemetry import Metrics

LAG_SECONDS = 0.005
"""The event loop may be late by so much."""
WAIT_SECONDS = 0.005
"""A request may wait for a database connection for so long."""
LINE_SECONDS = 1.0
"""The most that anybody waits to be let in."""
LINE_LENGTH = 2000
NEVER_TOO_MANY = 16
"""At work and in line together: so many clients, each of which waits for its reply, turn nobody away."""
INTERVAL_SECONDS = 0.1
LEAST_LOOKS = 2
"""In an interval, or one pause of the whole process would be taken for a queue."""
PROBE_SECONDS = 0.01
LOG_SECONDS = 1.0


_CRITICAL_SHARE = 2.0
"""Of the limit for writes."""

_CRITICAL = ("/webhooks/", "/console/", "/metrics")
_PROBLEMS = ("/api/", "/webhooks/", "/objects/")
_SAFE = ("GET", "HEAD", "OPTIONS")


def priority_of(method: str, path: str) -> Priority:
    if path.startswith(_CRITICAL) or path == "/console":
        return Priority.CRITICAL
    return Priority.READ if method in _SAFE else Priority.WRITE


class Limit:
    """How many may be at work before one more is turned away. ``value`` is between ``least`` and ``most``.

    ``tolerance``: how many times the target delay is borne. A write may wait where a read would rather be refused.
    """

    def __init__(self, *, least: int, first: int, most: int = 2000, tolerance: float = 1.0) -> None:
        self.value = float(first)
        self._least, self._first, self._most, self._tolerance = least, first, most, tolerance

    def adapt(self, delay: float, peak: int) -> None:
        """At the end of an interval: ``delay`` is 1 at the target, ``peak`` the most that were in flight."""
        congestion = delay / self._tolerance
        if congestion > 1:
            self.value = max(self._least, min(self.value, peak) * max(0.5, min(0.9, 1 / congestion)))
        elif peak >= self.value / 2:
            # Well below the target it doubles within a second, near it it feels its way.
            self.value = min(self._most, self.value * 1.1 if congestion < 0.5 else self.value + 1)
        elif self.value > self._first:  # what nobody has used is not proven (RFC 7661)
            self.value = max(self._first, self.value * 0.9)
        else:
            self.value = min(self._first, self.value * 1.1)

    def begin(self) -> None:
        """After a rest nothing is known of what can be done now."""
        self.value = float(self._first)

    def double(self) -> None:
        self.value = min(self._most, self.value * 2)


class Admission:
    """``waiting`` says how long, in seconds, the first in the queue for a database connection has stood there."""

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics,
        log: Any,
        waiting: Callable[[], float],
        *,
        reads: Limit | None = None,
        writes: Limit | None = None,
    ) -> None:
        self.reads = reads or Limit(least=8, first=32)
        self.writes = writes or Limit(least=8, first=48, tolerance=2)
        self.in_flight = 0
        self._clock, self._log, self._waiting = clock, log, waiting
        self._bounds, self._room = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
        self._shed, self._shed_before, self._told = [0, 0, 0], [0, 0, 0], [0, 0, 0]
        self._counters = [metrics.shed.labels(priority.name.lower()) for priority in Priority]
        self._line = Line(LINE_LENGTH)
        self._congested = self._crowded = False
        self._peak = 0
        self._lags: list[float] = []
        self._interval_ends, self._log_after = 0.0, 0.0
        self._probe_due = 0.0
        self._probing = False
        self._share_out()
        metrics.in_flight.set_function(lambda: self.in_flight)
        for priority in Priority:
            bound = partial(self._bounds.__getitem__, priority)
            metrics.admission_limit.labels(priority.name.lower()).set_function(bound)

    def enter(self, priority: Priority) -> bool:
        """Whether it may begin. Who may is counted, until ``leave``."""
        if self._let_in(priority):
            return True
        self._shed[priority] += 1
        return False

    def rejoin(self) -> None:
        """Counts in, without a question, somebody who had left to wait for their client."""
        self.in_flight += 1
        if self.in_flight > self._peak:
            self._peak = self.in_flight

    def leave(self) -> None:
        self.in_flight -= 1
        if self._line:
            self._line.call(self._let_in)

    def _let_in(self, priority: Priority) -> bool:
        if self.in_flight >= self._bounds[priority]:
            return False
        self.rejoin()
        return True

    def observe(self, lag: float) -> None:
        """One look at the event loop, which ran a timer ``lag`` seconds late."""
        self._lags.append(lag)
        now = self._clock.monotonic()
        if now >= self._interval_ends and len(self._lags) >= LEAST_LOOKS:
            self._interval_ends = now + INTERVAL_SECONDS
            self._end_interval(now)

    def _end_interval(self, now: float) -> None:
        delay = max(median_low(self._lags) / LAG_SECONDS, self._waiting() / WAIT_SECONDS)
        self.reads.adapt(delay, self._peak)
        self.writes.adapt(delay, self._peak)
        congested = delay > 1 or self._shed != self._shed_before
        self._crowded, self._congested = congested and self._congested, congested
        self._share_out()
        self._peak = self.in_flight
        self._lags.clear()
        if self._shed != self._told and now >= self._log_after:
            self._log_after = now + LOG_SECONDS
            self._tell()

    def _share_out(self) -> None:
        """Where one was turned away although others matter less, those get less room in the next interval."""
        for before, priority in ((Priority.CRITICAL, Priority.WRITE), (Priority.WRITE, Priority.READ)):
            crowded = self._shed[before] > self._shed_before[before]
            wider = self._room[priority] * (0.7 if crowded else 1.1)
            self._room[priority] = max(0.05, min(1.0, self._room[before], wider))
        self._shed_before = list(self._shed)
        self._bind()

    def _bind(self) -> None:
        self._bounds[Priority.CRITICAL] = self.writes.value * _CRITICAL_SHARE
        self._bounds[Priority.WRITE] = self.writes.value * self._room[Priority.WRITE]
        reads = self.reads.value * self._room[Priority.READ]
        self._bounds[Priority.READ] = min(reads, self._bounds[Priority.WRITE])

    def _tell(self) -> None:
        """One line for all that were turned away since the last."""
        news = [shed - told for shed, told in zip(self._shed, self._told, strict=True)]
        for counter, more in zip(self._counters, news, strict=True):
            counter.inc(more)
        self._told = list(self._shed)
        by_priority = {priority.name.lower(): news[priority] for priority in Priority}
        self._log.warning("requests turned away", **by_priority, limit=int(self.reads.value), in_flight=self.in_flight)

    # On the event loop

    async def begin(self, scope: Any, send: Any) -> bool:
        """Lets the request in, or answers it: 503 with Retry-After."""
        path = scope["path"]
        if not self._probing:
            self._start_probing()
        priority = priority_of(scope["method"], path)
        if self._let_in(priority):
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.leave()
                raise
            return True
        if await self._waited(priority):
            return True
        self._shed[priority] += 1
        for message in busy_reply(sum(self._shed), is_problem=path.startswith(_PROBLEMS)):
            await send(message)
        return False

    async def _waited(self, priority: Priority) -> bool:
        """Whether it was let in."""
        if self._crowded and priority is not Priority.CRITICAL and len(self._line) >= self._crowded_line:
            return False
        turn = self._line.join(priority, asyncio.get_running_loop().time())
        try:
            return turn is not None and await turn
        except asyncio.CancelledError:
            if turn is not None and not turn.cancelled() and turn.result():
                self.leave()
            raise

    def _look_at_line(self, lag: float, now: float) -> None:
        """A burst is let in as soon as it can be seen that nothing behind is in the way."""
        if self._crowded:
            self._line.shorten(self._crowded_line)
        elif lag < LAG_SECONDS / 2 and not self._waiting():
            self.reads.double()
            self.writes.double()
            self._bind()
            self._line.call(self._let_in)
        self._line.send_away(now - LINE_SECONDS)

    @property
    def _crowded_line(self) -> int:
        return max(0, NEVER_TOO_MANY - self.in_flight)

    def _start_probing(self) -> None:
        """With the first request after a rest, before which there was nothing that could be in the way."""
        self._probing = True
        self._congested = self._crowded = False
        self.reads.begin()
        self.writes.begin()
        self._room = [1.0, 1.0, 1.0]
        self._bind()
        self._lags.clear()
        self._interval_ends = self._clock.monotonic() + INTERVAL_SECONDS
        self._next_probe(asyncio.get_running_loop())

    def _next_probe(self, loop: asyncio.AbstractEventLoop) -> None:
        self._probe_due = loop.time() + PROBE_SECONDS
        loop.call_at(self._probe_due, self._probe, loop)

    def _probe(self, loop: asyncio.AbstractEventLoop) -> None:
        """Goes on while there is something in flight, or to be told."""
        now = loop.time()
        lag = now - self._probe_due
        self.observe(lag)
        if self._line:
            self._look_at_line(lag, now)
        if self.in_flight or self._peak or self._line or self._shed != self._told:
            self._next_probe(loop)
        else:
            self._probing = False
