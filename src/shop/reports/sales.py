"""Sales by day and department, and their CSV."""

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

HEADER = ("day", "department", "orders", "items", "sales")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Sale(NamedTuple):
    """What one order took from one department."""

    placed_at: datetime
    department: str
    items: int
    cents: int


class DaySales(NamedTuple):
    day: date
    department: str
    orders: int
    items: int
    cents: int


def by_day(sales: Iterable[Sale]) -> list[DaySales]:
    """Sums per UTC day and department, in that order."""
    sums: dict[tuple[date, str], DaySales] = {}
    for sale in sales:
        key = sale.placed_at.date(), sale.department
        was = sums.get(key, DaySales(*key, 0, 0, 0))
        sums[key] = DaySales(*key, was.orders + 1, was.items + sale.items, was.cents + sale.cents)
    return [sums[key] for key in sorted(sums)]


def to_csv(rows: Iterable[DaySales]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for row in rows:
        sales = f"{row.cents // 100}.{row.cents % 100:02d}"
        writer.writerow([row.day.isoformat(), harmless(row.department), row.orders, row.items, sales])
    return text.getvalue().encode("utf-8")


def harmless(cell: str) -> str:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front (CSV injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
