"""The spans of a trace as a drawing: rows, an axis, and long idle stretches cut out of the time line."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from groundplan.console.views import SpanView
from groundplan.console.words import duration

IDLE_US = 2_000_000
"""Longer than this without work, and the stretch is cut."""
MOST_ROWS = 400
_CUT_SHARE = 0.06
"""How much of the remaining time a cut stretch is drawn as."""
_DEEPEST = 3
_TICKS = 5
_NEAR = 9.0
"""Percent that two labels on the axis need between them."""


class Row(NamedTuple):
    """``x`` and ``width`` in percent of the drawing. ``starts`` is true for the first row of work of its own."""

    span: SpanView
    depth: int
    x: float
    width: float
    starts: bool
    pause: str
    """The idle stretch before this row, in words; empty where there is none."""


class Tick(NamedTuple):
    x: float
    label: str


class Waterfall(NamedTuple):
    rows: list[Row]
    ticks: list[Tick]
    unit: str
    cuts: list[float]
    """Where a stretch was cut out, in percent."""
    answered: Tick | None
    """When the first reply was sent."""
    total_us: int
    hidden: int
    """Spans beyond the most rows that are drawn."""


def draw(spans: Sequence[SpanView]) -> Waterfall:
    """The order is that of a tree read aloud: each span, then what it caused."""
    if not spans:
        return Waterfall([], [], "ms", [], None, 0, 0)
    line = _TimeLine(spans)
    rows: list[Row] = []
    unsaid = list(line.cuts)
    for span, depth in _in_order(spans):
        passed = [cut for cut in unsaid if depth == 0 and cut[0] < span.end_us]
        unsaid = unsaid[len(passed) :]
        idle = sum(end - begin for begin, end in passed)
        pause = f"{duration(idle)} without work, not drawn to scale" if idle else ""
        x, end_x = line.place(span.start_us), line.place(span.end_us)
        rows.append(Row(span, depth, round(x, 3), round(end_x - x, 3), depth == 0 and bool(rows), pause))
    first = rows[0].span
    answered = Tick(rows[0].x + rows[0].width, duration(first.end_us - line.start)) if first.shape == "work" else None
    unit, step_us = ("ms", 1000) if line.total < 10_000_000 else ("s", 1_000_000)
    cuts = [round((line.place(begin) + line.place(end)) / 2, 3) for begin, end in line.cuts]
    return Waterfall(
        rows[:MOST_ROWS], line.ticks(step_us), unit, cuts, answered, line.total, max(0, len(rows) - MOST_ROWS)
    )


def _in_order(spans: Sequence[SpanView]) -> Iterator[tuple[SpanView, int]]:
    """Every span once. One that began when its cause was over, or in a worker, stands on its own."""
    known = {span.span_id: span for span in spans}
    children: dict[str, list[SpanView]] = {}
    roots: list[SpanView] = []
    for span in sorted(spans, key=lambda s: (s.start_us, -s.duration_us)):
        parent = known.get(span.parent_id)
        if parent is None or parent is span or _stands_alone(span, parent):
            roots.append(span)
        else:
            children.setdefault(parent.span_id, []).append(span)
    done: set[int] = set()
    # What is left after the roots hangs on itself in a circle: broken input, drawn all the same.
    for root in (*roots, *spans):
        waiting = [(root, 0)]
        while waiting:
            span, depth = waiting.pop()
            if id(span) in done:
                continue
            done.add(id(span))
            yield span, min(depth, _DEEPEST)
            waiting += [(child, depth + 1) for child in reversed(children.get(span.span_id, []))]


def _stands_alone(span: SpanView, parent: SpanView) -> bool:
    return span.start_us > parent.end_us or (span.role == "worker" and parent.role != "worker")


class _TimeLine:
    """Real time to percent, with the long idle stretches cut to a fixed share."""

    def __init__(self, spans: Sequence[SpanView]) -> None:
        self.start = min(span.start_us for span in spans)
        self.end = max(span.end_us for span in spans)
        self.total = self.end - self.start
        self.cuts = list(_idle(spans, self.start, self.end))
        kept = self.total - sum(end - begin for begin, end in self.cuts)
        self._cut_length = max(1.0, kept * _CUT_SHARE)
        self._length = max(1.0, kept + self._cut_length * len(self.cuts))

    def place(self, at_us: int) -> float:
        passed = float(at_us - self.start)
        for begin, end in self.cuts:
            if at_us <= begin:
                break
            inside = min(at_us, end) - begin
            passed -= inside - self._cut_length * inside / (end - begin)
        return min(100.0, max(0.0, 100 * passed / self._length))

    def ticks(self, unit_us: int) -> list[Tick]:
        """At round distances from the start, where there is room for a label and no stretch was cut."""
        step = _round_step(self._length / _TICKS)
        found: list[Tick] = []
        for begin, end in self._kept():
            at = -(-(begin - self.start) // step) * step
            while self.start + at <= end:
                x = self.place(self.start + at)
                if x <= 100 - _NEAR / 2 and (not found or x - found[-1].x >= _NEAR):
                    found.append(Tick(round(x, 3), f"{at / unit_us:g}"))
                at += step
        return found

    def _kept(self) -> Iterator[tuple[int, int]]:
        begin = self.start
        for cut_begin, cut_end in self.cuts:
            yield begin, cut_begin
            begin = cut_end
        yield begin, self.end


def _idle(spans: Sequence[SpanView], start: int, end: int) -> Iterator[tuple[int, int]]:
    busy_until = start
    for span in sorted((s for s in spans if s.shape != "wait"), key=lambda s: s.start_us):
        if span.start_us - busy_until > IDLE_US:
            yield busy_until, span.start_us
        busy_until = max(busy_until, span.end_us)
    if end - busy_until > IDLE_US:
        yield busy_until, end


def _round_step(about: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50 and so on, in microseconds."""
    power = 1
    while power * 10 <= about:
        power *= 10
    return next((power * factor for factor in (1, 2, 5) if power * factor >= about), power * 10)
