"""What the replies to a calm, an overloaded and an easy phase say, and whether the overload was one."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple, Self

from benchmarks.http.figures import UNDISTURBED
from benchmarks.http.openloop import Reply, good

CALM, TIMES, AFTERWARDS = 0.1, 3.0, 0.5
"""Of the capacity: before, during and after the overload."""
CALM_SECONDS, OVERLOAD_SECONDS, AFTER_SECONDS = 10.0, 15.0, 35.0
P99_TIMES_MOST = 5.0
DRIFT_MOST = 0.25
"""By which the capacity may differ between before and after."""
GOODPUT_BELIEVED = 1.25
"""Times the capacity: a server that does more than it can was measured badly."""
FEW = 20
"""Too few replies to speak of their slowest."""


class Trial(NamedTuple):
    capacity: float
    """Requests a second, as goodput is."""
    capacity_after: float
    offered: int
    admitted: int
    goodput: float
    unloaded: float
    """p99 in seconds, as ``slow`` is."""
    slow: float | None
    """p99 of the admitted; None if they were too few."""
    back: float | None
    """Seconds until it is normal again; None if it never was."""
    doubt: str
    """Why this proves nothing; empty if it does."""

    @classmethod
    def of(cls, before: float, after: float, others: float, replies: Sequence[Reply]) -> Self:
        """``others`` is the share of the server's core that went to anybody else meanwhile."""
        begin, end = CALM_SECONDS, CALM_SECONDS + OVERLOAD_SECONDS
        calm = [reply for reply in replies if reply.due < begin and good(reply)]
        loaded = [reply for reply in replies if begin <= reply.due < end]
        admitted = [reply for reply in loaded if good(reply)]
        in_time = sum(good(reply) and begin <= reply.due + reply.taken < end for reply in replies)
        goodput, unloaded = in_time / OVERLOAD_SECONDS, _p99(calm)
        slow = _p99(admitted)
        back = None if unloaded is None else _recovery([each for each in replies if each.due >= end], end, unloaded)
        doubt = _doubt(before, after, others, goodput, unloaded, slow)
        return cls(before, after, len(loaded), len(admitted), goodput, unloaded or 0.0, slow, back, doubt)


def _doubt(
    before: float, after: float, others: float, goodput: float, unloaded: float | None, slow: float | None
) -> str:
    if others > UNDISTURBED:
        return f"others used {others:.0%} of the server's core, so neither its capacity nor its calm was its own"
    if unloaded is None:
        return "too few requests were answered before the overload"
    if abs(after - before) > DRIFT_MOST * before:
        return f"the capacity went from {before:.0f} to {after:.0f}/s meanwhile, so the machine was not ours"
    if goodput > GOODPUT_BELIEVED * before:
        return f"{goodput:.0f}/s were answered in time, more than the capacity of {before:.0f}/s: it was no overload"
    if slow is not None and slow < unloaded:
        return "replies took longer without load than with it, so the machine was not ours"
    return ""


def _p99(replies: Sequence[Reply]) -> float | None:
    """Seconds; None of too few."""
    return statistics.quantiles([reply.taken for reply in replies], n=100)[98] if len(replies) >= FEW else None


def _recovery(replies: Sequence[Reply], end: float, unloaded: float) -> float | None:
    """Seconds until two in a row in which every request was answered as fast as the admitted should be."""
    calm = 0
    for second in range(int(AFTER_SECONDS)):
        within = [reply for reply in replies if second <= reply.due - end < second + 1]
        slowest = _p99(within)
        is_calm = slowest is not None and all(good(reply) for reply in within) and slowest <= P99_TIMES_MOST * unloaded
        calm = calm + 1 if is_calm else 0
        if calm == 2:
            return float(second - 1)
    return None
