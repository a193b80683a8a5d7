"""What a run found: figures beside what they are compared with and their goals, as a table and as JSON."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, kw_only=True):
    name: str
    value: float | None
    """None: it could not be measured, and ``note`` says why."""
    unit: str
    against: str = ""
    """What it stands beside in the same run."""
    ratio: float | None = None
    """``value`` divided by that of ``against``."""
    goal: str = ""
    met: bool | None = None
    """None where there is no goal."""
    durability: str = ""
    rounds: list[float] = []
    """The measurements that ``value`` is the median of."""
    note: str = ""


def median(rounds: Sequence[float]) -> float:
    return statistics.median(rounds)


def write(figures: Sequence[Figure], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


def show(figures: Sequence[Figure], console: Console) -> None:
    """The durable settings of all figures below the table, by number."""
    settings = list(dict.fromkeys(figure.durability for figure in figures if figure.durability))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Measured", "Value", "", "Beside", "Ratio", "Goal", "", "Rounds", "D"):
        right = heading in ("Value", "Ratio", "D")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading not in ("Measured", "Goal"))
    for figure in figures:
        table.add_row(
            figure.name,
            "not available" if figure.value is None else number(figure.value),
            figure.unit,
            figure.against,
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            figure.goal,
            {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[figure.met],
            " ".join(number(each) for each in figure.rounds),
            str(settings.index(figure.durability) + 1) if figure.durability else "",
        )
    console.print(table)
    for position, setting in enumerate(settings, 1):
        console.print(f"D{position}: {setting}", highlight=False)
    for figure in figures:
        if figure.note:
            console.print(f"{figure.name}: {figure.note}", highlight=False)


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
