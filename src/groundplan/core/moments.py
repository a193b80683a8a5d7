"""How people write a moment."""

import re
from datetime import UTC, datetime, timedelta

from groundplan.core.errors import FieldError, Invalid

_AGO = re.compile(r"(\d{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime, name: str) -> datetime | None:
    """``90m``, ``24h`` and ``7d`` are that long ago; else ISO 8601, in UTC where it names no zone. Empty is None.

    Raises:
        Invalid: it is neither; ``name`` is the input that it came from.
    """
    if not text:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        problem = FieldError(f"/{name}", "a time such as 2026-05-31T14:00, or how long ago: 90m, 24h, 7d")
        raise Invalid(f"{text[:50]!r} is not a time.", errors=(problem,)) from error
