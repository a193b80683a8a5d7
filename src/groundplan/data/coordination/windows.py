"""The sliding window: what was taken, counted by parts of the window."""

import math
from collections.abc import Sequence

from groundplan.core.errors import Misuse
from groundplan.data.coordination.port import PARTS, Decision


def decide(taken: Sequence[tuple[int, int]], now: float, limit: int, window: float, cost: int) -> Decision:
    """``taken`` holds parts that still count and how much was taken in each, oldest first; ``now`` is in parts."""
    free = limit - sum(amount for _, amount in taken)
    allowed = cost <= free
    if allowed:
        free -= cost
        oldest = taken[0][0] if taken else math.floor(now)
        return Decision(True, limit, free, seconds_until_back(oldest, now, window))
    back, needed = math.floor(now), cost - free
    for part, amount in taken:
        back, needed = part, needed - amount
        if needed <= 0:
            break
    return Decision(False, limit, max(0, free), seconds_until_back(back, now, window))


def standing(taken: Sequence[tuple[int, int]], now: float, limit: int, window: float) -> Decision:
    """How it stands where nothing is taken: of what is given beyond the limit, too much must come back first."""
    is_free = sum(amount for _, amount in taken) < limit
    return decide(taken, now, limit, window, 0 if is_free else 1)


def check(limit: int, window: float, cost: int) -> None:
    """Raises Misuse for what could never be allowed."""
    if not (0 < cost <= limit and window > 0):
        raise Misuse(f"A limit of {limit} per {window:g} s, of which {cost} are taken at once, makes no sense.")


def seconds_until_back(part: int, now: float, window: float) -> float:
    """``now`` is in parts of the window, of which ``part`` is one that counts."""
    return (part + PARTS + 1 - now) * window / PARTS
