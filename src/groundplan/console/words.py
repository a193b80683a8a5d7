"""Figures in words, with their unit, joined by a no-break space."""

from datetime import UTC, datetime

NBSP = "\N{NO-BREAK SPACE}"


def figure(value: float, unit: str) -> str:
    """Three digits at most after the first: ``0.4 ms``, ``18.5 ms``, ``186 ms``."""
    digits = 0 if value >= 100 or value == int(value) else 1
    return f"{value:,.{digits}f}{NBSP}{unit}"


def duration(microseconds: float) -> str:
    """``40 µs``, ``0.4 ms``, ``186 ms``, ``1.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if 0 < microseconds < 100:
        return figure(round(microseconds), "µs")
    if microseconds < 1_000_000:
        return figure(round(microseconds / 1000, 1), "ms")
    seconds = microseconds / 1_000_000
    if seconds < 60:
        return figure(round(seconds, 1), "s")
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min" + (f" {left}{NBSP}s" if left else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h" + (f" {minutes}{NBSP}min" if minutes else "")


def share(part: int, whole: int) -> str:
    """``0 %``, ``0.02 %``, ``12 %``."""
    percent = 100 * part / whole if whole else 0.0
    text = f"{percent:.2f}" if 0 < percent < 1 else f"{percent:.0f}"
    return f"{text}{NBSP}%"


def rate(count: int, seconds: int) -> str:
    """Per second, or per minute where that is less than a tenth."""
    per_second = count / seconds
    return f"{per_second:.1f}/s" if per_second >= 0.1 else f"{per_second * 60:.1f}/min"


def count(number: int, word: str, words: str = "") -> str:
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def size(content: str) -> str:
    octets = len(content.encode())
    return f"{octets:,}{NBSP}bytes" if octets < 10_000 else f"{octets // 1000:,}{NBSP}kB"


def moment(microseconds: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Of microseconds since the epoch, in UTC."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).strftime(form)


def ago(at: datetime, now: datetime) -> str:
    seconds = max(0.0, (now - at).total_seconds())
    if seconds < 1:
        return "just now"
    if seconds >= 48 * 3600:
        return f"{int(seconds // 86400)} days ago"
    return duration(int(seconds) * 1_000_000) + " ago"
