"""Rounds as figures."""

from collections.abc import Sequence

from benchmarks.common.results import Figure, median
from benchmarks.http.load import Sample


def cpu_of(rounds: Sequence[Sample]) -> float:
    """Microseconds a request."""
    return median([sample.cpu for sample in rounds])


def rate_of(rounds: Sequence[Sample]) -> float:
    return median([sample.rate for sample in rounds])


def samples(name: str, rounds: Sequence[Sample]) -> list[Figure]:
    """Processor time first: it says what a request costs, however busy the machine was."""
    columns = [("CPU", "us/request", "cpu"), ("rate", "req/s", "rate"), ("p50", "ms", "p50"), ("p99", "ms", "p99")]
    figures = []
    for title, unit, field in columns:
        values = [getattr(sample, field) for sample in rounds]
        figures.append(Figure(name=f"{name}, {title}", value=median(values), unit=unit, rounds=values))
    return figures
