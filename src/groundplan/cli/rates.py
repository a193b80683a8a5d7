"""How people write a rate."""

import math

from groundplan.core.errors import Invalid


def per_second(text: str) -> float:
    """``50/s`` or ``50``; no limit where nothing is said. Raises Invalid."""
    if not text:
        return math.inf
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise Invalid(f"{text!r} is not a rate. Write how many messages a second: 50/s.")
    return rate
