"""Rounds as figures, and their goals."""

from collections.abc import Mapping, Sequence

from benchmarks.common.results import Figure, median
from benchmarks.http.load import Sample

Rounds = Mapping[str, Sequence[Sample]]
COLUMNS = (("CPU", "us/request", "cpu"), ("rate", "req/s", "rate"), ("p50", "ms", "p50"), ("p99", "ms", "p99"))

UNDISTURBED = 0.1
"""Of the server's core, for everybody else."""


def cpu_of(rounds: Sequence[Sample]) -> float:
    """Microseconds a request."""
    return median([sample.cpu for sample in rounds])


def samples(name: str, rounds: Sequence[Sample]) -> list[Figure]:
    """Processor time first: it says what a request costs, however busy the machine was."""
    figures = []
    for title, unit, field in COLUMNS:
        values = [getattr(sample, field) for sample in rounds]
        figures.append(Figure(name=f"{name}, {title}", value=median(values), unit=unit, rounds=values))
    figures[0].note = disturbed(rounds)
    return figures


def disturbed(rounds: Sequence[Sample]) -> str:
    """A warning where the server did not have its core for itself: then all is slower, and no request is cheaper."""
    most = max(sample.others for sample in rounds)
    return f"others used up to {most:.0%} of the server's core" if most > UNDISTURBED else ""


def believed(met: bool, doubt: str) -> bool | None:
    """A comparison in doubt is never called met, since one side may have been disturbed more; a miss stays one."""
    return None if met and doubt else met


def all_of(what: str, rounds: Rounds) -> list[Figure]:
    return [figure for name, of_one in rounds.items() for figure in samples(f"{what}, {name}", of_one)]


def at_most(found: Sequence[Figure], name: str, most: float) -> None:
    """A goal for a figure that is there."""
    figure = _named(found, name)
    figure.goal = f"<= {most:,.0f} {figure.unit}"
    figure.met = figure.value is not None and figure.value <= most


def times(found: Sequence[Figure], name: str, than: str, least: float) -> None:
    """A goal: what is named costs at least so many times what ``than`` costs."""
    figure, other = _named(found, name), _named(found, than)
    if figure.value is None or not other.value:
        return
    figure.against, figure.ratio = than.removesuffix(", CPU").rpartition(", ")[2], figure.value / other.value
    figure.goal = f"ours is {least:g} times cheaper" if least > 1 else "ours is cheaper"
    figure.met = believed(figure.ratio >= least if least > 1 else figure.ratio > 1, figure.note or other.note)


def over(name: str, mine: Sequence[Sample], other: Sequence[Sample], than: str, most: float) -> Figure:
    """What mine costs more than the other, in processor time of a request, with its goal."""
    more, doubt = cpu_of(mine) - cpu_of(other), disturbed([*mine, *other])
    return Figure(
        name=name,
        value=more,
        unit="us/request",
        against=than,
        ratio=cpu_of(mine) / cpu_of(other),
        goal=f"<= {most:,.0f} us/request",
        met=believed(more <= most, doubt),
        rounds=[one.cpu - two.cpu for one, two in zip(mine, other, strict=True)],
        note=doubt,
    )


def _named(found: Sequence[Figure], name: str) -> Figure:
    return next(figure for figure in found if figure.name == name)
