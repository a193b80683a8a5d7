"""The breaker of one peer: a peer that keeps failing is left alone for a while, then tried with one call."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from groundplan.core.clock import Clock
from groundplan.core.errors import PeerUnavailable

State = Literal["closed", "open", "half-open"]
"""All calls go through; none does; one does, and its outcome decides."""
SLICES = 10
"""Parts of a window: what is older than the window is forgotten a slice at a time."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    window: float = 30.0
    """Seconds that count."""
    minimum: int = 10
    """Calls within the window before their rate says anything."""
    share: float = 0.5
    """Of them that failed: from here on the breaker opens."""
    timeouts: int = 5
    """In a row, they open it however few the calls: each holds its caller up for all of its time."""
    pause: float = 10.0
    """Seconds open before one call is let through."""


class Permit:
    """One call that the breaker let through. A call that ends without a verdict counts neither way."""

    __slots__ = ("_breaker", "_given", "_round")

    def __init__(self, breaker: "Breaker", round: int) -> None:
        self._breaker = breaker
        self._round = round
        self._given = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end("none")

    def succeeded(self) -> None:
        self._end("success")

    def failed(self) -> None:
        self._end("failure")

    def timed_out(self) -> None:
        self._end("timeout")

    def _end(self, verdict: "_Verdict") -> None:
        if not self._given:
            self._given = True
            self._breaker.judge(self._round, verdict)


_Verdict = Literal["success", "failure", "timeout", "none"]


class Breaker:
    def __init__(
        self, peer: str, clock: Clock, policy: BreakerPolicy, moved: Callable[[State], None] = lambda state: None
    ) -> None:
        """``moved`` is told each new state."""
        self._peer = peer
        self._clock = clock
        self._policy = policy
        self._moved = moved
        self._recent = _Window(policy.window)
        self._timeouts = 0
        self._round = 0
        """Verdicts on calls let through before the last change of state come too late to count."""
        self._until = 0.0
        self.state: State = "closed"

    def refuse(self) -> None:
        """Raises PeerUnavailable where a call would not be let through now."""
        if self.state == "closed":
            return
        seconds = self._until - self._clock.monotonic()
        if self.state == "half-open":
            raise PeerUnavailable(
                f"{self._peer} kept failing and is being tried with one call. Try again in 1 s.", retry_after=1.0
            )
        if seconds > 0:
            raise PeerUnavailable(
                f"{self._peer} keeps failing, so it is not called. It is tried again in {seconds:.3g} s.",
                retry_after=seconds,
            )

    def admit(self) -> Permit:
        """Lets a call through, which is to be made inside the permit's ``with`` block.

        Raises:
            PeerUnavailable: the breaker is open, or half-open with its one call under way.
        """
        self.refuse()
        if self.state == "open":
            self._move("half-open")
        return Permit(self, self._round)

    def judge(self, round: int, verdict: _Verdict) -> None:
        """For permits."""
        if round != self._round:
            return
        if self.state == "half-open":
            self._judge_the_probe(verdict)
        elif verdict != "none":
            self._timeouts = self._timeouts + 1 if verdict == "timeout" else 0
            calls, failures = self._recent.add(self._clock.monotonic(), failed=verdict != "success")
            often = calls >= self._policy.minimum and failures >= self._policy.share * calls
            if verdict != "success" and (often or self._timeouts >= self._policy.timeouts):
                self._open(self._policy.pause)

    def _judge_the_probe(self, verdict: _Verdict) -> None:
        if verdict == "success":
            self._recent.clear()
            self._timeouts = 0
            self._move("closed")
        else:  # a probe given up on has shown nothing: the next call is one
            self._open(0.0 if verdict == "none" else self._policy.pause)

    def _open(self, seconds: float) -> None:
        self._until = self._clock.monotonic() + seconds
        self._move("open")

    def _move(self, state: State) -> None:
        self._round += 1
        self.state = state
        self._moved(state)


class _Window:
    """Calls and failures of the last seconds."""

    def __init__(self, seconds: float) -> None:
        self._width = seconds / SLICES
        self._slices: deque[list[int]] = deque()
        """Each its number, calls, failures."""

    def add(self, now: float, *, failed: bool) -> tuple[int, int]:
        """Counts one more; all calls within the window, and those that failed."""
        number = int(now / self._width)
        while self._slices and self._slices[0][0] <= number - SLICES:
            self._slices.popleft()
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append([number, 0, 0])
        self._slices[-1][1] += 1
        self._slices[-1][2] += failed
        return sum(each[1] for each in self._slices), sum(each[2] for each in self._slices)

    def clear(self) -> None:
        self._slices.clear()
