"""The sales report: sums per day and department, in a CSV that no spreadsheet runs."""

import csv
import io
from datetime import UTC, date, datetime

import pytest

from shop.reports.sales import HEADER, DaySales, Sale, by_day, harmless, to_csv


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def test_sales_are_summed_per_day_and_department() -> None:
    sales = [
        Sale(at(2, 9), "Produce", 2, 190),
        Sale(at(1, 23), "Produce", 1, 95),
        Sale(at(2, 0), "Produce", 3, 285),
        Sale(at(2, 8), "Bakery", 1, 549),
    ]
    assert by_day(sales) == [
        DaySales(date(2026, 3, 1), "Produce", 1, 1, 95),
        DaySales(date(2026, 3, 2), "Bakery", 1, 1, 549),
        DaySales(date(2026, 3, 2), "Produce", 2, 5, 475),
    ]


def test_the_csv_has_a_header_and_amounts_with_two_places() -> None:
    text = to_csv([DaySales(date(2026, 3, 1), "Meat and fish", 3, 4, 120_007)]).decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [list(HEADER), ["2026-03-01", "Meat and fish", "3", "4", "1200.07"]]


def test_a_report_on_nothing_is_a_header() -> None:
    assert to_csv(by_day([])).decode().splitlines() == [",".join(HEADER)]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_made_text(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "Produce", "1 = 1", "a-b"])
def test_other_cells_stay(cell: str) -> None:
    assert harmless(cell) == cell
