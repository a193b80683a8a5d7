"""The breaker as a state machine: what opens it, what it lets through, what closes it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from groundplan.core.errors import OutsideCallFailed, PeerUnavailable
from groundplan.net.breaker import SLICES, Breaker, BreakerPolicy, Permit, State
from groundplan.testing.clock import ManualClock

POLICY = BreakerPolicy(window=30.0, minimum=10, share=0.5, timeouts=5, pause=10.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def states() -> list[State]:
    return []


@pytest.fixture
def breaker(clock: ManualClock, states: list[State]) -> Breaker:
    return Breaker("pay.example:443", clock, POLICY, states.append)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.admit().failed()


def succeed(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.admit().succeeded()


def state(breaker: Breaker) -> str:
    return breaker.state


def test_few_failures_say_nothing(breaker: Breaker) -> None:
    fail(breaker, 9)
    assert state(breaker) == "closed"
    fail(breaker)
    assert state(breaker) == "open"


def test_the_rate_counts_not_the_number(breaker: Breaker) -> None:
    succeed(breaker, 30)
    fail(breaker, 29)
    assert state(breaker) == "closed"
    fail(breaker)
    assert state(breaker) == "open"


def test_failures_older_than_the_window_are_forgotten(breaker: Breaker, clock: ManualClock) -> None:
    fail(breaker, 9)
    clock.seconds += POLICY.window
    fail(breaker, 9)
    assert state(breaker) == "closed"


def test_timeouts_in_a_row_open_it_sooner(breaker: Breaker) -> None:
    for _ in range(4):
        breaker.admit().timed_out()
    succeed(breaker)
    for _ in range(4):
        breaker.admit().timed_out()
    assert state(breaker) == "closed"
    breaker.admit().timed_out()
    assert state(breaker) == "open"


def test_open_it_says_when_it_tries_again(breaker: Breaker, clock: ManualClock) -> None:
    fail(breaker, 10)
    clock.seconds += 4.0
    with pytest.raises(PeerUnavailable, match=r"pay\.example:443 keeps failing.* tried again in 6 s") as refused:
        breaker.admit()
    assert refused.value.retry_after == 6.0
    assert refused.value.status == 503 and refused.value.retryable and isinstance(refused.value, OutsideCallFailed)


def test_one_call_tries_a_peer_that_failed(breaker: Breaker, clock: ManualClock, states: list[State]) -> None:
    fail(breaker, 10)
    clock.seconds += POLICY.pause
    breaker.refuse()
    probe = breaker.admit()
    with pytest.raises(PeerUnavailable, match="tried with one call"):
        breaker.admit()
    probe.failed()
    with pytest.raises(PeerUnavailable, match="in 10 s"):
        breaker.admit()

    clock.seconds += POLICY.pause
    succeed(breaker)
    fail(breaker, 9)
    assert state(breaker) == "closed", "what was before it closed is forgotten"
    assert states == ["open", "half-open", "open", "half-open", "closed"]


def test_a_probe_given_up_on_leaves_room_for_the_next(breaker: Breaker, clock: ManualClock) -> None:
    fail(breaker, 10)
    clock.seconds += POLICY.pause
    with pytest.raises(KeyboardInterrupt), breaker.admit():
        raise KeyboardInterrupt
    succeed(breaker)
    assert state(breaker) == "closed"


def test_calls_from_before_it_opened_come_too_late_to_close_it(breaker: Breaker, clock: ManualClock) -> None:
    early = [breaker.admit() for _ in range(2)]
    fail(breaker, 10)
    early[0].succeeded()
    assert state(breaker) == "open"
    clock.seconds += POLICY.pause
    breaker.admit()
    early[1].succeeded()
    assert state(breaker) == "half-open"


class BreakerMachine(RuleBasedStateMachine):
    """Beside a model that keeps every call and looks through all of them each time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.moves: list[State] = []
        self.breaker = Breaker("peer", self.clock, POLICY, self.moves.append)
        self.state: State = "closed"
        self.calls: list[tuple[float, str]] = []
        """When each ended, and how, since it last closed."""
        self.opened_at = 0.0
        self.pause = 0.0
        self.under_way: list[tuple[Permit, int]] = []
        """And how many changes of state there had been when it was let through."""
        self.changes = 0

    def change(self, state: State) -> None:
        self.state = state
        self.changes += 1

    def admits(self) -> bool:
        if self.state == "open":
            return self.clock.seconds - self.opened_at >= self.pause
        return self.state == "closed"

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 5.0, 10.0, 29.5, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.seconds += seconds

    @rule()
    def call(self) -> None:
        if not self.admits():
            with pytest.raises(PeerUnavailable) as refused:
                self.breaker.refuse()
            with pytest.raises(PeerUnavailable):
                self.breaker.admit()
            if self.state == "open":
                assert refused.value.retry_after == self.opened_at + self.pause - self.clock.seconds
            return
        self.breaker.refuse()
        permit = self.breaker.admit()
        if self.state == "open":
            self.change("half-open")
        self.under_way.append((permit, self.changes))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), verdict=st.sampled_from(["success", "failure", "failure", "timeout", "timeout", "none"]))
    def a_call_ends(self, data: st.DataObject, verdict: str) -> None:
        permit, changes = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        with permit:
            if verdict == "success":
                permit.succeeded()
            elif verdict == "failure":
                permit.failed()
            elif verdict == "timeout":
                permit.timed_out()
        self.expect(changes, verdict)

    @rule(times=st.integers(1, 12), verdict=st.sampled_from(["success", "failure"]))
    def calls_one_after_the_other(self, times: int, verdict: str) -> None:
        for _ in range(times):
            if not self.admits():
                return
            self.call()
            permit, changes = self.under_way.pop()
            permit.succeeded() if verdict == "success" else permit.failed()
            permit.failed()  # said once, it stays
            self.expect(changes, verdict)

    def expect(self, changes: int, verdict: str) -> None:
        if changes != self.changes:
            return
        now = self.clock.seconds
        if self.state == "half-open":
            if verdict == "success":
                self.calls.clear()
                self.change("closed")
            else:
                self.opened_at, self.pause = now, 0.0 if verdict == "none" else POLICY.pause
                self.change("open")
        elif verdict != "none":
            self.calls.append((now, verdict))
            width = POLICY.window / SLICES
            recent = [how for at, how in self.calls if int(at / width) > int(now / width) - SLICES]
            failed = sum(how != "success" for how in recent)
            often = len(recent) >= POLICY.minimum and failed >= POLICY.share * len(recent)
            row = [how for _, how in self.calls[-POLICY.timeouts :]]
            if verdict != "success" and (often or row == ["timeout"] * POLICY.timeouts):
                self.opened_at, self.pause = now, POLICY.pause
                self.change("open")

    @invariant()
    def the_states_agree(self) -> None:
        assert self.breaker.state == self.state
        assert len(self.moves) == self.changes

    @invariant()
    def half_open_has_one_call_under_way(self) -> None:
        if self.state == "half-open":
            assert [changes for _, changes in self.under_way].count(self.changes) == 1


BreakerMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase
