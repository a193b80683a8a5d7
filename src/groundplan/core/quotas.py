"""How much of something there is in a span of time, and how people write that."""

import re
from typing import NamedTuple

_UNITS = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
_WORDS = {"sec": "s", "second": "s", "minute": "min", "hour": "h", "d": "day"}
_TEXT = re.compile(r"\s*([1-9][0-9]{0,9})\s*/\s*([1-9][0-9]{0,5})?\s*([a-z]+)\s*", re.ASCII)
_LONGEST = 31 * _UNITS["day"]


class Quota(NamedTuple):
    """``limit`` of something in any ``window`` seconds."""

    limit: int
    window: float

    def __str__(self) -> str:
        """As ``quota_of`` reads it: ``20/min``, ``5/15min``, ``100/h``."""
        unit, seconds = next(
            (each for each in reversed(_UNITS.items()) if self.window % each[1] == 0), ("s", _UNITS["s"])
        )
        count = self.window / seconds
        return f"{self.limit}/{'' if count == 1 else f'{count:g}'}{unit}"


def quota_of(text: str) -> Quota:
    """``20/min``, ``10/s``, ``5/15min``, ``100/h``, ``1000/day``; second, minute and hour may be written out.

    Raises:
        ValueError: in words that follow the text.
    """
    found = _TEXT.fullmatch(text)
    unit = _UNITS.get(_WORDS.get(found[3], found[3]), 0) if found else 0
    if found is None or not unit:
        raise ValueError("must be a number per span of time, such as 20/min, 5/15min, 100/h or 1000/day")
    window = int(found[2] or 1) * unit
    if window > _LONGEST:
        raise ValueError("must not count over more than 31 days")
    return Quota(int(found[1]), window)
