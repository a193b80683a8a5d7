"""The map of the deployment: rooms and the lines between them, with what telemetry and health say of each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from groundplan.app.health import ComponentHealth
from groundplan.console.views import Overview, RateView
from groundplan.console.words import NBSP, count, duration, figure, rate, share

MOST_ERRORS = 0.001
"""The share of failed calls from which a connection needs a person."""
_BUSY, _BUSIER = 5, 50
"""Calls per second from which a line is drawn heavier."""
_STATES = {"ok": ("● Healthy", "Healthy"), "warn": ("▲ Act", "Act"), "bad": ("■ Failing", "Failing")}
_CALLERS = {"": "Browser", "Outbox": "API", "Cache": "API"}
"""Steps inside the API that call on; without a caller, the call came from outside."""
_CALLED = {"SQL": "Database"}


class Box(NamedTuple):
    x: int
    y: int
    width: int
    height: int
    outside: bool = False
    """Run by others, or by nobody: drawn dashed."""


class Path(NamedTuple):
    """``drawn`` is the line, ``tip`` its arrow head. The rate stands at ``x``, ``y``, the other figures on ``y2``.

    Where ``y2`` is 0, all stand on one line.
    """

    drawn: str
    tip: str
    anchor: str
    x: int
    y: int
    y2: int


class Room(NamedTuple):
    name: str
    box: Box
    tone: str
    state: str
    """Shape and word."""
    said: str
    """The same without the shape, to be read aloud."""
    lines: list[str]


class Connection(NamedTuple):
    source: str
    target: str
    traffic: str
    p95: str
    errors: str
    status: str
    tone: str
    weight: int
    path: Path | None
    """None for one that is only in the table."""


class Plan(NamedTuple):
    rooms: list[Room]
    connections: list[Connection]
    """What needs a person comes first, what nobody called comes last."""


_RIGHT, _DOWN, _UP = "m-7 -4l7 4l-7 4", "m-4 -7l4 7l4 -7", "m-4 7l4 -7l4 7"
_BOXES = {
    "Browser": Box(40, 24, 112, 60, outside=True),
    "Web": Box(40, 204, 112, 60),
    "API": Box(240, 204, 112, 60),
    "Cache": Box(440, 204, 112, 60),
    "Database": Box(240, 348, 112, 60),
    "Objects": Box(440, 348, 112, 60),
    "Queue": Box(240, 492, 112, 100),
    "Worker": Box(440, 492, 112, 100),
    "Payments": Box(690, 120, 120, 60, outside=True),
    "Mail": Box(690, 484, 120, 48, outside=True),
    "Analytics": Box(690, 552, 120, 48, outside=True),
}
_PATHS = {
    ("Browser", "Web"): Path("M96 84V204", f"M96 204{_DOWN}", "start", 104, 162, 179),
    ("Browser", "API"): Path("M152 54H296V204", f"M296 204{_DOWN}", "end", 288, 162, 179),
    ("Web", "API"): Path("M152 224H240", f"M240 224{_RIGHT}", "mid", 195, 218, 240),
    ("Web", "Database"): Path("M132 264V288H262V348", f"M262 348{_DOWN}", "mid", 196, 282, 304),
    ("API", "Cache"): Path("M352 224H440", f"M440 224{_RIGHT}", "mid", 395, 218, 240),
    ("API", "Database"): Path("M308 264V348", f"M308 348{_DOWN}", "start", 316, 306, 322),
    ("API", "Objects"): Path("M352 250H402V378H440", f"M440 378{_RIGHT}", "start", 410, 306, 322),
    ("API", "Payments"): Path("M316 204V132H690", f"M690 132{_RIGHT}", "mid", 460, 126, 0),
    ("Worker", "API"): Path("M546 492V434H566V168H346V204", f"M346 204{_DOWN}", "mid", 440, 162, 0),
    ("Database", "Queue"): Path("M272 408V492", f"M272 492{_DOWN}", "end", 264, 447, 463),
    ("Queue", "Worker"): Path("M352 542H440", f"M440 542{_RIGHT}", "mid", 395, 536, 558),
    ("Worker", "Database"): Path("M460 492V450H324V408", f"M324 408{_UP}", "mid", 392, 444, 466),
    ("Worker", "Objects"): Path("M500 492V408", f"M500 408{_UP}", "start", 508, 447, 463),
    ("Worker", "Mail"): Path("M552 508H690", f"M690 508{_RIGHT}", "mid", 635, 502, 524),
    ("Worker", "Analytics"): Path("M552 576H690", f"M690 576{_RIGHT}", "mid", 635, 570, 592),
}


def draw(overview: Overview) -> Plan:
    """The same figures for the drawing and for its table."""
    connections = _connections(overview.rates, overview.window_seconds)
    lines = _lines(overview)
    health = {found.component: found for found in overview.components}
    rooms = [_room(name, box, health.get(name), lines.get(name, []), connections) for name, box in _BOXES.items()]
    return Plan(rooms, connections)


def _connections(rates: Iterable[RateView], seconds: int) -> list[Connection]:
    sharing: dict[tuple[str, str], list[RateView]] = {}
    for found in rates:
        pair = _pair(found)
        if pair is not None:
            sharing.setdefault(pair, []).append(found)
    pairs = dict.fromkeys([*_PATHS, *sorted(sharing)])
    made = [_connection(pair, _sum(sharing[pair]) if pair in sharing else None, seconds) for pair in pairs]
    return sorted(made, key=lambda c: ("warn", "ok", "").index(c.tone))


def _pair(found: RateView) -> tuple[str, str] | None:
    """Between which rooms; None for a step inside one, or without a caller in another."""
    source = _CALLERS.get(found.caller, found.caller)
    target = _CALLED.get(found.component, found.component)
    if target == "Worker":
        return "Queue", "Worker"
    if source == target or target == "Outbox" or (source == "Browser" and target not in ("Web", "API")):
        return None
    return source, target


def _sum(sharing: Sequence[RateView]) -> RateView:
    """Of those that share a connection. The 95th percentile is that of one of them: those with a higher one make
    less than a twentieth of the calls.
    """
    calls, slower, p95_us = sum(found.calls for found in sharing), 0, 0
    for found in sorted(sharing, key=lambda each: each.p95_us, reverse=True):
        slower, p95_us = slower + found.calls, found.p95_us
        if slower > calls / 20:
            break
    first = sharing[0]
    return RateView(
        caller=first.caller,
        component=first.component,
        calls=calls,
        errors=sum(found.errors for found in sharing),
        p95_us=p95_us,
    )


def _connection(pair: tuple[str, str], found: RateView | None, seconds: int) -> Connection:
    if found is None:
        return Connection(*pair, "", "", "", "No calls", "", 1, _PATHS.get(pair))
    over = found.errors > MOST_ERRORS * found.calls
    per_second = found.calls / seconds
    return Connection(
        source=pair[0],
        target=pair[1],
        traffic=rate(found.calls, seconds),
        p95=duration(found.p95_us),
        errors=share(found.errors, found.calls),
        status=f"Over limit, {figure(MOST_ERRORS * 100, '%')}" if over else "Healthy",
        tone="warn" if over else "ok",
        weight=3 if per_second >= _BUSIER else 2 if per_second >= _BUSY else 1,
        path=_PATHS.get(pair),
    )


def _lines(overview: Overview) -> Mapping[str, list[str]]:
    waiting = sum(row.ready for row in overview.queue)
    oldest = max((row.oldest_seconds for row in overview.queue), default=0.0)
    running = sum(row.leased for row in overview.queue)
    return {
        "Queue": [f"{waiting:,} waiting", f"oldest {duration(oldest * 1_000_000)}" if waiting else "none is late"],
        "Worker": [count(overview.dead_letters, "dead letter"), f"{running:,}{NBSP}running"],
    }


def _room(
    name: str, box: Box, health: ComponentHealth | None, lines: list[str], connections: Iterable[Connection]
) -> Room:
    """A component without a check of its own is judged by the calls to it, the browser by those it makes."""
    tones = [found.tone for found in connections if found.target == name or found.source == name == "Browser"]
    tone = health.state if health else "warn" if "warn" in tones else "ok" if "ok" in tones else ""
    if name == "Worker" and tone != "bad" and not lines[0].startswith("0"):
        tone = "warn"
    state, said = _STATES.get(tone, ("○ Quiet", "Quiet"))
    return Room(name, box, tone, state, said, lines)
