"""What things cost, in whole cents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.catalog import totals


@pytest.mark.parametrize(
    ("items", "tax"), [(0, 0), (1, 0), (6, 0), (7, 1), (100, 8), (1_000, 75), (2_061, 155), (1_234_567, 92_593)]
)
def test_tax_is_rounded_once_half_a_cent_upwards(items: int, tax: int) -> None:
    assert totals(items) == (items, tax, items + tax)


@given(st.integers(0, 10**9))
def test_the_total_is_the_sum_of_its_parts(items: int) -> None:
    sums = totals(items)
    assert sums.total_cents == sums.items_cents + sums.tax_cents
    assert abs(sums.tax_cents * 10_000 - items * 750) <= 5_000
