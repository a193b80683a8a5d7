"""Who is let in and who is turned away: an event loop in simulated time, and any order of events."""

import asyncio
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from groundplan.backend.admission import NEVER_TOO_MANY, PROBE_SECONDS, Admission, Limit, priority_of
from groundplan.backend.line import Priority
from groundplan.core.clock import SystemClock
from groundplan.telemetry import Metrics
from groundplan.testing.app import until

COST = 0.001
REFUSAL = 0.0001
CAPACITY = 1 / COST


class Time:
    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        return datetime.now(UTC)


class Log:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append(fields)


class Answer(NamedTuple):
    arrived: float
    seconds: float
    priority: Priority
    admitted: bool


class Loop:
    """One thread that takes up, in turns, whatever has arrived: first who may begin, then the work."""

    def __init__(self, *, waiting: Callable[[], float] = lambda: 0.0, reads: Limit | None = None) -> None:
        self.time, self.log, self.metrics = Time(), Log(), Metrics()
        self.admission = Admission(self.time, self.metrics, self.log, waiting, reads=reads)
        self._probe = self.time.at + PROBE_SECONDS

    def run(self, arrivals: Iterable[tuple[float, Priority]]) -> list[Answer]:
        coming, answers = sorted(arrivals, reverse=True), []
        while coming:
            if coming[-1][0] > self.time.at:
                self.time.at = min(coming[-1][0], max(self.time.at, self._probe))
            begun = []
            while coming and coming[-1][0] <= self.time.at:
                at, priority = coming.pop()
                if self.admission.enter(priority):
                    begun.append((at, priority))
                else:
                    self.time.at += REFUSAL
                    answers.append(Answer(at, self.time.at - at, priority, False))
            for at, priority in begun:
                self.time.at += COST
                self.admission.leave()
                answers.append(Answer(at, self.time.at - at, priority, True))
            if self.time.at >= self._probe:
                self.admission.observe(self.time.at - self._probe)
                self._probe = self.time.at + PROBE_SECONDS
        return answers

    def load(self, times_capacity: float, seconds: float, *, seed: int = 1) -> list[Answer]:
        """Arrivals at random: eight reads to two writes and one webhook."""
        drawn, at, arrivals = random.Random(seed), self.time.at, []
        end = at + seconds
        while at < end:
            at += drawn.expovariate(times_capacity * CAPACITY)
            kinds, weights = list(Priority), [1, 2, 8]
            arrivals.append((at, drawn.choices(kinds, weights)[0]))
        return self.run(arrivals)


def _admitted(answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.admitted]


def _p99(answers: list[Answer]) -> float:
    return sorted(answer.seconds for answer in answers)[int(len(answers) * 0.99)]


def test_at_half_of_capacity_nobody_is_turned_away() -> None:
    assert all(answer.admitted for answer in Loop().load(0.5, 20))


@pytest.mark.parametrize(("times", "most_seconds"), [(3, 0.08), (5, 0.5)])
def test_in_overload_the_work_goes_on(times: int, most_seconds: float) -> None:
    """At five times, writes and webhooks alone are more than it can do, and writes would rather wait a little."""
    loop = Loop()
    answers = loop.load(times, 20)
    settled = [answer for answer in answers if answer.arrived > answers[0].arrived + 2]
    span = settled[-1].arrived - settled[0].arrived
    cost_of_refusals = sum(not answer.admitted for answer in settled) * REFUSAL / span
    assert len(_admitted(settled)) / span / CAPACITY > 0.98 - cost_of_refusals
    assert _p99(_admitted(settled)) < most_seconds, "without a limit it would be seconds"
    assert _p99([answer for answer in settled if not answer.admitted]) < most_seconds, "a refusal comes early"


def test_after_overload_all_is_as_before() -> None:
    loop = Loop()
    loop.load(5, 20)
    after = loop.load(0.5, 20)
    refused = [answer.arrived - after[0].arrived for answer in after if not answer.admitted]
    assert max(refused, default=0) < 5, "seconds"


def test_the_last_to_go_are_webhooks_then_writes() -> None:
    answers = Loop().load(3, 20)
    shares = {
        priority: sum(a.admitted for a in answers if a.priority == priority)
        / sum(1 for a in answers if a.priority == priority)
        for priority in Priority
    }
    assert shares[Priority.CRITICAL] > 0.99
    assert shares[Priority.WRITE] > 0.8 and shares[Priority.READ] < 0.3


def test_a_queue_at_the_database_is_a_sign_although_the_loop_is_free() -> None:
    waiting = 0.0
    loop = Loop(waiting=lambda: waiting, reads=Limit(least=4, first=100))
    loop.load(0.5, 1)
    before = loop.admission.reads.value
    waiting = 0.5
    loop.load(0.5, 5)
    assert loop.admission.reads.value < before / 4


def test_slow_peers_are_no_overload() -> None:
    loop = Loop(reads=Limit(least=10, first=20))
    held = 0
    for _ in range(200):
        held += loop.admission.enter(Priority.READ)
        for _ in range(5):
            loop.time.at += PROBE_SECONDS
            loop.admission.observe(0.0)
    assert held == 200 == loop.admission.in_flight
    assert loop.log.lines == []


def test_one_pause_of_the_whole_process_is_no_queue() -> None:
    loop = Loop()
    before = loop.admission.reads.value
    for pause in (0.0, 0.9, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0):
        loop.time.at += PROBE_SECONDS + pause
        loop.admission.observe(pause)
    assert loop.admission.reads.value == before


def test_refusals_are_told_together() -> None:
    loop = Loop()
    answers = loop.load(3, 10)
    refused = sum(not answer.admitted for answer in answers)
    assert refused > 1000
    assert len(loop.log.lines) <= 11, "at most one line a second"
    loop.load(0.1, 2)
    assert sum(line["read"] + line["write"] + line["critical"] for line in loop.log.lines) == refused
    text = loop.metrics.render().decode()
    assert (
        f'groundplan_admission_shed_total{{priority="read"}} {sum(line["read"] for line in loop.log.lines):.1f}' in text
    )
    assert "groundplan_admission_in_flight 0.0" in text


def test_what_a_request_is() -> None:
    assert priority_of("POST", "/webhooks/in/payments") is Priority.CRITICAL
    assert priority_of("GET", "/console/traces") is Priority.CRITICAL
    assert priority_of("POST", "/api/v1/orders") is priority_of("POST", "/checkout") is Priority.WRITE
    assert priority_of("GET", "/api/v1/orders") is priority_of("GET", "/") is Priority.READ


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.waiting = 0.0
        self.limits = Limit(least=4, first=10, most=50), Limit(least=8, first=20, most=50, tolerance=10)
        reads, writes = self.limits
        self.admission = Admission(self.time, Metrics(), Log(), lambda: self.waiting, reads=reads, writes=writes)
        self.inside = 0

    @rule(priority=st.sampled_from(Priority))
    def enter(self, priority: Priority) -> None:
        self.inside += self.admission.enter(priority)

    @precondition(lambda self: self.inside)
    @rule()
    def leave(self) -> None:
        self.admission.leave()
        self.inside -= 1

    @rule(lags=st.lists(st.floats(0, 2), min_size=5, max_size=30), waiting=st.floats(0, 3))
    def look(self, lags: list[float], waiting: float) -> None:
        self.waiting = waiting
        for lag in lags:
            self.time.at += PROBE_SECONDS + lag
            self.admission.observe(lag)

    @invariant()
    def the_count_is_true_and_the_limit_within_its_bounds(self) -> None:
        assert self.admission.in_flight == self.inside
        assert all(4 <= limit.value <= 50 for limit in self.limits)
        assert self.inside <= 100

    @invariant()
    def nobody_is_turned_away_before_one_who_matters_less(self) -> None:
        assert [self._may(priority) for priority in Priority] == sorted(map(self._may, Priority), reverse=True)

    def _may(self, priority: Priority) -> bool:
        may = self.admission.enter(priority)
        if may:
            self.admission.leave()
        return may


TestAnyOrder = AnyOrder.TestCase


class Door:
    """Requests for one page, at an admission with room for one of them."""

    def __init__(self, *, waiting: float) -> None:
        room = Limit(least=1, first=1), Limit(least=1, first=1)
        self.admission = Admission(SystemClock(), Metrics(), Log(), lambda: waiting, reads=room[0], writes=room[1])
        self.sent: list[dict[str, Any]] = []

    async def ask(self) -> bool:
        async def send(message: dict[str, Any]) -> None:
            self.sent.append(message)

        return await self.admission.begin({"method": "GET", "path": "/"}, send)


@pytest.mark.anyio
async def test_a_burst_waits_a_moment_where_nothing_behind_is_in_the_way() -> None:
    door = Door(waiting=0.0)
    assert all(await asyncio.gather(*(door.ask() for _ in range(200))))
    assert (door.admission.in_flight, door.sent) == (200, [])


@pytest.mark.anyio
async def test_in_overload_the_line_is_short_and_the_others_wait_for_nothing() -> None:
    door = Door(waiting=0.5)
    assert await door.ask()
    asking = [asyncio.create_task(door.ask()) for _ in range(50)]
    await until(lambda: sum(each.done() for each in asking) > 50 - NEVER_TOO_MANY)
    assert not any(each.result() for each in asking if each.done())
    assert [message["status"] for message in door.sent if "status" in message] == [503] * (51 - NEVER_TOO_MANY)
    assert not await door.ask(), "with as many before it"
    waiting = [each for each in asking if not each.done()]
    for turn in waiting:
        door.admission.leave()
        assert await turn, "they are let in, as they came"
    assert door.admission.in_flight == 1


@pytest.mark.anyio
async def test_in_a_line_that_stands_nobody_waits_longer_than_a_second() -> None:
    door = Door(waiting=0.5)
    assert await door.ask()
    assert not any(await asyncio.gather(*(door.ask() for _ in range(50))))
    assert [message["status"] for message in door.sent if "status" in message] == [503] * 50
    assert door.admission.in_flight == 1


@pytest.mark.anyio
async def test_after_a_rest_the_limits_are_as_at_first() -> None:
    first = 20
    admission = Admission(SystemClock(), Metrics(), Log(), lambda: 0.0, reads=Limit(least=1, first=first))
    for _ in range(60):
        admission.reads.adapt(9.0, 1)
    assert admission.reads.value == 1

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(message)

    assert await admission.begin({"method": "GET", "path": "/"}, send)
    assert admission.reads.value == first


def test_what_was_taken_away_comes_back_also_where_it_is_not_asked_for() -> None:
    limit = Limit(least=1, first=20)
    for _ in range(60):
        limit.adapt(9.0, 1)
    for _ in range(60):
        limit.adapt(0.0, 0)
    assert limit.value == 20


@pytest.mark.anyio
async def test_whoever_goes_as_they_are_let_in_is_not_counted() -> None:
    door = Door(waiting=0.0)
    going = asyncio.create_task(door.ask())
    await asyncio.sleep(0)
    assert door.admission.in_flight == 1
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert door.admission.in_flight == 0


@pytest.mark.anyio
async def test_whoever_waits_is_next_and_whoever_has_gone_is_not_counted() -> None:
    door = Door(waiting=0.5)
    assert await door.ask()
    gone, waits = asyncio.create_task(door.ask()), asyncio.create_task(door.ask())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    door.admission.leave()
    assert await waits
    assert door.admission.in_flight == 1
