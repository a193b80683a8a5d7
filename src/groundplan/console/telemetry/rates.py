"""Who called whom lately, from the spans that were kept, weighed so that they stand for all.

Of requests that failed, were slow or wrote, every span is kept; of the others a share, by chance. Counted as they
are, failures would seem many times more frequent. The requests themselves tell the weight: of those too, one may stand
for many, and says so.
Handlers stand for themselves; of those that only wrote a process keeps a hundred a second, and busier ones seem no
busier.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import NamedTuple

from groundplan.console.telemetry.store import TelemetryStore

MOST_SPANS = 20_000
"""Read for one answer; where there are more, the time they are from gets shorter."""
_ENOUGH = 0.95


class Rate(NamedTuple):
    """One kind of call: ``caller`` asked ``component``. Without a caller it came from outside."""

    caller: str
    component: str
    calls: int
    errors: int
    p95_us: int


class Rates(NamedTuple):
    since_us: int
    """Since when; later than what was asked for where there was too much to read."""
    rates: list[Rate]
    requests: int
    """Requests and handler runs in that time."""
    kept: int
    """Those of which the spans were kept."""


class _Call(NamedTuple):
    span_id: str
    parent_id: str
    component: str
    shape: str
    start_us: int
    duration_us: int
    failed: bool


def read(store: TelemetryStore, since_us: int, *, slow_us: int) -> Rates:
    """``slow_us``: from where every span of a request is kept. Blocking."""
    with closing(store.connect()) as connection:
        spans = [_Call(*row) for row in connection.execute(_SPANS, (since_us, MOST_SPANS))]
        if len(spans) == MOST_SPANS:
            since_us = spans[-1].start_us
        runs = _runs(connection, since_us, slow_us)
        requests, by_chance = connection.execute(_REQUESTS, (slow_us, since_us)).fetchone()
    weights = _weights(spans, runs, by_chance)
    components = {span.span_id: span.component for span in spans}
    groups: dict[tuple[str, str], list[tuple[_Call, float]]] = {}
    for span, weight in zip(spans, weights, strict=True):
        if span.shape != "wait":
            groups.setdefault((components.get(span.parent_id, ""), span.component), []).append((span, weight))
    return Rates(since_us, [_rate(*pair, found) for pair, found in sorted(groups.items())], requests, len(runs))


def _runs(connection: sqlite3.Connection, since_us: int, slow_us: int) -> dict[str, bool]:
    """By the span that is the whole run: whether its spans would have been kept by chance only."""
    return {span_id: bool(by_chance) for span_id, by_chance in connection.execute(_RUNS, (slow_us, since_us))}


def _weights(spans: list[_Call], runs: Mapping[str, bool], by_chance: int) -> list[float]:
    """For each span, how many calls it stands for."""
    owners = _owners(spans, runs)
    failed = {owner for span, owner in zip(spans, owners, strict=True) if span.failed}
    drawn = {run for run, chance in runs.items() if chance and run not in failed}
    all_like_them = by_chance - sum(chance and run in failed for run, chance in runs.items())
    weight = max(1.0, all_like_them / len(drawn)) if drawn else 1.0
    return [weight if owner in drawn else 1.0 for owner in owners]


def _owners(spans: Iterable[_Call], runs: Mapping[str, bool]) -> list[str]:
    """The run that each span is a part of; its topmost known span where the run is not known."""
    parents = {span.span_id: span.parent_id for span in spans}
    owners: dict[str, str] = {run: run for run in runs}
    for span_id in parents:
        path: list[str] = []
        here = span_id
        while here not in owners and here in parents and here not in path:
            path.append(here)
            here = parents[here]
        owner = owners.get(here, path[-1] if path else here)
        owners.update(dict.fromkeys(path, owner))
    return [owners[span.span_id] for span in spans]


def _rate(caller: str, component: str, found: list[tuple[_Call, float]]) -> Rate:
    calls = sum(weight for _, weight in found)
    passed, p95 = 0.0, 0
    for span, weight in sorted(found, key=lambda each: each[0].duration_us):
        passed, p95 = passed + weight, span.duration_us
        if passed > _ENOUGH * calls:
            break
    return Rate(caller, component, round(calls), sum(span.failed for span, _ in found), p95)


_BY_CHANCE = "r.status < 500 AND r.duration_us < ? AND NOT r.wrote AND r.kind != 'handler'"
_SPANS = """
    SELECT span_id, parent_id, component, shape, start_us, duration_us, error != ''
    FROM spans WHERE start_us >= ? ORDER BY start_us DESC LIMIT ?
"""
_RUNS = f"""
    SELECT s.span_id, {_BY_CHANCE}
    FROM spans s CROSS JOIN requests r ON r.trace_id = s.trace_id AND r.span_id = s.span_id WHERE s.start_us >= ?
"""
_REQUESTS = f"""
    SELECT COALESCE(SUM(r.stands_for), 0), COALESCE(SUM(r.stands_for * ({_BY_CHANCE})), 0)
    FROM requests r WHERE r.start_us >= ?
"""
